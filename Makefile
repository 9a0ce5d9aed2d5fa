# One door for every habit. `make` prints this list.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# Where bytecode may not be kept, every node and every command of the tests compiles everything anew: twice the time of its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The virtual environment is made once and follows the constraints files. A missing venv package is said in words.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Guildmark needs Python 3.11 or later as '$(PYTHON)'. On Debian 12: apt install python3 (or set PYTHON=...)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv package is missing. On Debian 12: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.dev: constraints/dev.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r constraints/dev.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.all: constraints/all.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned dependencies, TensorFlow included (about 1.8 GB on disk) ..."
	$(INSTALL) --require-hashes -r constraints/all.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.dev

.PHONY: dev
dev: $(VENV)/.dev ## Install everything but TensorFlow

.PHONY: demo
demo: $(VENV)/.all ## Four validators register, license and hand over a real TensorFlow model
	@$(BIN)/guildmark demo

.PHONY: browser
browser: ## Install Chromium for the tests where it is missing
	@tests/browser/ensure_chromium.sh

.PHONY: test
test: $(VENV)/.all browser ## Run all tests
	$(PYTEST) -n 2 --dist loadgroup -q

.PHONY: test-fast
test-fast: $(VENV)/.dev browser ## Run the tests that start no process and no TensorFlow
	$(PYTEST) -q -m "not cluster and not tensorflow"

# The long campaign: 20,000 hostile seeds. It goes on where it was interrupted; SEEDS=0:5000 makes it shorter.
SEEDS      ?= 0:4000
CAMPAIGN   ?= build/simulation
.PHONY: simulate
simulate: $(VENV)/.dev ## Search 20,000 seeds for a broken law (hours; goes on where it stopped)
	@mkdir -p $(CAMPAIGN)
	$(BIN)/guildmark simulate --seeds $(SEEDS) --replicas 4 --replicas 5 --replicas 6 --replicas 7 --replicas 10 \
	  --state $(CAMPAIGN)/hostile-$(subst :,-,$(SEEDS)).jsonl --failures $(CAMPAIGN)/failures

# Every mistake that was put into the protocol on purpose, each in five ranges of seeds, until it is caught.
.PHONY: mutants
mutants: $(VENV)/.dev ## Show that the judges catch every deliberate mistake in the protocol
	@mkdir -p $(CAMPAIGN)
	$(BIN)/python -m simulation.mutants --json $(CAMPAIGN)/mutants.json --table $(CAMPAIGN)/mutants.md

# Random operations on a real chain and on the reference ledger, compared at every height.
OPERATIONS ?= 100000
SEED       ?= 1
.PHONY: ledger-campaign
ledger-campaign: $(VENV)/.dev ## Compare 100,000 random operations with the reference ledger (minutes)
	@mkdir -p $(CAMPAIGN)
	$(BIN)/python -m tests.property.ledger_campaign --operations $(OPERATIONS) --seed $(SEED) --table $(CAMPAIGN)/ledger-$(SEED).md

# The tests that sample, with many times the seeds and examples of every run.
THOROUGH ?= 10
.PHONY: thorough
thorough: $(VENV)/.dev ## Run the tests that sample with ten times their seeds and examples (an hour)
	THOROUGH=$(THOROUGH) $(PYTEST) -n 2 -q --timeout 3600 \
	  tests/property tests/simulation/test_simulation_hostile.py tests/simulation/test_byzantine_replicas.py \
	  tests/unit/test_consensus_schedules.py tests/unit/test_consensus_hostile.py

GOSSIP_SEEDS ?= 100
.PHONY: gossip-campaign
gossip-campaign: $(VENV)/.dev ## Gossip to 50, 100 and 200 observers under churn and losses, 100 seeds each (minutes)
	@mkdir -p $(CAMPAIGN)
	$(BIN)/python -m benchmarks.gossip_figures --seeds $(GOSSIP_SEEDS) --json $(CAMPAIGN)/gossip.json

# One byte of a node's files is changed, 5,000 times; everything is asked, put back, and verified.
FLIPS      ?= 5000
.PHONY: flip-campaign
flip-campaign: $(VENV)/.dev ## Flip 5,000 bytes of a node's files: nothing wrong is answered (minutes)
	@mkdir -p $(CAMPAIGN)
	$(BIN)/python -m tests.property.flip_campaign --flips $(FLIPS) --seed $(SEED) --table $(CAMPAIGN)/flips-$(SEED).md

.PHONY: bench-smoke
bench-smoke: $(VENV)/.dev ## Hold a short run to the committed baseline, by ratios (under 2 minutes)
	$(BIN)/python -m benchmarks.gate

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(VENV)/bin/python ## Pin the dependencies again (versions and hashes, no index addresses)
	$(INSTALL) pip-tools
	PYTHON=$(BIN)/python sh constraints/lock.sh

.PHONY: clean
clean: ## Remove caches and build output; the virtual environment stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
