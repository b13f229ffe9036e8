"""What the rules ask of the experiment: which files a job waits for, how it runs, the code behind it."""

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from code_hash import code_hash, reached_modules

from hyperinf.settings.experiment import DataEntry, ExperimentSettings
from hyperinf.settings.methods import BASELINES, METHODS
from hyperinf.settings.plan import Plan, cells
from hyperinf.settings.registers import FAMILIES, FORMATS
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.sources import DataSource, ModelSource
from hyperinf.settings.study import StudySettings

SHARDING = "hyperinf.pipeline.sharding.stages"
# What reads the prompts, and the file that it reads.
PROMPTING, PROMPTS = "hyperinf.data.prompts", "hyperinf/data/prompts.yaml"
# Files of a folder of samples that are images.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class Jobs:
    """The jobs of an experiment. ``wildcards`` are those of a job, as Snakemake hands them on.

    Args:
        experiment: what is to be run.
        results: folder that everything is written to.
    """

    def __init__(self, experiment: ExperimentSettings, results: str) -> None:
        self.experiment, self.results = experiment, results
        self.plan = Plan(experiment, results)

    # How a job runs must not decide what it computes. Such settings travel as resources: Snakemake reruns a job when
    # its params change, and not when its resources do.

    @property
    def device(self) -> str:
        """The device, as a flag."""
        return f"--device {self.experiment.device}"

    @property
    def cache(self) -> str:
        """The folder of what was fetched, as a flag."""
        return f"--cache {shlex.quote(self.experiment.cache_folder)}"

    @property
    def wheels(self) -> str:
        """The wheels brought by hand, as a flag."""
        return f"--wheels {shlex.join(self.experiment.wheels)}" if self.experiment.wheels else ""

    @property
    def launch(self) -> str:
        """What starts a command that may run in several processes."""
        file, gpus = self.experiment.launcher, self.launched_gpus()
        if not file:
            return "python -m"
        own = ["python", "-m", "hyperinf.runtime.gpus", str(gpus)] if gpus else []
        return shlex.join([*own, "accelerate", "launch", f"--config_file={file}", "-m"])

    def stored(self, wildcards: Any) -> str:
        """How a scoring holds gradients, as flags."""
        return f"--store {self.study(wildcards).runtime.store} {self.batched(wildcards)}"

    def batched(self, wildcards: Any) -> str:
        """How gradients are taken, as flags."""
        return f"--gradient-batch-size {self.study(wildcards).runtime.gradient_batch_size}"

    def threads(self, wildcards: Any) -> int:
        """Count the threads of a job of a study."""
        return self.study(wildcards).runtime.threads

    def align_threads(self, wildcards: Any) -> int:
        """Count the threads of an alignment: those of the studies that wait for it."""
        own = [study.runtime.threads for study in self.experiment.running.values() if wildcards.model in study.models]
        return max(own, default=1)

    def priority(self, wildcards: Any) -> int:
        """Rank a job: 1 where trainings wait for it, the longest jobs of a run, which are not to be left to its end."""
        study = self.study(wildcards)
        return int(bool(study.selection or study.validation))

    def gpus(self) -> int:
        """Count the GPUs that a job asks for: one where there is one to use."""
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        found = shutil.which("nvidia-smi") is not None and not hidden
        return int(self.experiment.device.startswith("cuda") or (self.experiment.device == "auto" and found))

    def launched_gpus(self) -> int:
        """Count the GPUs of a fine-tuning: one for each process that the launcher starts on a machine."""
        if not (self.experiment.launcher and self.gpus()):
            return self.gpus()
        launcher = yaml.safe_load(Path(self.experiment.launcher).read_text(encoding="utf-8"))
        return max(1, int(launcher.get("num_processes", 1)) // int(launcher.get("num_machines", 1)))

    def study(self, wildcards: Any) -> StudySettings:
        """Find the settings of the study that a job belongs to."""
        return self.experiment.studies[wildcards.study]

    def family_code(self, wildcards: Any, *modules: str) -> str:
        """Hash these modules, and the family of a study's models."""
        family = _module(FAMILIES[self.study(wildcards).family].implementation)
        return code_hash(*modules, family, data=[PROMPTS] if PROMPTING in reached_modules(family) else [])

    def scoring_code(self, wildcards: Any, *modules: str) -> str:
        """Hash these modules, the family of a study's models, and the methods that it scores by."""
        return self.family_code(wildcards, *modules, *self._methods(wildcards))

    def score_code(self, wildcards: Any) -> str:
        """Hash what scores are made by; what made shards, which are gone by then, where they are gathered from some."""
        sharded = [SHARDING] if self.shard_files(wildcards) else []
        return self.scored_code(wildcards, "hyperinf.pipeline.score", *sharded)

    def scored_code(self, wildcards: Any, *modules: str) -> str:
        """Hash as :meth:`scoring_code` does, with the baselines that have a function of their own."""
        baselines = [BASELINES[name].implementation for name in self.study(wildcards).scoring.baselines]
        return self.scoring_code(wildcards, *modules, *(_module(each) for each in baselines if each))

    def solve_code(self, wildcards: Any) -> str:
        """Hash what solves for the methods of a study."""
        return code_hash(SHARDING, *self._methods(wildcards))

    def align_code(self) -> str:
        """Hash what aligns, and the prompts that captions are written to."""
        return code_hash("hyperinf.pipeline.align", data=[PROMPTS])

    def data_code(self, *entries: DataEntry) -> str:
        """Hash what draws samples from data sets of these forms."""
        return code_hash("hyperinf.pipeline.prepare", *sorted({_module(FORMATS[entry.format]) for entry in entries}))

    def data_of(self, wildcards: Any) -> list[DataEntry]:
        """List the data sets that a task draws from, its own first."""
        names = [wildcards.task, *self.plan.other_data(wildcards.study, wildcards.task).values()]
        return [self.experiment.data[name] for name in names]

    def captions_of(self, wildcards: Any) -> DataEntry:
        """Find the data set that a model is aligned on."""
        align = self.experiment.models[wildcards.model].align
        assert align is not None
        return self.experiment.data[align.data]

    def source_files(self, *sources: DataSource | ModelSource) -> list[str]:
        """List what a job that reads sources waits for: the records of assets, the user's own files.

        Images are no part of it, as there can be a hundred thousand: that one has changed is not seen. The samples
        name them, and the prepared data hold copies.
        """
        return [file for source in sources for file in self._files(source)]

    def unaligned_files(self, model: str) -> list[str]:
        """List what the alignment of a model waits for."""
        entry = self.experiment.models[model]
        return [f"{self.results}/models/{model}"] if entry.is_prepared else self.source_files(entry.source)

    def model_files(self, wildcards: Any) -> list[str]:
        """List what a job that reads a model waits for."""
        name = wildcards.model
        aligned = self.experiment.models[name].align is not None
        return [f"{self.results}/aligned/{name}/model"] if aligned else self.unaligned_files(name)

    def finetuned(self, wildcards: Any) -> str:
        """Find the fine-tuning that a run scores: the same whatever gradients are taken."""
        trained = wildcards.setting.partition(".of-")[0]
        return f"{self._task(wildcards)}/{wildcards.model}/{trained}/seed-{wildcards.seed}/finetuned"

    def scores(self, wildcards: Any) -> list[str]:
        """List the scores of a run at every kept checkpoint."""
        names = self.study(wildcards).finetuning.checkpoint_names
        return [f"{self._run(wildcards)}/scores/{name}/scores.parquet" for name in names]

    def earlier_scores(self, wildcards: Any) -> list[str]:
        """List the scores at the checkpoints before, where some are taken over checkpoints."""
        study = self.study(wildcards)
        if not any(ScoreName.of(name).pool for name in study.scoring.methods):
            return []
        before = study.finetuning.checkpoint_names.index(wildcards.checkpoint)
        return self.scores(wildcards)[:before]

    def selecting_scores(self, wildcards: Any) -> list[str]:
        """List the scores that select: those of the last checkpoint. Training on all samples needs none."""
        return [] if float(wildcards.fraction) == 1 else self.scores(wildcards)[-1:]

    def retrained(self, wildcards: Any) -> list[str]:
        """List what a run's scores are judged by: retrainings, the same whatever gradients are taken."""
        folder = self.finetuned(wildcards).removesuffix("/finetuned")
        return [f"{folder}/retrained/{name}" for name in ("info.json", "subsets.parquet", "losses.parquet")]

    def runs(self, study: str, name: str) -> list[str]:
        """List a file of every run of a study, whatever its seed."""
        return [
            f"{self.results}/{study}/{task}/{model}/{setting}/seed-{seed}/{name}"
            for task, model, setting in cells(self.experiment.studies[study])
            for seed in self.experiment.studies[study].seeds
        ]

    def reported(self, study: str) -> list[str]:
        """List what the report of a study is made from."""
        own = self.experiment.studies[study]
        names = [f"scores/{name}/cost.csv" for name in own.finetuning.checkpoint_names]
        names += ["detection/metrics.csv"] if own.detection else []
        names += [f"fraction-{each}/metrics.csv" for each in (*own.selection.fractions, 1.0)] if own.selection else []
        names += [f"validation/{name}.csv" for name in ("metrics", "lds")] if own.validation else []
        return [file for name in names for file in self.runs(study, name)]

    def report_settings(self, study: str) -> Callable[..., str]:
        """Say how the report of a study is made, in a function: a title in braces is no wildcard."""
        return lambda wildcards: self.plan.report(study).canonical()

    def shard_files(self, wildcards: Any) -> list[str]:
        """List what a run's scores are gathered from; nothing where it is scored in one piece.

        A run that has been scored keeps its number of shards, so that another number reruns nothing.
        """
        record = Path(f"{self._run(wildcards)}/scores/{wildcards.checkpoint}/shards")
        count = int(record.read_text()) if record.is_file() else self.study(wildcards).runtime.shards
        if count == 1:
            return []
        folder = f"{self._run(wildcards)}/shards-{count}/{wildcards.checkpoint}"
        return [f"{folder}/products.safetensors", *shards(f"{folder}/scores", count)]

    def sums_before(self, wildcards: Any) -> list[str]:
        """List the sums of the rounds before a sweep; of all rounds where the wildcards name none."""
        rounds = self.study(wildcards).scoring.rounds()
        last = int(wildcards.round) - 1 if "round" in wildcards.keys() else rounds  # noqa: SIM118 (not a mapping)
        folder = f"{self._run(wildcards)}/shards-{wildcards.total}/{wildcards.checkpoint}"
        return [f"{folder}/sums-{number}.safetensors" for number in range(1, last + 1)]

    def _methods(self, wildcards: Any) -> list[str]:
        return [_module(METHODS[name].implementation) for name in self.study(wildcards).scoring.built]

    def _files(self, source: DataSource | ModelSource) -> list[str]:
        if source.kind == "asset":
            return [f"{self.results}/assets/{source.name}.json"]
        if source.kind != "path":
            return []
        path = Path(source.name)
        files = sorted(str(file) for file in path.rglob("*") if file.is_file()) if path.is_dir() else [str(path)]
        return [file for file in files if Path(file).suffix.lower() not in IMAGES]

    def _task(self, wildcards: Any) -> str:
        return f"{self.results}/{wildcards.study}/{wildcards.task}"

    def _run(self, wildcards: Any) -> str:
        return f"{self._task(wildcards)}/{wildcards.model}/{wildcards.setting}/seed-{wildcards.seed}"


def shards(stem: str, count: int | str) -> list[str]:
    """Name a file for each shard."""
    return [f"{stem}-{shard}.safetensors" for shard in range(1, int(count) + 1)]


def some(flag: str, files: Any) -> list[str]:
    """Give files as a flag; nothing where there are none."""
    listed = [files] if isinstance(files, str) else list(files)
    return [flag, *listed] if listed else []


def _module(implementation: str) -> str:
    return implementation.partition(":")[0]
