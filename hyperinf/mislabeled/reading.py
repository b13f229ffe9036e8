"""A labelled table as people have it: its rows with all their columns, and what is judged of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.data.origin import Origin
from hyperinf.data.reading import read_source
from hyperinf.data.samples import Sample, squeezed
from hyperinf.data.sampling import Corpus
from hyperinf.data.sources.notes import Notes
from hyperinf.data.sources.tables import TYPES, read_rows, rows_about
from hyperinf.data.sources.text_files import kind_of
from hyperinf.errors import InputError, brief, listed
from hyperinf.models.rows import COLUMNS
from hyperinf.runtime.progress import track
from hyperinf.settings.data import DataSettings, SplitNames
from hyperinf.settings.mislabeled import Mislabeled
from hyperinf.settings.sources import DataSource

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LEAST = 20
_YES = ("yes", "true", "1", "y", "t", "x")
_NO = ("no", "false", "0", "n", "f", "")


@dataclass(frozen=True)
class Labelled:
    """Rows with a label.

    Attributes:
        where: what messages call the table.
        texts: the text of each row.
        seconds: second texts, where there are two columns.
        labels: ``[n]`` class numbers.
        classes: names of the classes.
        numbers: number of each row in the file, from 1, the header not counted.
        table: the rows with all their columns, as they were.
        trusted: ``[n]``, whose labels are known to be right.
        truth: the true labels, where they are known.
        images: path of each image.
        remarks: what may be wrong with the file, a line each.
    """

    where: str
    texts: tuple[str, ...]
    labels: Ints
    classes: tuple[str, ...]
    numbers: tuple[int, ...]
    table: pd.DataFrame
    trusted: Bools
    seconds: tuple[str, ...] | None = None
    truth: tuple[str, ...] | None = None
    images: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        """What is equal for copies: the texts, whatever their case and spaces, or the path of the image."""
        if self.images:
            return self.images
        seconds = self.seconds or ("",) * len(self.texts)
        pairs = zip(self.texts, seconds, strict=True)
        return tuple("\0".join(squeezed(each).casefold() for each in pair) for pair in pairs)


def with_columns(settings: Mislabeled) -> Mislabeled:
    """Name the columns of text and label where the command does not, by what such columns are called.

    Raises:
        InputError: none of the table's columns is called so; a line for each that has to be named, with all columns.
    """
    if settings.image or (settings.text and settings.label):
        return settings
    notes = Notes()
    first = next(iter(read_rows(Path(settings.file), (), encoding=settings.encoding, notes=notes)), ("", {}))[1]
    there = list(notes.columns) or list(first)
    found = {
        name: next((each for each in COLUMNS[name] if each in there), None)
        for name in ("text", "label")
        if not getattr(settings, name)
    }
    if lacking := [name for name, column in found.items() if column is None]:
        raise InputError(
            "\n".join(
                f"--{name}: got nothing, expected one of {settings.file}'s columns {listed(there)}" for name in lacking
            )
        )
    given = {name: [column] if name == "text" else column for name, column in found.items()}
    return Mislabeled.model_validate(settings.model_dump() | given)


def read_labelled_file(settings: Mislabeled) -> Labelled:
    """Read the table that is to be judged.

    Raises:
        InputError: it cannot be used; one line says why, with the file and the row.
    """
    path = Path(settings.file)
    samples, remarks = _samples(path, settings)
    if len(samples) < LEAST:
        raise InputError(f"{path}: got {len(samples)} rows with text and label, expected at least {LEAST}")
    places = [_place(each) for each in samples]
    table = _original(path, settings) if path.is_file() else _of_images(samples)
    table = table.iloc[places].reset_index(drop=True)
    classes = samples[0].choices if samples[0].choices else tuple(sorted({each.answer for each in samples}))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[each.answer] for each in samples], dtype=np.int64)
    trusted = np.zeros(len(samples), dtype=bool)
    if settings.trusted is not None and settings.trusted in table.columns:
        trusted = marked(str(path), table[settings.trusted], settings.trusted, places)
    truth = None
    if settings.truth is not None:
        if settings.truth not in table.columns:
            raise InputError(
                f"{path}: got columns {listed(map(str, table.columns))}, expected {settings.truth!r} among them"
            )
        truth = tuple(as_class(each) for each in table[settings.truth])
    seconds = tuple(each.question for each in samples) if len(settings.text) == 2 else None
    return Labelled(
        str(path),
        tuple(each.context for each in samples),
        labels,
        tuple(classes),
        tuple(place + 1 for place in places),
        table,
        trusted,
        seconds,
        truth,
        tuple(each.image for each in samples) if settings.image else (),
        remarks,
    )


def read_trusted(settings: Mislabeled, classes: Sequence[str], columns: Sequence[str]) -> tuple[Sample, ...]:
    """Read the table of trusted rows; none where ``trusted`` is a column of the table itself, or nothing.

    Raises:
        InputError: neither a column nor a file, or a file that cannot be used, or has classes of its own.
    """
    if settings.trusted is None or settings.trusted in columns:
        return ()
    path = Path(settings.trusted)
    if not path.exists():
        raise InputError(
            f"--trusted: got {settings.trusted!r}, which is neither a file nor a column, expected a file, or one of"
            f" {listed(columns)}"
        )
    samples, _ = _samples(path, settings)
    for each in samples:
        if each.answer not in classes:
            raise InputError(f"{path}: got label {brief(each.answer)}, expected one of {listed(classes)}")
    return tuple(samples)


def _samples(path: Path, settings: Mislabeled) -> tuple[list[Sample], tuple[str, ...]]:
    """Read the samples, by the rules that all commands read data by."""
    text, pair = (*settings.text, None, None)[:2]
    named = {} if settings.image else {"text": text, "pair": pair, "label": settings.label}
    data = DataSettings.of(
        settings,
        **{
            "source": DataSource(path=str(path)),
            "format": "image_classes" if settings.image else "labelled",
            "text": None,
            "label": None,
            **named,
        },
    )
    corpus: Corpus = read_source(Origin(data), SplitNames(), Path(settings.cache_folder))
    if len(corpus.splits) > 1:
        raise InputError(f"{path}: got the splits {listed(corpus.splits)}, expected one file of rows; name one of them")
    left_out = [f"{number:,} rows left out: {reason}" for reason, number in corpus.unusable.items()]
    alike = [
        f"labels that differ only in case or spaces are classes of their own: {listed(map(repr, each))}"
        for each in corpus.labels_alike[:3]
    ]
    samples = [each for found in corpus.splits.values() for each in found]
    return samples, (*corpus.remarks, *(f"{path}: {each}" for each in [*left_out, *alike]))


def _place(sample: Sample) -> int:
    return int(sample.sample_id.rpartition("/")[2])


def _original(path: Path, settings: Mislabeled) -> pd.DataFrame:
    """Read all columns of all rows, as they stand there."""
    wanted = [name for name in (*settings.text, settings.label) if name is not None]
    others: list[str] = []
    if kind_of(path) == ".parquet":
        import pyarrow.parquet as pq

        others = [name.strip() for name in pq.ParquetFile(path).schema_arrow.names]
    rows = read_rows(path, wanted, [name for name in others if name not in wanted], TYPES, settings.encoding)
    read = track(rows, rows_about(path), f"reading all columns of {path.name}", "rows")
    return pd.DataFrame([dict(row) for _, row in read], dtype=object)


def _of_images(samples: Sequence[Sample]) -> pd.DataFrame:
    rows = max(map(_place, samples)) + 1
    table = pd.DataFrame({"image": [""] * rows, "label": [""] * rows}, dtype=object)
    for each in samples:
        table.loc[_place(each)] = [each.image, each.answer]
    return table


def as_class(value: Any) -> str:
    """Write a cell as names of classes are written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def marked(where: str, column: pd.Series, name: str, places: Sequence[int]) -> Bools:
    """Read a column that says yes or no.

    Raises:
        InputError: it says something else; the row is named.
    """
    found = []
    for place, value in zip(places, column, strict=True):
        word = "" if value is None or value != value else str(value).strip().casefold().removesuffix(".0")
        if word not in (*_YES, *_NO):
            raise InputError(f"{where}, row {place + 1}: got {brief(value)} in column {name!r}, expected yes or no")
        found.append(word in _YES)
    return np.array(found, dtype=bool)


def written(value: Any) -> Any:
    """Write a cell of the original table into a CSV: text as it is, lists and objects as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
