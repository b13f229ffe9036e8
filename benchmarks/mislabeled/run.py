"""Measure how well each signal, and each combination, finds labels that were flipped; see ``protocol.yaml``.

    python benchmarks/mislabeled/tables.py FOLDER
    python benchmarks/mislabeled/run.py FOLDER
    PEERS/bin/python benchmarks/mislabeled/peers.py FOLDER     # an environment of peers.lock
    python benchmarks/mislabeled/calibration.py FOLDER
    python benchmarks/mislabeled/report.py FOLDER

Goes on after a kill: ``FOLDER/cells.jsonl`` has a line for each table, kind of flips, rate and seed.
"""

import json
import resource
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import rankdata

sys.path.insert(0, str(Path(__file__).parent))
from flips import flipped

from hyperinf.artifacts.parts import State
from hyperinf.evaluation.detection import roc_auc
from hyperinf.mislabeled.adapter import trained_head
from hyperinf.mislabeled.combination import likely_labels, log_margin, loss, margin, signals
from hyperinf.mislabeled.detection import Evidence, Rows, judge
from hyperinf.mislabeled.encoding import encode_texts
from hyperinf.mislabeled.folds import assign_folds
from hyperinf.mislabeled.linear import product_of
from hyperinf.mislabeled.words import word_views
from hyperinf.settings.mislabeled import JudgeSettings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
SETTINGS = JudgeSettings()
AT = (10, 20, 50, 100)
FORMS = {"margin": margin, "loss": loss, "log margin": log_margin}


def measured(scores: Floats, wrong: NDArray[np.bool_], seed: int) -> dict[str, float]:
    """Measure a ranking; ties are in random order."""
    order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))
    found = {f"precision_{k}": round(float(wrong[order[:k]].mean()), 4) for k in AT}
    return {"roc_auc": round(roc_auc(scores.astype(np.float64), wrong), 5), **found}


def ranked(evidence: Evidence, labels: Ints, candidates: dict[str, list[str]]) -> dict[str, Floats]:
    """Give the scores of all signals and candidates."""
    adapters = evidence.adapters
    assert adapters is not None
    parts = {
        "first": list(evidence.first.values()),
        "second": list(evidence.second.values()),
        "adapter": [adapters.probabilities],
        "neighbours": [adapters.neighbours],
    }
    found = {f"signal {name}": values for name, values in signals(evidence, labels).items() if name != "combined"}
    for name, experts in candidates.items():
        likely = product_of(each for part in experts for each in parts[part])
        for form, scored in FORMS.items():
            scores = scored(likely, labels)
            if name.endswith("hyperinf"):
                scores = 0.8 * rankdata(scores) + 0.2 * rankdata(adapters.influence)
            found[f"{name}, {form}"] = scores
    for view in evidence.first:
        found[f"view {view}"] = margin(evidence.first[view], labels)
    return found


def own_loss(features: Floats, labels: Ints, classes: int) -> Floats:
    """Give each row's loss under an adapter that was trained on all rows."""
    import torch

    with TemporaryDirectory() as folder:
        rows = np.arange(len(labels))
        state = Path(folder) / "state"
        model = trained_head(features, labels, classes, rows, SETTINGS.rank, SETTINGS.epochs, 0, state, lambda _: None)
    with torch.no_grad():
        return loss(model(torch.from_numpy(features)).softmax(dim=1).numpy(), labels)


def measure_cell(views: dict[str, Floats], keys: tuple[str, ...], true: Ints, given: Ints, seed: int, plan: Any) -> Any:
    """Measure all rankings of one table with one set of flips."""
    classes = int(true.max()) + 1
    wrong = given != true
    rows = Rows(
        views, classes, assign_folds(given, keys, SETTINGS.folds, SETTINGS.seed), np.zeros(len(true), bool), keys
    )
    began = time.process_time()
    evidence = judge(rows, given, SETTINGS, State(None, ""))
    seconds = time.process_time() - began
    scores = ranked(evidence, given, plan["candidates"])
    scores["own loss"] = own_loss(rows.features[np.arange(len(true))], given, classes)
    scores["random"] = np.random.default_rng(seed).random(len(true)).astype(np.float32)
    return {
        "rankings": {name: measured(np.asarray(each), wrong, seed) for name, each in scores.items()},
        "suggested_right": round(float((likely_labels(evidence, given).argmax(axis=1) == true)[wrong].mean()), 4),
        "cpu_seconds": round(seconds, 2),
    }


def seen(folder: Path, name: str) -> tuple[dict[str, Floats], dict[str, float]]:
    """Read or make the views of a table, and say what CPU seconds that took."""
    texts = list(pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)["text"])
    state = State(folder / "encodings" / name, name)
    began = time.process_time()
    encoded = encode_texts(str(folder / "model"), texts, None, None, "cpu", state)
    middle = time.process_time()
    views = {"encoding": encoded, **word_views(texts, SETTINGS.seed, state)}
    costs = {"encoding": round(middle - began, 1), "words": round(time.process_time() - middle, 1)}
    return {each: view[np.arange(len(texts))] for each, view in views.items()}, costs


def main(folder: Path) -> None:
    """Measure every cell that is not there yet."""
    plan = yaml.safe_load((Path(__file__).parent / "protocol.yaml").read_text(encoding="utf-8"))
    names = [*plan["decide"], *plan["report"]]
    cells = [*product(plan["seeds"], (0.1, 0.05, 0.2), plan["flips"], names)]
    wide = plan["wide_cells"]
    cells += [
        (seed, *rest, name)
        for name in plan["wide"]
        for seed, *rest in product(plan["seeds"][:1], wide["rates"], wide["flips"])
    ]
    tables: dict[str, tuple[dict[str, Floats], dict[str, float]]] = {}
    done_file = folder / "cells.jsonl"
    lines = done_file.read_text(encoding="utf-8").splitlines() if done_file.is_file() else []
    done = {tuple(json.loads(line)["cell"]) for line in lines}
    for seed, rate, kind, name in cells:
        if (name, kind, rate, seed) in done:
            continue
        if name not in tables:
            tables[name] = seen(folder, name)
        views, costs = tables[name]
        table = pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)
        classes = sorted(set(table["label"]))
        true = np.array([classes.index(each) for each in table["label"]], dtype=np.int64)
        keys = tuple(table["text"])
        given = flipped(true, views["encoding"], kind, rate, seed)
        np.savez(folder / "encodings" / f"{name}-{kind}-{rate}-{seed}.npz", given=given, true=true)
        found = measure_cell(views, keys, true, given, seed, plan)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line = {"cell": [name, kind, rate, seed], **found, "shared_cpu_seconds": costs, "peak_mib": memory}
        with done_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
