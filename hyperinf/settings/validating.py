"""The settings of ``hyperinf validate TRAIN``: do scores on one's own data and model predict retraining?"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import MisfitError, setting
from hyperinf.settings.data import COLUMNS
from hyperinf.settings.runtime import CacheSettings, MachineSettings, Resumed
from hyperinf.settings.scoring import Scores
from hyperinf.settings.sources import NamedModel
from hyperinf.settings.training import EncodingSettings
from hyperinf.settings.types import Column, Count, Encoding, FilePath, Positive, Seed, Words, beside
from hyperinf.settings.validation import RetrainingSettings


class ValidateRows(RetrainingSettings, EncodingSettings, Resumed, MachineSettings, CacheSettings):
    """Tell whether influence scores on one's own data and model predict retraining."""

    train: FilePath = setting(
        runtime=True,
        help="table of training rows: text and label, or question and answer",
        metavar="TRAIN",
        positional=True,
        reads="a table of rows",
    )
    target: FilePath | None = setting(
        None,
        runtime=True,
        help="table of rows that the model is to do well on; by default some of TRAIN, which are not trained on",
        metavar="FILE",
        reads="a table of rows",
    )
    model: NamedModel | None = setting(
        None,
        help="model to train: a folder, a name on the hub, or KIND:NAME; by default asset:minilm for text and label",
        metavar="NAME",
    )
    text: Column | None = setting(None, help="column of a classifier's text", metavar="COLUMN")
    pair: Column | None = setting(None, help="column of a classifier's second text", metavar="COLUMN")
    label: Column | None = setting(None, help="column of the class", metavar="COLUMN")
    encoding: Encoding | None = setting(
        None, help="how text files are written, such as latin-1; by default UTF-8", metavar="NAME"
    )
    rows: int = setting(500, ge=10, lt=2**63, help="number of training rows, at most")
    queries: int = setting(100, ge=2, lt=2**63, help="number of target rows, at most")
    methods: Scores = setting(
        ("hyperinf", "datainf", "tracin"), help="influence methods to judge, and forms of their scores"
    )
    damping: Positive = setting(0.1, help="damping of the curvature, as a share of the mean squared gradient")
    rank: Count = setting(8, help="rank of the adapter")
    target_modules: Words | None = setting(
        None, help="names of the linear layers that get an adapter; by default those that are usual for such a model"
    )
    epochs: Count = setting(3, help="number of passes over the training rows")
    batch_size: Count = setting(16, help="number of rows of each update")
    learning_rate: Positive = setting(5e-4, help="peak learning rate of AdamW")
    subsets: int = setting(30, ge=3, lt=2**31, help="number of random subsets that are trained on, one training each")
    seed: Seed = setting(0, help="seed of all that is drawn")
    out: FilePath = setting(
        "", runtime=True, help="folder to write; by default TRAIN.validation", metavar="FOLDER", writes="folder"
    )

    @model_validator(mode="before")
    @classmethod
    def _beside(cls, values: Any) -> Any:
        """Write beside the table, where nothing else is said."""
        train = values.get("train") if isinstance(values, dict) else None
        if isinstance(train, str) and Path(train).name and not values.get("out"):
            return {**values, "out": beside(train, "validation")}
        return values

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        wrong: dict[Any, str] = {}
        given = [name for name in COLUMNS if getattr(self, name, None) is not None]
        for name in ("text", "label"):
            if given and name not in given:
                wrong[name] = f"got nothing beside {given[0]}, expected the {type(self).model_fields[name].description}"
        columns = [getattr(self, name) for name in given]
        for name in given:
            if columns.count(getattr(self, name)) > 1:
                wrong[name] = f"got {getattr(self, name)!r} twice, expected different columns"
        if not given and self.model is None:
            wrong["model"] = (
                "got nothing for rows of question and answer, expected a language model; or --text, --label"
            )
        if self.target == self.train:
            wrong["target"] = f"got {self.target!r}, which is trained on, expected another file, or none"
        if wrong:
            raise MisfitError(wrong)
        return self

    @property
    def family(self) -> Literal["classifier", "causal"]:
        """The family of the model: what the columns say."""
        return "causal" if self.text is None else "classifier"
