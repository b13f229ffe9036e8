"""Find flipped labels by influence: gradients of every kept checkpoint, scores by all methods, metrics."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.data.text import TextSplit, read_info, read_split
from hyperinf.devices import resolve_device, set_threads
from hyperinf.errors import InputError
from hyperinf.files import atomic_file, read_json, write_json, write_text
from hyperinf.gradients import GradientSource, GradientStore, LiveSource, TensorSource
from hyperinf.influence import METHODS, ScoreTable, score_methods
from hyperinf.metering import Cost, metered
from hyperinf.models.classifier import load_adapted_classifier, load_tokenizer
from hyperinf.models.encoding import Batches
from hyperinf.provenance import fingerprint
from hyperinf.tasks.detection import curve_auc, detection_curve, roc_auc
from hyperinf.tasks.finetune import encode

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("loss", "grad_norm", "random")
KEEPING = ("disk", "memory", "live")
FOUND_AT = (0.2, 0.4)


@dataclass(frozen=True)
class ScoreConfig:
    """Inputs of one scoring run.

    Attributes:
        data: folder that ``hyperinf mislabel data`` wrote.
        adapter: folder that ``hyperinf mislabel finetune`` wrote.
        methods: names in ``METHODS``.
        baselines: of ``loss``, ``grad_norm``, ``random``.
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        gfim_scale: ``sum`` or ``mean``.
        solver: of ``hyperinf``: ``schulz``, ``cholesky`` or ``auto``.
        lissa_iterations: of ``lissa`` and ``lissa_gfim``.
        seed: of the random baseline.
        task: name in the result tables.
        model: name in the result tables.
        cache: folder of fetched assets.
        wheels: wheels brought by hand.
    """

    data: Path
    adapter: Path
    task: str
    model: str
    seed: int
    methods: tuple[str, ...] = ("hyperinf",)
    baselines: tuple[str, ...] = BASELINES
    damping: float = 0.1
    gfim_scale: str = "sum"
    solver: str = "schulz"
    lissa_iterations: int = 10
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = field(default=())

    def __post_init__(self) -> None:
        for key, values, known in (("methods", self.methods, METHODS), ("baselines", self.baselines, BASELINES)):
            for value in values:
                if value not in known:
                    raise InputError(f"{key}: expected some of {', '.join(known)}, got {value!r}")
        if not self.methods:
            raise InputError("methods: expected at least one")


def run_scores(
    config: ScoreConfig,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
    gradients: str = "disk",
    batch_size: int = 32,
) -> None:
    """Score all checkpoints.

    Writes ``epoch-E.parquet``, ``metrics.csv``, ``curves.csv``, ``cost.csv`` and ``info.json``.

    Args:
        config: see :class:`ScoreConfig`.
        out: folder to write into.
        device: ``auto``, ``cpu``, ``cuda``.
        threads: of torch's operations.
        gradients: where the training gradients are kept between sweeps: on ``disk`` (below ``out``, removed
            afterwards), in ``memory``, or nowhere (``live``: extracted again for every sweep).
        batch_size: samples in a batch of the extraction.

    Raises:
        InputError: data or adapter that cannot be used, or that do not belong together.
    """
    import pandas as pd

    if gradients not in KEEPING:
        raise InputError(f"gradients: expected one of {', '.join(KEEPING)}, got {gradients!r}")
    device = resolve_device(device)
    set_threads(threads)
    trained = read_json(config.adapter / "info.json")
    data_info = read_info(config.data)
    if trained["data_sha256"] != data_info["content_sha256"]:
        raise InputError(f"{config.adapter}: was trained on other data than {config.data}")
    settings = trained["settings"]
    folder = resolve_model_folder(parse_source(settings["model"]), config.cache, config.wheels)
    tokenizer = load_tokenizer(folder)
    train, validation = read_split(config.data, "train"), read_split(config.data, "validation")
    encoded = {split: encode(tokenizer, rows, settings["max_length"]) for split, rows in _named(train, validation)}
    accuracy = pd.read_csv(config.adapter / "training.csv").set_index("epoch")["test_accuracy"]

    metrics, curves, costs, reports = [], [], [], {}
    for epoch in settings["keep"]:
        model = load_adapted_classifier(
            folder, trained["labels"], config.adapter / f"epoch-{epoch}", settings["dtype"]
        ).to(device)
        live = LiveSource(model, Batches(encoded["train"], batch_size))
        target = LiveSource(model, Batches(encoded["validation"], batch_size))
        with contextlib.ExitStack() as stack:
            with metered(device) as extraction:
                source = stack.enter_context(_kept(live, gradients, out, device))
            table = score_methods(
                source,
                target,
                _methods(config),
                damping=config.damping,
                gfim_scale=config.gfim_scale,
                solver=config.solver,
                device=device,
            )
        scores = _harmfulness(table, train.sample_ids, config)
        key = {"task": config.task, "model": config.model, "rank": settings["lora"]["rank"], "epoch": epoch}
        key["seed"] = config.seed
        _write_parquet(out / f"epoch-{epoch}.parquet", _score_frame(train, scores))
        flipped = np.array(train.flipped, dtype=bool)
        metrics += _metrics(key, scores, flipped, float(accuracy.loc[epoch]))
        curves += _curves(key, scores, flipped)
        costs += _costs(key, extraction if gradients != "live" else Cost(0.0, None), table)
        reports[f"epoch-{epoch}"] = table.reports

    write_text(out / "metrics.csv", pd.DataFrame(metrics, columns=METRIC_COLUMNS).to_csv(index=False))
    write_text(out / "curves.csv", pd.DataFrame(curves, columns=CURVE_COLUMNS).to_csv(index=False))
    write_text(out / "cost.csv", pd.DataFrame(costs, columns=COST_COLUMNS).to_csv(index=False))
    shown = {key: value for key, value in vars(config).items() if key not in ("data", "adapter", "cache", "wheels")}
    write_json(out / "info.json", fingerprint(shown, device, data_sha256=trained["data_sha256"], reports=reports))


METRIC_COLUMNS = ["task", "model", "method", "rank", "epoch", "fraction", "seed", "metric", "value"]
CURVE_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "inspected_percent", "detected_percent"]
COST_COLUMNS = ["task", "model", "method", "rank", "epoch", "seed", "stage", "seconds", "peak_memory_mib"]


def _named(train: TextSplit, validation: TextSplit) -> tuple[tuple[str, TextSplit], tuple[str, TextSplit]]:
    return ("train", train), ("validation", validation)


def _methods(config: ScoreConfig) -> dict[str, dict[str, Any]]:
    return {
        name: {"iterations": config.lissa_iterations} if name.startswith("lissa") else {} for name in config.methods
    }


@contextlib.contextmanager
def _kept(live: LiveSource, kind: str, out: Path, device: str) -> Iterator[GradientSource]:
    if kind == "live":
        yield live
    elif kind == "memory":
        yield TensorSource.gather(live)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for left_by_a_kill in out.glob(".gradients-*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".gradients-", dir=out) as scratch:
            GradientStore.write(Path(scratch) / "store", live)
            yield GradientStore(Path(scratch) / "store", device=device)


def _harmfulness(table: ScoreTable, sample_ids: Sequence[str], config: ScoreConfig) -> dict[str, Any]:
    """Every column of scores in the order of the data set: the source may have had another."""
    place = {sample: index for index, sample in enumerate(table.sample_ids)}
    order = [place[sample] for sample in sample_ids]
    columns = {f"influence_{name}": values.cpu().numpy()[order] for name, values in table.influence.items()}
    cheap: dict[str, Any] = {"grad_norm": table.grad_norm.cpu().double().numpy()[order]}
    if table.losses is not None:
        cheap["loss"] = table.losses.cpu().double().numpy()[order]
    cheap["random"] = np.random.default_rng([config.seed, 0]).random(len(order))
    return columns | {f"baseline_{name}": cheap[name] for name in config.baselines}


def _score_frame(train: TextSplit, scores: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    labels = {"label": train.labels, "true_label": train.true_labels, "flipped": train.flipped}
    return pd.DataFrame({"sample_id": train.sample_ids, **labels, **scores})


def _write_parquet(path: Path, frame: "pd.DataFrame") -> None:
    with atomic_file(path) as temporary:
        frame.to_parquet(temporary, index=False)


def _metrics(key: dict[str, Any], scores: dict[str, Any], flipped: Any, accuracy: float) -> list[dict[str, Any]]:
    rows = [{**key, "method": "model", "metric": "accuracy", "value": accuracy}]
    if not 0 < flipped.sum() < len(flipped):
        return rows  # nothing was flipped, so there is nothing to find; the scores are the result
    for column, values in scores.items():
        method = column.split("_", 1)[1]
        rows.append({**key, "method": method, "metric": "roc_auc", "value": roc_auc(values, flipped)})
        rows.append({**key, "method": method, "metric": "curve_auc", "value": curve_auc(values, flipped)})
        found = detection_curve(values, flipped, np.array(FOUND_AT))
        for fraction, value in zip(FOUND_AT, found, strict=True):
            rows.append({**key, "method": method, "metric": "detected", "fraction": fraction, "value": float(value)})
    return rows


def _curves(key: dict[str, Any], scores: dict[str, Any], flipped: Any) -> list[dict[str, Any]]:
    if not 0 < flipped.sum() < len(flipped):
        return []
    percent = np.arange(101)
    return [
        {**key, "method": column.split("_", 1)[1], "inspected_percent": int(x), "detected_percent": float(y)}
        for column, values in scores.items()
        for x, y in zip(percent, 100 * detection_curve(values, flipped, percent / 100), strict=True)
    ]


def _costs(key: dict[str, Any], extraction: Cost, table: ScoreTable) -> list[dict[str, Any]]:
    measured = {("shared", "gradients"): extraction, **table.costs}
    return [
        {**key, "method": method, "stage": stage, "seconds": cost.seconds, "peak_memory_mib": cost.peak_memory_mib}
        for (method, stage), cost in measured.items()
    ]
