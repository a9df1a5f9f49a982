# Everything that people do with this repository. `make help` lists it.
#
#   VENV=dir           where the virtual environment is (.venv)
#   PYTHON=path        use this Python as it is, and create nothing
#   BASE_PYTHON=path   make the virtual environment with this Python (3.11 to 3.13; the newest one found)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
UV := uv==0.13.9
EXTRAS := airflow,embedded,dev
CONSTRAINTS := constraints.txt
AIRFLOW2 := .venv-airflow2
AIRFLOW2_CONSTRAINTS := constraints-airflow2.txt
REQUIREMENTS := docker/watcher/requirements.txt

ifneq ($(filter command line,$(origin PYTHON)),)
READY :=
else
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.installed
endif

# Without compiled bytecode every Airflow command takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE

# Quoted, for messages and for a PYTHON with blanks in its path.
RUN := "$(PYTHON)"

# Tests wait more than they compute. An idle worker takes over half of the tests that another one has left; the first
# worker begins with the end-to-end tests, which wait longest.
PYTEST = $(RUN) -m pytest --dist worksteal --numprocesses

##@ Use

.PHONY: demo
demo: $(READY) ## A wave and a cascade in a real Airflow (ENVIRONMENTS=2: across two; KEEP=1: stays up)
	@$(RUN) -m examples.demo --environments $(or $(ENVIRONMENTS),1) $(if $(KEEP),--keep)

.PHONY: example-datafusion
example-datafusion: $(READY) ## Pipelines of Data Fusion, one for each row of a table, on a stand-in (KEEP=1: stays up)
	@$(RUN) -m examples.datafusion $(if $(KEEP),--keep)

.PHONY: venv
venv: $(READY) ## Create the virtual environment, or bring it up to date

##@ Work on it

.PHONY: airflow2
airflow2: $(AIRFLOW2)/.installed ## Airflow 2.11 with the plugin, for the end-to-end tests, in a virtual environment of its own
	@test -e "$<"

.PHONY: test
test: $(READY) $(AIRFLOW2)/.installed ## All tests: unit, integration (real etcd), end to end (real Airflow) (JOBS=4)
	$(PYTEST) $(or $(JOBS),4) $(ARGS)

.PHONY: test-fast
test-fast: $(READY) ## The quick unit tests, in half a minute (JOBS=2)
	$(PYTEST) $(or $(JOBS),2) tests/unit -m "not slow" $(ARGS)

.PHONY: simulate
simulate: $(READY) ## Random worlds with people and faults on virtual time (SEEDS=1000, FIRST=n: from there, JOBS=2; one again: SEED=n)
	$(RUN) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) $(if $(FIRST),--first $(FIRST)) --jobs $(or $(JOBS),2)) $(ARGS)

.PHONY: faults
faults: $(READY) ## Real servers killed, frozen, cut off, filled up; a table of what was survived (TIMES=3, FAULT=name)
	$(RUN) -m tests.faults --times $(or $(TIMES),3) $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(FAULT),"$(FAULT)") $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Bad input, drawn by coverage (MINUTES=10 in all, JOBS=2, TARGET=one of them)
	$(RUN) -m uv pip install --quiet --python $(RUN) --constraint $(CONSTRAINTS) --requirement pyproject.toml --extra fuzz
	nice -n 5 $(RUN) -m tests.fuzz --minutes $(or $(MINUTES),10) --jobs $(or $(JOBS),2) $(if $(TARGET),--target $(TARGET)) $(ARGS)

.PHONY: soak
soak: $(READY) ## Endless load and faults, and their cost in memory, descriptors, threads (MINUTES=30)
	$(RUN) -m tests.faults.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: check
check: $(READY) ## Lint, format, types, layers
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy --explicit-package-bases coordinator examples tests $(if $(wildcard benchmarks/*.py),benchmarks)
	$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

.PHONY: format
format: $(READY) ## Format the code, and fix what the linter can fix
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

.PHONY: bench
bench: $(READY) ## How fast a run state becomes a trigger request, compared with the floor
	$(RUN) -m benchmarks.reaction $(ARGS)

.PHONY: bench-scale
bench-scale: $(READY) ## What a completion costs among 10,000 pipelines, and the memory of 1,000,000 keys (ARGS=--quick)
	$(RUN) -m benchmarks.scale $(ARGS)

.PHONY: bench-handover
bench-handover: $(READY) ## How long nobody leads when a leader is stopped, killed or frozen
	$(RUN) -m benchmarks.handover $(ARGS)

.PHONY: bench-page
bench-page: $(READY) ## How long until the page shows something, and a change (needs chromium; 100,000 partitions)
	$(RUN) -m benchmarks.page $(ARGS)

.PHONY: bench-peers
bench-peers: $(READY) ## Beside assets, sensors and triggers, in one real Airflow on PostgreSQL (half an hour; ARGS=--write: into docs/)
	$(RUN) -m benchmarks.peers $(ARGS)

.PHONY: schema
schema: $(READY) ## Generate the JSON Schemas of dependencies.json and dags.yaml
	$(RUN) -m coordinator.model.documents.schema_of_forms
	$(RUN) -m coordinator.dags.configuration.schema_of_forms

.PHONY: examples
examples: $(READY) ## Write the present output of explain into docs/examples
	$(RUN) -m tests.unit.test_examples --write

.PHONY: screenshots
screenshots: $(READY) ## Take the pictures of the page in docs/pictures (needs chromium)
	COORDINATOR_TESTS_REQUIRE_ALL=1 COORDINATOR_TESTS_PICTURES=docs/pictures $(RUN) -m pytest -q tests/integration/ui/test_screenshots.py

.PHONY: evidence
evidence: $(READY) ## Write into docs/evidence.md which tests show each promise, by their marks
	$(RUN) -m tests.evidence

.PHONY: constraints
constraints: $(READY) ## Pin every dependency again (names and versions only, for every Python)
	$(RUN) -m uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
	  $(foreach extra,$(subst $(comma), ,$(EXTRAS)) fuzz,--extra $(extra)) --strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --output-file $(CONSTRAINTS) >/dev/null
	$(RUN) -m uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
	  --extra airflow2 --extra embedded --strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --output-file $(AIRFLOW2_CONSTRAINTS) >/dev/null
	@$(MAKE) requirements

.PHONY: requirements
requirements: $(READY) ## Write the packages of the watcher image and the action, with hashes, in the versions of constraints.txt
	$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
	  $(RUN) -m uv pip compile pyproject.toml - --extra ui --universal --python-version 3.11 --generate-hashes --quiet \
	  --constraint $(CONSTRAINTS) --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --output-file $(REQUIREMENTS) >/dev/null

.PHONY: clean
clean: ## Remove everything that make, tests and tools have made
	rm -rf "$(VENV)" "$(AIRFLOW2)" .demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

comma := ,

# Made once, and again when what is to be installed has changed. pip is all that a clean machine has;
# uv, installed with it, does the rest in a fraction of the time.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@base="$(BASE_PYTHON)"; \
	if [ ! -x "$(VENV)/bin/python" ]; then \
	  for candidate in $${base:-python3.13 python3.12 python3.11 python3}; do \
	    if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	      found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "make: expected Python 3.11, 3.12 or 3.13 ($${base:-python3.13, python3.12, python3.11, python3}), found none that runs;" \
	      "install one, or name it: make BASE_PYTHON=/path/to/python3" >&2; exit 1; fi; \
	  echo "Virtual environment in $(VENV), with $$("$$found" --version)"; \
	  "$$found" -m venv "$(VENV)" || { echo "make: on Debian: apt-get install python3-venv" >&2; rm -rf "$(VENV)"; exit 1; }; \
	fi
	"$(VENV)/bin/python" -m pip install --quiet --disable-pip-version-check "$(UV)"
	"$(VENV)/bin/python" -m uv pip install --python "$(VENV)/bin/python" --compile-bytecode \
	  --constraint $(CONSTRAINTS) --editable ".[$(EXTRAS)]"
	@touch $@

# Airflow 2 has no release for Python 3.13. Without a Python that it runs on, its tests say so, and fail in CI.
$(AIRFLOW2)/.installed: pyproject.toml $(AIRFLOW2_CONSTRAINTS) | $(READY)
	@if [ ! -x "$(AIRFLOW2)/bin/python" ]; then \
	  for candidate in python3.12 python3.11 python3; do \
	    if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then \
	      found="$$candidate"; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then \
	    echo "WARNING: no Python 3.11 or 3.12 (python3.12, python3.11, python3), which Airflow 2 needs;" \
	      "install one, then: make airflow2" >&2; exit 0; fi; \
	  echo "Airflow 2 in $(AIRFLOW2), with $$("$$found" --version)"; \
	  rm -rf "$(AIRFLOW2)"; \
	  $(RUN) -m uv venv --quiet --python "$$(command -v "$$found")" "$(AIRFLOW2)"; \
	fi; \
	$(RUN) -m uv pip install --python "$(AIRFLOW2)/bin/python" --compile-bytecode \
	  --constraint $(AIRFLOW2_CONSTRAINTS) --editable ".[airflow2]"; \
	touch $@
