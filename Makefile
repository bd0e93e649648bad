# One word for everything people do here. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
UNITS := not real and not slow

.PHONY: help setup demo up test check format lint types imports unit real bench reference requirements clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

setup: .venv/.runtime ## install what is missing: Debian packages, .venv with pinned requirements
	@scripts/install-packages

demo: setup ## watch a service scale out and in again under load (about five minutes)
	@scripts/as-root $(BIN)/roadstead demo

up: setup ## start control plane and one container instance for use
	@scripts/as-root $(BIN)/roadstead up

test: .venv/.dev ## every check and every test, real containers included
	@scripts/install-packages
	@$(MAKE) --no-print-directory lint types imports
	@run() { \
		scripts/as-root $(BIN)/python -m pytest -m "$$@" || { \
			echo "Tests failed (above). Once more, these alone: on a busy machine a test of real parts may run out of time."; \
			scripts/as-root $(BIN)/python -m pytest -m "$$1" --last-failed --last-failed-no-failures none; }; }; \
	run "not real" -n auto && run real

check: .venv/.dev lint types imports unit ## the fast part of `make test` (under a minute)

lint: .venv/.dev
	@$(BIN)/ruff check src tests bench && $(BIN)/ruff format --check --quiet src tests bench

types: .venv/.dev
	@$(BIN)/mypy

imports: .venv/.dev
	@$(BIN)/lint-imports | tail -n 20

unit: .venv/.dev
	@$(BIN)/python -m pytest -n auto -m "$(UNITS)"

real: setup .venv/.dev ## the tests with real containers, networks and mounts alone
	@scripts/as-root $(BIN)/python -m pytest -m real

bench: setup .venv/.dev ## measure: side by side, medians (BENCH="--only api --quick" for less)
	@scripts/as-root $(BIN)/python -m bench $(BENCH)

reference: .venv/.dev ## make the generated pages of docs/ anew
	@$(BIN)/python -m roadstead.api.reference > docs/operations.md
	@$(BIN)/python -m roadstead.app.lifecycles > docs/lifecycles.md

format: .venv/.dev ## put the code into the project's form
	@$(BIN)/ruff check --fix --quiet src tests bench; $(BIN)/ruff format --quiet src tests bench

requirements: .venv/.dev ## pin the newest versions of what requirements/*.in name
	@scripts/pin-requirements

.venv/bin/python:
	@scripts/install-packages --python
	@$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/python requirements/runtime.txt pyproject.toml
	@echo "Installing Roadstead into .venv (pinned requirements)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	@echo "Installing the tools for tests and checks into .venv…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

clean: ## remove what was installed and built here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
