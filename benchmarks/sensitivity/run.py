"""How accuracy depends on the damping and on the GFIM's scale: by retraining, and by finding flipped labels.

    python benchmarks/sensitivity/run.py FOLDER                 # by protocol.yaml; goes on after a kill
    python benchmarks/sensitivity/run.py FOLDER --report        # the JSON, the figure and the table of the docs, with
                                                                # what confirm.py has found in FOLDER by then

One row of the result is a task, a seed, a method, a damping and a scale: its linear datamodeling score on each target
sample (``lds``) and on their mean (``lds_mean``), and the ROC-AUC of finding the flipped labels.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
RESULT = ROOT / "benchmarks" / "results" / "sensitivity.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", action="store_true", help="draw what was measured, and measure nothing")
    given = parser.parse_args()
    protocol = yaml.safe_load((HERE / "protocol.yaml").read_text(encoding="utf-8"))
    if given.report:
        from benchmarks.sensitivity.report import report

        report(rows_of(given.folder), confirmed_in(given.folder), protocol, RESULT)
        return
    for task, plan in protocol["tasks"].items():
        for seed in protocol["seeds"]:
            measure(given.folder / f"{task.replace(', ', '-').replace(' ', '_')}-{seed}", task, plan, seed, protocol)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of all tasks and seeds."""
    return [json.loads(line) for file in sorted(folder.glob("*/rows.jsonl")) for line in file.open(encoding="utf-8")]


def confirmed_in(folder: Path) -> list[dict[str, Any]]:
    """Read what ``confirm.py`` has written there."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.open(encoding="utf-8")]


def measure(folder: Path, task: str, plan: dict[str, Any], seed: int, protocol: dict[str, Any]) -> None:
    """Fine-tune, retrain on subsets, and score with every combination; what is there already is not done again."""
    from hyperinf.pipeline.finetune import finetune
    from hyperinf.pipeline.prepare import prepare
    from hyperinf.pipeline.prepare_model import prepare_model
    from hyperinf.pipeline.retrain import retrain
    from hyperinf.settings.stages import Finetune, Prepare, PrepareModel, Retrain

    data, tuned, bank = folder / "data", folder / "finetuned", folder / "retrained"
    options = dict(plan["finetune"])
    if not (data / "info.json").is_file():
        prepare(Prepare(seed=seed, out=str(data), **plan["prepare"]))
    if "layers" in plan:
        if not (folder / "model" / "config.json").is_file():
            prepare_model(PrepareModel(source=options["model"], layers=plan["layers"], out=str(folder / "model")))
        options["model"] = {"path": str(folder / "model")}
    if not (tuned / "info.json").is_file():
        finetune(Finetune(data=str(data), out=str(tuned), seed=seed, **options))
    if not (bank / "info.json").is_file():
        places: dict[str, Any] = {"data": str(data), "finetuned": str(tuned), "out": str(bank)}
        retrain(Retrain(seed=seed, **places, **plan["retrain"]))
    file = folder / "rows.jsonl"
    known = {key(row) for row in map(json.loads, file.open(encoding="utf-8"))} if file.is_file() else set()
    left = [each for each in combinations(protocol) if key(each) not in known]
    if left:
        with file.open("a", encoding="utf-8") as stream:
            for row in scored(data, tuned, bank, left):
                stream.write(json.dumps({"task": task, "seed": seed, **row}) + "\n")
                stream.flush()


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Name a combination."""
    return tuple(row[name] for name in ("method", "damping", "scale"))


def combinations(protocol: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """List the methods with every damping and scale that they depend on."""
    for method, scaled in protocol["methods"].items():
        for damping in protocol["dampings"]:
            for scale in protocol["scales"] if scaled else [None]:
                yield {"method": method, "damping": damping, "scale": scale}
    for method in protocol["without_damping"]:
        yield {"method": method, "damping": None, "scale": None}


def scored(data: Path, tuned: Path, bank: Path, wanted: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Score every training sample on each target sample, from gradients that are taken once."""
    import numpy as np

    from hyperinf.evaluation.datamodeling import mean_correlation, predicted, rank_correlations
    from hyperinf.evaluation.detection import roc_auc
    from hyperinf.pipeline.bank import Bank
    from hyperinf.pipeline.opened import Finetuned, ids_of
    from hyperinf.pipeline.query_scores import query_scores
    from hyperinf.pipeline.scoring import stored
    from hyperinf.settings.stages import Validate

    settings = Validate(data=str(data), finetuned=str(tuned), retrained=str(bank), out=str(bank), seed=0)
    opened = Finetuned.opened(tuned, data, settings, "cpu")
    read = Bank.read(bank, opened)
    model = opened.model(opened.checkpoints[-1])
    ids = {split: ids_of(opened.samples(split)) for split in ("train", "validation")}
    harmed = np.array([bool(sample.corruption) for sample in opened.samples("train")])
    live = {split: opened.gradients(model, split, 32, "trained") for split in ids}
    with (
        stored(live["train"], "disk", bank.parent / "gradients-train", "cpu") as train,
        stored(live["validation"], "disk", bank.parent / "gradients-validation", "cpu") as target,
    ):
        for each in wanted:
            found = query_scores(train, target, ids["train"], ids["validation"], settings_of(each), "cpu")
            values = found.influence[each["method"]]
            mean = values.mean(axis=1, keepdims=True)
            yield {
                **each,
                "lds": mean_correlation(rank_correlations(predicted(read.subsets, values), read.losses)),
                "lds_mean": mean_correlation(
                    rank_correlations(predicted(read.subsets, mean), read.losses.mean(axis=1, keepdims=True))
                ),
                "ceiling": mean_correlation(rank_correlations(read.again, read.losses[: len(read.again)])),
                "roc_auc": roc_auc(mean[:, 0], harmed),
            }


def settings_of(each: dict[str, Any], forms: bool = False) -> Any:
    """Make the settings of one combination, of the method and with ``forms`` of its cosine as well."""
    from hyperinf.settings.scoring import ScoringSettings

    method = each["method"]
    how: dict[str, Any] = {"methods": (method, f"{method}_unit") if forms else (method,), "baselines": ()}
    if each["damping"] is not None:
        how["damping"] = each["damping"]
    if each["scale"] is not None:
        how |= {"gfim_scale": each["scale"], "hyperinf": {"solver": "cholesky"}}
    if each.get("terms") is not None:
        how["lissa"] = {"iterations": each["terms"]}
    return ScoringSettings(**how)


if __name__ == "__main__":
    main()
