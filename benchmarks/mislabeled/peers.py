"""cleanlab on the same tables, flips and encodings; runs in an environment of ``peers.lock``."""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.rank import get_label_quality_scores
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

warnings.filterwarnings("ignore")
AT = (10, 20, 50, 100)


def measured(quality, wrong, seed):
    order = np.lexsort((np.random.default_rng(seed).random(len(quality)), quality))
    found = {f"precision_{k}": round(float(wrong[order[:k]].mean()), 4) for k in AT}
    return {"roc_auc": round(float(roc_auc_score(wrong, -quality)), 5), **found}


def mean_states(folder):
    """Read the encodings as the model gives them, before they are standardised."""
    chunks = sorted(folder.glob("encoding-*.npz"), key=lambda each: int(each.stem.partition("-")[2]))
    return np.concatenate([np.load(each)["encoding"] for each in chunks])


def main(folder: Path) -> None:
    out = folder / "peers.jsonl"
    done = {tuple(json.loads(line)["cell"]) for line in out.read_text().splitlines()} if out.is_file() else set()
    cells = [json.loads(line)["cell"] for line in (folder / "cells.jsonl").read_text().splitlines()]
    for name, kind, rate, seed in cells:
        if (name, kind, rate, seed) in done:
            continue
        cell = np.load(folder / "encodings" / f"{name}-{kind}-{rate}-{seed}.npz")
        wrong, given = cell["given"] != cell["true"], np.unique(cell["given"], return_inverse=True)[1]
        texts = pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)["text"]
        raw = mean_states(folder / "encodings" / name)
        features = {
            "cleanlab, TF-IDF": TfidfVectorizer().fit_transform(texts),
            "cleanlab, MiniLM": raw,
            "cleanlab, MiniLM of unit length": raw / np.linalg.norm(raw, axis=1, keepdims=True),
        }
        rankings, seconds = {}, {}
        for peer, rows in features.items():
            began = time.process_time()
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            model = LogisticRegression(max_iter=1000)
            probabilities = cross_val_predict(model, rows, given, cv=folds, method="predict_proba")
            quality = get_label_quality_scores(given, probabilities, method="normalized_margin")
            seconds[peer] = round(time.process_time() - began, 2)
            rankings[peer] = measured(quality, wrong, seed)
        with out.open("a") as stream:
            stream.write(
                json.dumps({"cell": [name, kind, rate, seed], "rankings": rankings, "cpu_seconds": seconds}) + "\n"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
