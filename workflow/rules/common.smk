"""What all rules share: the checked configuration, the names of files, and how settings become command-line flags."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import yaml

sys.path[:0] = [f"{workflow.basedir}/workflow", str(workflow.basedir)]

from check_config import ConfigError, checked_config
from code_hash import code_hash

from hyperinf.reporting.manifest import expected_outputs
from hyperinf.pipeline.sharding.rounds import rounds_of

try:
    config = checked_config(config)
except ConfigError as error:
    print("The configuration cannot be used; nothing was started.", *error.lines, sep="\n", file=sys.stderr)
    sys.exit(2)

SIMULATION = config["simulation"]
MISLABEL = config["mislabel"]
STUDIES = config["studies"]
SELECTION = [study for study in ("llm", "vlm") if study in STUDIES]
FAMILIES = {"llm": "language", "vlm": "vision"}
RESULTS = config["results"].rstrip("/")
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

# `python` is the interpreter that runs Snakemake, unless a conda environment is activated after this.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
# Threads that wait for work must not take the processor from other jobs.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


# How a job runs must not decide what it computes. Such settings travel as resources: Snakemake reruns a job when its
# params change, and not when its resources do.
DEVICE = config["device"]
CACHE = config["cache"] or os.environ.get("HYPERINF_CACHE") or "results/assets"
LAUNCHER = config["launcher"]
LAUNCH = shlex.join(["accelerate", "launch", f"--config_file={LAUNCHER}", "-m"] if LAUNCHER else ["python", "-m"])
WHEELS = shlex.join(f"--wheel={wheel}" for wheel in config["wheels"])

# The default profile has this many shares of the machine. A job takes one, a measurement all of them.
WHOLE_MACHINE = 1000


def gpus():
    """GPUs that a job asks for: one where there is one to use."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    found = shutil.which("nvidia-smi") is not None and not hidden
    return int(DEVICE == "cuda" or (DEVICE == "auto" and found))


def launched_gpus():
    """GPUs that a job of fine-tuning asks for: one for each process that the launcher starts on a machine."""
    if not (LAUNCHER and gpus()):
        return gpus()
    launcher = yaml.safe_load(Path(LAUNCHER).read_text())
    return max(1, int(launcher.get("num_processes", 1)) // int(launcher.get("num_machines", 1)))


def grows(amount):
    """Memory or time to ask a scheduler for: as much again with each attempt of a job."""
    return lambda wildcards, attempt: attempt * (amount(wildcards) if callable(amount) else amount)


# Of a selection study: the run of a seed up to its warm-up, which is the same whatever gradients are taken.
WARMUP_RUN = "{study}/{task}/{model}/{trained}/seed-{seed}"
# What is trained, as folders and tables name it; `.of-PART` follows where only a part's gradients are taken.
TRAINED = "lora-[0-9]+|lora_projector-[0-9]+|last_layer|projector"

# Files of a folder of questions that are images.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


wildcard_constraints:
    asset="[a-z0-9_]+",
    task="[a-z][a-z0-9_]*",
    model="[a-z][a-z0-9_]*",
    study="llm|vlm",
    trained=TRAINED,
    setting=rf"(?:{TRAINED})(?:\.of-[a-z_]+)?",
    percent="[0-9]+",
    dim="[0-9]+",
    rank="[0-9]+",
    seed="[0-9]+",


def flags(**settings):
    """Settings as command-line flags, a list that `{params.NAME:q}` quotes; what is None or empty is left out.

    Snakemake compares the values of params without their names: a flag's name keeps two equal numbers apart.
    """
    words = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)] if value else []
        elif value is not None:
            words.append(f"{flag}={value}")
    return words


def data_flags(entry):
    """Where a task's samples come from, as flags of `hyperinf mislabel data`."""
    return flags(
        source=source_name(entry["source"]),
        subset=entry["subset"],
        text=entry["text"],
        pair=entry["pair"],
        label=entry["label"],
        id=entry["id"],
        **{f"split_{role}": name for role, name in entry["splits"].items()},
    )


def lora_flags(name, lora, rank):
    """A model's adapter, as flags of the commands that fine-tune; none without a rank."""
    if rank is None:
        return []
    return flags(
        targets=config["models"][name]["targets"],
        rank=rank,
        alpha=lora["alpha_over_rank"] * rank,
        rslora=lora["rslora"],
        dropout=lora["dropout"],
    )


def trained_flags(study, name, trained):
    """A model and what of it is trained, as flags of `hyperinf select warmup`."""
    what, _, rank = trained.partition("-")
    return [
        *flags(model=model_source(name), family=FAMILIES[study], train=what),
        *lora_flags(name, config[study]["lora"], int(rank) if rank else None),
    ]


def is_prepared(name):
    """Whether a model has to be made before it can be used: it is cut, new, or a GGUF file."""
    entry = config["models"][name]
    kind, _, where = source_name(entry["source"]).partition(":")
    return entry["layers"] is not None or kind == "shape" or where == "smollm2" or where.endswith(".gguf")


def model_source(name):
    """Where the commands find a model, aligned if it has to be."""
    return f"path:{aligned_model(name)}" if config["models"][name]["align"] else unaligned_source(name)


def model_files(name):
    """What a job that reads a model waits for."""
    return [aligned_model(name)] if config["models"][name]["align"] else unaligned_files(name)


def unaligned_source(name):
    """Where the alignment finds a model."""
    return f"path:{RESULTS}/models/{name}" if is_prepared(name) else source_name(config["models"][name]["source"])


def unaligned_files(name):
    """What the alignment of a model waits for."""
    return [f"{RESULTS}/models/{name}"] if is_prepared(name) else source_files(config["models"][name]["source"])


def aligned_model(name):
    """The folder of a model after its alignment."""
    return f"{RESULTS}/aligned/{name}/model"


def source_name(source):
    """A source as the command line takes it: KIND:NAME."""
    return next(f"{kind}:{name}" for kind, name in source.items() if name is not None)


def source_files(source):
    """What a job that reads the source waits for: an asset's record, or the user's own files."""
    kind, _, name = source_name(source).partition(":")
    if kind == "asset":
        return [f"{RESULTS}/assets/{name}.json"]
    if kind == "path":
        path = Path(name).expanduser()
        return sorted(str(file) for file in path.rglob("*") if file.is_file()) if path.is_dir() else [str(path)]
    return []


def question_flags(study, name):
    """Where a task's questions come from and what is done to the pool, as flags of `hyperinf select data`."""
    entry, settings = config["questions"][name], config[study]
    harm = settings["corruption"]
    return [
        *question_source(entry),
        *flags(**{f"split_{role}": split for role, split in entry["splits"].items()}),
        *flags(
            pool=settings["pool"],
            validation=settings["validation"],
            test=settings["test"],
            wrong_answers=harm["wrong_answers"],
            wrong_mode=harm["wrong_mode"],
            off_task=harm["off_task"],
            skip_bad_images=entry["skip_bad_images"] or None,
        ),
        *(flag for role, other in other_questions(study, name).items() for flag in other_source(role, other)),
    ]


def other_questions(study, name):
    """By the part they play, keys of the other question sets that a task draws from."""
    harm = config[study]["corruption"]
    others = {
        "off_task": harm["off_task_data"] if harm["off_task"] > 0 else None,
        "test": config["questions"][name]["test_from"],
    }
    return {role: other for role, other in others.items() if other is not None}


def other_source(role, name):
    """Another question set, and the split of it that suits the part it plays, as flags of `hyperinf select data`."""
    entry = config["questions"][name]
    split = entry["splits"]["test" if role == "test" else "pool"]
    return [*question_source(entry, f"{role}_"), *flags(**{f"{role}_split": split})]


def question_source(entry, prefix=""):
    keys = ("format", "template", "subset", "revision", "images")
    named = {"source": source_name(entry["source"]), **{key: entry[key] for key in keys}}
    named["text_rows"] = entry["text_rows"] or None
    return flags(**{f"{prefix}{key}": value for key, value in named.items()})


def question_files(study, name):
    """What a job that reads a task's questions waits for.

    Images are no part of it, as there can be a hundred thousand: that one has changed is not seen. The questions name
    them, and the prepared data hold copies.
    """
    names = [name, *other_questions(study, name).values()]
    found = [file for each in names for file in source_files(config["questions"][each]["source"])]
    return [file for file in found if Path(file).suffix.lower() not in IMAGES]


def settings_of(study):
    """Every way in which a study trains and scores a model."""
    ranks = config[study]["ranks"]
    trained = [
        name
        for what in config[study]["train"]
        for name in ([f"{what}-{rank}" for rank in ranks] if what.startswith("lora") else [what])
    ]
    parts = config[study]["gradients"]["of"]
    return [name if part == "trained" else f"{name}.of-{part}" for name in trained for part in parts]


def align_settings(name):
    """How a model is aligned."""
    return config["models"][name]["align"]


def align_questions(name):
    """The set of captions that a model is aligned on."""
    return config["questions"][align_settings(name)["data"]]


def trained_of(setting):
    """What a setting trains."""
    return setting.partition(".of-")[0]


def warmup_of(wildcards):
    """The warm-up that a run starts from: the same whatever gradients are taken."""
    return f"{RESULTS}/{WARMUP_RUN}/warmup".format(trained=trained_of(wildcards.setting), **wildcards)


def gradients_of(setting):
    """The part whose gradients a setting takes."""
    return setting.partition(".of-")[2] or "trained"


def scoring_flags(study):
    """How influence is scored, as flags of the commands that do."""
    names = ("methods", "damping", "gfim_scale", "solver", "lissa_iterations")
    return flags(**{name: config[study][name] for name in names})


def shards_of(wildcards):
    """Shards that a run is scored in; one that has been scored keeps its number, so that another reruns nothing."""
    record = Path(f"{RESULTS}/{SELECTION_RUN}/scores/shards".format(**wildcards))
    return int(record.read_text()) if record.is_file() else config[wildcards.study]["shards"]


def shard_files(wildcards):
    """What a run's scores are gathered from; nothing where it is scored in one piece."""
    count = shards_of(wildcards)
    if count == 1:
        return []
    folder = SHARDS.format(total=count, **wildcards)
    return [f"{folder}/products.safetensors", *shards(f"{folder}/scores", count)]


def shards(stem, count):
    """A file for each shard."""
    return [f"{stem}-{shard}.safetensors" for shard in range(1, int(count) + 1)]


def sums_before(wildcards):
    """The sums of the rounds before a sweep; of all rounds where the wildcards name none."""
    settings = config[wildcards.study]
    rounds = rounds_of(settings["methods"], settings["lissa_iterations"])
    last = int(wildcards.round) - 1 if "round" in wildcards.keys() else rounds
    folder = SHARDS.format(**wildcards)
    return [f"{folder}/sums-{number}.safetensors" for number in range(1, last + 1)]


def sums_flags(files):
    """The sums as flags; none where there are none."""
    return ["--sums", *([files] if isinstance(files, str) else files)] if files else []


def selection_runs(study, name):
    """A file of every seed's run of the study."""
    return expand(
        f"{RESULTS}/{study}/{{task}}/{{model}}/{{setting}}/seed-{{seed}}/{name}",
        task=config[study]["tasks"],
        model=config[study]["models"],
        setting=settings_of(study),
        seed=config[study]["seeds"],
    )


def sheet_methods(study):
    """The methods shown on contact sheets: questions without images have none."""
    return config[study]["methods"] if study == "vlm" else []


def sheet_scores(study):
    """The scores that contact sheets show: those of the first seed."""
    first = f"/seed-{min(config[study]['seeds'])}/"
    return [file for file in selection_runs(study, "scores/scores.parquet") if first in file and sheet_methods(study)]


def sheet_data(study):
    """Where the images of contact sheets lie: the data of every task's first seed."""
    first = min(config[study]["seeds"])
    tasks = config[study]["tasks"] if sheet_methods(study) else []
    return [f"{RESULTS}/{study}/{task}/data/seed-{first}/info.json" for task in tasks]


def mislabel_scores(name):
    """A file of every scoring run of the experiment."""
    return expand(
        f"{RESULTS}/mislabel/{{task}}/{{model}}/rank-{{rank}}/seed-{{seed}}/scores/{name}",
        task=MISLABEL["tasks"],
        model=MISLABEL["models"],
        rank=MISLABEL["ranks"],
        seed=MISLABEL["seeds"],
    )


def shown_in_report(files, category):
    """The files, with pictures and tables marked for Snakemake's HTML report."""
    return [shown(file, category) if file.endswith(".png") or "/tables/" in file else file for file in files]


def shown(file, category):
    """A picture or a table with its caption; of a table's formats only the CSV is shown."""
    name, kind = Path(file).stem, Path(file).suffix
    labels = {"name": name, "kind": "figure" if kind == ".png" else "table"}
    marked = report(file, caption=f"../report/{caption(name)}.rst", category=category, labels=labels)
    return marked if kind in (".png", ".csv") else file


def caption(stem):
    """The caption's name: figures and tables of all tasks, models and settings share one."""
    study, _, rest = stem.partition("_")
    for shared in ("claims", "sources"):
        if shared in stem.split("_"):
            return shared
    if study in config and "percent" in config[study]:
        kinds = ("accuracy", "details", "cost", "kinds", "settings", "contact")
        last = rest.rpartition("_")[2].partition("-")[0]
        return f"selection_{last}" if last in kinds else "selection"
    if study == "mislabel" and rest:
        return f"mislabel_{stem.rpartition('_')[2]}"
    return stem.removesuffix("_relative")
