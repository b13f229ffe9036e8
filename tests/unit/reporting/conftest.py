"""Small result files in the forms that the stages write, with numbers chosen by hand."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hyperinf.reporting import StudyShape
from hyperinf.reporting.study_inputs import StudyResults, read_study

CONVERGENCE_COLUMNS = [
    "method",
    "dim",
    "samples",
    "damping",
    "seed",
    "iteration",
    "error_l2",
    "error_relative",
    "status",
]


def convergence_builder(root: Path) -> Callable[..., list[Path]]:
    """Schulz falls tenfold a step from 20 on, LiSSA loses 1 % a step, SOR diverges, DataInf is off by d / 1000."""

    def make(dims=(512, 1024), samples=(200, 6400), seeds=(11, 12, 13), methods=None, iterations=30) -> list[Path]:
        files = []
        for dim in dims:
            for seed in seeds:
                rows = []
                for n in samples:
                    norm = 100.0 + seed
                    curves = {
                        "schulz_paper": [1.0 if t < 20 else 10.0 ** -(t - 19) for t in range(1, iterations + 1)],
                        "chebyshev": [10.0**-t if t < 6 else 1e-6 for t in range(1, iterations + 1)],
                        "lissa": [0.99**t for t in range(1, iterations + 1)],
                        "sor": [2.0**t if t < 10 else np.nan for t in range(1, iterations + 1)],
                    }
                    for method, errors in curves.items():
                        for t, error in enumerate(errors, start=1):
                            status = "diverged" if np.isnan(error) else "ok"
                            rows.append((method, dim, n, 0.01, seed, t, error * norm, error, status))
                    off = dim / 1000 + seed / 1e5
                    rows.append(("datainf", dim, n, 0.01, seed, "", off * norm, off, "ok"))
                frame = pd.DataFrame(rows, columns=CONVERGENCE_COLUMNS)
                if methods is not None:
                    frame = frame[frame["method"].isin(methods)]
                path = root / f"simulation/convergence/dim-{dim}_seed-{seed}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                frame.to_csv(path, index=False)
                files.append(path)
        return files

    return make


def write_fisher(root: Path) -> Path:
    """A 12 x 12 pair that agrees on the diagonal, and a summary whose second case is far off."""
    folder = root / "simulation/fisher"
    folder.mkdir(parents=True)
    gfim = np.eye(12, dtype=np.float32)
    np.save(folder / "gfim.npy", gfim)
    np.save(folder / "fim.npy", gfim + 0.01)
    rows = [("independent", 0.01, 0.0), ("correlated_rows", 0.6, 0.0)]
    table = [
        (case, 3, 4, 50, 11, metric, value)
        for case, distance, sampling in rows
        for metric, value in (("relative_frobenius", distance), ("sampling_error_fim", sampling))
    ]
    columns = ["case", "rows", "columns", "samples", "seed", "metric", "value"]
    pd.DataFrame(table, columns=columns).to_csv(folder / "summary.csv", index=False)
    return folder


def write_timing(root: Path) -> Path:
    """Schulz ten times slower than the library at every d, three repeats."""
    rows = [
        (method, dim, "cpu", "float32", 1, repeat, factor * dim**3 * 1e-10 * (1 + 0.1 * repeat), 1e-6, 2)
        for method, factor in (("schulz_paper", 10.0), ("inv", 1.0))
        for dim in (64, 256, 1024)
        for repeat in range(3)
    ]
    columns = ["method", "dim", "device", "dtype", "threads", "repeat", "seconds", "error_relative", "matmuls"]
    path = root / "simulation/timing.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


RUN_COLUMNS = ["study", "task", "model", "family", "setting"]
METRIC_COLUMNS = [*RUN_COLUMNS, "method", "strategy", "fraction", "checkpoint", "seed", "metric", "value"]
KEYS = ("study", "task", "model", "family", "setting", "seed")
NAMES = {"study": "words", "task": "headlines", "model": "smol", "family": "causal", "setting": "lora-8"}


def shape_of(**changes) -> StudyShape:
    """A study of one task, model and setting that finds and selects."""
    known = {
        "name": "words",
        "title": "Words",
        "family": "causal",
        "tasks": ["headlines"],
        "models": ["smol"],
        "settings": ["lora-8"],
        "methods": ["hyperinf", "datainf"],
        "fractions": [0.2, 0.4],
    }
    return StudyShape(**{**known, **changes})


def found_rows(values, checkpoints=("last",)):
    """Rows of detection: ``values`` maps a method to its ROC-AUC, which stands for its other metrics as well."""
    for checkpoint in checkpoints:
        yield {"method": "model", "checkpoint": checkpoint, "metric": "accuracy", "value": 0.75}
        for method, value in values.items():
            for metric, fraction in (("roc_auc", None), ("curve_auc", None), ("detected", 0.2), ("detected", 0.4)):
                yield {
                    "method": method,
                    "checkpoint": checkpoint,
                    "metric": metric,
                    "fraction": fraction,
                    "value": value,
                }


def kept_rows(accuracy, fraction, strategies=("plain", "stratified"), clean=True, kinds=None):
    """Rows of a selection: ``accuracy`` maps a method to its accuracy; its clean fraction is that plus 0.2.

    Plain selection keeps one answer only, stratified selection the training set's 60 %, whose accuracy is that of the
    method minus 0.1 when plain. ``kinds`` maps a kind of question to how much higher its accuracy is.
    """
    if fraction == 1:
        for method, value in (("base", 0.5), ("finetuned", 0.52), ("majority", 0.51)):
            yield {"method": method, "strategy": "", "fraction": 0.0, "metric": "accuracy", "value": value}
        accuracy, strategies = {"full": 0.55}, ("plain",)
    for method, strategy in itertools.product(accuracy, strategies):
        value = accuracy[method] - (0.1 if strategy == "plain" and fraction < 1 else 0.0)
        one = strategy == "plain" and method not in ("random", "full")
        kept = {"accuracy": value, "accuracy_norm": value, "largest_answer_fraction": 1.0 if one else 0.6}
        kept |= {"kept": 1500 * fraction, "steps": 80.0}
        kept |= {"clean_fraction": 0.6 if fraction == 1 else min(1.0, value + 0.2)} if clean else {}
        kept |= {f"accuracy_{kind}": value + more for kind, more in (kinds or {}).items()}
        for metric, share in kept.items():
            yield {"method": method, "strategy": strategy, "fraction": fraction, "metric": metric, "value": share}


def write_pictures(run: Path, data: Path, content: str, methods: list[str]) -> None:
    """Scores of twelve questions about images, whose data is ``content``, and the images as a checkerboard each.

    The influence of sample i by the k-th method is i - 6 + k; every third answer was changed.
    """
    (data / "images").mkdir(parents=True, exist_ok=True)
    (data / "info.json").write_text(json.dumps({"content_sha256": content}))
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for k in range(12):
        Image.fromarray(np.stack([board, board, np.full_like(board, 20 * k)], axis=-1)).save(data / f"images/{k}.png")
    changed = [k % 3 == 0 for k in range(12)]
    columns = {
        "sample_id": [f"row-{k}" for k in range(12)],
        "answer": ["red" if wrong else "blue" for wrong in changed],
        "true_answer": ["blue"] * 12,
        "corruption": ["wrong_answer" if wrong else "" for wrong in changed],
        "question": [f"what colour is shape number {k}?" for k in range(12)],
        "image": [f"images/{k}.png" for k in range(12)],
    }
    scores = {f"influence_{name}": np.arange(12) - 6.0 + k for k, name in enumerate(methods) if name != "random"}
    pd.DataFrame(columns | scores | {"baseline_random": np.zeros(12)}).to_parquet(run / "scores/last/scores.parquet")


def run_builder(root: Path) -> Callable[..., Path]:
    """The folder of one run, with whatever is given to it."""

    def make(
        seed=11,
        accuracy=None,
        found=None,
        fractions=(0.2, 0.4, 1.0),
        checkpoints=("last",),
        note="Smol cut to 4 layers",
        pictures=(),
        truncated=(0, 0, 0),
        names=None,
        **options,
    ) -> Path:
        key = {**NAMES, **(names or {}), "seed": seed}
        run = root / f"{key['study']}/{key['task']}/{key['model']}/{key['setting']}/seed-{seed}"

        def write(rows, file, columns=METRIC_COLUMNS):
            (run / file).parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame([{**key, **row} for row in rows], columns=columns).to_csv(run / file, index=False)

        content = f"{key['task']}-{seed}"
        for checkpoint in checkpoints:
            cost = [("shared", "gradients", 40.0 + seed, 400.0), ("shared", "of which GFIM", 1.0, None)]
            cost += [
                (name, "precondition", k + 1 + seed / 100, 100.0) for k, name in enumerate(("hyperinf", "datainf"))
            ]
            head = ["method", "stage", "seconds", "peak_memory_mib"]
            rows = [{**dict(zip(head, row, strict=True)), "checkpoint": checkpoint} for row in cost]
            write(rows, f"scores/{checkpoint}/cost.csv", [*KEYS, "checkpoint", *head])
            cut = {"train": truncated[0], "validation": truncated[1]}
            info = {"device": "cpu", "data_sha256": content, "truncated": cut, "model_note": note}
            (run / f"scores/{checkpoint}/info.json").write_text(json.dumps(info))
            if found is not None:
                harmed = ["wrong_answer" if k < 10 else "" for k in range(50)]
                pd.DataFrame({"corruption": harmed}).to_parquet(run / f"scores/{checkpoint}/scores.parquet")
        if found is not None:
            write(found_rows(found, checkpoints), "detection/metrics.csv")
            curves = [
                {"method": name, "checkpoint": each, "inspected": x / 10, "detected": min(1.0, x / 10 * (0.5 + value))}
                for each in checkpoints
                for name, value in found.items()
                for x in range(11)
            ]
            write(curves, "detection/curves.csv", [*KEYS, "method", "checkpoint", "inspected", "detected"])
        for fraction in fractions if accuracy is not None else ():
            write(kept_rows(accuracy, fraction, **options), f"fraction-{fraction}/metrics.csv")
            info = {"device": "cpu", "truncated": {"train": truncated[0], "test": truncated[2]}}
            (run / f"fraction-{fraction}/info.json").write_text(json.dumps(info))
        if pictures:
            write_pictures(run, root / f"{key['study']}/{key['task']}/data/seed-{seed}", content, list(pictures))
        return run

    return make


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """What writes files, for fixtures that outlive a test."""
    writers = {"convergence": convergence_builder, "fisher": write_fisher, "timing": write_timing, "run": run_builder}
    return SimpleNamespace(**writers, shape=shape_of)


@pytest.fixture
def convergence_files(tmp_path: Path) -> Callable[..., list[Path]]:
    return convergence_builder(tmp_path)


@pytest.fixture
def fisher_folder(tmp_path: Path) -> Path:
    return write_fisher(tmp_path)


@pytest.fixture
def timing_file(tmp_path: Path) -> Path:
    return write_timing(tmp_path)


@pytest.fixture
def shape() -> Callable[..., StudyShape]:
    return shape_of


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    return run_builder(tmp_path)


@pytest.fixture
def study(run_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., StudyResults]:
    """A study as it is read: ``accuracy`` and ``found`` map a method to its value in each seed."""

    def make(accuracy=None, found=None, shape=None, names=(None,), **options) -> StudyResults:
        seeds = len(next(iter((accuracy or found).values())))

        def at(values, k):
            return None if values is None else {name: known[k] for name, known in values.items()}

        runs = [
            run_folder(11 + k, at(accuracy, k), at(found, k), names=name, **options)
            for name in names
            for k in range(seeds)
        ]
        fractions = [at for at in options.get("fractions", (0.2, 0.4)) if at < 1] if accuracy else []
        known = {"detection": found is not None, "fractions": fractions, **(shape or {})}
        known.setdefault("checkpoints", options.get("checkpoints", ("last",)))
        return read_study(shape_of(**known), runs, tmp_path)

    return make
