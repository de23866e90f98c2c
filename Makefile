# `make` lists what there is. Needs nothing but Python 3.11 or newer; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help run test check lint data clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: data  ## educate a model on this machine, in minutes; ARGS="--minutes 5" goes on to `castalia run pocket`
	$(BIN)/castalia run pocket $(ARGS)

test: lint data  ## lint, types and the quick tests; ARGS="-k mazes" goes on to pytest
	$(BIN)/pytest $(ARGS)

check: lint data  ## everything, slow tests too
	$(BIN)/pytest -m "slow or not slow" $(ARGS)

lint: $(READY)  ## style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/ty check castalia

data: $(READY)
	$(BIN)/castalia data fetch

clean:  ## remove the environment and caches; runs/ stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -not -path './runs/*' -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is taken up again.
$(READY): pyproject.toml constraints.txt scripts/venv.sh
	@bash scripts/venv.sh "$(PYTHON)" .venv
	@echo "installing into .venv (minutes the first time, as PyTorch is large)"
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
