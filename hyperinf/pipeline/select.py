"""Train a fresh adapter on the part of the training samples that each method keeps, and evaluate it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.environment import digest, fingerprint, hashed
from hyperinf.artifacts.files import discard, sha256_file, write_parquet
from hyperinf.artifacts.records import RECORD, read_record, write_record, write_settings
from hyperinf.data.parquet import read_frame
from hyperinf.data.samples import Sample
from hyperinf.errors import InputError
from hyperinf.models.families.base import Evaluation
from hyperinf.pipeline.opened import Finetuned, ids_of, machine, run_key
from hyperinf.pipeline.selection_strategies import keep_least_harmful, keep_random
from hyperinf.pipeline.subset_training import SubsetTraining
from hyperinf.pipeline.tables import METRIC_COLUMNS, write_table
from hyperinf.settings.stages import Select
from hyperinf.training.loop import SAVE_SECONDS


@dataclass(frozen=True)
class Selection:
    """The samples that one method keeps by one strategy: ascending indices into the training samples."""

    method: str
    strategy: str
    indices: tuple[int, ...]


def select(settings: Select, save_seconds: float = SAVE_SECONDS) -> None:
    """Write ``metrics.csv``, ``selection.parquet`` and ``info.json``; goes on after a kill.

    Selections of the same samples are trained on once. At the fraction 1 stand a training on all samples, one on those
    that were not harmed (``clean``: what a perfect selection comes to), and the references: the model as it came, after
    its fine-tuning, and one that always gives the most frequent answer.

    Args:
        settings: of the stage.
        save_seconds: between two saves of the state to go on from; no result depends on it.

    Raises:
        InputError: inputs that cannot be used or do not belong together; too few samples for the fraction.
    """
    out, device = Path(settings.out), machine(settings)
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, device)
    samples = opened.samples("train")
    selections = choose(settings, samples)
    _check_scores(settings, opened)
    test = opened.samples("test")
    trainings = _trainings(settings, opened, opened.family.evaluation(test), save_seconds)
    rows: list[dict[str, Any]] = []
    if settings.fraction == 1:
        references = {
            "base": trainings.evaluation(trainings.model),
            "majority": opened.family.majority(test),
            "finetuned": opened.info["accuracies"][opened.checkpoints[-1]]["test"],
        }
        rows += [
            {"method": name, "fraction": 0.0, "metric": metric, "value": value}
            for name, found in references.items()
            for metric, value in found.items()
        ]
    parts = [selection.indices for selection in selections]
    in_orders = [each.finetune_on_subsets(parts) for each in trainings.in_orders(settings.orders)]
    for selection, measured in zip(selections, zip(*in_orders, strict=True), strict=True):
        found = {**_mean(measured), **_described(selection, samples)}
        shown = {"method": selection.method, "strategy": selection.strategy, "fraction": settings.fraction}
        rows += [{**shown, "metric": metric, "value": value} for metric, value in found.items()]
    run = run_key(settings, opened)
    write_table(out / "metrics.csv", ({**run, **row} for row in rows), METRIC_COLUMNS)
    write_parquet(out / "selection.parquet", _listed(selections, samples))
    more = {
        "run": run,
        "data_sha256": opened.info["data_sha256"],
        "finetuned": opened.info["settings"],
        "truncated": {name: opened.encoded(name).truncated for name in ("train", "test")},
        "inputs": {
            **hashed(opened.data, "*.parquet"),
            **hashed(opened.folder, "*/*.safetensors"),
            **({} if settings.scores is None else {Path(settings.scores).name: sha256_file(Path(settings.scores))}),
        },
        "outputs": hashed(out, "metrics.csv", "selection.parquet"),
    }
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), device, **more))
    discard(Path(settings.state_folder))


def choose(settings: Select, samples: Sequence[Sample]) -> list[Selection]:
    """List what every method keeps by every strategy; at the fraction 1 all, and all that were not harmed.

    Raises:
        InputError: a method without scores, scores of other samples, or too few samples for the fraction.
    """
    if settings.fraction == 1:
        clean = tuple(index for index, sample in enumerate(samples) if not sample.corruption)
        everything = Selection("full", "plain", tuple(range(len(samples))))
        return [everything, *([Selection("clean", "plain", clean)] if 0 < len(clean) < len(samples) else [])]
    if settings.scores is None:
        raise InputError(f"scores: got none, expected those of the samples of which {settings.fraction} are kept")
    scores = Path(settings.scores)
    table = read_frame(scores, ["sample_id"])
    if list(table["sample_id"]) != ids_of(samples):
        raise InputError(f"{scores}: got scores of other samples, expected those of the training samples")
    chosen = [*(("influence", name) for name in settings.methods), *(("baseline", name) for name in settings.baselines)]
    selections = []
    for strategy in settings.strategies:
        strata = [sample.answer for sample in samples] if strategy == "stratified" else None
        for kind, name in chosen:
            if f"{kind}_{name}" not in table:
                raise InputError(f"{scores}: got no scores by {name!r}, expected a column {kind}_{name}")
            harmfulness = table[f"{kind}_{name}"].to_numpy(dtype=np.float64)
            kept = keep_least_harmful(harmfulness, settings.fraction, strata)
            selections.append(Selection(name, strategy, _indices(kept)))
        drawn = keep_random(len(samples), settings.fraction, settings.seed, strata)
        selections.append(Selection("random", strategy, _indices(drawn)))
    return selections


def _check_scores(settings: Select, opened: Finetuned) -> None:
    """Scores with a record beside them must be whole and of the same model; without one they are the user's own."""
    if settings.scores is None or settings.fraction == 1:
        return
    record = Path(settings.scores).with_name(RECORD)
    if record.is_file() and read_record(record).get("finetuned") != opened.info["settings"]:
        raise InputError(f"{settings.scores}: got scores of another model, expected those of {opened.folder}")


def _trainings(settings: Select, opened: Finetuned, evaluation: Evaluation, save_seconds: float) -> SubsetTraining:
    """Load the pretrained model with a fresh adapter."""
    model = opened.family.adapted(opened.settings, opened.settings.seed)
    if opened.settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return SubsetTraining(
        settings,
        settings.seed,
        opened.encoded("train"),
        opened.family.loss,
        evaluation,
        model.to(opened.device),
        Path(settings.state_folder),
        digest([settings.deciding(), opened.info["settings"], opened.info["data_sha256"]]),
        save_seconds,
        settings.at_once,
    )


def _mean(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average what one selection comes to over orders of its samples."""
    return {name: sum(each[name] for each in measured) / len(measured) for name in measured[0]}


def _described(selection: Selection, samples: Sequence[Sample]) -> dict[str, float]:
    kept = [samples[index] for index in selection.indices]
    most = Counter(sample.answer for sample in kept).most_common(1)[0][1]
    described = {"kept": float(len(kept)), "largest_answer_fraction": most / len(kept)}
    if any(sample.corruption for sample in samples):
        described["clean_fraction"] = sum(not sample.corruption for sample in kept) / len(kept)
    return described


def _listed(selections: Sequence[Selection], samples: Sequence[Sample]) -> dict[str, list[str]]:
    rows = [(selection, samples[index]) for selection in selections for index in selection.indices]
    return {
        "method": [selection.method for selection, _ in rows],
        "strategy": [selection.strategy for selection, _ in rows],
        "sample_id": [sample.sample_id for _, sample in rows],
        "answer": [sample.answer for _, sample in rows],
    }


def _indices(array: Any) -> tuple[int, ...]:
    return tuple(int(index) for index in array)
