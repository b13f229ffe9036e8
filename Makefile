# make run     the default experiment (config.yaml)
# make smoke   every stage once, small
# make report  Snakemake's own report of the last run, which computes nothing
# make test    the tests                                    make lint    what CI checks before the tests
# make cost    GPU hours and disk of a grid, estimated      make faults  stop runs in every way, compare their results
# make docs    the documentation as a site, build/docs
# make clean   remove what was produced, not what was fetched
# make wheel   sdist and wheel, into dist
# make lock    resolve the locks anew (ARGS=--upgrade for the newest of everything)
#
# The first call installs requirements.lock and torch into .venv: TORCH=cpu, cu126, cu130, index or a wheel's path; by default
# `auto`, which looks for a card (packaging/torch.sh). Options: PYTHON=python3.12 (3.11 to 3.13), CORES=4 or -j 4,
# ARGS="--configfile my.yaml" (any argument of snakemake); of faults, STOPS=25, MATRICES=10000 and SEED=1.

PYTHON ?= python3
CORES ?= $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),all)
ARGS ?=
STOPS ?= 25
MATRICES ?= 10000
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS := $(VENV)/.docs
UNFINISHED := $(VENV)/.installing
PIP = $(BIN)/python -m pip install --disable-pip-version-check
# The build of torch that is there stays until another one is named.
CHOSEN := $(shell cat $(VENV)/.torch 2> /dev/null)
TORCH ?= $(or $(CHOSEN),auto)
SNAKEMAKE = $(BIN)/python workflow/run.py --cores $(CORES)
SMOKE := --configfile workflow/config/smoke.yaml

# Threads that wait for work must not take the processor from other jobs.
export OMP_WAIT_POLICY := passive

.PHONY: setup run smoke test lint lint-style lint-types lint-types-beside lint-workflow report cost faults docs clean

setup: $(STAMP)

run: $(STAMP)
	$(SNAKEMAKE) $(ARGS)

smoke: $(STAMP)
	$(SNAKEMAKE) $(SMOKE) $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

# Apart, so that -j 2 runs two at a time.
lint: lint-style lint-types lint-types-beside lint-workflow

lint-style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: $(STAMP)
	$(BIN)/mypy

lint-types-beside: $(STAMP)
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/mypy --config-file tests/mypy.ini --package benchmarks

lint-workflow: $(STAMP)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hyperinf workflow
	$(BIN)/snakefmt --check --line-length 120 Snakefile workflow
	$(BIN)/snakemake --lint

.PHONY: wheel lock another-torch

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -c 'import setuptools.build_meta as backend; print(backend.build_sdist("dist"))'
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist dist/hyperinf-*.tar.gz

lock: $(STAMP)
	$(BIN)/python packaging/lock.py $(ARGS)

report: $(STAMP)
	$(BIN)/python workflow/run.py --report results/snakemake-report.html $(ARGS)

cost: $(STAMP)
	$(BIN)/python benchmarks/grid_cost.py $(ARGS)

faults: $(STAMP)
	$(BIN)/python tests/faults/inverses.py --count $(MATRICES) --seed $(SEED)
	$(BIN)/python tests/faults/harness.py --stops $(STOPS) --seed $(SEED) $(ARGS)

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/docs/index.html."

clean:
	find results -mindepth 1 -maxdepth 1 ! -name .gitkeep ! -name assets -exec rm -rf {} +
	rm -rf build/docs .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation --editable '.[docs]'
	touch $(DOCS)

# What a killed installation has left is not to be trusted, and is made anew: it, and only it, leaves $(UNFINISHED).
# The stamp is newer than the lock only after all three installations succeeded.
$(STAMP): requirements.lock requirements-cu130.lock pyproject.toml $(if $(filter-out $(TORCH),$(CHOSEN)),another-torch)
	@if test -e $(UNFINISHED) || ! $(BIN)/python -m pip --version > /dev/null 2>&1; then \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
		echo "$(PYTHON) -m venv --clear $(VENV)"; $(PYTHON) -m venv --clear $(VENV); \
	fi
	@touch $(UNFINISHED)
	@rm -f $(STAMP) $(VENV)/.torch
	@echo "1 of 3: the packages of requirements.lock, $$(grep -c == requirements.lock) of them, 0.3 GB to fetch at most"
	$(PIP) --no-deps --require-hashes --requirement requirements.lock
	@echo "2 of 3: torch, TORCH=$(TORCH)"
	@packaging/torch.sh $(BIN)/python "$(TORCH)"
	@echo "3 of 3: hyperinf itself"
	$(PIP) --no-deps --no-build-isolation --editable .
	@echo "$(TORCH)" > $(VENV)/.torch
	@mv $(UNFINISHED) $(STAMP)
	@echo "Installed. The command is $(BIN)/hyperinf ('$(BIN)/hyperinf --help'), or hyperinf after 'source $(BIN)/activate'."
