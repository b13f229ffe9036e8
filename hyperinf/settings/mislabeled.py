"""The settings of ``hyperinf mislabeled``."""

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import MisfitError, Settings, setting
from hyperinf.settings.runtime import CacheSettings, MachineSettings, Resumed
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.settings.sources import NamedModel
from hyperinf.settings.types import Column, Count, Encoding, FilePath, Positive, Seed, Switch, beside

RANKINGS = ("combined", "loss", "margin", "agreement", "neighbours", "hyperinf")
"""By what rows may be ranked; ``combined`` is what the benchmark chose."""
Ranking = Literal["combined", "loss", "margin", "agreement", "neighbours", "hyperinf"]
MANY_ROWS = 5_000
"""Of more rows than these, fewer tokens are read by default."""


class JudgeSettings(Settings):
    """How rows are judged."""

    ranking: Ranking = setting(
        "combined", help="what rows are ranked by: combined, which the benchmark chose, or one signal alone"
    )
    folds: int = setting(5, ge=2, lt=1000, help="number of parts; each is judged by models trained on the others")
    seed: Seed = setting(0, help="seed of the parts and of the adapters")
    max_length: int | None = setting(
        None,
        ge=2,
        lt=2**63,
        help=f"tokens of a row that the model reads; by default 128, or 64 of more than {MANY_ROWS:,} rows",
    )
    rank: Count = setting(16, help="rank of the adapter that each part's model gets")
    epochs: Count = setting(6, help="number of passes in which an adapter is trained")
    damping: Positive = setting(ScoringSettings.model_fields["damping"].default, help="damping of HyperINF")
    calibrate: Switch = setting(
        True, help="say how probable it is that a row is wrong, learned from what flipped labels would score"
    )


with warnings.catch_warnings():
    # A method of pydantic's that it has given up is called json; the flag is --json.
    warnings.simplefilter("ignore", UserWarning)

    class Mislabeled(JudgeSettings, Resumed, MachineSettings, CacheSettings):
        """Rank the rows of a labelled table by how likely their label is wrong."""

        file: FilePath = setting(
            runtime=True,
            help="table with a text and a label, or folder of images",
            metavar="FILE",
            positional=True,
            reads="a table of rows, or a folder of images",
        )
        text: Annotated[tuple[Column, ...], Field(max_length=2)] = setting(
            (), help="column of the text, or two columns; by default text", metavar="COLUMN"
        )
        label: Column | None = setting(None, help="column of the label; by default label or labels", metavar="COLUMN")
        image: Switch = setting(
            False, help="rows are images: FILE is a folder with a folder for each class, or a table of image and label"
        )
        model: NamedModel | None = setting(
            None, help="model that encodes the rows: a folder, or a name on the hub; by default asset:minilm"
        )
        trusted: str | None = setting(
            None,
            help="column that says which labels are known to be right (yes, true, 1), or a table of such rows",
            metavar="COLUMN|FILE",
        )
        truth: Column | None = setting(
            None, help="column of the true labels, where they are known: tells how well wrong ones were found"
        )
        encoding: Encoding | None = setting(
            None, help="how the file is written, such as latin-1 or utf-16; by default UTF-8", metavar="NAME"
        )
        strict: Switch = setting(
            False, help="refuse a file that has any row without text or label; by default up to 1 % are left out"
        )
        top: Count = setting(100, runtime=True, help="number of rows on the HTML page")
        json: Switch = setting(False, runtime=True, help="print the summary as JSON")  # type: ignore[assignment]
        out: FilePath = setting(
            "", runtime=True, help="folder to write; by default FILE.suspects", metavar="FOLDER", writes="folder"
        )

        @model_validator(mode="before")
        @classmethod
        def _beside(cls, values: Any) -> Any:
            """Write beside the file, where nothing else is said."""
            if not isinstance(values, dict):
                return values
            values = {
                name: [value] if name == "text" and isinstance(value, str) else value for name, value in values.items()
            }
            file = values.get("file")
            if not values.get("out") and isinstance(file, str) and Path(file).name:
                values["out"] = beside(file, "suspects")
            return values

        @model_validator(mode="after")
        def _fits(self) -> Self:
            wrong: dict[Any, str] = {}
            if self.image and self.text:
                wrong["text"] = f"got {self.text[0]!r} beside image, expected none"
            elif self.image and self.model is None:
                wrong["model"] = "got nothing beside image, expected a model of images: a folder, or a name on the hub"
            columns = [name for name in (*self.text, self.label) if name is not None]
            for name in columns:
                if columns.count(name) > 1:
                    wrong["label" if name == self.label else "text"] = f"got {name!r} twice, expected different columns"
            if self.truth is not None and self.truth in columns:
                wrong["truth"] = f"got {self.truth!r}, expected another column than those of text and label"
            if wrong:
                raise MisfitError(wrong)
            return self
