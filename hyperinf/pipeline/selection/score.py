"""Influence of every sample of the pool on the validation set, at the warmed-up weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.environment import fingerprint, hashed
from hyperinf.artifacts.files import write_parquet, write_text
from hyperinf.artifacts.records import RECORD, write_record
from hyperinf.data.questions import Question, read_questions
from hyperinf.evaluation.detection import roc_auc
from hyperinf.models.trainable import GradientsOf
from hyperinf.pipeline.scoring import ScoringOptions, cost_rows, method_of, score_live
from hyperinf.pipeline.selection.gradients import sample_gradients, warmed_up
from hyperinf.pipeline.selection.model import RunPaths, open_family
from hyperinf.pipeline.selection.run import METRIC_COLUMNS, SelectionKey, named, origin_of, read_warmup
from hyperinf.pipeline.sharding.steps import ShardedScores, gathered

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
    config: PoolScoreConfig,
    places: RunPaths,
    warmup: Path,
    out: Path,
    keeping: str = "disk",
    batch_size: int = 16,
    shards: ShardedScores | None = None,
) -> None:
    """Write ``scores.parquet``, ``metrics.csv``, ``cost.csv``, ``info.json``, and the number of ``shards``.

    Args:
        config: see :class:`PoolScoreConfig`.
        places: see :class:`RunPaths`.
        warmup: folder that :func:`run_warmup` wrote.
        out: folder to write into.
        keeping: where gradients are kept between sweeps; see ``score_live``. Large models: ``live``.
        batch_size: samples in a batch of the extraction.
        shards: scores that were taken in shards, to be gathered instead of taken here.

    Raises:
        InputError: data, weights or shards that cannot be used, or that do not belong together.
    """
    import pandas as pd

    model_config, trained = read_warmup(warmup, places)
    family = open_family(model_config, places)
    pool = family.fitting(read_questions(places.data, "pool"))
    validation = family.fitting(read_questions(places.data, "validation"))
    encoded = {"pool": family.encode(pool), "validation": family.encode(validation)}
    if shards is None:
        model = warmed_up(model_config, family, places, warmup)
        sources = {
            name: sample_gradients(model, family, name, rows, batch_size, config.gradients_of)
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
    else:
        origin = origin_of(warmup, trained, config.gradients_of)
        scored = gathered(shards, origin, encoded["pool"].ids, config.scoring, config.key.seed)
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
        **({"weights": scored.weights} if scored.weights else {}),
    }
    # Not in info.json, as it decides no result: it is how a workflow knows in how many shards a run was scored.
    write_text(out / "shards", f"{len(shards.scores) if shards else 1}\n")
    write_record(out / RECORD, fingerprint(config, places.device, **more))


def _corruption_found(columns: dict[str, Any], pool: tuple[Question, ...]) -> list[dict[str, Any]]:
    corrupted = np.array([bool(question.corruption) for question in pool])
    if not 0 < corrupted.sum() < len(corrupted):
        return []
    return [
        {"method": method_of(column), "metric": "roc_auc", "value": roc_auc(values, corrupted)}
        for column, values in columns.items()
    ]
