"""Compare how many labels are said to be wrong with how many are.

    python benchmarks/mislabeled/calibration.py FOLDER

after ``run.py``; writes ``FOLDER/calibration.jsonl``, and goes on after a kill.
"""

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from hyperinf.artifacts.parts import State
from hyperinf.mislabeled.calibration import probabilities_wrong
from hyperinf.mislabeled.combination import likely_labels
from hyperinf.mislabeled.detection import Rows, judge
from hyperinf.mislabeled.encoding import encode_texts
from hyperinf.mislabeled.folds import assign_folds
from hyperinf.mislabeled.words import word_views
from hyperinf.settings.mislabeled import JudgeSettings

SETTINGS = JudgeSettings()


def main(folder: Path) -> None:
    """Judge each table with some of its labels flipped, as the command does."""
    plan = yaml.safe_load((Path(__file__).parent / "protocol.yaml").read_text(encoding="utf-8"))
    out = folder / "calibration.jsonl"
    done = [json.loads(line)["cell"] for line in out.read_text().splitlines()] if out.is_file() else []
    seed = plan["seeds"][0]
    for rate, kind, name in product((0.1, 0.05, 0.2), plan["flips"], [*plan["decide"], *plan["report"]]):
        if [name, kind, rate, seed] in done:
            continue
        texts = list(pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str, keep_default_na=False)["text"])
        state = State(folder / "encodings" / name, name)
        encoded = encode_texts(str(folder / "model"), texts, None, None, "cpu", state)
        views = {"encoding": encoded, **word_views(texts, SETTINGS.seed, state)}
        cell = np.load(folder / "encodings" / f"{name}-{kind}-{rate}-{seed}.npz")
        given, wrong = cell["given"], cell["given"] != cell["true"]
        folds, nobody = assign_folds(given, texts, SETTINGS.folds, SETTINGS.seed), np.zeros(len(texts), bool)
        rows = Rows(views, int(cell["true"].max()) + 1, folds, nobody, tuple(texts))
        evidence = judge(rows, given, SETTINGS, State(None, ""), adapters=False)
        found, _ = probabilities_wrong(likely_labels(evidence, given), given, ~nobody)
        likely = found >= 0.5
        line = {
            "cell": [name, kind, rate, seed],
            "wrong": int(wrong.sum()),
            "estimated": round(float(found.sum()), 1),
            "brier": round(float(np.mean((found - wrong) ** 2)), 4),
            "brier_of_the_share": round(float(wrong.mean() * (1 - wrong.mean())), 4),
            "likely_wrong": int(likely.sum()),
            "of_these_wrong": int((likely & wrong).sum()),
        }
        with out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
