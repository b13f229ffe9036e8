"""The settings of ``hyperinf select POOL --target DEV``: which rows of a pool are worth training on."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import MisfitError, Settings, setting
from hyperinf.settings.rows import Files, PuttingSettings, RowScoringSettings
from hyperinf.settings.runtime import CacheSettings, MachineSettings
from hyperinf.settings.sources import NamedModel
from hyperinf.settings.training import NARROW_HELP, Dtype, LoraStrength
from hyperinf.settings.types import Column, Count, FilePath, Matching, Positive, Seed, Switch, Words

Share = Annotated[
    str, Matching(r"^(100%|\d{1,2}(\.\d+)?%|0?\.\d+|1\.0|[1-9]\d*)$", "a share such as 20% or 0.2, or a number of rows")
]
Quota = Literal["targets", "queries", "none"]
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Of what is written."""


class ReadingSettings(PuttingSettings):
    """How rows are read and put to the model, images among them."""

    images: FilePath | None = setting(
        None,
        help="folder that the paths of images are below; by default that of the file",
        metavar="FOLDER",
        reads="a folder of images",
    )


class WarmUpSettings(LoraStrength):
    """What the gradients are taken of: an adapter that has learnt a little of the pool, or one's own."""

    adapter: FilePath | None = setting(
        None,
        help="folder of an adapter of one's own, in PEFT's layout, instead of a warm-up",
        metavar="FOLDER",
        reads="an adapter in PEFT's layout",
    )
    warmup: Switch = setting(True, help="train a fresh adapter on the pool before gradients are taken")
    warmup_steps: Count = setting(60, help="number of updates of the warm-up, over at most a tenth of the pool")
    rank: Count = setting(8, help="rank of a fresh adapter")
    target_modules: Words | None = setting(
        None, help="names of the linear layers that get an adapter; by default those that PEFT names for such models"
    )
    batch_size: Count = setting(8, help="number of rows of each update")
    learning_rate: Positive = setting(5e-4, help="peak learning rate of AdamW")
    dtype: Dtype = setting("float32", help=f"precision of the weights but those that are trained; {NARROW_HELP}")


class KeepingSettings(Settings):
    """Which rows are kept, given their scores."""

    keep: Share = setting("20%", help="what to keep: a share such as 20% or 0.2, or a number of rows", metavar="SHARE")
    quota: Quota = setting(
        "targets",
        help="whose turn it is to choose the next row: each target's; each of its queries'; or none, by the mean over"
        " the targets",
    )
    stratified: Column | None = setting(
        None,
        help="column whose values keep their shares; without such a column also source (the file) or length (quarters"
        " by tokens)",
        metavar="COLUMN",
    )
    diverse: Switch = setting(False, help="keep of rows that are nearly the same only the best")


class EvaluationSettings(Settings):
    """Whether it helped: training on what is kept against training on as many rows drawn at random."""

    evaluate: Switch = setting(
        False, help="train on what is kept and on random shares of its size, and compare the loss on targets held out"
    )
    test: Files = setting(
        (),
        help="files of targets held out; by default every second row of the targets is",
        metavar="FILE",
        reads="a file of rows",
    )
    evaluation_steps: Count = setting(60, help="number of updates of each of these trainings")
    evaluation_seeds: int = setting(3, ge=2, lt=1000, help="number of trainings on each side")


class SelectRows(
    KeepingSettings,
    ReadingSettings,
    RowScoringSettings,
    WarmUpSettings,
    EvaluationSettings,
    MachineSettings,
    CacheSettings,
):
    """Keep the rows of a pool that help a model most on a target."""

    pool: Files = setting(
        min_length=1,
        runtime=True,
        positional=True,
        help="files of rows to choose from: chats (messages, ShareGPT), instructions (Alpaca), prompt and completion,"
        " question and answer, or text; JSON lines, CSV or Parquet, or a folder of images with its metadata file",
        metavar="POOL",
        reads="a file of rows",
    )
    model: NamedModel = setting(
        help="model to train: a folder, a name on the hub, or KIND:NAME such as asset:smollm2", metavar="NAME"
    )
    family: Literal["causal", "vision"] = setting(
        "causal", help="kind of model: a language model, or one that sees images, in the form of LLaVA"
    )
    seed: Seed = setting(0, help="seed of the adapter, of the order of rows, and of random shares")
    out: FilePath = setting(
        "kept.jsonl",
        runtime=True,
        help="file to write, of the rows that are kept, as they stand in the pool: .jsonl, .csv, .tsv or .parquet",
        metavar="FILE",
        writes="file",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        wrong = self.misfits(SUFFIXES, *self.pool, *self.target, *self.test)
        if self.adapter is not None and not self.warmup:
            wrong["warmup"] = "got no warm-up beside an adapter, expected one of the two: an adapter replaces it"
        if self.family not in self.model.families:
            wrong["family"] = f"got {self.family!r}, expected {' or '.join(self.model.families)}, as {self.model} is"
        if self.test and not self.evaluate:
            wrong["test"] = "got files without --evaluate, expected both or neither"
        if wrong:
            raise MisfitError(wrong)
        return self
