# Everything starts from python3 (with venv), git and make; the environments are made where they are missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
HOTRUN := $(PYTHON) cloud/generator.py
DEMO_WORKERS ?= 2
TEST_FLAGS ?=  # --strict: a skip that .ci/allowed-skips does not explain fails
BENCH_FLAGS ?=  # --only ranks, --fresh, --report; see python -m bench --help
DEMO_DIR := .build/demo

.PHONY: help demo test faults bench bench-engines lint format pins clean silent-single openstack-lab openstack-lab-down openstack-faults test-openstack-254 test-engines $(addprefix test-,unit heat node payload ssh prove rehearse ray tensorflow slurm browser faults openstack horizon)

help:  ## this list
	@echo "usage: make TARGET"; awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  sizes: first start 3 MB; demo and test load up to 3 GB once (torch), 6 GB on disk; heat 60 MB"

demo:  ## this repository as a template for a master and two workers, then rehearsed here (about 3 GB to load once)
	@mkdir -p $(DEMO_DIR)
	@echo "The rehearsal loads torch once: up to 3 GB, 6 GB on disk, kept in uv's cache for the next time."
	$(HOTRUN) generate --repo . --workers $(DEMO_WORKERS) --requirements payload --entrypoint main.py --out $(DEMO_DIR)/template.yml --force
	$(HOTRUN) rehearse $(DEMO_DIR)/template.yml --source .

test:  ## unit, heat, node, payload, ssh, prove, rehearse (up to 3 GB to load once, about 10 minutes)
	$(PYTHON) tests/levels.py $(TEST_FLAGS)

test-unit test-heat test-node test-payload test-ssh test-prove test-rehearse: test-%:
	$(PYTHON) tests/levels.py $(TEST_FLAGS) $*

test-engines:  ## Ray, TensorFlow and Slurm for real (3 GB to load once, root and Debian's packages for Slurm, about 15 minutes)
	$(PYTHON) tests/levels.py $(TEST_FLAGS) ray tensorflow slurm browser

test-ray test-tensorflow test-slurm test-browser: test-%:
	$(PYTHON) tests/levels.py $(TEST_FLAGS) $*

test-faults:  ## every fault at every level that this machine can do, and six schedules by chance (about 12 minutes)
	$(PYTHON) tests/levels.py $(TEST_FLAGS) faults

faults:  ## the same, with 20 schedules; writes docs/faults.md
	FAULTS_PAGE=1 FAULTS_SCHEDULES=20 $(PYTHON) tests/levels.py $(TEST_FLAGS) faults

test-openstack:  ## plan, up and down against a real OpenStack, raised where none is up (root, Debian 12; installs its packages)
	$(PYTHON) tests/levels.py $(TEST_FLAGS) openstack alone

openstack-faults:  ## the same; writes docs/openstack-faults.md, what was said when something went wrong
	rm -f .build/reports/openstack-faults.jsonl
	HOTRUN_FAULTS_PAGE=1 $(PYTHON) tests/levels.py $(TEST_FLAGS) openstack alone
	@python="$$($(PYTHON) cloud/bootstrap.py openstack)" && "$$python" -m tests.openstack.faults_page

test-openstack-254:  ## the table of docs/openstack-scale.md: stacks of 33 and 254 workers made and deleted (about 40 minutes)
	HOTRUN_LAB_254=1 HOTRUN_SCALE_PAGE=1 $(PYTHON) tests/levels.py $(TEST_FLAGS) alone -k test_scale -o faulthandler_timeout=7200

test-horizon:  ## Horizon, by headless Chromium, in that OpenStack: form, launch, stack page, delete (root, Debian 12)
	$(PYTHON) tests/levels.py $(TEST_FLAGS) horizon

openstack-lab:  ## that OpenStack in a network namespace, left up for several test runs (about 2 minutes, 2.5 GB of memory)
	$(PYTHON) -m tests.openstack.lab up

openstack-lab-down:  ## ends it and removes its data; the packages stay
	$(PYTHON) -m tests.openstack.lab down

bench:  ## ours against the peers in turn (about 30 minutes, a quiet machine; BENCH_QUICK=1: 3 minutes); writes docs/performance.md
	@python="$$($(PYTHON) cloud/bootstrap.py bench)" && "$$python" -m bench $(BENCH_FLAGS)

bench-engines:  ## the same training through every engine (about 15 minutes, a quiet machine; ENGINES_QUICK=1: 3); writes docs/engines.md
	@python="$$($(PYTHON) cloud/bootstrap.py bench)" && "$$python" -m bench.engines $(if $(ENGINES_QUICK),--quick) $(BENCH_FLAGS)

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
