"""The settings of ``hyperinf score TRAIN --target FILE``: the influence of one's own rows on one's own model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import MisfitError, setting
from hyperinf.settings.rows import Files, RowScoringSettings
from hyperinf.settings.runtime import CacheSettings, MachineSettings
from hyperinf.settings.sources import NamedModel
from hyperinf.settings.training import NARROW_HELP, Dtype
from hyperinf.settings.types import Column, Count, FilePath, Switch, Word, Words

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl")
"""Of what is written."""
Family = Literal["auto", "classifier", "causal", "seq2seq", "tagger"]


class ScoreRows(RowScoringSettings, MachineSettings, CacheSettings):
    """Score rows of one's own by their influence on a model of one's own."""

    train: Files = setting(
        min_length=1,
        runtime=True,
        positional=True,
        help="files of rows that the model was trained on: text and label; chats, instructions, prompt and completion,"
        " or text; tokens and tags; JSON lines, CSV or Parquet",
        metavar="TRAIN",
        reads="a file of rows",
    )
    model: NamedModel = setting(
        help="model that was trained, or base of the adapter: a folder, a name on the hub, or KIND:NAME such as"
        " asset:minilm",
        metavar="BASE",
    )
    adapter: Word | None = setting(
        None, help="adapter in PEFT's layout: a folder, or a name on the hub", metavar="FOLDER"
    )
    layers: Words | None = setting(
        None,
        help="weights whose gradients are taken, by name, * for any letters; by default those of the adapter",
        metavar="NAME",
    )
    family: Family = setting(
        "auto",
        help="kind of model: a classifier of texts, a language model, one of sequence to sequence, or one that tags"
        " tokens; by default what the configurations of model and adapter say",
    )
    bits: Count | None = setting(None, help="quantise the base model to 4 or 8 bits, by bitsandbytes", metavar="{4,8}")
    dtype: Dtype = setting("float32", help=f"precision of all other weights; {NARROW_HELP}")
    text: Column | None = setting(
        None,
        help="column of a classifier's texts, or of a tagger's tokens; by default text or tokens",
        metavar="COLUMN",
    )
    pair: Column | None = setting(None, help="column of a classifier's second texts", metavar="COLUMN")
    label: Column | None = setting(
        None,
        help="column of labels, or of a tagger's tags; by default label or labels, tags or ner_tags",
        metavar="COLUMN",
    )
    classes: Words | None = setting(
        None, help="names of the classes, in the order of the model's outputs, where its configuration lacks them"
    )
    gfim_axis: Literal["larger", "smaller"] = setting(
        "larger", help="axis of a weight that is no LoRA factor that the GFIM is over: larger is finer, smaller is less"
    )
    each: Switch = setting(False, help="write one column a query: the influence on each row of the target")
    top: Annotated[int, Field(ge=1, le=100)] | None = setting(
        None, help="number of training rows to show as most helpful and as most harmful to each query", metavar="K"
    )
    per_layer: Switch = setting(False, help="write what each layer adds to the influence, to OUT.layers")
    per_token: Switch = setting(
        False, help="write what each token of a training row adds to the influence, to OUT.tokens"
    )
    out: FilePath = setting(
        "scores.parquet",
        runtime=True,
        help="file to write: .parquet, .csv, .tsv or .jsonl; a page and a record lie beside it",
        metavar="FILE",
        writes="file",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        wrong = self.misfits(SUFFIXES, *self.train, *self.target)
        if self.bits not in (None, 4, 8):
            wrong["bits"] = f"got {self.bits}, expected 4 or 8"
        if wrong:
            raise MisfitError(wrong)
        return self
