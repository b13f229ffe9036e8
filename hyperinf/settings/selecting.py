"""The settings of ``hyperinf select POOL --target DEV``: which rows of a pool are worth training on."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import MisfitError, Place, Settings, setting
from hyperinf.settings.runtime import CacheSettings, MachineSettings, Store
from hyperinf.settings.scoring import MethodName
from hyperinf.settings.sources import NamedModel
from hyperinf.settings.training import Dtype, LoraStrength
from hyperinf.settings.types import Column, Count, Distinct, Encoding, FilePath, Matching, Positive, Seed, Switch, Words

Files = Annotated[tuple[FilePath, ...], Distinct]
Share = Annotated[
    str, Matching(r"^(100%|\d{1,2}(\.\d+)?%|0?\.\d+|1\.0|[1-9]\d*)$", "a share such as 20% or 0.2, or a number of rows")
]
Quota = Literal["targets", "queries", "none"]
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Of what is written."""


class PuttingSettings(Settings):
    """How rows of text are read and put to the model."""

    template: FilePath | None = setting(
        None,
        help="template of one's own: a chat template in Jinja (.jinja), or YAML with the keys prompt and answer, which"
        " name columns in braces (.yaml); by default the tokenizer's chat template",
        metavar="FILE",
        reads="a template",
    )
    chat: Switch = setting(
        True, help="put rows by the tokenizer's chat template, where it has one; without, as plain text"
    )
    max_length: int = setting(
        512,
        ge=8,
        lt=2**31,
        help="length of the longest row; of a longer one the last answer loses its end, down to half of this, then the"
        " conversation its beginning",
        unit="tokens",
    )
    encoding: Encoding | None = setting(
        None, help="how text files are written, such as latin-1; by default UTF-8", metavar="NAME"
    )
    skip_bad_rows: Switch = setting(False, help="pass over rows that cannot be used, instead of stopping")


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
    dtype: Dtype = setting("float32", help="precision of all weights")


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


class SelectRows(KeepingSettings, ReadingSettings, WarmUpSettings, EvaluationSettings, MachineSettings, CacheSettings):
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
    target: Files = setting(
        min_length=1,
        runtime=True,
        help="files of rows like those that the model is to do well on",
        metavar="DEV",
        reads="a file of rows",
    )
    model: NamedModel = setting(
        help="model to train: a folder, a name on the hub, or KIND:NAME such as asset:smollm2", metavar="NAME"
    )
    family: Literal["causal", "vision"] = setting(
        "causal", help="kind of model: a language model, or one that sees images, in the form of LLaVA"
    )
    method: MethodName = setting("hyperinf", help="influence method to score by")
    damping: Positive = setting(0.1, help="damping of the curvature, as a share of the mean squared gradient")
    seed: Seed = setting(0, help="seed of the adapter, of the order of rows, and of random shares")
    store: Store | None = setting(
        None,
        runtime=True,
        help="where gradients are kept between the two sweeps over them: disk, memory or live (nowhere: each sweep"
        " takes them again); by default on the disk where they take little of it",
    )
    gradient_batch_size: Count = setting(8, runtime=True, help="number of rows whose gradients are taken at a time")
    state: FilePath | None = setting(
        None,
        runtime=True,
        help="folder of what was computed, to go on from, and to choose again without scoring again; by default"
        " OUT.state",
        metavar="FOLDER",
        writes="folder",
    )
    out: FilePath = setting(
        "kept.jsonl",
        runtime=True,
        help="file to write, of the rows that are kept, as they stand in the pool: .jsonl, .csv, .tsv or .parquet",
        metavar="FILE",
        writes="file",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        wrong: dict[str | Place, str] = {}
        if not self.out.lower().endswith(SUFFIXES):
            wrong["out"] = f"got {self.out!r}, expected a name that ends in {', '.join(SUFFIXES)}"
        if self.out in (*self.pool, *self.target, *self.test):
            wrong["out"] = f"got {self.out!r}, which is read as well, expected another file"
        if self.template is not None and not self.template.lower().endswith((".jinja", ".yaml", ".yml")):
            wrong["template"] = f"got {self.template!r}, expected a file .jinja or .yaml"
        if self.adapter is not None and not self.warmup:
            wrong["warmup"] = "got no warm-up beside an adapter, expected one of the two: an adapter replaces it"
        if self.family not in self.model.families:
            wrong["family"] = f"got {self.family!r}, expected {' or '.join(self.model.families)}, as {self.model} is"
        if self.test and not self.evaluate:
            wrong["test"] = "got files without --evaluate, expected both or neither"
        if wrong:
            raise MisfitError(wrong)
        return self

    @property
    def state_folder(self) -> str:
        """The folder ``state``."""
        return self.state or f"{self.out}.state"
