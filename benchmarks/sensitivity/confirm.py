"""Try what was chosen on seeds 0 and 1 on the seeds that are reported: every method as published, and at its best.

    python benchmarks/sensitivity/confirm.py results FOLDER    # of a run that is finished; goes on after a kill

By the rule in ``protocol.yaml`` each method has a damping and a scale of the GFIM. Here the published pair and that
one are held against each other on models that the run has fine-tuned: by the linear datamodeling score on the seeds of
its study ``validation``, and by the ROC-AUC of finding flipped labels on those of ``mislabel``. LiSSA is taken with the
published 10 terms and with 200; all as they are and divided by the gradient's norm (``unit``).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.sensitivity.run import RESULT, scored, settings_of  # noqa: E402

EPOCH = "epoch-3"
TERMS = (10, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    chosen = json.loads(RESULT.read_text(encoding="utf-8"))["chosen"]
    given.folder.mkdir(parents=True, exist_ok=True)
    for study, take in (("validation", _validated), ("mislabel", _detected)):
        file = given.folder / f"{study}.jsonl"
        known = [json.loads(line) for line in file.open(encoding="utf-8")] if file.is_file() else []
        done = {(row["setting"], row["seed"]) for row in known}
        for run in sorted((given.results / study).glob("*/*/*/seed-*")):
            place = {"study": study, "setting": run.parent.name, "seed": int(run.name.removeprefix("seed-"))}
            if (place["setting"], place["seed"]) in done:
                continue
            rows = [{**place, **row} for row in take(run, forms(chosen))]
            with file.open("a", encoding="utf-8") as stream:
                stream.write("".join(json.dumps(row) + "\n" for row in rows))
            print(f"{study}, {place['setting']}, seed {place['seed']}: {len(rows)} rows", flush=True)


def forms(chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """List every method as published and at its best, which may be the same."""
    found = []
    for method, own in chosen.items():
        published = "sum" if own["scale"] else ""
        for name, damping, scale in (("published", 0.1, published), ("chosen", own["damping"], own["scale"])):
            for terms in TERMS if method == "lissa" else (None,):
                found.append(
                    {"form": name, "method": method, "damping": damping, "scale": scale or None, "terms": terms}
                )
    return [*found, {"form": "published", "method": "tracin", "damping": None, "scale": None, "terms": None}]


def _validated(run: Path, wanted: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from scored(run.parents[2] / "data" / run.name, run / "finetuned", run / "retrained", wanted)


def _detected(run: Path, wanted: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Score on the mean of the target samples, from gradients that are taken once."""
    from hyperinf.evaluation.detection import roc_auc, roc_auc_within
    from hyperinf.pipeline.opened import Finetuned, ids_of
    from hyperinf.pipeline.scoring import score_table, stored
    from hyperinf.settings.stages import Score

    places: dict[str, Any] = {"data": str(run.parents[2] / "data" / run.name), "finetuned": str(run / "finetuned")}
    settings = Score(seed=0, out=str(run / "unused"), **places)
    opened = Finetuned.opened(Path(places["finetuned"]), Path(places["data"]), settings, "cpu")
    model = opened.model(EPOCH)
    samples = opened.samples("train")
    harmed = np.array([bool(sample.corruption) for sample in samples])
    answers = [sample.answer for sample in samples]
    live = {split: opened.gradients(model, split, 32, "trained") for split in ("train", "validation")}
    with (
        tempfile.TemporaryDirectory() as scratch,
        stored(live["train"], "disk", Path(scratch), "cpu") as train,
        stored(live["validation"], "memory", Path(scratch), "cpu") as on,
    ):
        for each in wanted:
            table = score_table(train, on, settings_of(each, forms=True))
            place = {name: index for index, name in enumerate(table.sample_ids)}
            order = [place[name] for name in ids_of(samples)]
            for name in (each["method"], f"{each['method']}_unit"):
                values = table.influence[name].cpu().numpy()[order]
                yield {
                    **each,
                    "unit": name != each["method"],
                    "roc_auc": roc_auc(values, harmed),
                    "roc_auc_within": roc_auc_within(values, harmed, answers),
                }


if __name__ == "__main__":
    main()
