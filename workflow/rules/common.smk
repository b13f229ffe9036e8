"""What all rules share: the checked experiment, the names of files, and what wildcards may be."""

import os
import sys
from pathlib import Path

sys.path[:0] = [f"{workflow.basedir}/workflow/lib", str(workflow.basedir)]

from code_hash import code_hash
from jobs import SHARDING, Jobs, scaled_by_attempt, shards, some

from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import SIMULATION, checked_experiment

try:
    EXPERIMENT = checked_experiment(config, Path())
except SettingsError as error:
    print("The configuration cannot be used; nothing was started.", error, sep="\n", file=sys.stderr)
    sys.exit(2)

STUDIES = EXPERIMENT.running
RESULTS = EXPERIMENT.results.rstrip("/")
JOBS = Jobs(EXPERIMENT, RESULTS)
PLAN = JOBS.plan
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

# `python` is the interpreter that runs Snakemake, unless a conda environment is activated after this.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
# Threads that wait for work must not take the processor from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# The default profile has this many shares of the machine. A job takes one, a measurement all of them.
WHOLE_MACHINE = 1000

# The files of a run, by stage.
DATA = f"{RESULTS}/{{study}}/{{task}}/data/seed-{{seed}}"
SPLITS = ("train", "validation", "test")
FINETUNING = "{study}/{task}/{model}/{trained}/seed-{seed}"
RUN = "{study}/{task}/{model}/{setting}/seed-{seed}"
# What is trained, as folders and tables name it; `.of-PART` follows where only a part's gradients are taken.
TRAINED = "lora-[0-9]+|lora_projector-[0-9]+|last_layer|projector"


wildcard_constraints:
    asset="[a-z0-9_]+",
    study="|".join(STUDIES) or "none",
    task="[a-z][a-z0-9_]*",
    model="[a-z][a-z0-9_]*",
    trained=TRAINED,
    setting=rf"(?:{TRAINED})(?:\.of-[a-z_]+)?",
    checkpoint="epoch-[0-9]+|last",
    fraction=r"[0-9.]+(?:e-[0-9]+)?",
    dim="[0-9]+",
    seed="[0-9]+",
    total="[0-9]+",
    shard="[0-9]+",
    round="[0-9]+",
    summed="statistics|sums-[0-9]+",


def shown(entries):
    """The files of a report; what Snakemake's HTML report shows of them carries its caption."""
    for entry in entries:
        for file in entry.files:
            path, caption = f"{RESULTS}/{file}", f"../report/{entry.caption}.rst"
            # A name in braces is a wildcard there, and no way leads around it.
            category = entry.category.replace("{", "(").replace("}", ")")
            is_shown = file == entry.file and entry.caption
            yield report(path, caption=caption, category=category, labels=entry.labels) if is_shown else path
