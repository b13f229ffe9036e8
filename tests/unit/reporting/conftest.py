"""Small result files in the forms that the stages write, with numbers chosen by hand."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hyperinf.reporting import report_mislabel, report_selection, report_simulation

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


def scores_builder(root: Path) -> Callable[..., Path]:
    """One scored run; ``values`` maps a method to its ROC-AUC, which stands for its other metrics as well."""

    def make(seed=11, rank=16, values=None, epochs=(1, 3), task="sarcasm", model="minilm") -> Path:
        values = values or {"hyperinf": 0.8, "datainf": 0.7, "loss": 0.75}
        folder = root / f"mislabel/{task}/{model}/rank-{rank}/seed-{seed}/scores"
        folder.mkdir(parents=True, exist_ok=True)
        metrics, curves, cost = [], [], []
        for epoch in epochs:
            metrics.append((task, model, "model", rank, epoch, "", seed, "accuracy", 0.75))
            cost.append((task, model, "shared", rank, epoch, seed, "gradients", 8.0 + seed / 100, 900.0))
            cost.append((task, model, "shared", rank, epoch, seed, "of which GFIM", 1.0, ""))
            for place, (method, value) in enumerate(values.items()):
                for metric, fraction in (("roc_auc", ""), ("curve_auc", ""), ("detected", 0.2), ("detected", 0.4)):
                    metrics.append((task, model, method, rank, epoch, fraction, seed, metric, value))
                for x in range(0, 101, 10):
                    curves.append((task, model, method, rank, epoch, seed, x, min(100.0, x * (0.5 + value))))
                if method != "loss":
                    cost.append(
                        (task, model, method, rank, epoch, seed, "precondition", place + 1 + seed / 100, 1000.0)
                    )
            flipped = np.arange(50) < 10
            pd.DataFrame({"sample_id": range(50), "flipped": flipped}).to_parquet(folder / f"epoch-{epoch}.parquet")
        head = ["task", "model", "method", "rank", "epoch"]
        pd.DataFrame(metrics, columns=[*head, "fraction", "seed", "metric", "value"]).to_csv(
            folder / "metrics.csv", index=False
        )
        pd.DataFrame(curves, columns=[*head, "seed", "inspected_percent", "detected_percent"]).to_csv(
            folder / "curves.csv", index=False
        )
        pd.DataFrame(cost, columns=[*head, "seed", "stage", "seconds", "peak_memory_mib"]).to_csv(
            folder / "cost.csv", index=False
        )
        return folder

    return make


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
def scores_folder(tmp_path: Path) -> Callable[..., Path]:
    return scores_builder(tmp_path)


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A results folder with both reports in it, made once: drawing is what takes the time."""
    root = tmp_path_factory.mktemp("results")
    files = convergence_builder(root)(samples=(200,))
    simulation = report_simulation(files, write_fisher(root), write_timing(root), root)
    runs = [scores_builder(root)(seed=seed) for seed in (11, 12)]
    (runs[0] / "info.json").write_text('{"device": "cpu", "settings": {"note": "<script>alert(1)</script>"}}')
    mislabel = report_mislabel(runs, 3, root)
    return {"root": root, "runs": runs, "simulation": simulation, "mislabel": mislabel}


SELECTION_COLUMNS = ["task", "model", "setting", "method", "strategy", "fraction", "seed", "metric", "value"]


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
        "kind": ["colour"] * 12,
    }
    scores = {f"influence_{name}": np.arange(12) - 6.0 + k for k, name in enumerate(methods) if name != "random"}
    pd.DataFrame(columns | scores | {"baseline_random": np.zeros(12)}).to_parquet(run / "scores/scores.parquet")


def selection_builder(root: Path) -> Callable[..., Path]:
    """One seed folder; ``accuracy`` maps a method to its accuracy, and its clean share is that plus 0.2.

    ``kinds`` maps a kind of question to how much higher its accuracy is than that of all questions.

    Plain selection keeps one answer only, stratified selection the pool's 60 %, whose accuracy is that of the method
    minus 0.1 when plain.
    """

    def make(
        seed=11,
        accuracy=None,
        percents=(20, 40, 100),
        strategies=("plain", "stratified"),
        clean=True,
        study="llm",
        task="headlines",
        model="smol",
        setting="lora-8",
        note="Smol cut to 4 layers",
        kinds=None,
        pictures=False,
        truncated=(0, 0, 0),
    ) -> Path:
        accuracy = accuracy or {"hyperinf": 0.63, "datainf": 0.6, "random": 0.5}
        run = root / f"{study}/{task}/{model}/{setting}/seed-{seed}"
        (run / "scores").mkdir(parents=True, exist_ok=True)

        def row(method, strategy, fraction, metric, value):
            return (task, model, setting, method, strategy, fraction, seed, metric, value)

        def write(rows, path):
            path.parent.mkdir(exist_ok=True)
            pd.DataFrame(rows, columns=SELECTION_COLUMNS).to_csv(path, index=False)

        found = {"hyperinf": 0.8, "datainf": 0.7, "loss": 0.75} if clean else {}
        write([row(method, "", "", "roc_auc", value) for method, value in found.items()], run / "scores/metrics.csv")
        cost = [(task, model, setting, seed, "shared", "gradients", 40.0 + seed, 400.0)]
        cost += [(task, model, setting, seed, name, "precondition", 1.0 + seed / 100, "") for name in accuracy]
        head = ["task", "model", "setting", "seed", "method", "stage", "seconds", "peak_memory_mib"]
        pd.DataFrame(cost, columns=head).to_csv(run / "scores/cost.csv", index=False)
        pool, validation, test = truncated
        cut = {"pool": pool, "validation": validation}
        info = {"device": "cpu", "data_sha256": f"{task}-{seed}", "truncated": cut} | (
            {"model_note": note} if note else {}
        )
        (run / "scores/info.json").write_text(json.dumps(info))
        if pictures:
            write_pictures(run, root / f"{study}/{task}/data/seed-{seed}", f"{task}-{seed}", list(accuracy))
        for percent in percents:
            rows = []
            if percent == 100:
                for method, value in (("base", 0.5), ("warmup", 0.52), ("majority", 0.51)):
                    rows.append(row(method, "", 0.0, "accuracy", value))
                kept = {"accuracy": 0.55, "accuracy_norm": 0.56, "largest_answer_share": 0.6, "kept": 1500, "steps": 80}
                kept |= {"clean_share": 0.6} if clean else {}
                kept |= {f"accuracy_{kind}": 0.55 + more for kind, more in (kinds or {}).items()}
                rows += [row("full", "plain", 1.0, metric, value) for metric, value in kept.items()]
            for method, strategy in itertools.product(accuracy if percent < 100 else (), strategies):
                value = accuracy[method] - (0.1 if strategy == "plain" else 0.0)
                answer = 1.0 if strategy == "plain" and method != "random" else 0.6
                kept = {"accuracy": value, "accuracy_norm": value, "largest_answer_share": answer, "kept": 15 * percent}
                kept |= {"clean_share": min(1.0, value + 0.2)} if clean else {}
                kept |= {f"accuracy_{kind}": value + more for kind, more in (kinds or {}).items()}
                rows += [row(method, strategy, percent / 100, metric, share) for metric, share in kept.items()]
            write(rows, run / f"fraction-{percent}/metrics.csv")
            info = {"device": "cpu", "truncated": {"pool": pool, "test": test}}
            (run / f"fraction-{percent}/info.json").write_text(json.dumps(info))
        return run

    return make


@pytest.fixture
def seed_folder(tmp_path: Path) -> Callable[..., Path]:
    return selection_builder(tmp_path)


@pytest.fixture(scope="session")
def selected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A results folder with the report of both selection studies, made once."""
    root = tmp_path_factory.mktemp("selected")
    make = selection_builder(root)
    runs = [make(seed=seed, accuracy={"hyperinf": 0.6 + k / 100, "random": 0.5}) for k, seed in enumerate((11, 12, 13))]
    # the other study: one seed, one share, one strategy, nothing corrupted, no references, nothing to say of the model
    plain = {"percents": (40,), "strategies": ("stratified",), "clean": False, "note": ""}
    shapes = {"study": "vlm", "task": "shapes", "model": "llava", "pictures": True, "kinds": {"colour": 0.1}}
    other = [make(setting=setting, **shapes, **plain) for setting in ("last_layer", "last_layer.of-projector")]
    data = [root / "vlm/shapes/data/seed-11"]
    written = {
        "llm": report_selection("llm", runs, root),
        "vlm": report_selection("vlm", other, root, data=data, methods=["hyperinf", "datainf"]),
    }
    return {"root": root, "runs": runs, **written}
