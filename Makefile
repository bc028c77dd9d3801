# Everything runs in .venv, made from PYTHON and the pins in .ci/constraints.txt; nothing is installed elsewhere.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE # a command of the tests starts in half the time if its modules are compiled once
DEMO_OUT := importer-runs/demo
LOCK_HEADER := \# Every runtime, development and build dependency, pinned with its hashes. Written by `make lock` from pyproject.toml; do not edit.

.DEFAULT_GOAL := help
.PHONY: help demo test torture lint bench clean lock

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.venv: .venv/installed

# The stamp is older than its sources whenever a pin, a dependency or a tool's setting changed.
.venv/installed: pyproject.toml .ci/constraints.txt .ci/axe.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --requirement .ci/constraints.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --disable-pip-version-check
	$(BIN)/python -m pip download -qq --disable-pip-version-check --require-hashes --no-deps --dest .venv/axe --requirement .ci/axe.txt
	touch $@

demo: .venv ## import samples/purchases.csv into a sandbox on this machine
	rm -rf $(DEMO_OUT)
	mkdir -p $(DEMO_OUT)
	IMPORTER_LEDGER=$(DEMO_OUT)/ledger.db $(BIN)/importer run samples/purchases.csv \
	  -m samples/purchases.yaml --sandbox --yes --out $(DEMO_OUT) || test $$? -eq 1
	@echo
	@echo "The sample's flawed rows are expected: rejects.csv holds each with its reason."

test: .venv ## run every test
	$(BIN)/python -m pytest -n auto --dist worksteal

torture: .venv ## kill 200 imports, run 200 through random faults, stop, lock and damage others; minutes
	$(BIN)/python -m tests.torture --kills 200 --faults 200

lint: .venv ## check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit

bench: .venv ## measure throughput and memory
	$(BIN)/python -m tests.bench

clean: ## remove .venv, caches, builds and the demo's output
	rm -rf .venv build dist $(DEMO_OUT) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find importer tests samples -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## renew .ci/constraints.txt with the newest versions that pyproject.toml allows
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet pip-tools
	build/lock/bin/pip-compile --quiet --upgrade --generate-hashes --extra dev --build-deps-for editable --strip-extras --allow-unsafe \
	  --no-header --no-annotate --no-config --no-emit-options --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --output-file build/constraints.txt pyproject.toml
	{ echo '$(LOCK_HEADER)'; cat build/constraints.txt; } > .ci/constraints.txt
