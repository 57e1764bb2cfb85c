# `make help` tells what each target does. `make run` and `make test` need Python 3.11 or newer, make and git; no more.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The newest of these that really starts is used; `make setup PYTHON=/path/to/python3` names another.
PYTHONS := python3.13 python3.12 python3.11 python3
PYTHON ?= $(shell for p in $(PYTHONS); do $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { command -v $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
LOCK := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --newline lf --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

.PHONY: help setup run test check format bench soak lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the locked packages and the `gateway` command in it

$(STAMP): requirements/dev.txt pyproject.toml
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "No Python 3.11 or newer with its venv module was found (tried: $(or $(PYTHON),$(PYTHONS)))." >&2; \
		echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make setup PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "Setting up $(VENV) with $(PYTHON); the first time takes a minute or two."
	@[ -x $(BIN)/python ] && $(BIN)/python -c '' || "$(PYTHON)" -m venv --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation -e .
	@touch $(STAMP)

run: setup ## set up, start the gateway and play a day of a small hospital; then serve until Ctrl-C
	@$(BIN)/gateway demo $(ARGS)

test: setup ## set up and run the tests, all but the long soaks
	@$(PYTEST) -m "not soak" $(ARGS)

check: setup ## lint, formatting, types and directions of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

format: setup ## rewrite the code as `make check` wants it formatted
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## run the benchmarks, each beside its peers
	@$(BIN)/python -m bench.acknowledge $(ARGS)
	@$(BIN)/python -m bench.pipeline $(ARGS)
	@$(BIN)/python -m bench.fhir_claim
	@$(BIN)/python -m bench.parse_dft
	@$(BIN)/python -m bench.slow_peers
	@$(BIN)/python -m bench.task_search

soak: setup ## run the long forms of the tests: hundreds of kills, long loads
	@$(PYTEST) -m soak $(ARGS)

lock: setup ## resolve the dependencies of pyproject.toml again and write requirements/*.txt
	@$(LOCK) $(ARGS) --output-file requirements/run.txt pyproject.toml
	@$(LOCK) $(ARGS) --only-build-deps --build-deps-for wheel --output-file requirements/build.txt pyproject.toml
	@$(LOCK) $(ARGS) --extra dev --build-deps-for editable --constraint requirements/run.txt \
		--output-file requirements/dev.txt pyproject.toml

clean: ## remove .venv, caches, and what the demo wrote
	@rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
