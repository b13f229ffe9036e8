"""Data sets, what is drawn from them, and how it is harmed on purpose."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.registers import FORMATS, templates
from hyperinf.settings.sources import DataSource
from hyperinf.settings.types import Count, FilePath, Fraction, OneOf, Word

FormatName = Annotated[str, OneOf(FORMATS)]
TemplateName = Annotated[str, OneOf(templates)]
COLUMNS = ("text", "pair", "label", "id")


class SplitNames(Settings):
    """The splits of a source, or the files of a folder, where they have other names than the roles that they play."""

    train: Word | None = setting(None, help="split that training samples are drawn from")
    validation: Word | None = setting(None, help="split that the target samples are drawn from")
    test: Word | None = setting(None, help="split that test samples are drawn from")


class DataSettings(Settings):
    """A data set and how its rows become samples."""

    source: DataSource = setting(
        help="where it comes from: {asset: NAME}, {hub: OWNER/NAME} or {path: FILE_OR_FOLDER}", metavar="KIND:NAME"
    )
    format: FormatName = setting("labelled", help="how a row becomes a sample: labelled for texts with a label each")
    template: TemplateName | None = setting(
        None, help="prompt of a language model, a key of prompts.yaml; the format's own without it"
    )
    subset: Word | None = setting(None, help="configuration of a set on the hub, such as cola")
    revision: Word | None = setting(None, help="branch, tag or commit of a set on the hub")
    text: Word | None = setting(None, help="column of the text (format labelled)", metavar="COLUMN")
    pair: Word | None = setting(None, help="column of the second text, for tasks on two texts", metavar="COLUMN")
    label: Word | None = setting(None, help="column of the class (format labelled)", metavar="COLUMN")
    id: Word | None = setting(None, help="column of sample ids; made of split and row without it", metavar="COLUMN")
    images: FilePath | None = setting(
        None, help="folder that paths of images start from; that of the file without it", metavar="FOLDER"
    )
    text_rows: bool = setting(False, help="use rows without an image in a set about images, too")
    skip_bad_images: bool = setting(False, help="pass over samples whose image is missing or damaged, and count them")
    splits: SplitNames = setting(SplitNames, help="which split plays which part")

    @model_validator(mode="after")
    def _columns(self) -> Self:
        given = [name for name in COLUMNS if getattr(self, name) is not None]
        if self.format == "labelled":
            missing = [name for name in ("text", "label") if name not in given]
            if missing:
                raise ValueError(f"got no {' and no '.join(missing)}, expected columns for format labelled")
            columns = [getattr(self, name) for name in given]
            twice = next((each for each in columns if columns.count(each) > 1), None)
            if twice is not None:
                raise ValueError(f"got column {twice!r} twice, expected different ones for {', '.join(given)}")
        elif given:
            raise ValueError(f"got {', '.join(given)}, expected columns only for format labelled, not {self.format}")
        if self.revision is not None and self.source.hub is None:
            raise ValueError(f"got revision {self.revision!r}, expected one only for a source on the hub")
        if self.subset is not None and self.source.asset is not None:
            raise ValueError(f"got subset {self.subset!r}, expected none: {self.source} has no subsets")
        return self


class SampleSettings(Settings):
    """How many samples are drawn."""

    train: Count = setting(1000, help="training samples, at most", unit="samples")
    validation: Count = setting(200, help="target samples, whose answers stay clean, at most", unit="samples")
    test: Count = setting(400, help="test samples, never used for scoring, at most", unit="samples")


class CorruptionSettings(Settings):
    """What is done to the training samples, so that the truth is known."""

    label_noise: Fraction = setting(0.0, help="fraction of the training samples that get a wrong label or answer")
    noise_mode: Literal["uniform", "next"] = setting(
        "uniform", help="the wrong one: any other choice, or always the next one"
    )
    off_task: Fraction = setting(0.0, help="fraction of the training samples replaced by those of another data set")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.label_noise + self.off_task > 1:
            raise ValueError(
                f"got label_noise {self.label_noise} and off_task {self.off_task}, expected a sum of at most 1"
            )
        return self
