"""The settings of each stage: what its command takes, as flags or as keys of the file after ``--config``.

What a stage reads and writes is marked ``runtime``: where a file lies decides nothing, and what is in it is hashed.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import MisfitError, Place, Settings, setting
from hyperinf.settings.data import CorruptionSettings, DataSettings, SampleSettings
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.reporting import StudyShape
from hyperinf.settings.runtime import CacheSettings, DeviceSettings, MachineSettings, Resumed, SweepSettings
from hyperinf.settings.scoring import SELECTING_HELP, Scores, ScoringSettings, SelectingBaselines, Strategies
from hyperinf.settings.simulation import ConvergenceSettings, FisherSettings, TimingSettings
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.training import (
    AT_ONCE_HELP,
    ORDERS_HELP,
    Adaptation,
    AlignmentSettings,
    FinetuningSettings,
    GradientsOf,
    TrainingSettings,
)
from hyperinf.settings.types import Count, FilePath, OneOf, Seed, Word
from hyperinf.settings.validation import JudgingSettings, RetrainingSettings, removal_misfits

FamilyName = Annotated[str, OneOf(FAMILIES)]


def _read(help: str, metavar: str = "FOLDER", default: FilePath | None = ...) -> FilePath:  # type: ignore[assignment]
    read: FilePath = setting(default, runtime=True, help=help, metavar=metavar, reads=f"the {help.partition(';')[0]}")
    return read


def _written(help: str = "folder to write", metavar: str = "FOLDER") -> FilePath:
    kind = "folder" if metavar == "FOLDER" else "file"
    written: FilePath = setting(runtime=True, help=help, metavar=metavar, writes=kind)
    return written


class ResumedStage(Resumed):
    """A stage that goes on after a kill."""

    out: FilePath = _written()


class Prepare(DataSettings, SampleSettings, CorruptionSettings, CacheSettings):
    """Draw training, target and test samples, and harm some of the training samples."""

    seed: Seed = setting(help="seed of the samples that are drawn, and of those that are harmed")
    off_task_data: DataSettings | None = setting(None, help="data set that off-task samples are drawn from")
    test_data: DataSettings | None = setting(None, help="data set whose samples are the test set, say a benchmark")
    out: FilePath = _written()

    @model_validator(mode="after")
    def _draws(self) -> Self:
        wrong: dict[str | Place, str] = {}
        if self.off_task > 0 and self.off_task_data is None:
            wrong["off_task_data", "source"] = f"got nothing, expected a data set: off_task is {self.off_task}"
        if self.test_data is not None and self.splits.test is not None:
            wrong["splits", "test"] = f"got {self.splits.test!r}, expected none: test samples come from test_data"
        if wrong:
            raise MisfitError(wrong)
        return self


class PrepareModel(CacheSettings):
    """Write a model as a plain folder: from a GGUF file, cut, or new from a shape."""

    source: ModelSource = setting(
        help="source of the model: asset:NAME, hub:OWNER/NAME, path:FOLDER_OR_GGUF or shape:NAME",
        metavar="KIND:NAME",
    )
    layers: Count | None = setting(None, help="number of first decoder layers to keep; by default all")
    seed: Seed = setting(0, help="seed of random weights, for a shape")
    out: FilePath = _written()


class OfModel(Settings):
    """A stage that trains a model on prepared data."""

    data: FilePath = _read("folder that 'prepare' wrote")
    model: ModelSource = setting(
        help="source of the model: asset:NAME, hub:OWNER/NAME or path:FOLDER", metavar="KIND:NAME"
    )


class Align(OfModel, ResumedStage, AlignmentSettings, MachineSettings, CacheSettings):
    """Teach a vision-language model to caption: its vision tower first, then the parts named."""

    data: FilePath = _read("folder that 'prepare' wrote; its answers are captions")
    seed: Seed = setting(help="seed of the order of samples")


class Finetune(OfModel, ResumedStage, Adaptation, FinetuningSettings, MachineSettings, CacheSettings):
    """Fine-tune a model on the training samples, harmed ones included, and keep its weights."""

    family: FamilyName = setting(help="family of models that it belongs to")
    seed: Seed = setting(help="seed of the adapter's initial weights, the order of samples and dropout")

    @model_validator(mode="after")
    def _trains(self) -> Self:
        known = FAMILIES[self.family].trains
        if self.trained not in known:
            message = f"got {self.trained!r}, expected one of {', '.join(known)} in family {self.family}"
            raise MisfitError({"trained": message})
        return self


class OfFinetuned(Settings):
    """A stage that reads prepared data and what was fine-tuned on them."""

    data: FilePath = _read("folder that 'prepare' wrote")
    finetuned: FilePath = _read("folder that 'finetune' wrote")


class Named(Settings):
    """What a run is called in the tables."""

    seed: Seed = setting(help="seed of all that is drawn; stands in the tables")
    study: str = setting("study", help="name of the study in the tables")
    task: str = setting("task", help="name of the data set in the tables")
    model_name: str = setting("model", help="name of the model in the tables")
    setting: str | None = setting(
        None, help="name in the tables of what is trained and scored; by default made up, such as lora-8"
    )


class Score(OfFinetuned, Named, ScoringSettings, SweepSettings, MachineSettings, CacheSettings):
    """Score every training sample by its influence on the target samples."""

    seed: Seed = setting(help="seed of the random baseline; stands in the tables")
    checkpoint: str | None = setting(
        None, help="checkpoint whose gradients are taken, such as epoch-2; by default the last"
    )
    gradients_of: GradientsOf = setting(
        "trained", help="weights whose gradients are taken: all that were trained, or a part of them"
    )
    earlier: tuple[FilePath, ...] = setting(
        (),
        runtime=True,
        help="folders that 'score' wrote at the checkpoints before, for scores over checkpoints such as tracin_cp",
        metavar="FOLDER",
        reads="a folder that 'score' wrote",
    )
    products: FilePath | None = _read(
        "file that 'shard solve' wrote, to gather what shards scored; with `parts`", "FILE", default=None
    )
    parts: tuple[FilePath, ...] = setting(
        (),
        runtime=True,
        help="files that 'shard scores' wrote, of every shard; with `products`",
        metavar="FILE",
        reads="a file that 'shard scores' wrote",
    )
    out: FilePath = _written()

    @model_validator(mode="after")
    def _gathers(self) -> Self:
        if self.products is None and self.parts:
            raise MisfitError({"products": "got nothing beside parts, expected what 'shard solve' wrote"})
        if self.products is not None and not self.parts:
            raise MisfitError({"parts": "got nothing beside products, expected what 'shard scores' wrote"})
        return self


class Detect(Settings):
    """Tell how well the scores find the samples that were harmed."""

    finetuned: FilePath = _read("folder that 'finetune' wrote")
    scores: tuple[FilePath, ...] = setting(
        min_length=1,
        runtime=True,
        help="folders that 'score' wrote, one for each checkpoint",
        metavar="FOLDER",
        reads="a folder that 'score' wrote",
    )
    out: FilePath = _written()


class Select(OfFinetuned, ResumedStage, Named, TrainingSettings, MachineSettings, CacheSettings):
    """Keep the least harmful samples by every method, train a fresh adapter on them, and evaluate it."""

    scores: FilePath | None = _read(
        "scores.parquet that 'score' wrote; not needed for the fraction 1", "FILE.parquet", default=None
    )
    fraction: Annotated[float, Field(gt=0, le=1)] = setting(
        help="fraction of the training samples to keep; 1 for all of them, and the references"
    )
    seed: Seed = setting(help="seed of random selection and of the order of samples; stands in the tables")
    methods: Scores = setting(("hyperinf",), help="scores to select by; random selection is always there")
    baselines: SelectingBaselines = setting((), help=SELECTING_HELP)
    strategies: Strategies = setting(
        ("plain", "stratified"), help="plain: keep the least harmful of all samples; stratified: of each answer"
    )
    orders: Count = setting(1, help=ORDERS_HELP)
    at_once: Count = setting(1, help=AT_ONCE_HELP)


class Retrain(OfFinetuned, ResumedStage, RetrainingSettings, MachineSettings, CacheSettings):
    """Train afresh on random parts of the training samples, and keep each one's loss on every target sample."""

    seed: Seed = setting(help="seed of the subsets")


class Validate(
    OfFinetuned, ResumedStage, Named, ScoringSettings, JudgingSettings, SweepSettings, MachineSettings, CacheSettings
):
    """Tell how well scores predict what retraining comes to."""

    retrained: FilePath = _read("folder that 'retrain' wrote")
    scores: tuple[FilePath, ...] = setting(
        (),
        help="tables of other scores to judge, say another tool's: sample_id, and a column a score; or a column a"
        " target sample, named by its id",
        metavar="FILE.parquet",
        reads="a table of scores",
    )
    gradients_of: GradientsOf = setting(
        "trained", help="weights whose gradients are taken: all that were trained, or a part of them"
    )
    seed: Seed = setting(help="seed of the random baseline and of draws; stands in the tables")

    @model_validator(mode="after")
    def _removes_what_is_scored(self) -> Self:
        wrong = removal_misfits(self.removal, self.methods)
        if wrong:
            raise MisfitError(wrong)
        return self


class ShardStage(OfFinetuned, MachineSettings, CacheSettings):
    """A shard of a scoring."""

    checkpoint: str | None = setting(None, help="checkpoint whose gradients are taken; by default the last")
    gradients_of: GradientsOf = setting("trained", help="weights whose gradients are taken")
    gradient_batch_size: Count = setting(
        16, runtime=True, help="number of samples whose gradients are taken at a time, the same in all shard commands"
    )
    out: FilePath = _written("file to write", "FILE.safetensors")


class ShardTarget(ShardStage):
    """Take the mean gradient of the target samples."""


class OneShard(ShardStage, ScoringSettings):
    """One shard of the training samples."""

    shard: Count = setting(1, runtime=True, help="which shard, from 1 on")
    shards: Count = setting(1, runtime=True, help="number of shards")


class ShardStatistics(OneShard):
    """Sum over a shard what damping and GFIM are made of."""


class WithSums(Settings):
    """A step of a scoring in shards that goes on from sums over all samples."""

    target: FilePath = _read("file that 'shard target' wrote", "FILE")
    statistics: FilePath = _read("file that 'shard add' made of the statistics", "FILE")
    sums: tuple[FilePath, ...] = setting(
        (),
        runtime=True,
        help="files that 'shard add' made of the sums, of every round so far",
        metavar="FILE",
        reads="a file that 'shard add' made",
    )


class ShardSums(WithSums, OneShard):
    """Sum over a shard what methods such as DataInf need beyond that."""


class ShardScores(OneShard):
    """Score a shard of the samples."""

    products: FilePath = _read("file that 'shard solve' wrote", "FILE")


class ShardAdd(Settings):
    """Add what the shards have summed, in their order."""

    what: Literal["statistics", "sums"] = setting(help="kind of sums to add")
    parts: tuple[FilePath, ...] = setting(
        min_length=1,
        runtime=True,
        help="files of every shard, in any order",
        metavar="FILE",
        reads="a file of a shard",
    )
    out: FilePath = _written("file to write", "FILE.safetensors")


class ShardSolve(WithSums, ScoringSettings, MachineSettings):
    """Multiply the target's gradient by every method's inverse curvature."""

    out: FilePath = _written("file to write", "FILE.safetensors")


class ScoreStores(ScoringSettings):
    """Score training samples from gradient stores of one's own."""

    train: FilePath = _read("GradientStore with the gradients of the training samples", "STORE")
    target: FilePath = _read("GradientStore with the gradients of the target samples", "STORE")
    out: FilePath = _written("file to write: sample_id, influence_METHOD; positive is harmful", "FILE.parquet")


class SimulateConvergence(ConvergenceSettings, MachineSettings):
    """Follow the error of every solver, iteration by iteration."""

    dim: Count = setting(help="side d of the d x d matrix")
    seed: Seed = setting(help="seed of all that is drawn")
    out: FilePath = _written("file to write", "FILE.csv")


class SimulateFisher(FisherSettings):
    """Compare the GFIM with the Fisher information on random gradient matrices."""

    out: FilePath = _written()


class SimulateTiming(TimingSettings, DeviceSettings):
    """Measure how long each solver takes to invert."""

    out: FilePath = _written("file to write", "FILE.csv")


class Harness(Settings):
    """Write the test samples as a task of lm-evaluation-harness: lm_eval --include_path OUT --tasks NAME."""

    data: FilePath = _read("folder that 'prepare' wrote")
    task: Word = setting(help="name of the task in the harness", metavar="NAME")
    out: FilePath = _written()


class ReportStudy(StudyShape):
    """Write the figures, tables and claims of a study."""

    runs: tuple[FilePath, ...] = setting(
        min_length=1, runtime=True, help="folders of its runs", metavar="FOLDER", reads="the folder of a run"
    )
    out: FilePath = _written("results folder, in which figures/ and tables/ are written")


class ReportSimulation(Settings):
    """Write the figures, tables and claims of the synthetic study."""

    convergence: tuple[FilePath, ...] = setting(
        min_length=1,
        runtime=True,
        help="files that 'simulate convergence' wrote",
        metavar="FILE.csv",
        reads="a file that 'simulate convergence' wrote",
    )
    fisher: FilePath | None = _read("folder that 'simulate fisher' wrote", default=None)
    timing: FilePath | None = _read("file that 'simulate timing' wrote", "FILE.csv", default=None)
    out: FilePath = _written("results folder, in which figures/ and tables/ are written")


class ReportPage(Settings):
    """Write one self-contained HTML page of all reports."""

    results: FilePath = _read("results folder to read")
    studies: tuple[Word, ...] = setting((), help="reports to show, in this order; by default all that are there")
    out: FilePath = _written("file to write", "FILE.html")
