"""One split of a text classification task as a Parquet file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.data.parquet import read_columns, write_columns
from hyperinf.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TextSplit:
    """The samples of one split, in one order throughout.

    Attributes:
        sample_ids: ``[n]``, the ids of the source's rows, stable whatever is drawn.
        texts: ``[n]``.
        pairs: ``[n]`` second texts, or None for a task on single texts.
        labels: ``[n]`` class numbers as observed, some of them flipped.
        true_labels: ``[n]`` class numbers before any flip.
        flipped: ``[n]``, whether the observed label was flipped.
    """

    sample_ids: list[str]
    texts: list[str]
    pairs: list[str] | None
    labels: list[int]
    true_labels: list[int]
    flipped: list[bool]

    def __len__(self) -> int:
        return len(self.sample_ids)


def write_split(folder: Path, split: str, samples: TextSplit) -> None:
    """Write ``<folder>/<split>.parquet``; the same samples give the same bytes."""
    none: list[str | None] = [None] * len(samples)
    columns: dict[str, Sequence[Any]] = {
        "sample_id": samples.sample_ids,
        "text": samples.texts,
        "text_pair": samples.pairs or none,
        "label": samples.labels,
        "true_label": samples.true_labels,
        "flipped": samples.flipped,
    }
    write_columns(Path(folder) / f"{split}.parquet", columns, _schema())


def read_split(folder: Path, split: str) -> TextSplit:
    """Read ``<folder>/<split>.parquet``.

    Args:
        folder: a task's folder, as ``prepare_text_task`` writes it.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        InputError: there is no such split, or the file is not whole or not a split.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} is not known; known are {', '.join(SPLITS)}")
    path = Path(folder) / f"{split}.parquet"
    expected = "a folder that `hyperinf mislabel data` wrote"
    columns = read_columns(path, _schema(), "a split of a text task", expected)
    return TextSplit(
        sample_ids=columns["sample_id"],
        texts=columns["text"],
        pairs=_pairs(path, columns["text_pair"]),
        labels=columns["label"],
        true_labels=columns["true_label"],
        flipped=columns["flipped"],
    )


def _pairs(path: Path, column: Sequence[str | None]) -> list[str] | None:
    pairs = [each for each in column if each is not None]
    if not pairs:
        return None
    if len(pairs) != len(column):
        raise InputError(f"{path}: text_pair is missing in {len(column) - len(pairs):,} rows; expected in all or none")
    return pairs


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("sample_id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("text_pair", pa.string()),
            pa.field("label", pa.int64(), nullable=False),
            pa.field("true_label", pa.int64(), nullable=False),
            pa.field("flipped", pa.bool_(), nullable=False),
        ]
    )
