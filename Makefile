# Everything starts from python3 (with venv), git and make; the environments are made where they are missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
HOTRUN := $(PYTHON) cloud/generator.py
DEMO_WORKERS ?= 2
TEST_FLAGS ?=  # --strict: a skip that .ci/allowed-skips does not explain fails
BENCH_FLAGS ?=  # --only ranks, --fresh, --report; see python -m bench --help
DEMO_DIR := .build/demo

.PHONY: help demo test faults bench lint format pins clean silent-single $(addprefix test-,unit heat node payload prove rehearse faults)

help:  ## this list
	@echo "usage: make TARGET"; awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  sizes: first start 3 MB; demo and test load up to 3 GB once (torch), 6 GB on disk; heat 60 MB"

demo:  ## this repository as a template for a master and two workers, then rehearsed here (about 3 GB to load once)
	@mkdir -p $(DEMO_DIR)
	@echo "The rehearsal loads torch once: up to 3 GB, 6 GB on disk, kept in uv's cache for the next time."
	$(HOTRUN) generate --repo . --workers $(DEMO_WORKERS) --requirements payload --entrypoint main.py --out $(DEMO_DIR)/template.yml --force
	$(HOTRUN) rehearse $(DEMO_DIR)/template.yml --source .

test:  ## every level: unit, heat, node, payload, rehearse (up to 3 GB to load once, about 10 minutes)
	$(PYTHON) tests/levels.py $(TEST_FLAGS)

test-unit test-heat test-node test-payload test-prove test-rehearse: test-%:
	$(PYTHON) tests/levels.py $(TEST_FLAGS) $*

test-faults:  ## every fault at every level that this machine can do, and six schedules by chance (about 12 minutes)
	$(PYTHON) tests/levels.py $(TEST_FLAGS) faults

faults:  ## the same, with 20 schedules; writes docs/faults.md
	FAULTS_PAGE=1 FAULTS_SCHEDULES=20 $(PYTHON) tests/levels.py $(TEST_FLAGS) faults

bench:  ## ours against the peers in turn (about 30 minutes, a quiet machine; BENCH_QUICK=1: 3 minutes); writes docs/performance.md
	@python="$$($(PYTHON) cloud/bootstrap.py bench)" && "$$python" -m bench $(BENCH_FLAGS)

silent-single:  ## launches that train alone, each run again (about 8 minutes); writes docs/silent-single.md
	@python="$$($(PYTHON) cloud/bootstrap.py test)" && "$$python" -m tests.prove.recipes --write

node-archive:  ## the node program packed for the user data, after a change of cloud/node
	@python="$$($(PYTHON) cloud/bootstrap.py cli)" && "$$python" -m cloud.template.kept

lint:  ## ruff, mypy --strict, shellcheck of .ci/run (the tests check the boot script)
	@python="$$($(PYTHON) cloud/bootstrap.py test)" && set -x \
	  && "$$python" -m ruff check . && "$$python" -m ruff format --check . \
	  && "$$python" -m mypy && "$$(dirname "$$python")/shellcheck" .ci/run

format:  ## ruff's fixes and form
	@python="$$($(PYTHON) cloud/bootstrap.py test)" && "$$python" -m ruff check --fix . ; "$$python" -m ruff format .

pins:  ## the newest versions with hashes into requirements/
	$(PYTHON) cloud/bootstrap.py pins

clean:  ## what was built here: environments, reports, runs
	rm -rf .venv .build runs .pytest_cache .mypy_cache .ruff_cache .coverage
