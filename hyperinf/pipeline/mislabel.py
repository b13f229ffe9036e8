"""Find flipped labels by influence: gradients of every kept checkpoint, scores by all methods, metrics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.environment import fingerprint, hashed
from hyperinf.artifacts.files import write_parquet, write_text
from hyperinf.artifacts.records import RECORD, write_record
from hyperinf.errors import InputError
from hyperinf.evaluation.detection import curve_auc, detection_curve, roc_auc
from hyperinf.pipeline.checkpoints import Checkpoints
from hyperinf.pipeline.finetune import TRAINING, read_accuracy
from hyperinf.pipeline.scoring import ScoringOptions, cost_rows, method_of, score_live
from hyperinf.pipeline.sharding.parts import read_part
from hyperinf.pipeline.sharding.steps import ShardedScores, gathered
from hyperinf.runtime.devices import resolve_device, set_threads

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
    shards: ShardedScores | None = None,
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
        shards: scores of all epochs that were taken in shards, to be gathered instead of taken here.

    Raises:
        InputError: data, adapter or shards that cannot be used, or that do not belong together.
    """
    import pandas as pd

    device = resolve_device(device)
    set_threads(threads)
    opened = Checkpoints.opened(config.data, config.adapter, config.cache, config.wheels, device)
    train, settings = opened.splits["train"], opened.trained["settings"]
    accuracies = read_accuracy(config.adapter, opened.epochs)
    by_epoch = shards_of_epochs(shards, opened.epochs)

    metrics, curves, costs, reports = [], [], [], {}
    weights: dict[str, list[str]] = {}
    for epoch, accuracy in zip(opened.epochs, accuracies, strict=True):
        if by_epoch:
            origin = opened.origin(epoch)
            scored = gathered(by_epoch[epoch], origin, train.sample_ids, config.scoring, config.seed)
        else:
            model = opened.model(epoch)
            live, target = (opened.gradients(model, split, batch_size) for split in ("train", "validation"))
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
        weights |= scored.weights

    write_text(out / "metrics.csv", pd.DataFrame(metrics, columns=METRIC_COLUMNS).to_csv(index=False))
    write_text(out / "curves.csv", pd.DataFrame(curves, columns=CURVE_COLUMNS).to_csv(index=False))
    write_text(out / "cost.csv", pd.DataFrame(costs, columns=COST_COLUMNS).to_csv(index=False))
    shown = {key: value for key, value in vars(config).items() if key not in ("data", "adapter", "cache", "wheels")}
    more = {
        "data_sha256": opened.trained["data_sha256"],
        "reports": reports,
        **({"weights": weights} if weights else {}),
        "inputs": {**hashed(config.data, "*.parquet"), **hashed(config.adapter, "epoch-*/*.safetensors", TRAINING)},
        "outputs": hashed(out, "epoch-*.parquet", "metrics.csv", "curves.csv"),
    }
    write_record(out / RECORD, fingerprint(shown, device, **more))


METRIC_COLUMNS = ["task", "model", "method", "rank", "epoch", "fraction", "seed", "metric", "value"]
CURVE_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "inspected_percent", "detected_percent"]
COST_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "stage", "seconds", "peak_memory_mib"]


def shards_of_epochs(shards: ShardedScores | None, epochs: Sequence[int]) -> dict[int, ShardedScores]:
    """The files of each epoch, which say themselves of which they are; none where there are no shards.

    Raises:
        InputError: a file that is not a part, or an epoch without its files.
    """
    if shards is None:
        return {}
    products = {read_part(path, "products").origin.get("epoch"): path for path in shards.products}
    scores: dict[str | None, list[Path]] = {}
    for path in shards.scores:
        scores.setdefault(read_part(path, "scores").origin.get("epoch"), []).append(path)
    for epoch in map(str, epochs):
        for name, found in (("products", products), ("parts", scores)):
            if epoch not in found:
                raise InputError(f"{name}: no file of epoch {epoch}; expected those of every epoch that was kept")
    return {epoch: ShardedScores((products[str(epoch)],), tuple(scores[str(epoch)])) for epoch in epochs}


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
