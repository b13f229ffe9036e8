# make run     the default experiment (config.yaml)        make smoke   every stage once, small
# make report  Snakemake's own report of the last run, which computes nothing
# make clean   remove what was produced, not what was fetched
#
# Written by `hyperinf init`. Options: PYTHON=python3 (one that hyperinf is installed for), CORES=4 or -j 4,
# ARGS="--configfile my.yaml" (any argument of snakemake).

PYTHON ?= @python@
CORES ?= $(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),all)
ARGS ?=
SNAKEMAKE = $(PYTHON) workflow/run.py --cores $(CORES)

# Threads that wait for work must not take the processor from other jobs.
export OMP_WAIT_POLICY := passive

.PHONY: run smoke report clean ready

run: ready
	$(SNAKEMAKE) $(ARGS)

smoke: ready
	$(SNAKEMAKE) --configfile workflow/config/smoke.yaml $(ARGS)

report: ready
	$(PYTHON) workflow/run.py --report results/snakemake-report.html $(ARGS)

clean:
	find results -mindepth 1 -maxdepth 1 ! -name assets -exec rm -rf {} +
	rm -rf .snakemake

# This folder belongs to one release; what the workflow needs beyond the library comes with `hyperinf[workflow]`.
ready:
	@$(PYTHON) -c 'import hyperinf, sys; sys.exit(hyperinf.__version__ != "@version@")' 2> /dev/null || \
		{ echo "$(PYTHON): got another hyperinf than @version@, or none, expected the one that wrote this folder; install it, or write another folder: hyperinf init FOLDER" >&2; exit 2; }
	@$(PYTHON) -c 'import snakemake, jsonschema, platformdirs, pygments' 2> /dev/null || \
		$(PYTHON) -m pip install --disable-pip-version-check 'hyperinf[workflow]==@version@'
