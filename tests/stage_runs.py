"""Run stages in a few words: each takes the folders it reads and what is not the default, and gives its own folder."""

import filecmp
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.pipeline.detect import detect
from hyperinf.pipeline.finetune import finetune
from hyperinf.pipeline.prepare import prepare
from hyperinf.pipeline.retrain import retrain
from hyperinf.pipeline.score import score
from hyperinf.pipeline.select import select
from hyperinf.pipeline.sharding import stages as shard
from hyperinf.pipeline.validate import validate
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.settings.stages import (
    Detect,
    Finetune,
    OneShard,
    Prepare,
    Retrain,
    Score,
    Select,
    ShardAdd,
    ShardScores,
    ShardSolve,
    ShardStatistics,
    ShardSums,
    ShardTarget,
    Validate,
)

ON_CPU = {"device": "cpu", "threads": 1}
# Linear layers that get an adapter, by family.
TARGETS = {"classifier": ("query", "value"), "causal": ("q_proj", "v_proj"), "vision": ("q_proj", "v_proj")}


def prepared(out: Path, source: Path, **settings: Any) -> Path:
    prepare(Prepare(**{"seed": 1, **settings}, source=f"path:{source}", out=str(out)))
    return out


def questions(out: Path, rows: Sequence[dict[str, Any]], **settings: Any) -> Path:
    """Prepare questions of one's own, written beside ``out``."""
    source = out.with_name("questions.jsonl")
    source.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return prepared(out, source, **{"format": "record", "template": "question", **settings})


def finetuned(out: Path, data: Path, model: Path, family: str, save_seconds: float = 60.0, **settings: Any) -> Path:
    """Fine-tune with an adapter of rank 2; ``save_seconds`` of 0 saves the state after every step."""
    given = {"seed": 1, "rank": 2, "target_modules": TARGETS[family], **ON_CPU, **settings}
    finetune(Finetune(**given, data=str(data), model=f"path:{model}", family=family, out=str(out)), save_seconds)
    return out


def scored(out: Path, data: Path, run: Path, **settings: Any) -> Path:
    score(Score(**{"seed": 1, **ON_CPU, **settings}, data=str(data), finetuned=str(run), out=str(out)))
    return out


def detected(out: Path, run: Path, *scores: Path) -> Path:
    detect(Detect(finetuned=str(run), scores=tuple(map(str, scores)), out=str(out)))
    return out


def selected(
    out: Path, data: Path, run: Path, scores: Path | None, save_seconds: float = 60.0, **settings: Any
) -> Path:
    """Train on what is kept; ``scores`` is the folder of a scoring."""
    given = {"seed": 1, "scores": None if scores is None else str(scores / "scores.parquet"), **ON_CPU, **settings}
    select(Select(**given, data=str(data), finetuned=str(run), out=str(out)), save_seconds)
    return out


def retrained(out: Path, data: Path, run: Path, **settings: Any) -> Path:
    """Train again on a few subsets."""
    given = {"seed": 1, "subsets": 6, "again": 3, "at_once": 2, **ON_CPU, **settings}
    retrain(Retrain(**given, data=str(data), finetuned=str(run), out=str(out)))
    return out


def validated(out: Path, data: Path, run: Path, bank: Path, **settings: Any) -> Path:
    """Judge scores by what retraining came to."""
    given = {"seed": 1, "resamples": 20, "top_k": 3, **ON_CPU, **settings}
    validate(Validate(**given, data=str(data), finetuned=str(run), retrained=str(bank), out=str(out)))
    return out


def in_shards(folder: Path, data: Path, run: Path, count: int, **settings: Any) -> dict[str, Any]:
    """Take every step of a sharded scoring; gives the settings that gather it."""
    folder.mkdir(parents=True, exist_ok=True)
    where = {**ON_CPU, "data": str(data), "finetuned": str(run)}
    named = {name: settings[name] for name in settings if name in ShardTarget.model_fields}
    own = {**{name: settings[name] for name in settings if name in OneShard.model_fields}, **where}

    def file(name: str) -> str:
        return str(folder / name)

    def each(name: str, step: Any, kind: Any, **more: Any) -> list[str]:
        parts = [file(f"{name}-{index}") for index in range(1, count + 1)]
        for index, part in enumerate(parts, start=1):
            step(kind(**own, **more, shard=index, shards=count, out=part))
        return parts

    shard.shard_target(ShardTarget(**named, **where, out=file("target")))
    parts = each("statistics", shard.shard_statistics, ShardStatistics)
    shard.shard_add(ShardAdd(what="statistics", parts=parts, out=file("statistics")))
    scoring = {name: own[name] for name in own if name in ScoringSettings.model_fields}
    progress: dict[str, Any] = {"target": file("target"), "statistics": file("statistics"), "sums": ()}
    for number in range(1, ScoringSettings(**scoring).rounds() + 1):
        parts = each(f"sums-{number}", shard.shard_sums, ShardSums, **progress)
        shard.shard_add(ShardAdd(what="sums", parts=parts, out=file(f"sums-{number}")))
        progress["sums"] = (*progress["sums"], file(f"sums-{number}"))
    shard.shard_solve(ShardSolve(**scoring, **progress, **ON_CPU, out=file("products")))
    parts = each("scores", shard.shard_scores, ShardScores, products=file("products"))
    return {"products": file("products"), "parts": tuple(reversed(parts))}


def table(folder: Path, name: str = "metrics.csv") -> pd.DataFrame:
    return pd.read_csv(folder / name)


def influence(scores: Path, method: str = "hyperinf") -> Any:
    """Scores of a method, ``[n]``."""
    return pd.read_parquet(scores / "scores.parquet")[f"influence_{method}"].to_numpy()


def same_files(one: Path, other: Path, but: Sequence[str] = ("settings.yaml",)) -> None:
    """Assert that two folders hold the same bytes; settings name the folders that they are of."""
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name not in but)
        for folder in (one, other)
    ]
    assert names[0] == names[1]
    assert names[0]
    assert filecmp.cmpfiles(one, other, names[0], shallow=False)[1:] == ([], [])
