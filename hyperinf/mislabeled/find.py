"""Find wrong labels from Python: of a DataFrame, a ``datasets.Dataset``, or of one's own model's probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hyperinf.data.samples import squeezed
from hyperinf.errors import InputError, brief, listed
from hyperinf.gradients import GradientSource, TensorSource
from hyperinf.influence import influence_scores
from hyperinf.mislabeled.command import judged_table
from hyperinf.mislabeled.confident import looks_clean
from hyperinf.mislabeled.finding import find_in_probabilities
from hyperinf.mislabeled.reading import LEAST, Labelled, as_class, marked
from hyperinf.mislabeled.suspects import suspects_frame
from hyperinf.settings.checking import SettingsError, checked
from hyperinf.settings.mislabeled import Mislabeled

Gradients = GradientSource | Mapping[str, Tensor]


def find_mislabeled(
    data: Any,
    text: str | Sequence[str] | None = None,
    label: str = "label",
    *,
    probabilities: Any = None,
    gradients: Gradients | None = None,
    classes: Sequence[str] | None = None,
    trusted: str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Rank rows by how likely their label is wrong; no label is changed.

    Args:
        data: a pandas DataFrame, a ``datasets.Dataset``, or a mapping of columns.
        text: column of the text, or two columns; not needed with ``probabilities``.
        label: column of the label.
        probabilities: ``[n, classes]``, each row's by a model of one's own that was not trained on it; nothing is
            trained then.
        gradients: of one's own model, in the order of the rows: a ``GradientSource``, or ``{layer: Tensor[n, r, d]}``;
            with ``probabilities``: adds HyperINF's influence on the rows that look clean.
        classes: names of the classes in the order of the columns of ``probabilities``; by default the labels, sorted.
        trusted: column that says which labels are known to be right.
        **options: further settings of ``hyperinf mislabeled``, such as ``model``, ``ranking`` or ``folds``.

    Returns:
        All rows with their columns and index as they were, the most suspicious first, and the columns ``row`` (from 1),
        ``rank``, ``probability_wrong``, ``given_label``, ``suggested_label``, ``reasons``, ``influential_rows`` and
        ``score_NAME``.

    Raises:
        InputError: a column, an option or a value that cannot be used; one line says which.
    """
    frame = _as_frame(data)
    columns = () if text is None else (text,) if isinstance(text, str) else tuple(text)
    for name in (*columns, label, *([] if trusted is None else [trusted])):
        if name not in frame.columns:
            raise InputError(f"data: got columns {listed(map(str, frame.columns))}, expected {name!r} among them")
    if probabilities is not None:
        return _of_probabilities(frame, columns, label, probabilities, gradients, classes)
    if gradients is not None:
        raise InputError("gradients: got some without probabilities, expected out-of-sample probabilities beside them")
    settings = _settings({"file": "data", "text": columns, "label": label, "trusted": trusted, **options})
    table = _table(frame, columns, label, trusted)
    _, judged = judged_table(table, settings, keep=False)
    return _indexed(suspects_frame(judged, table.table), frame)


def _settings(values: Mapping[str, Any]) -> Mislabeled:
    try:
        return checked(
            Mislabeled, {name: list(each) if isinstance(each, tuple) else each for name, each in values.items()}
        )
    except SettingsError as error:
        raise InputError("; ".join(map(str, error.mistakes))) from None


def _as_frame(data: Any) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas") and hasattr(data, "features"):
        found: pd.DataFrame = data.to_pandas()
        for name, feature in data.features.items():
            if hasattr(feature, "int2str"):  # classes by number: their names are what people know them by
                found[name] = [
                    feature.int2str(int(each)) if each is not None and each >= 0 else None for each in found[name]
                ]
        return found
    if isinstance(data, Mapping):
        return pd.DataFrame(dict(data))
    raise InputError(
        f"data: got a {type(data).__name__}, expected a DataFrame, a datasets.Dataset or a mapping of columns"
    )


def _table(frame: pd.DataFrame, columns: Sequence[str], label: str, trusted: str | None) -> Labelled:
    for name in columns:
        for row, value in enumerate(frame[name]):
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"data, row {row + 1}: got {brief(value)} in column {name!r}, expected a text")
    names, labels = _classes_of(frame, label, None)
    if len(labels) < LEAST:
        raise InputError(f"data: got {len(labels)} rows, expected at least {LEAST}")
    table = frame.reset_index(drop=True)
    texts, *seconds = (tuple(frame[name]) for name in columns)
    places = range(len(labels))
    marks = np.zeros(len(labels), bool) if trusted is None else marked("data", table[trusted], trusted, places)
    second = seconds[0] if seconds else None
    return Labelled("data", texts, labels, names, tuple(range(1, len(labels) + 1)), table, marks, second)


def _classes_of(frame: pd.DataFrame, label: str, classes: Sequence[str] | None) -> tuple[tuple[str, ...], Any]:
    for row, value in enumerate(frame[label]):
        if value is None or value != value or not str(value).strip():
            raise InputError(f"data, row {row + 1}: got no label in column {label!r}, expected one in every row")
    given = [as_class(value) for value in frame[label]]
    names = tuple(sorted(set(given))) if classes is None else tuple(map(as_class, classes))
    number = {name: place for place, name in enumerate(names)}
    for row, name in enumerate(given):
        if name not in number:
            raise InputError(f"data, row {row + 1}: got label {brief(name)}, expected one of {listed(names)}")
    if len(names) < 2:
        raise InputError(f"data: got only class {brief(names[0])} in column {label!r}, expected two or more")
    return names, np.array([number[name] for name in given], dtype=np.int64)


def _of_probabilities(
    frame: pd.DataFrame,
    columns: Sequence[str],
    label: str,
    probabilities: Any,
    gradients: Gradients | None,
    classes: Sequence[str] | None,
) -> pd.DataFrame:
    names, labels = _classes_of(frame, label, classes)
    found = np.asarray(probabilities, dtype=np.float32)
    if found.shape != (len(labels), len(names)):
        raise InputError(f"probabilities: got shape {list(found.shape)}, expected [{len(labels)}, {len(names)}]")
    if not np.isfinite(found).all() or found.min() < 0 or not np.allclose(found.sum(axis=1), 1, atol=1e-3):
        raise InputError("probabilities: got rows that do not sum to 1, expected probabilities of the classes")
    influence = None if gradients is None else _influence(gradients, looks_clean(found, labels), len(labels))
    texts = [frame[name].astype(str) for name in columns]
    keys = ["\0".join(squeezed(each).casefold() for each in row) for row in zip(*texts, strict=True)] if texts else []
    judged = find_in_probabilities(found, labels, names, keys or [str(row) for row in range(len(labels))], influence)
    return _indexed(suspects_frame(judged, frame.reset_index(drop=True)), frame)


def _influence(gradients: Gradients, clean: Any, rows: int) -> Any:
    source = gradients if isinstance(gradients, GradientSource) else TensorSource(dict(gradients))
    held = TensorSource.gather(source)
    if len(held.sample_ids) != rows:
        raise InputError(f"gradients: got those of {len(held.sample_ids):,} rows, expected {rows:,}")
    mask = torch.from_numpy(np.flatnonzero(clean))
    target = {name: held.layer(name)[mask] for name in held.layers}
    return influence_scores(held, target, solver="auto").numpy().astype(np.float32)


def _indexed(found: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    rows = found["row_hyperinf" if "row" in frame.columns else "row"].to_numpy() - 1
    found.index = frame.index[rows]
    return found
