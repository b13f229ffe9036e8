"""Natural errors: texts that Django has not translated, which are English and yet bear the name of another language.

python benchmarks/mislabeled/untranslated.py FOLDER

after ``tables.py``: all of them, and 2,000 translated texts, without English among the languages.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from tables import translated

from hyperinf import find_mislabeled
from hyperinf.evaluation.detection import roc_auc

SIGNALS = ("combined", "loss", "agreement", "neighbours", "hyperinf")
ROWS = 2000


def main(folder: Path) -> None:
    """Print the measurement as JSON, and keep it, with the first rows to read."""
    rows = [(" ".join(text.split()), language, english) for text, language, english in translated(folder / "packages")]
    left, done = ([row for row in rows if row[2] is kind] for kind in (True, False))
    frame = pd.DataFrame(left + random.Random(7).sample(done, ROWS), columns=["text", "language", "english"])
    counts = frame["language"].map(frame["language"].value_counts())
    found = find_mislabeled(frame[counts >= 3], text="text", label="language", model=str(folder / "model"))
    english = found["english"].to_numpy()
    result: dict[str, Any] = {
        "rows": len(found),
        "english": int(english.sum()),
        "said": round(float(found["probability_wrong"].sum()), 1),
    }
    for signal in SIGNALS:
        scores = found[f"score_{signal}"].to_numpy()
        first = english[np.argsort(-scores, kind="stable")[:100]]
        result[signal] = {"roc_auc": round(roc_auc(scores, english), 3), "english of the first 100": int(first.sum())}
    (folder / "untranslated.json").write_text(json.dumps(result), encoding="utf-8")
    found.head(100).to_csv(folder / "untranslated.csv", index=False)
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
