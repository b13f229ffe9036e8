"""Data sets, what is drawn from them, and how it is harmed on purpose."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import model_validator

from hyperinf.settings.base import MisfitError, Place, Settings, setting
from hyperinf.settings.registers import FORMATS, templates
from hyperinf.settings.sources import DataSource
from hyperinf.settings.types import Column, Count, Encoding, FilePath, Fraction, OneOf, Switch, Word

FormatName = Annotated[str, OneOf(FORMATS)]
TemplateName = Annotated[str, OneOf(templates)]
COLUMNS = ("text", "pair", "label", "id")


class SplitNames(Settings):
    """The splits of a source, or the files of a folder, where they have other names than the roles that they play."""

    train: Word | None = setting(None, help="split, or file of a folder, that training samples are drawn from")
    validation: Word | None = setting(None, help="split, or file, that the target samples are drawn from")
    test: Word | None = setting(None, help="split, or file, that test samples are drawn from")


class DataSettings(Settings):
    """A data set and how its rows become samples."""

    source: DataSource = setting(
        help="source of the data: asset:NAME, hub:OWNER/NAME or path:FILE_OR_FOLDER", metavar="KIND:NAME"
    )
    format: FormatName = setting(
        "labelled", help="how a row becomes a sample; labelled: one or two texts and their class"
    )
    template: TemplateName | None = setting(
        None, help="prompt that a language model is given, a key of prompts.yaml; by default the format's own"
    )
    subset: Word | None = setting(None, help="configuration of a data set on the hub, such as cola")
    revision: Word | None = setting(None, help="branch, tag or commit of a data set on the hub")
    text: Column | None = setting(None, help="column of the text, in format labelled", metavar="COLUMN")
    pair: Column | None = setting(
        None, help="column of the second text, in format labelled, for tasks on two texts", metavar="COLUMN"
    )
    label: Column | None = setting(None, help="column of the class, in format labelled", metavar="COLUMN")
    id: Column | None = setting(
        None, help="column of the sample ids, in format labelled; by default split and row number", metavar="COLUMN"
    )
    images: FilePath | None = setting(
        None, help="folder that the paths of images are below; by default the folder of the file", metavar="FOLDER"
    )
    text_rows: Switch = setting(False, help="in a data set about images, use rows without an image, too")
    skip_bad_images: Switch = setting(
        False, help="pass over samples whose image is missing or damaged, instead of stopping"
    )
    encoding: Encoding | None = setting(
        None, help="how text files are written, such as latin-1 or utf-16; by default UTF-8", metavar="NAME"
    )
    strict: Switch = setting(
        False,
        help="refuse a file that has any row without text or label; by default up to 1 % are left out and counted",
    )
    merge_labels: Switch = setting(
        False, help="take labels for one class that differ only in case, in spaces, or as 1 and 1.0 do"
    )
    keep_contradictory: Switch = setting(
        False,
        help="keep rows that stand there again with another label, for training only; by default they are left out",
    )
    splits: SplitNames = setting(
        SplitNames,
        help="names of the splits, where they are not train, validation and test",
    )

    @model_validator(mode="after")
    def _data_fits(self) -> Self:
        wrong: dict[str | Place, str] = dict(self._wrong_columns())
        if self.revision is not None and self.source.hub is None:
            wrong["revision"] = f"got {self.revision!r}, expected none: {self.source} is not on the hub"
        if self.subset is not None and self.source.asset is not None:
            wrong["subset"] = f"got {self.subset!r}, expected none: {self.source} has no subsets"
        if wrong:
            raise MisfitError(wrong)
        return self

    def _wrong_columns(self) -> Iterator[tuple[str, str]]:
        """Name the columns that are missing, too many, or given twice."""
        given: dict[str, str] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            if self.format != "labelled":
                if column is not None:
                    yield name, f"got {column!r}, expected none: format {self.format} has its own columns"
            elif column is None:
                if name in ("text", "label"):
                    yield name, f"got nothing, expected the {type(self).model_fields[name].description}"
            elif column in given:
                yield name, f"got {column!r}, expected another column than that of {given[column]}"
            else:
                given[column] = name


class SampleSettings(Settings):
    """How many samples are drawn."""

    train: Count = setting(1000, help="number of training samples, at most")
    validation: Count = setting(200, help="number of target samples, at most; their answers stay clean")
    test: Count = setting(400, help="number of test samples, at most; they are never used for scoring")


class CorruptionSettings(Settings):
    """What is done to the training samples, so that the truth is known."""

    label_noise: Fraction = setting(
        0.0, help="fraction of the training samples that are given a wrong answer (or class)"
    )
    noise_mode: Literal["uniform", "next"] = setting(
        "uniform", help="which wrong answer: any other choice at random, or always the next one"
    )
    off_task: Fraction = setting(
        0.0, help="fraction of the training samples that are replaced by samples of another data set"
    )

    @model_validator(mode="after")
    def _corruption_fits(self) -> Self:
        if self.label_noise + self.off_task > 1:
            rest = 1 - self.label_noise
            raise MisfitError(
                {"off_task": f"got {self.off_task} beside label_noise {self.label_noise}, expected at most {rest:g}"}
            )
        return self
