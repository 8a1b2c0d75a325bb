# Framehouse. `make help` lists what there is. Works in a clone in any folder, on Linux with Python 3.11 or 3.12.
#
# Two environments: .venv (the application) and .venv-triton (the Triton server, which needs an older numpy;
# docs/decisions/0004). uv installs them when it is there, else venv and pip do: `make UV= setup` asks for the second way.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for python in python3 python3.11 python3.12; do \
	"$$python" -c '$(FITS)' 2>/dev/null && { command -v "$$python"; break; }; done)
UV ?= $(shell uv --version >/dev/null 2>&1 && echo uv)
ARGS ?=
VIDEOS ?= 100
KILLS ?= 30

APP := .venv/bin/python
STAMP := .venv/.installed
EXTRAS := .[dev]
CONSTRAINTS := requirements/constraints.txt

.PHONY: help setup server-env demo test e2e chaos bench bench-api bench-scan bench-scaling bench-fairness bench-costs bench-sql lint format reference constraints clean

help:  ## list the targets
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)$$/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

setup: $(STAMP) server-env  ## build the two environments (PYTHON=python3.12 picks the interpreter)

demo: setup  ## run the main job on real sample videos, end to end, and show what it found
	@$(APP) scripts/demo.py $(ARGS)

test: setup  ## run the whole test suite (ARGS="-k probe" narrows it, ARGS="-n 2" shares it among two processes)
	@$(APP) -m pytest $(ARGS)

e2e: setup  ## run only the end-to-end tests
	@$(APP) -m pytest tests/e2e $(ARGS)

chaos: setup  ## kill processes at random while videos run, and compare the tables (VIDEOS=1000 KILLS=100)
	@PYTHONPATH=tests $(APP) -m chaos --videos $(VIDEOS) --kills $(KILLS) --out .framehouse-test/chaos.json $(ARGS)

bench: setup  ## measure the HTTP server, SQL, 1, 2 and 4 workers, then the pipeline; the last line is its efficiency
	@$(APP) tests/benchmarks/bench_api.py
	@$(APP) tests/benchmarks/bench_sql.py
	@$(APP) tests/benchmarks/bench_scaling.py
	@$(APP) tests/benchmarks/bench.py $(ARGS)

bench-api: setup  ## measure the HTTP server with 50 clients: polls, submissions, uploads
	@$(APP) tests/benchmarks/bench_api.py $(ARGS)

bench-scan: setup  ## measure scans of 100,000 unchanged places and of 10,000 new ones
	@$(APP) tests/benchmarks/bench_scan.py $(ARGS)

bench-scaling: setup  ## measure the same videos through 1, 2 and 4 workers, from a folder and from a slow store
	@$(APP) tests/benchmarks/bench_scaling.py $(ARGS)

bench-fairness: setup  ## measure how long shorts wait beside an endless video, with and without turns
	@$(APP) tests/benchmarks/bench_fairness.py $(ARGS)

bench-costs: setup  ## measure what each stage costs; docs/scaling.md is calculated from it
	@$(APP) tests/benchmarks/bench_costs.py
	@$(APP) scripts/scaling.py

bench-sql: setup  ## measure questions to 100,000 embedded frames and 10 million detections
	@$(APP) tests/benchmarks/bench_sql.py $(ARGS)

lint: $(STAMP)  ## check style, types and who imports whom
	$(APP) -m ruff check .
	$(APP) -m ruff format --check .
	$(APP) -m mypy
	@$(APP) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: $(STAMP)  ## put the code into the house's form
	$(APP) -m ruff check --fix .
	$(APP) -m ruff format .

reference: $(STAMP)  ## write docs/reference/ from the program itself
	@$(APP) scripts/reference.py

constraints:  ## resolve the pinned versions again (needs uv; UPGRADE=1 takes newer ones)
	@test -n "$(UV)" || { echo "make constraints needs uv" >&2; exit 1; }
	$(UV) pip compile --quiet --universal --python-version 3.11 --extra dev --extra azure --no-emit-index-url \
		--no-annotate --no-header $(if $(UPGRADE),--upgrade) pyproject.toml -o $(CONSTRAINTS)
	@! grep -nE '://|^-' $(CONSTRAINTS) || { echo "$(CONSTRAINTS) names an address" >&2; exit 1; }

clean:  ## remove the environments and caches; what Framehouse stored (.framehouse/) stays
	rm -rf .venv .venv-triton .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .framehouse-test

# The stamp holds the folder it was made in: an environment does not survive being moved.
ifneq ($(file <$(STAMP)),$(CURDIR))
$(STAMP): FORCE
endif
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "$(PYTHON) is not Python 3.11 or 3.12" >&2; exit 1; }
	@echo "building .venv with $(or $(UV),pip)"
ifneq ($(UV),)
	@test -x $(APP) || $(UV) venv --quiet --python "$(PYTHON)" .venv
	@$(UV) pip install --quiet --python $(APP) --compile-bytecode -c $(CONSTRAINTS) -e "$(EXTRAS)"
else
	@test -x $(APP) || "$(PYTHON)" -m venv .venv
	@$(APP) -m pip --version >/dev/null 2>&1 || $(APP) -m ensurepip >/dev/null
	@$(APP) -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e "$(EXTRAS)"
endif
	@printf '%s' "$(CURDIR)" > $@

server-env: $(STAMP)
	@$(APP) -m framehouse.inference.server_env >/dev/null

.PHONY: FORCE
FORCE:
