"""Influence of every sample of the pool on the validation set, at the warmed-up weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.data.questions import Question, read_questions
from hyperinf.errors import InputError
from hyperinf.files import write_json, write_parquet, write_text
from hyperinf.gradients import LiveSource
from hyperinf.models.encoding import Batches
from hyperinf.models.trainable import GradientsOf, gradient_layers, load_trained
from hyperinf.provenance import fingerprint, hashed
from hyperinf.tasks.detection import roc_auc
from hyperinf.tasks.scoring import ScoringOptions, cost_rows, method_of, score_live
from hyperinf.tasks.selection.family import Samples
from hyperinf.tasks.selection.model import Places, open_family, open_model
from hyperinf.tasks.selection.run import METRIC_COLUMNS, SelectionKey, named, read_warmup

COST_COLUMNS = ["task", "model", "setting", "seed", "method", "stage", "seconds", "peak_memory_mib"]


@dataclass(frozen=True)
class PoolScoreConfig:
    """Inputs of one scoring run.

    Attributes:
        key: what the run is called in the tables.
        scoring: which scores to take, and how.
        gradients_of: the weights whose gradients are taken.
    """

    key: SelectionKey
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    gradients_of: GradientsOf = "trained"


def run_pool_scores(
    config: PoolScoreConfig, places: Places, warmup: Path, out: Path, keeping: str = "disk", batch_size: int = 16
) -> None:
    """Write ``scores.parquet``, ``metrics.csv``, ``cost.csv`` and ``info.json``.

    Args:
        config: see :class:`PoolScoreConfig`.
        places: see :class:`Places`.
        warmup: folder that :func:`run_warmup` wrote.
        out: folder to write into.
        keeping: where gradients are kept between sweeps; see ``score_live``. Large models: ``live``.
        batch_size: samples in a batch of the extraction.

    Raises:
        InputError: data or weights that cannot be used, or that do not belong together.
    """
    import pandas as pd

    model_config, trained = read_warmup(warmup, places)
    family = open_family(model_config, places)
    model = open_model(model_config, family, places)
    load_trained(model, warmup)
    pool = read_questions(places.data, "pool")
    encoded = {"pool": family.encode(pool), "validation": family.encode(read_questions(places.data, "validation"))}
    layers = gradient_layers(model, config.gradients_of)
    if config.gradients_of == "projector":
        _check_pictures(encoded)
    sources = {
        name: LiveSource(model, Batches(rows, batch_size, kinds=rows.kinds), family.loss, layers)
        for name, rows in encoded.items()
    }
    scored = score_live(
        sources["pool"],
        sources["validation"],
        encoded["pool"].ids,
        config.scoring,
        config.key.seed,
        keeping,
        out,
        places.device,
    )
    key = named(config.key, model_config)
    shown = ["answer", "true_answer", "corruption"]
    if any(question.image for question in pool):
        shown += ["question", "image", "kind"]
    labels = {name: [getattr(question, name) for question in pool] for name in shown}
    write_parquet(out / "scores.parquet", {"sample_id": encoded["pool"].ids, **labels, **scored.columns})
    metrics = [{**key, **row} for row in _corruption_found(scored.columns, pool)]
    write_text(out / "metrics.csv", pd.DataFrame(metrics, columns=METRIC_COLUMNS).to_csv(index=False))
    costs = cost_rows(key, scored.costs)
    write_text(out / "cost.csv", pd.DataFrame(costs, columns=COST_COLUMNS).to_csv(index=False))
    more = {
        "data_sha256": trained["data_sha256"],
        "model": trained["settings"]["model"],
        "inputs": {**hashed(places.data, "*.parquet"), **hashed(warmup, "*.safetensors")},
        "outputs": hashed(out, "scores.parquet", "metrics.csv"),
        "model_note": trained["model_note"],
        "truncated": {name: rows.truncated for name, rows in encoded.items()},
        "reports": scored.table.reports,
    }
    write_json(out / "info.json", fingerprint(config, places.device, **more))


def _check_pictures(encoded: Mapping[str, Samples]) -> None:
    for name, rows in encoded.items():
        if not all(rows.kinds):
            raise InputError(
                f"gradients of: projector has none for the {rows.kinds.count(False):,} samples of the {name} without a"
                " picture; expected a picture for each, or gradients of trained weights"
            )


def _corruption_found(columns: dict[str, Any], pool: tuple[Question, ...]) -> list[dict[str, Any]]:
    corrupted = np.array([bool(question.corruption) for question in pool])
    if not 0 < corrupted.sum() < len(corrupted):
        return []
    return [
        {"method": method_of(column), "metric": "roc_auc", "value": roc_auc(values, corrupted)}
        for column, values in columns.items()
    ]
