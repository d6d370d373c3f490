# Every target explains itself in `make help`. Variables: VENV (.venv), PYTHON, KEEP, ROW, RUNS, SCALE, SEED, MINUTES.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-engines soak bench check format lint types contracts proto docs pins wheel test-fresh clean env env-dev

VENV ?= .venv
PY := $(VENV)/bin/python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: env ## Run the example on real photographs: starts a pachd of its own, ends it again (KEEP=1 leaves it running)
	@"$(PY)" examples/opencv/demo.py

test: env-dev ## Run the tests that need nothing but this machine (no root; what is skipped is listed with its reason)
	@"$(PY)" -m pytest -n auto --maxprocesses 8

test-engines: env-dev ## Run the tests with real parts, such as the public Python client; here a skip is a failure
	@tools/engines.sh "$(PY)"

soak: env-dev ## Run the long, seeded tests (SEED=1 MINUTES=20 TESTS=tests); writes soak/RESULT.md
	@"$(PY)" soak/run.py

bench: env-dev ## Measure beside cp, git, dvc and others (ROW=name,pps RUNS=5 SCALE=1.0 MINUTES=25); writes bench/RESULTS.md
	@"$(PY)" bench/run.py

check: format lint types contracts ## Check format, lint, types and contracts: what CI runs before the tests

format: env-dev
	@"$(VENV)/bin/ruff" format --check .

lint: env-dev
	@"$(VENV)/bin/ruff" check .

types: env-dev
	@"$(VENV)/bin/pyrefly" check --summarize-errors
	@"$(VENV)/bin/mypy"

contracts: env-dev
	@"$(VENV)/bin/lint-imports" --no-logo
	@"$(PY)" -m pytest -q tests/test_tidy.py tests/house

proto: env-dev ## Write proto/ and src/trunkline/wire/gen anew from the interface tables
	@"$(PY)" tools/wire_protos.py

docs: env-dev ## Write docs/pachctl.md, states.md, errors.md, calls.md, spec.md and the schema of specs anew from the code
	@"$(PY)" tools/reference.py

pins: env-dev ## Write constraints.txt anew from what the environment holds
	@"$(PY)" tools/pins.py

wheel: env-dev ## Build dist/trunkline-*.whl with the shim for x86-64 and arm64 inside (installs ziglang into .venv-zig)
	@tools/wheel.sh "$(PY)"

test-fresh: ## Prove `make demo` and `make test` in a minimal Debian of its own (needs mmdebstrap)
	@tools/test-fresh.sh

clean: ## Remove environments, caches and what the demo left
	@rm -rf .venv .venv-* .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache demo-out demo-data dist src/trunkline/worker/shim/bin
	@find src tests tools bench examples -name __pycache__ -prune -exec rm -rf {} +

env:
	@tools/venv.sh "$(VENV)" server

env-dev:
	@tools/venv.sh "$(VENV)" dev
