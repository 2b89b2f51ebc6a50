# Every target can be run again: what is done is not done twice.
PYTHON ?= python3
PYTEST_ARGS ?= -n 2
BIN := .venv/bin
STAMP := .venv/.installed
LOWEST := .venv-lowest
EXTRAS := dev,lite0,slurm,wandb,search,heic
SWEEPS := sweep-comparison sweep-ablation sweep-detail sweep-regions sweep-seeds
# Options of a sweep: the dataset, modern or paper, seeds such as 0,1,2, and local, slurm or wandb.
DATASET ?= embedded
RECIPE ?= modern
SEEDS ?=
LAUNCHER ?= local
SWEEP_ARGS ?=
FUZZ_ARGS ?=
# The index that is served and, with it, what the page is tested on; by default it is made from generated chairs.
INDEX ?= indexes/embedded
export WANDB_MODE ?= disabled

.DEFAULT_GOAL := help
.PHONY: help install demo serve $(SWEEPS) test test-fast test-lowest test-slurm test-e2e fuzz load lint format docs build bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with the pinned packages (once; again when pyproject.toml or constraints.txt change)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS),docs]'
	@touch $@

demo: install ## train and test three systems on generated images, then write report/index.html
	$(BIN)/fgsbir test --system raw_pixels --dataset embedded
	$(BIN)/fgsbir run --system b_siamese --dataset embedded
	$(BIN)/fgsbir run --system proposed --dataset embedded
	$(BIN)/fgsbir report runs/embedded --out report
	@echo "The report: $(CURDIR)/report/index.html"

sweep-comparison: ## the runs of table 1, then a report; DATASET=chair_v2 RECIPE=paper SEEDS=0,1,2 LAUNCHER=slurm change what and where
sweep-ablation: ## the runs of table 2, with the same options; by default small, on generated images, with two seeds
sweep-detail: ## the runs of table 3, with the same options
sweep-regions: ## the runs of the region figure, with the same options
sweep-seeds: ## the proposed system and a baseline with five seeds, with the same options

$(SWEEPS): install
	$(BIN)/fgsbir sweep run sweeps/$(@:sweep-%=%).yaml --dataset $(DATASET) --recipe $(RECIPE) \
		$(if $(SEEDS),--seeds $(SEEDS)) --launcher $(LAUNCHER) $(SWEEP_ARGS)
	$(BIN)/fgsbir report runs/$(DATASET) --out report
	@echo "The report: $(CURDIR)/report/index.html"

serve: install $(INDEX) ## draw in the browser and find the photo: trains on generated chairs and indexes them, once; or INDEX=...
	$(BIN)/fgsbir serve $(INDEX)

indexes/embedded: | install
	$(BIN)/fgsbir run --system proposed --dataset embedded
	$(BIN)/fgsbir index --split test --out $@.part \
		--run $$(dirname $$(ls -t runs/embedded/proposed/*/result.json | head -1))
	mv $@.part $@

test: install lint docs build ## lint, make the documentation and the wheel, then run every test
	$(BIN)/pytest $(PYTEST_ARGS)

test-fast: install ## run the tests that take about two seconds or less each
	$(BIN)/pytest -m "not slow" $(PYTEST_ARGS)

test-lowest: ## run those with the lowest releases that pyproject.toml allows, in .venv-lowest: a download of gigabytes
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tests/packaging/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install --disable-pip-version-check -c $(LOWEST)/constraints.txt -e '.[$(EXTRAS)]'
	$(LOWEST)/bin/pytest -m "not slow" $(PYTEST_ARGS)

test-slurm: install ## run a sweep on a Slurm of one host, which it installs (Debian, as root)
	tests/slurm/run.sh

test-e2e: install $(INDEX) ## draw on the page in Chromium, which it installs (Debian, as root): the canvas, and test sketches
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[e2e]'
	FGSBIR_E2E_INDEX=$(INDEX) $(BIN)/pytest -s tests/e2e

fuzz: install ## read 10,000 damaged files of all formats (FUZZ_ARGS="--seed 1 --only svg"), send a server 5,000 bad requests
	PYTHONPATH=tests $(BIN)/python -m fuzz $(FUZZ_ARGS)
	$(BIN)/python tests/serve/fuzz.py

load: install $(INDEX) ## fifty clients draw for a minute
	$(BIN)/python tests/serve/load.py --index $(INDEX)

lint: install ## check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## fix style where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install ## make the documentation in site/; a dead link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

build: install ## make the wheel and the source distribution in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

bench: install ## print the benchmarks (see benchmarks/README.md)
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

clean: ## remove caches, the report, the documentation and .venv-lowest; runs, data and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache report site build dist $(LOWEST)
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
