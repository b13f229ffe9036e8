"""Find flipped labels by influence: gradients of every kept checkpoint, scores by all methods, metrics."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.data.text import TextSplit, read_info, read_split
from hyperinf.devices import resolve_device, set_threads
from hyperinf.errors import InputError
from hyperinf.files import write_json, write_parquet, write_text
from hyperinf.gradients import LiveSource
from hyperinf.models.classifier import load_adapted_classifier
from hyperinf.models.encoding import Batches
from hyperinf.models.loading import load_tokenizer
from hyperinf.provenance import fingerprint, hashed
from hyperinf.tasks.detection import curve_auc, detection_curve, roc_auc
from hyperinf.tasks.finetune import TRAINING, encode, read_accuracy, read_finetuned
from hyperinf.tasks.scoring import ScoringOptions, cost_rows, method_of, score_live

FOUND_AT = (0.2, 0.4)


@dataclass(frozen=True)
class ScoreConfig:
    """Inputs of one scoring run.

    Attributes:
        data: folder that ``hyperinf mislabel data`` wrote.
        adapter: folder that ``hyperinf mislabel finetune`` wrote.
        scoring: which scores to take, and how.
        seed: of the random baseline.
        task: name in the result tables.
        model: name in the result tables.
        cache: folder of fetched assets.
        wheels: wheels brought by hand.
    """

    data: Path
    adapter: Path
    task: str
    model: str
    seed: int
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = field(default=())


def run_scores(
    config: ScoreConfig,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
    gradients: str = "disk",
    batch_size: int = 32,
) -> None:
    """Score all checkpoints.

    Writes ``epoch-E.parquet``, ``metrics.csv``, ``curves.csv``, ``cost.csv`` and ``info.json``.

    Args:
        config: see :class:`ScoreConfig`.
        out: folder to write into.
        device: ``auto``, ``cpu``, ``cuda``.
        threads: of torch's operations.
        gradients: where the training gradients are kept between sweeps; see :func:`score_live`.
        batch_size: samples in a batch of the extraction.

    Raises:
        InputError: data or adapter that cannot be used, or that do not belong together.
    """
    import pandas as pd

    device = resolve_device(device)
    set_threads(threads)
    trained = read_finetuned(config.adapter)
    data_info = read_info(config.data)
    if trained["data_sha256"] != data_info["content_sha256"]:
        raise InputError(f"{config.adapter}: was trained on other data than {config.data}")
    settings = trained["settings"]
    folder = resolve_model_folder(parse_source(settings["model"]), config.cache, config.wheels)
    tokenizer = load_tokenizer(folder)
    train, validation = read_split(config.data, "train"), read_split(config.data, "validation")
    encoded = {split: encode(tokenizer, rows, settings["max_length"]) for split, rows in _named(train, validation)}
    accuracies = read_accuracy(config.adapter, settings["keep"])

    metrics, curves, costs, reports = [], [], [], {}
    for epoch, accuracy in zip(settings["keep"], accuracies, strict=True):
        model = load_adapted_classifier(
            folder, trained["labels"], config.adapter / f"epoch-{epoch}", settings["dtype"]
        ).to(device)
        live = LiveSource(model, Batches(encoded["train"], batch_size))
        target = LiveSource(model, Batches(encoded["validation"], batch_size))
        scored = score_live(live, target, train.sample_ids, config.scoring, config.seed, gradients, out, device)
        key = {"task": config.task, "model": config.model, "rank": settings["lora"]["rank"], "epoch": epoch}
        key["seed"] = config.seed
        labels = {"label": train.labels, "true_label": train.true_labels, "flipped": train.flipped}
        write_parquet(out / f"epoch-{epoch}.parquet", {"sample_id": train.sample_ids, **labels, **scored.columns})
        flipped = np.array(train.flipped, dtype=bool)
        metrics += _metrics(key, scored.columns, flipped, accuracy)
        curves += _curves(key, scored.columns, flipped)
        costs += cost_rows(key, scored.costs)
        reports[f"epoch-{epoch}"] = scored.table.reports

    write_text(out / "metrics.csv", pd.DataFrame(metrics, columns=METRIC_COLUMNS).to_csv(index=False))
    write_text(out / "curves.csv", pd.DataFrame(curves, columns=CURVE_COLUMNS).to_csv(index=False))
    write_text(out / "cost.csv", pd.DataFrame(costs, columns=COST_COLUMNS).to_csv(index=False))
    shown = {key: value for key, value in vars(config).items() if key not in ("data", "adapter", "cache", "wheels")}
    more = {
        "data_sha256": trained["data_sha256"],
        "reports": reports,
        "inputs": {**hashed(config.data, "*.parquet"), **hashed(config.adapter, "epoch-*/*.safetensors", TRAINING)},
        "outputs": hashed(out, "epoch-*.parquet", "metrics.csv", "curves.csv"),
    }
    write_json(out / "info.json", fingerprint(shown, device, **more))


METRIC_COLUMNS = ["task", "model", "method", "rank", "epoch", "fraction", "seed", "metric", "value"]
CURVE_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "inspected_percent", "detected_percent"]
COST_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "stage", "seconds", "peak_memory_mib"]


def _named(train: TextSplit, validation: TextSplit) -> tuple[tuple[str, TextSplit], tuple[str, TextSplit]]:
    return ("train", train), ("validation", validation)


def _metrics(key: dict[str, Any], scores: dict[str, Any], flipped: Any, accuracy: float) -> list[dict[str, Any]]:
    rows = [{**key, "method": "model", "metric": "accuracy", "value": accuracy}]
    if not 0 < flipped.sum() < len(flipped):
        return rows  # nothing was flipped, so there is nothing to find; the scores are the result
    for column, values in scores.items():
        method = method_of(column)
        rows.append({**key, "method": method, "metric": "roc_auc", "value": roc_auc(values, flipped)})
        rows.append({**key, "method": method, "metric": "curve_auc", "value": curve_auc(values, flipped)})
        found = detection_curve(values, flipped, np.array(FOUND_AT))
        for fraction, value in zip(FOUND_AT, found, strict=True):
            rows.append({**key, "method": method, "metric": "detected", "fraction": fraction, "value": float(value)})
    return rows


def _curves(key: dict[str, Any], scores: dict[str, Any], flipped: Any) -> list[dict[str, Any]]:
    if not 0 < flipped.sum() < len(flipped):
        return []
    percent = np.arange(101)
    return [
        {**key, "method": method_of(column), "inspected_percent": int(x), "detected_percent": float(y)}
        for column, values in scores.items()
        for x, y in zip(percent, 100 * detection_curve(values, flipped, percent / 100), strict=True)
    ]
