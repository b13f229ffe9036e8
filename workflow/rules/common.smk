"""What all rules share: the checked experiment, the names of files, and what wildcards may be."""

import os
import sys
from pathlib import Path

# Of the project, whichever Snakefile includes this.
PROJECT = str(Path(workflow.current_basedir).parents[1])
sys.path[:0] = [f"{PROJECT}/workflow/lib", PROJECT]

from asking import Asking
from code_hash import code_hash
from jobs import SHARDING, Jobs, shards, some
from run_lock import user_name

from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import SIMULATION, checked_experiment
from hyperinf.settings.registers import DATA_ASSETS, MODEL_ASSETS

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
# What is hashed is what runs, from whatever folder.
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [PROJECT, os.environ.get("PYTHONPATH")])))
# Threads that wait for work must not take the processor from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Snakemake prints who runs it, and fails for a user without a name, as in a container.
os.environ.setdefault("USER", user_name(os.getuid()))

# What a job asks for: memory, time and GPUs, as resources.
asked = Asking()


def whole_machine(threads):
    """The threads of what runs alone: on this machine all, so that nothing fits beside it whatever limits are given."""
    # Snakemake cuts them down to its cores. On a cluster the profile asks for a node.
    return lambda wildcards: 100_000 if workflow.local_exec else threads


def one_of(names):
    """The regular expression of these names; there may be none."""
    return "|".join(sorted(names)) or "none"


# The files of a run, by stage.
DATA = f"{RESULTS}/{{study}}/{{task}}/data/seed-{{seed}}"
SPLITS = ("train", "validation", "test")
FINETUNING = "{study}/{task}/{model}/{trained}/seed-{seed}"
RUN = "{study}/{task}/{model}/{setting}/seed-{seed}"
# What is trained, as folders and tables name it; `.of-PART` follows where only a part's gradients are taken.
TRAINED = "lora-[0-9]+|lora_projector-[0-9]+|last_layer|projector"


# Names that nothing has are no target.
wildcard_constraints:
    asset="|".join((*DATA_ASSETS, *MODEL_ASSETS)),
    study=one_of(STUDIES),
    task=one_of(EXPERIMENT.data),
    model=one_of(EXPERIMENT.models),
    trained=TRAINED,
    setting=rf"(?:{TRAINED})(?:\.of-[a-z_]+)?",
    checkpoint=one_of(name for study in STUDIES.values() for name in study.finetuning.checkpoint_names),
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
