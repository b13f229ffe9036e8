"""Tell how well the scores find the samples that were harmed on purpose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.environment import fingerprint, hashed
from hyperinf.artifacts.files import sha256_file
from hyperinf.artifacts.records import RECORD, read_record, write_record, write_settings
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError
from hyperinf.evaluation.detection import curve_auc, detection_curve, rank_correlation, roc_auc, roc_auc_within
from hyperinf.pipeline.tables import CURVE_COLUMNS, METRIC_COLUMNS, write_table
from hyperinf.settings.stages import Detect

INSPECTED = (0.2, 0.4)
_CURVE = np.arange(101)
_EXACT = "influence_fim"
_PREFIXES = ("influence_", "baseline_")


def detect(settings: Detect) -> None:
    """Write ``metrics.csv``, ``curves.csv`` and ``info.json``.

    Where no sample was harmed, or all were, only the model's own accuracy is in ``metrics.csv``: there is nothing to
    tell apart.

    Raises:
        InputError: scores that cannot be used or have changed since, or a fine-tuning that is not theirs.
    """
    out, finetuned = Path(settings.out), Path(settings.finetuned)
    trained = read_record(finetuned / RECORD)
    metrics: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    inputs = {}
    for folder in map(Path, settings.scores):
        run = _run_of(folder, trained, finetuned)
        inputs[f"{run['checkpoint']}/scores.parquet"] = sha256_file(folder / "scores.parquet")
        for metric, value in trained["accuracies"][run["checkpoint"]]["test"].items():
            metrics.append({**run, "method": "model", "metric": metric, "value": value})
        frame = read_frame(folder / "scores.parquet", ["sample_id", "answer", "corruption"])
        harmed = (frame["corruption"] != "").to_numpy(dtype=bool)
        if not 0 < harmed.sum() < len(harmed):
            continue
        for column in (name for name in frame.columns if name.startswith(_PREFIXES)):
            own = {**run, "method": column.split("_", 1)[1]}
            values = frame[column].to_numpy(dtype=np.float64)
            if _EXACT in frame.columns and column != _EXACT:
                near = rank_correlation(values, frame[_EXACT].to_numpy(dtype=np.float64))
                metrics.append({**own, "metric": "fim_correlation", "value": near})
            metrics += [{**own, **row} for row in _metrics(values, harmed, frame["answer"].tolist())]
            curves += [{**own, **row} for row in _curve(values, harmed)]
    write_table(out / "metrics.csv", metrics, METRIC_COLUMNS)
    write_table(out / "curves.csv", curves, CURVE_COLUMNS)
    more = {"inputs": inputs, "outputs": hashed(out, "metrics.csv", "curves.csv")}
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), "cpu", **more))


def _run_of(folder: Path, trained: Mapping[str, Any], finetuned: Path) -> dict[str, Any]:
    """Read what a run is called in the tables."""
    info = read_record(folder / RECORD)
    if not isinstance(info.get("run"), dict) or "finetuned" not in info:
        raise InputError(f"{folder / RECORD}: got another record, expected what 'hyperinf score' wrote")
    if info["finetuned"] != trained.get("settings"):
        raise InputError(f"{folder}: got scores of another model, expected those of {finetuned}")
    return dict(info["run"])


def _metrics(values: NDArray[np.float64], harmed: NDArray[np.bool_], answers: list[str]) -> list[dict[str, Any]]:
    found = detection_curve(values, harmed, np.array(INSPECTED))
    within = roc_auc_within(values, harmed, answers)
    return [
        {"metric": "roc_auc", "value": roc_auc(values, harmed)},
        *([] if within is None else [{"metric": "roc_auc_within", "value": within}]),
        {"metric": "curve_auc", "value": curve_auc(values, harmed)},
        *(
            {"metric": "detected", "fraction": fraction, "value": float(value)}
            for fraction, value in zip(INSPECTED, found, strict=True)
        ),
    ]


def _curve(values: NDArray[np.float64], harmed: NDArray[np.bool_]) -> list[dict[str, Any]]:
    inspected = _CURVE / 100
    return [
        {"inspected": float(x), "detected": float(y)}
        for x, y in zip(inspected, detection_curve(values, harmed, inspected), strict=True)
    ]
