"""A bank of retrainings as it is read, and tables of scores that are judged by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from hyperinf.artifacts.records import RECORD, read_record
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError, brief
from hyperinf.pipeline.opened import Finetuned, ids_of
from hyperinf.pipeline.retrain import LOSSES, ORDERS, SUBSETS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """What retraining came to.

    Attributes:
        subsets: ``[m, n]``, which training samples each holds.
        losses: ``[m, q]``, of every target sample.
        again: ``[a, q]``, of the first a subsets trained on in another order.
        record: of the retraining.
    """

    subsets: NDArray[np.bool_]
    losses: Array
    again: Array
    record: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, opened: Finetuned) -> "Bank":
        """Read what ``retrain`` wrote.

        Raises:
            InputError: it is missing, has changed since, or is of another fine-tuning.
        """
        record = read_record(folder / RECORD)
        mine = isinstance(record, dict) and record.get("finetuned") == opened.info["settings"]
        if not mine or "subsets" not in record["settings"]:
            raise InputError(
                f"{folder}: got no retrainings of {opened.folder}, expected what 'hyperinf retrain' made of it"
            )
        if record.get("data_sha256") != opened.info["data_sha256"]:
            raise InputError(f"{folder}: got retrainings on other data, expected those of {opened.data}")
        tables = {name: read_frame(folder / name, ["sample_id"]).set_index("sample_id") for name in (SUBSETS, LOSSES)}
        subsets = _in_order(folder / SUBSETS, tables[SUBSETS], ids_of(opened.samples("train")))
        losses = _in_order(folder / LOSSES, tables[LOSSES], ids_of(opened.samples("validation")))
        first, again = (losses[[name for name in losses if name.startswith(f"{order}_")]] for order in ORDERS)
        return cls(subsets.to_numpy(dtype=bool).T, first.to_numpy(float).T, again.to_numpy(float).T, record)


def _in_order(path: Path, frame: Any, ids: Sequence[str]) -> Any:
    """Bring a table with a row a sample, in the index, to the order of these ids."""
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise InputError(f"{path}: column sample_id: got {brief(twice)} more than once, expected each sample once")
    missing = [name for name in ids if name not in frame.index]
    if missing:
        raise InputError(
            f"{path}: got no row of {len(missing):,} of {len(ids):,} samples (first {brief(missing[0])}), expected all"
        )
    return frame.loc[list(ids)]


def read_scores(path: Path, sample_ids: Sequence[str], target_ids: Sequence[str]) -> dict[str, Array]:
    """Read another tool's scores: ``{name: [n, q]}``; positive is harmful, as everywhere.

    A table with a column for every target sample is one way to score, ``FILE:each``; of any other each column is one,
    ``FILE:COLUMN``, whatever the target sample.

    Args:
        path: a Parquet file with ``sample_id``.
        sample_ids: the n training samples.
        target_ids: the q target samples.

    Raises:
        InputError: samples are missing, or there twice; a column that is wanted is not of finite numbers, or there is
            none.
    """
    frame = read_frame(path, ["sample_id"]).set_index("sample_id")
    frame = _in_order(path, frame, sample_ids)
    if set(target_ids) <= set(frame.columns):
        return {f"{path.stem}:each": np.column_stack([_numbers(path, frame, name) for name in target_ids])}
    wanted = [name for name in frame.columns if name.startswith(("influence_", "baseline_"))] or [
        name for name in frame.columns if is_numeric_dtype(frame[name])
    ]
    if not wanted:
        raise InputError(f"{path}: got no column of numbers beside sample_id, expected one for each score")
    return {
        f"{path.stem}:{name.removeprefix('influence_').removeprefix('baseline_')}": np.repeat(
            _numbers(path, frame, name)[:, None], len(target_ids), axis=1
        )
        for name in wanted
    }


def _numbers(path: Path, frame: Any, name: str) -> Array:
    column = frame[name]
    if not is_numeric_dtype(column):
        raise InputError(f"{path}: column {brief(name)}: got values of type {column.dtype}, expected numbers")
    values = column.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        sample = frame.index[int((~np.isfinite(values)).argmax())]
        raise InputError(f"{path}: column {brief(name)}: got no finite number for sample {brief(sample)}, expected one")
    return values
