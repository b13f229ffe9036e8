# make run     the default experiment (config.yaml)
# make smoke   every stage once, small
# make report  Snakemake's own report of the last run, which computes nothing
# make test    the tests                                    make lint    what CI checks before the tests
# make cost    GPU hours and disk of a grid, estimated      make faults  stop runs in every way, compare their results
# make docs    the documentation as a site, build/docs
# make clean   remove what was produced, not what was fetched
#
# The first call installs requirements.lock into .venv. Options: PYTHON=python3.12 (3.11 to 3.13), CORES=4 or -j 4,
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
SNAKEMAKE = $(BIN)/python workflow/run.py --cores $(CORES)
SMOKE := --configfile workflow/config/smoke.yaml

# Threads that wait for work must not take the processor from other jobs.
export OMP_WAIT_POLICY := passive

.PHONY: setup run smoke test lint report cost faults docs clean

setup: $(STAMP)

run: $(STAMP)
	$(SNAKEMAKE) $(ARGS)

smoke: $(STAMP)
	$(SNAKEMAKE) $(SMOKE) $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive hyperinf workflow
	$(BIN)/snakefmt --check --line-length 120 Snakefile workflow
	$(BIN)/snakemake --lint

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
# The stamp is newer than the lock only after both installations succeeded.
$(STAMP): requirements.lock pyproject.toml
	@if test -e $(UNFINISHED) || ! $(BIN)/python -m pip --version > /dev/null 2>&1; then \
		$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; \
		echo "$(PYTHON) -m venv --clear $(VENV)"; $(PYTHON) -m venv --clear $(VENV); \
	fi
	touch $(UNFINISHED)
	rm -f $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	mv $(UNFINISHED) $(STAMP)
	@echo "Installed. The command is $(BIN)/hyperinf ('$(BIN)/hyperinf --help'), or hyperinf after 'source $(BIN)/activate'."
