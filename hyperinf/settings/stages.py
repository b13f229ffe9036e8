"""The settings of each stage: what its command takes, as flags or as keys of the file after ``--config``.

What a stage reads and writes is marked ``runtime``: where a file lies decides nothing, and what is in it is hashed.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.data import CorruptionSettings, DataSettings, SampleSettings
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.reporting import StudyShape
from hyperinf.settings.runtime import CacheSettings, MachineSettings, SweepSettings
from hyperinf.settings.scoring import Methods, ScoringSettings, Strategy
from hyperinf.settings.simulation import ConvergenceSettings, FisherSettings, TimingSettings
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.training import (
    Adaptation,
    AlignmentSettings,
    FinetuningSettings,
    GradientsOf,
    TrainingSettings,
)
from hyperinf.settings.types import Count, Distinct, FilePath, OneOf, Seed, Word

FamilyName = Annotated[str, OneOf(FAMILIES)]


def _folder(help: str, metavar: str = "FOLDER", default: FilePath | None = ...) -> FilePath:  # type: ignore[assignment]
    read: FilePath = setting(default, runtime=True, help=help, metavar=metavar)
    return read


class Written(Settings):
    """A stage that writes a folder."""

    out: FilePath = _folder("folder to write")


class Resumed(Written):
    """A stage that goes on after a kill."""

    state: FilePath | None = _folder("what a kill leaves to go on from; OUT.state without it", default=None)

    @property
    def state_folder(self) -> str:
        """The folder ``state``."""
        return self.state or f"{self.out}.state"


class Prepare(Written, CacheSettings, DataSettings, SampleSettings, CorruptionSettings):
    """Draw training, target and test samples, and harm some of the training samples."""

    off_task_data: DataSettings | None = setting(None, help="the data set that off-task samples are drawn from")
    test_data: DataSettings | None = setting(None, help="a data set whose samples are the test set, say a benchmark")
    seed: Seed = setting(help="of all that is drawn: the samples, and which of them are harmed")


class PrepareModel(Written, CacheSettings):
    """Write a model as a plain folder: from a GGUF file, cut, or new from a shape."""

    source: ModelSource = setting(help="where it comes from", metavar="KIND:NAME")
    layers: Count | None = setting(None, help="keep only so many of the first decoder layers; all without it")
    seed: Seed = setting(0, help="of random weights")


class Align(Resumed, CacheSettings, MachineSettings, AlignmentSettings):
    """Teach a vision-language model to caption: its vision tower first, then the parts named."""

    data: FilePath = _folder("what 'prepare' wrote: captions as answers")
    model: ModelSource = setting(help="the model", metavar="KIND:NAME")
    seed: Seed = setting(help="of the order of samples")


class Named(Settings):
    """What a run is called in the tables."""

    study: str = setting("study", help="name of the study in the tables")
    task: str = setting("task", help="name of the data in the tables")
    model_name: str = setting("model", help="name of the model in the tables")
    seed: Seed = setting(help="of all that is drawn, and in the tables")
    setting: str | None = setting(None, help="name of what is trained and scored in the tables; made up without it")


class Finetune(Resumed, CacheSettings, MachineSettings, Adaptation, FinetuningSettings):
    """Fine-tune a model on the training samples, wrong ones included, and keep its weights."""

    data: FilePath = _folder("what 'prepare' wrote")
    model: ModelSource = setting(help="the model", metavar="KIND:NAME")
    family: FamilyName = setting(help="the family of models that it belongs to")
    seed: Seed = setting(help="of the adapter's initial weights, the order of samples and dropout")

    @model_validator(mode="after")
    def _trains(self) -> Self:
        known = FAMILIES[self.family].trains
        if self.trained not in known:
            raise ValueError(f"got trained {self.trained}, expected one of {', '.join(known)} in family {self.family}")
        return self


class Score(Written, Named, CacheSettings, MachineSettings, SweepSettings, ScoringSettings):
    """Score every training sample by its influence on the target samples."""

    data: FilePath = _folder("what 'prepare' wrote")
    finetuned: FilePath = _folder("what 'finetune' wrote")
    checkpoint: str | None = setting(None, help="the kept weights that gradients are taken at; the last without it")
    gradients_of: GradientsOf = setting(
        "trained", help="weights whose gradients are taken: all that were trained, or those of a part"
    )
    products: FilePath | None = _folder("of 'shard solve': gather what shards scored", "FILE", default=None)
    parts: tuple[FilePath, ...] = setting((), runtime=True, help="of 'shard scores', every shard's", metavar="FILE")

    @model_validator(mode="after")
    def _gathers(self) -> Self:
        if (self.products is None) != (not self.parts):
            raise ValueError("got one of products and parts, expected both, to gather what shards scored, or neither")
        return self


class Detect(Written):
    """Tell how well the scores find the samples that were harmed."""

    finetuned: FilePath = _folder("what 'finetune' wrote")
    scores: tuple[FilePath, ...] = setting(
        min_length=1, runtime=True, help="what 'score' wrote, of one or more checkpoints", metavar="FOLDER"
    )


class Select(Resumed, Named, CacheSettings, MachineSettings, TrainingSettings):
    """Keep the least harmful samples by every method, train a fresh adapter on them, and evaluate it."""

    data: FilePath = _folder("what 'prepare' wrote")
    finetuned: FilePath = _folder("what 'finetune' wrote")
    scores: FilePath | None = _folder("what 'score' wrote; not needed for the fraction 1", default=None)
    fraction: Annotated[float, Field(gt=0, le=1)] = setting(
        help="fraction of the training samples to keep; 1 for all of them, and the references"
    )
    methods: Methods = setting(("hyperinf",), help="methods whose scores select; random selection is always there")
    strategies: Annotated[tuple[Strategy, ...], Field(min_length=1), Distinct] = setting(
        ("plain", "stratified"), help="keep the least harmful of all samples, or of each answer"
    )


class ShardStage(CacheSettings, MachineSettings):
    """A shard of a scoring."""

    data: FilePath = _folder("what 'prepare' wrote")
    finetuned: FilePath = _folder("what 'finetune' wrote")
    checkpoint: str | None = setting(None, help="the kept weights; the last without it")
    gradients_of: GradientsOf = setting("trained", help="weights whose gradients are taken")
    gradient_batch_size: Count = setting(
        16, runtime=True, help="samples whose gradients are taken at a time; the same for all steps", unit="samples"
    )
    out: FilePath = _folder("file to write", "FILE.safetensors")


class ShardTarget(ShardStage):
    """Take the mean gradient of the target samples."""


class OneShard(ShardStage, ScoringSettings):
    """One shard of the training samples."""

    shard: Count = setting(1, runtime=True, help="which shard, from 1 on")
    shards: Count = setting(1, runtime=True, help="how many there are")


class ShardStatistics(OneShard):
    """Sum over a shard what damping and GFIM are made of."""


class ShardSums(OneShard):
    """Sum over a shard what methods such as DataInf need beyond that."""

    target: FilePath = _folder("what 'shard target' wrote", "FILE")
    statistics: FilePath = _folder("what 'shard add' wrote of the statistics", "FILE")
    sums: tuple[FilePath, ...] = setting((), runtime=True, help="of 'shard add', of rounds 1, 2, ...", metavar="FILE")


class ShardScores(OneShard):
    """Score a shard of the samples."""

    products: FilePath = _folder("what 'shard solve' wrote", "FILE")


class ShardAdd(Settings):
    """Add what the shards have summed, in their order."""

    what: Literal["statistics", "sums"] = setting(help="what was summed")
    parts: tuple[FilePath, ...] = setting(
        min_length=1, runtime=True, help="every shard's file, in any order", metavar="FILE"
    )
    out: FilePath = _folder("file to write", "FILE.safetensors")


class ShardSolve(MachineSettings, ScoringSettings):
    """Multiply the target's gradient by every method's inverse curvature."""

    target: FilePath = _folder("what 'shard target' wrote", "FILE")
    statistics: FilePath = _folder("what 'shard add' wrote of the statistics", "FILE")
    sums: tuple[FilePath, ...] = setting((), runtime=True, help="of 'shard add', of rounds 1, 2, ...", metavar="FILE")
    out: FilePath = _folder("file to write", "FILE.safetensors")


class ScoreStores(ScoringSettings):
    """Score training samples from gradient stores of one's own."""

    train: FilePath = _folder("gradients of the training samples (GradientStore)", "STORE")
    target: FilePath = _folder("gradients of the target samples (GradientStore)", "STORE")
    out: FilePath = _folder("file to write: sample_id, influence_METHOD; positive is harmful", "FILE.parquet")


class SimulateConvergence(MachineSettings, ConvergenceSettings):
    """Follow the error of every solver, iteration by iteration."""

    dim: Count = setting(help="side d of the matrix")
    seed: Seed = setting(help="of all that is drawn")
    out: FilePath = _folder("file to write", "FILE.csv")


class SimulateFisher(Written, FisherSettings):
    """Compare the GFIM with the Fisher information on random gradient matrices."""


class SimulateTiming(TimingSettings):
    """Measure how long each solver takes to invert."""

    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", runtime=True, help="auto (a GPU where there is one), cpu or cuda"
    )
    out: FilePath = _folder("file to write", "FILE.csv")


class Harness(Written):
    """Write the test samples as a task of lm-evaluation-harness: lm_eval --include_path OUT --tasks NAME."""

    data: FilePath = _folder("what 'prepare' wrote")
    task: str = setting(help="name of the task in the harness")


class ReportStudy(StudyShape):
    """Write the figures, tables and claims of a study."""

    runs: tuple[FilePath, ...] = setting(
        min_length=1,
        runtime=True,
        help="folders of its runs",
        metavar="FOLDER",
    )
    out: FilePath = _folder("results folder: figures/ and tables/ are written below it")


class ReportSimulation(Settings):
    """Write the figures, tables and claims of the synthetic study."""

    convergence: tuple[FilePath, ...] = setting(
        min_length=1, runtime=True, help="what 'simulate convergence' wrote", metavar="FILE.csv"
    )
    fisher: FilePath | None = _folder("what 'simulate fisher' wrote", default=None)
    timing: FilePath | None = _folder("what 'simulate timing' wrote", "FILE.csv", default=None)
    out: FilePath = _folder("results folder: figures/ and tables/ are written below it")


class ReportPage(Settings):
    """Write one self-contained HTML page of all reports."""

    results: FilePath = _folder("results folder to read")
    studies: tuple[Word, ...] = setting((), help="reports to show, in this order; all that are there without it")
    out: FilePath = _folder("file to write", "FILE.html")
