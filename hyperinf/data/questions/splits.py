"""One split of a question task as a Parquet file."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hyperinf.data.parquet import read_columns, write_columns
from hyperinf.data.questions.question import Question
from hyperinf.errors import InputError

SPLITS = ("pool", "validation", "test")
_NAMES = tuple(field.name for field in fields(Question))
_LISTS = ("choices", "accepted")


def write_questions(folder: Path, split: str, questions: Sequence[Question]) -> None:
    """Write ``<folder>/<split>.parquet``; the same questions give the same bytes."""
    columns = {name: [getattr(each, name) for each in questions] for name in _NAMES}
    write_columns(Path(folder) / f"{split}.parquet", columns, _schema())


def read_questions(folder: Path, split: str) -> tuple[Question, ...]:
    """Read ``<folder>/<split>.parquet``.

    Args:
        folder: a task's folder, as ``prepare_questions`` writes it.
        split: ``pool``, ``validation`` or ``test``.

    Raises:
        InputError: there is no such split, or the file is not whole or not a split.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} is not known; known are {', '.join(SPLITS)}")
    path = Path(folder) / f"{split}.parquet"
    columns = read_columns(path, _schema(), "a split of a question task", "a folder of prepared questions")
    for name in _LISTS:
        columns[name] = [tuple(value) for value in columns[name]]
    return tuple(Question(*row) for row in zip(*(columns[name] for name in _NAMES), strict=True))


def _schema() -> Any:
    import pyarrow as pa

    strings = pa.list_(pa.field("element", pa.string(), nullable=False))
    return pa.schema([pa.field(name, strings if name in _LISTS else pa.string(), nullable=False) for name in _NAMES])
