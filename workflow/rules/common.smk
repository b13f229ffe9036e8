"""What all rules share: the checked experiment, the names of files, and what a job asks a scheduler for."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import yaml

sys.path[:0] = [f"{workflow.basedir}/workflow/lib", f"{workflow.basedir}/workflow", str(workflow.basedir)]

from code_hash import code_hash
from hyperinf.settings.checking import SettingsError
from hyperinf.settings.experiment import SIMULATION, checked_experiment
from hyperinf.settings.methods import METHODS
from hyperinf.settings.plan import Plan, cells
from hyperinf.settings.registers import FAMILIES, FORMATS

try:
    EXPERIMENT = checked_experiment(config, Path())
except SettingsError as error:
    print("The configuration cannot be used; nothing was started.", error, sep="\n", file=sys.stderr)
    sys.exit(2)

STUDIES = EXPERIMENT.running
RESULTS = EXPERIMENT.results.rstrip("/")
PLAN = Plan(EXPERIMENT, RESULTS)
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

# `python` is the interpreter that runs Snakemake, unless a conda environment is activated after this.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
# Threads that wait for work must not take the processor from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# How a job runs must not decide what it computes. Such settings travel as resources: Snakemake reruns a job when its
# params change, and not when its resources do.
DEVICE = f"--device {EXPERIMENT.device}"
CACHE = f"--cache {shlex.quote(EXPERIMENT.cache or os.environ.get('HYPERINF_CACHE') or 'results/assets')}"
WHEELS = f"--wheels {shlex.join(EXPERIMENT.wheels)}" if EXPERIMENT.wheels else ""
LAUNCHER = EXPERIMENT.launcher
LAUNCH = shlex.join(["accelerate", "launch", f"--config_file={LAUNCHER}", "-m"] if LAUNCHER else ["python", "-m"])

# The default profile has this many shares of the machine. A job takes one, a measurement all of them.
WHOLE_MACHINE = 1000

# The files of a run, by stage.
DATA = f"{RESULTS}/{{study}}/{{task}}/data/seed-{{seed}}"
SPLITS = ("train", "validation", "test")
FINETUNING = "{study}/{task}/{model}/{trained}/seed-{seed}"
RUN = "{study}/{task}/{model}/{setting}/seed-{seed}"
# What is trained, as folders and tables name it; `.of-PART` follows where only a part's gradients are taken.
TRAINED = "lora-[0-9]+|lora_projector-[0-9]+|last_layer|projector"
# Files of a folder of samples that are images.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


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


def gpus():
    """GPUs that a job asks for: one where there is one to use."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    found = shutil.which("nvidia-smi") is not None and not hidden
    return int(EXPERIMENT.device.startswith("cuda") or (EXPERIMENT.device == "auto" and found))


def launched_gpus():
    """GPUs that a job of fine-tuning asks for: one for each process that the launcher starts on a machine."""
    if not (LAUNCHER and gpus()):
        return gpus()
    launcher = yaml.safe_load(Path(LAUNCHER).read_text())
    return max(1, int(launcher.get("num_processes", 1)) // int(launcher.get("num_machines", 1)))


def scaled_by_attempt(amount):
    """Memory or time to ask a scheduler for: as much again with each attempt of a job."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


def study_of(wildcards):
    """The settings of the study that a job belongs to."""
    return STUDIES[wildcards.study]


def threads_of(wildcards):
    """Threads of a job of a study."""
    return study_of(wildcards).runtime.threads


def stored(wildcards):
    """How a job of a study holds gradients, as flags."""
    runtime = study_of(wildcards).runtime
    return f"--store {runtime.store} --gradient-batch-size {runtime.gradient_batch_size}"


def batched(wildcards):
    """How a job of a study takes gradients, as flags."""
    return f"--gradient-batch-size {study_of(wildcards).runtime.gradient_batch_size}"


def module_of(implementation):
    """The module of what a register names."""
    return implementation.partition(":")[0]


def family_code(wildcards, *modules):
    """Hash of these modules with the family of a study's models."""
    return code_hash(*modules, module_of(FAMILIES[study_of(wildcards).family].implementation))


def scoring_code(wildcards, *modules):
    """Hash of these modules with the family of a study's models and the methods that it scores by."""
    methods = [module_of(METHODS[name].implementation) for name in study_of(wildcards).scoring.methods]
    return family_code(wildcards, *modules, *methods)


def data_code(*entries):
    """Hash of what draws samples from data sets of these forms."""
    forms = sorted({module_of(FORMATS[entry.format]) for entry in entries})
    return code_hash("hyperinf.pipeline.prepare", *forms, data=["hyperinf/data/prompts.yaml"])


def source_files(source):
    """What a job that reads a source waits for: an asset's record, or the user's own files.

    Images are no part of it, as there can be a hundred thousand: that one has changed is not seen. The samples name
    them, and the prepared data hold copies.
    """
    if source.kind == "asset":
        return [f"{RESULTS}/assets/{source.name}.json"]
    if source.kind != "path":
        return []
    path = Path(source.name).expanduser()
    files = sorted(str(file) for file in path.rglob("*") if file.is_file()) if path.is_dir() else [str(path)]
    return [file for file in files if Path(file).suffix.lower() not in IMAGES]


def runs(study, name):
    """A file of every run of a study, whatever its seed."""
    return [
        f"{RESULTS}/{study}/{task}/{model}/{setting}/seed-{seed}/{name}"
        for task, model, setting in cells(STUDIES[study])
        for seed in STUDIES[study].seeds
    ]
