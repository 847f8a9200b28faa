# Everything a developer or an operator starts. Needs git, GNU make and CPython 3.11 to 3.14 with venv and pip.
.DEFAULT_GOAL := help

PYTHON ?= python3
CHROMIUM ?= /usr/bin/chromium
ARGS ?=
# One more than cores: tests wait for blocks, servers and one another.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)

VENV := .venv
BIN := $(VENV)/bin

# A stamp carries the checksum of what it stands for: a changed lock file is installed again, a mere checkout is not.
checksum = $(shell cat requirements/$(1).txt pyproject.toml | cksum | cut -d ' ' -f 1)
# An interpreter that an upgrade of the system took away leaves no stamp worth anything.
GONE := $(shell test -x $(BIN)/python || echo -gone)
stamp = $(VENV)/.$(1)-$(call checksum,$(1))$(GONE)
SERVER := $(call stamp,server)
BASE := $(call stamp,base)
SHARED := $(call stamp,shared)
TEST := $(call stamp,test)
BROWSER := $(call stamp,browser)
CONTRACTS := $(call stamp,contracts)
BENCH := $(call stamp,bench)

NODE_MODULES := contracts/node_modules/.installed
SLITHER_VENV := .venv-slither
SLITHER := $(SLITHER_VENV)/.slither-$(call checksum,slither)
HALMOS_VENV := .venv-halmos
HALMOS := $(HALMOS_VENV)/.halmos-$(call checksum,halmos)
CHAIN_TOOLS := tests/tools/node_modules/.installed

# The compiler and the tools run on Node.js: the locked one in $(VENV) comes first, the machine's own is not needed.
WITH_NODE := PATH="$(abspath $(BIN)):$$PATH"

.PHONY: help
help:  ## List the targets
	@echo "Provenport: make TARGET"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1 \2/p' $(firstword $(MAKEFILE_LIST)) \
	  | while read -r target text; do printf '  %-16s %s\n' "$$target" "$$text"; done
	@echo "Variables: PORT=8001 and DATA_DIR=DIR for run and probe, ARGS='-k name' and WORKERS=2 for the tests, PYTHON=python3.12, CHROMIUM=PATH"

# ---- use it

# PORT and DATA_DIR reach the server through the environment, only where they were given.
ifdef PORT
export PORT
endif
ifdef DATA_DIR
export DATA_DIR
endif

.PHONY: run
run: $(BASE)  ## Set up what is missing, then start the server (PORT, DATA_DIR)
	@exec $(BIN)/provenport serve

.PHONY: run-server
run-server: $(SERVER)  ## The same without the simulator's packages: a third of the disk, no simulations
	@exec $(BIN)/provenport serve

.PHONY: simulator
simulator: $(BASE)  ## Add the simulator's packages to what run-server set up

.PHONY: shared
shared: $(SHARED)  ## Add what servers on several machines use: S3, redis, PKCS #11

.PHONY: probe
probe: $(BASE)  ## Time the running server and try to deceive it (PORT, DATA_DIR, ARGS)
	$(BIN)/clearance-sim probe --credentials "$${DATA_DIR:-var}/demo-credentials.json" $(ARGS)

.PHONY: cluster
cluster: $(TEST)  ## Set up what the simulator needs to run on a Dask cluster, or in processes of this machine

# ---- check it

.PHONY: test
test: $(TEST)  ## Run the tests that need neither a browser nor a compiler, but for the slow ones
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not browser and not contracts and not slow" $(ARGS)

# Named one by one, so that nothing else is collected.
QUICK := tests/domain tests/messages tests/checks tests/docs tests/web/test_api_rights.py

.PHONY: quick
quick: $(TEST)  ## Run in half a minute what a change breaks first: rules, kinds, texts, rights
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow" $(QUICK) $(ARGS)

.PHONY: slow
slow: $(TEST)  ## Run the slow tests: kills, races, full disks, lost chains, clusters, whole simulations
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "slow and not browser and not contracts" $(ARGS)

.PHONY: check
check: $(TEST)  ## Check formatting, lint, types, who may import whom, and words
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/checks/private_words.py

.PHONY: format
format: $(TEST)  ## Format the Python code and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: browser
browser: $(BROWSER)  ## Run the tests that drive Chromium (CHROMIUM)
	@command -v "$(CHROMIUM)" >/dev/null || { \
	  echo "Chromium is not at $(CHROMIUM). Install it (Debian: apt-get install chromium), or say where it is:" >&2; \
	  echo "  make browser CHROMIUM=/path/to/chromium" >&2; exit 1; }
	CHROMIUM="$$(command -v "$(CHROMIUM)")" $(BIN)/python -m pytest -q -m browser tests/browser $(ARGS)

.PHONY: bench
bench: $(BENCH) $(CHAIN_TOOLS)  ## Measure speed, size and gas, beside others where there are any, and print the numbers
	$(WITH_NODE) $(BIN)/python tests/benchmarks/run.py $(ARGS)

.PHONY: growth
growth: $(TEST)  ## Measure requests on RECORDS records (100,000) beside an empty installation; fails where they grow
	$(BIN)/python tests/benchmarks/growth.py $(or $(RECORDS),100000)

.PHONY: sizing
sizing: $(TEST) $(CHAIN_TOOLS)  ## Measure what a declaration costs, and write what a country needs into docs/deploying.md
	$(BIN)/python -m tests.benchmarks.sizing --write

# ---- Solidity

.PHONY: contracts
contracts: $(CONTRACTS) $(NODE_MODULES)  ## Compile the Solidity contracts into contracts/artifacts
	$(WITH_NODE) $(BIN)/python -m contracts.tools.compile

.PHONY: contracts-check
contracts-check: $(CONTRACTS) $(NODE_MODULES) $(SLITHER) $(HALMOS)  ## Compile them again, compare, run tests and analysis (MUTANTS: all)
	$(WITH_NODE) $(BIN)/python -m contracts.tools.compile --check
	$(WITH_NODE) $(BIN)/python -m contracts.tools.analysis $(SLITHER_VENV)/bin/slither
	$(WITH_NODE) $(BIN)/python -m contracts.tools.rules $(HALMOS_VENV)/bin/halmos
	$(WITH_NODE) $(BIN)/python -m contracts.tools.invariants $(MUTANTS)
	$(WITH_NODE) $(BIN)/python -m pytest -q -m contracts tests/contracts $(ARGS)

# A tool whose packages do not go with ours gets an environment of its own.
define install_apart
	$(need_python)
	@echo "Installing $(1) (.venv-$(1))"
	@"$(PYTHON)" -m venv .venv-$(1)
	@.venv-$(1)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-deps --require-hashes \
	  -r requirements/$(1).txt
	@rm -f .venv-$(1)/.$(1)-*
	@touch $@
endef

# slither needs another web3 than we do.
$(SLITHER):
	$(call install_apart,slither)

# halmos needs a solver of its own, and other versions than slither.
$(HALMOS):
	$(call install_apart,halmos)

.PHONY: stress
stress: $(CONTRACTS)  ## Kill anchoring 1,000 times (KILLS) and a migration at every statement, forge a million bundles (FORGED)
	folder=$$(mktemp -d) && $(BIN)/python -m tests.stress.killed_migration "$$folder" && rm -r "$$folder"
	$(BIN)/python -m tests.stress.anchoring_kills $(or $(KILLS),1000)
	$(WITH_NODE) $(BIN)/python -m tests.stress.forged_bundles $(or $(FORGED),1000000)

.PHONY: load
load: $(TEST)  ## Hold CONNECTIONS (520) open as slowly as can be, then send the costliest bundles, and tell what it took
	$(BIN)/python -m tests.stress.slow_clients $(or $(CONNECTIONS),520)
	$(BIN)/python -m tests.stress.costly_bundles

.PHONY: verifiers-check
verifiers-check: $(CONTRACTS)  ## Hold the three verifiers to one verdict by their tests, then by forgeries
	$(WITH_NODE) $(BIN)/python -m pytest -q tests/verifier $(ARGS)
	@$(MAKE) --no-print-directory forgeries

.PHONY: forgeries
forgeries: $(CONTRACTS)  ## Hold the three verifiers to one verdict, and none to one of 50,000 forgeries (FORGED)
	$(WITH_NODE) $(BIN)/python -m tests.stress.forged_bundles $(or $(FORGED),50000)

ON_POSTGRES := tests/services tests/web tests/journeys tests/adapters/test_postgres.py

.PHONY: postgres-check
postgres-check: $(TEST)  ## Run the tests of services, web and journeys on a PostgreSQL of their own; a skip fails
	TEST_DATABASE=postgresql $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile \
	  -m "not browser and not contracts and not slow and not anvil and not sqlite" $(ON_POSTGRES) $(ARGS)

.PHONY: two-servers
two-servers: $(TEST) $(CHAIN_TOOLS)  ## Race, kill, restart processes on one PostgreSQL (RACES 1,000, KILLS 200, RESTARTS 10, HISTORY 400)
	$(BIN)/python -m tests.stress.two_servers --races $(or $(RACES),1000) --kills $(or $(KILLS),200) \
	  --restarts $(or $(RESTARTS),10) --history $(or $(HISTORY),400)
	$(BIN)/python -m tests.stress.two_servers --races 20 --history 0 --planted

.PHONY: standby
standby: $(TEST) $(CHAIN_TOOLS)  ## Kill PostgreSQL's primary while clients write, and promote its standby (KILLS 50)
	$(BIN)/python -m tests.stress.standby --kills $(or $(KILLS),50)

.PHONY: disk-faults
disk-faults: $(TEST)  ## Let 300 writes and syncs fail by strace (FAULTS), and look at what is left
	$(BIN)/python -m tests.stress.faulty_disk $(or $(FAULTS),300)

.PHONY: anvil-check
anvil-check: $(CONTRACTS) $(CHAIN_TOOLS)  ## Install a real node (anvil, cast) and run the tests that need one
	$(WITH_NODE) $(BIN)/python -m pytest -q -m anvil tests/adapters tests/journeys tests/web $(ARGS)

.PHONY: disagreeing-nodes
disagreeing-nodes: $(TEST) $(CHAIN_TOOLS)  ## Let four nodes lie, lag, hang and fork (FAULTS 50), then one alone, which must do harm
	$(BIN)/python -m tests.stress.disagreeing_nodes --faults $(or $(FAULTS),50)
	$(BIN)/python -m tests.stress.disagreeing_nodes --faults 16 --planted

.PHONY: agreement
agreement: $(CONTRACTS) $(NODE_MODULES) $(CHAIN_TOOLS)  ## Ask Python, Solidity and JavaScript about 100,000 altered proofs
	$(WITH_NODE) $(BIN)/python -m tests.agreement

$(CHAIN_TOOLS): tests/tools/package-lock.json | $(CONTRACTS)
	@echo "Installing anvil, cast and others' published contracts (tests/tools/node_modules)"
	cd tests/tools && $(WITH_NODE) npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(NODE_MODULES): contracts/package-lock.json | $(CONTRACTS)
	@echo "Installing the Solidity compiler and libraries (contracts/node_modules)"
	cd contracts && $(WITH_NODE) npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# ---- keep it

# One lock for every Python and system; each set holds the one before it, at the same versions.
LOCK := $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-emit-find-links --annotation-style line --quiet $(if $(UPGRADE),--upgrade)
SHARED_EXTRAS := --extra postgres --extra s3 --extra redis --extra pkcs11 --extra telemetry
TEST_EXTRAS := --extra simulator $(SHARED_EXTRAS) --extra test --extra check --extra cluster

.PHONY: lock
lock: $(TEST)  ## Write requirements/ anew from pyproject.toml (UPGRADE=1 takes newer versions)
	$(LOCK) --extra simulator --extra postgres -o requirements/base.txt
	$(LOCK) --extra postgres -c requirements/base.txt -o requirements/server.txt
	$(LOCK) $(SHARED_EXTRAS) -c requirements/base.txt -o requirements/shared.txt
	$(LOCK) $(TEST_EXTRAS) -c requirements/base.txt -c requirements/shared.txt -o requirements/test.txt
	$(LOCK) $(TEST_EXTRAS) --extra browser -c requirements/test.txt -o requirements/browser.txt
	$(LOCK) $(TEST_EXTRAS) --extra contracts -c requirements/test.txt -o requirements/contracts.txt
	$(LOCK) $(TEST_EXTRAS) --extra contracts --extra peers -c requirements/contracts.txt -o requirements/bench.txt
	$(BIN)/uv pip compile requirements/slither.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --no-annotate --quiet $(if $(UPGRADE),--upgrade) -o requirements/slither.txt
	$(BIN)/uv pip compile requirements/halmos.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --no-annotate --quiet $(if $(UPGRADE),--upgrade) \
	  --no-emit-package safe-pysha3 -o requirements/halmos.txt
	@! grep -n '://' requirements/*.txt || { echo "The lock files must not name a registry." >&2; exit 1; }

# A server of its own, then the whole study of the claim: minutes.
.PHONY: readme
readme: $(TEST)  ## Write what README shows of commands anew, from the commands
	@mkdir -p build
	$(BIN)/clearance-sim claim --json build/claim.json
	$(BIN)/python -m tests.journeys.readme_output build/claim.json

.PHONY: wheels
wheels: $(TEST)  ## Check that every lock installs from wheels alone on every supported Python and system
	$(BIN)/python tests/checks/wheels.py $(BIN)/uv

.PHONY: clean
clean:  ## Remove what the tools made (not the server's data in var/)
	rm -rf $(VENV) $(SLITHER_VENV) $(HALMOS_VENV) build dist *.egg-info contracts/node_modules tests/tools/node_modules
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find backend clearance_sim contracts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up

# Before the wait and before our own script, which an older Python could not read.
define need_python
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no $(PYTHON) here. Name your Python: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Provenport needs Python 3.11 to 3.14, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1). Name another:" \
	  "make PYTHON=python3.12 ..." >&2; exit 1; }
endef

SETS := server base shared test browser contracts bench
INSTALL = "$(PYTHON)" requirements/install.py --venv $(VENV) $(if $(UNSUPPORTED),--unsupported) \
  $(foreach set,$(SETS),--checksum $(set)=$(call checksum,$(set)))

$(SERVER):
	$(need_python)
	@$(INSTALL) server
$(BASE):
	$(need_python)
	@$(INSTALL) base
$(SHARED):
	$(need_python)
	@$(INSTALL) shared
$(TEST):
	$(need_python)
	@$(INSTALL) test
$(BROWSER):
	$(need_python)
	@$(INSTALL) browser
$(CONTRACTS):
	$(need_python)
	@$(INSTALL) contracts
$(BENCH):
	$(need_python)
	@$(INSTALL) bench
