"""Tell how well scores predict what retraining comes to: the linear datamodeling score, and checks beside it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperinf.artifacts.environment import digest, fingerprint, hashed
from hyperinf.artifacts.files import discard, sha256_file
from hyperinf.artifacts.parts import State
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.evaluation.datamodeling import (
    bootstrapped,
    mean_correlation,
    predicted,
    rank_correlations,
    top_overlap,
)
from hyperinf.pipeline.bank import Bank, read_scores
from hyperinf.pipeline.baselines import Scene, taken_baselines
from hyperinf.pipeline.opened import Finetuned, ids_of, machine, run_key
from hyperinf.pipeline.pooled import over_checkpoints
from hyperinf.pipeline.query_scores import QueryScores, query_scores
from hyperinf.pipeline.removal import chosen_samples, removal_rows
from hyperinf.pipeline.retrain import Retraining
from hyperinf.pipeline.scoring import stored
from hyperinf.pipeline.tables import METRIC_COLUMNS, RUN_COLUMNS, write_table
from hyperinf.runtime.profiling import metered
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.stages import Validate

Array = NDArray[np.float64]
LDS_COLUMNS = (
    *RUN_COLUMNS, "method", "checkpoint", "seed", "target", "lds", "low", "high", "subsets", "ceiling", "seconds"
)  # fmt: skip
RETRAINING = "retraining"
"""What stands beside the methods: the same subsets trained on in another order."""
_METRICS = {"query": "lds", "mean": "lds_mean_target"}


def validate(settings: Validate) -> None:
    """Write ``lds.csv``, ``metrics.csv`` and ``info.json``; goes on after a kill.

    Raises:
        InputError: inputs that cannot be used or do not belong together; gradients that no score can be taken of.
    """
    out, device = Path(settings.out), machine(settings)
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, device)
    bank = Bank.read(Path(settings.retrained), opened)
    samples, targets = (ids_of(opened.samples(split)) for split in ("train", "validation"))
    others = {
        name: values for path in settings.scores for name, values in read_scores(Path(path), samples, targets).items()
    }
    checkpoint = opened.checkpoints[-1]
    model = opened.model(checkpoint)
    scored = _scored(settings, opened, model)
    random = None
    if settings.randomised:
        randomise(model, settings.seed)
        random = _scored(settings, opened, model)
    del model
    scored = _with_pooled(settings, opened, scored)

    run = run_key(settings, opened) | {"checkpoint": checkpoint}
    scene = Scene(opened, checkpoint, settings.gradients_of, settings.gradient_batch_size)
    own, _ = taken_baselines(scene, settings.baselines)
    scores = {**scored.influence, **_baselines(settings, scored, own, len(targets)), **others}
    judged = list(_judged(scores, bank, settings))
    for row in judged:
        row["seconds"] = scored.seconds.get(row["method"])
    metrics = [
        {"method": row["method"], "metric": _metric(row), "value": row["lds"]}
        for row in judged
        if not np.isnan(row["lds"])
    ]
    metrics += _checks(scored, random, bank, settings.top_k)
    if settings.removal is not None:
        identity = digest([settings.deciding(), opened.info["settings"], opened.info["data_sha256"]])
        state = State(Path(settings.state_folder), identity)
        retraining = Retraining(opened, state, bank.record["settings"]["at_once"])
        means = {name: values.mean(axis=1) for name, values in scored.influence.items()}
        chosen = chosen_samples(means, settings.removal, len(samples), settings.seed)
        metrics += removal_rows(opened, retraining, chosen, len(samples))
    write_table(out / "lds.csv", ({**run, **row} for row in judged), LDS_COLUMNS)
    write_table(out / "metrics.csv", ({**run, **row} for row in metrics), METRIC_COLUMNS)
    more = {
        "run": run,
        "data_sha256": opened.info["data_sha256"],
        "finetuned": opened.info["settings"],
        "retrained": {key: bank.record["settings"][key] for key in ("subsets", "subset_fraction", "again", "seed")},
        "inputs": hashed(Path(settings.retrained), "*.parquet") | {path: sha256_file(path) for path in settings.scores},
        "outputs": hashed(out, "metrics.csv"),
    }
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), device, **more))
    discard(Path(settings.state_folder))


def _with_pooled(settings: Validate, opened: Finetuned, scored: QueryScores) -> QueryScores:
    """Add the scores over checkpoints; they take what every checkpoint's own does."""
    seconds = dict(scored.seconds)

    def taken(checkpoint: str, wanted: Validate) -> Mapping[str, Array]:
        found = _scored(wanted, opened, opened.model(checkpoint))
        for name, more in found.seconds.items():
            seconds[name] += more
        return found.influence

    pooled = over_checkpoints(settings, opened, scored.influence, taken)
    own = {name: seconds[str(ScoreName.of(name).at_one_checkpoint)] for name in pooled}
    known = {**scored.influence, **pooled}
    influence = {name: known[name] for name in settings.methods}
    return replace(scored, influence=influence, seconds={**scored.seconds, **own})


def _scored(settings: Validate, opened: Finetuned, model: Any) -> QueryScores:
    """Take all scores of one checkpoint, and the seconds that each method would take alone, gradients included."""
    live = {
        split: opened.gradients(model, split, settings.gradient_batch_size, settings.gradients_of)
        for split in ("train", "validation")
    }
    ids = {split: ids_of(opened.samples(split)) for split in live}
    with ExitStack() as stack:
        with metered(opened.device) as extraction:
            sources = {
                split: stack.enter_context(
                    stored(source, settings.store, Path(settings.state_folder) / split, opened.device)
                )
                for split, source in live.items()
            }
        scored = query_scores(
            sources["train"],
            sources["validation"],
            ids["train"],
            ids["validation"],
            settings,
            opened.device,
            Path(settings.state_folder),
        )
    return replace(scored, seconds={name: own + extraction.seconds for name, own in scored.seconds.items()})


@torch.no_grad()
def randomise(model: torch.nn.Module, seed: int) -> None:
    """Shuffle the entries of every weight: a model that knows nothing, with weights of the same sizes."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.is_floating_point() and weight.numel():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))


def _baselines(settings: Validate, scored: QueryScores, own: Mapping[str, Any], targets: int) -> dict[str, Array]:
    """Give the cheap scores, ``[n, q]``: the same for every target sample."""
    found: dict[str, Array] = {}
    for name in settings.baselines:
        if f"baseline_{name}" in own:
            found[name] = np.repeat(own[f"baseline_{name}"][:, None], targets, axis=1)
            continue
        if name == "random":
            # Another order for every target sample: one order for all would be one draw, and not the mean of many.
            found[name] = np.random.default_rng([settings.seed, 0]).random((len(scored.grad_norm), targets))
        elif name == "grad_norm" or scored.losses is not None:
            values = scored.grad_norm if name == "grad_norm" else scored.losses
            found[name] = np.repeat(np.asarray(values)[:, None], targets, axis=1)
    return found


def _judged(scores: Mapping[str, Array], bank: Bank, settings: Validate) -> Iterator[dict[str, Any]]:
    """Give the linear datamodeling score of every method, and of the retraining itself, per query and for the mean."""
    forms = {
        "query": (lambda values: values, bank.losses, bank.again),
        "mean": (lambda values: values.mean(axis=1, keepdims=True), *_means(bank)),
    }
    for target, (taken, losses, again) in forms.items():
        predictions = {name: predicted(bank.subsets, taken(values)) for name, values in scores.items()}
        found = {name: mean_correlation(rank_correlations(values, losses)) for name, values in predictions.items()}
        spans = bootstrapped(predictions, losses, settings.resamples, settings.seed)
        ceiling = float("nan")
        if len(again) > 1:
            first = losses[: len(again)]
            ceiling = mean_correlation(rank_correlations(again, first))
            spans |= bootstrapped({RETRAINING: again}, first, settings.resamples, settings.seed)
            found[RETRAINING] = ceiling
        for name, value in found.items():
            low, high = spans[name]
            count = len(again) if name == RETRAINING else len(losses)
            about = {"method": name, "target": target, "lds": value, "low": low, "high": high}
            yield {**about, "subsets": count, "ceiling": ceiling}


def _metric(row: Mapping[str, Any]) -> str:
    """Name the number in the table of metrics: what bounds methods is none of them."""
    name = _METRICS[row["target"]]
    return f"{name}_ceiling" if row["method"] == RETRAINING else name


def _means(bank: Bank) -> tuple[Array, Array]:
    return bank.losses.mean(axis=1, keepdims=True), bank.again.mean(axis=1, keepdims=True)


def _checks(scored: QueryScores, random: QueryScores | None, bank: Bank, top_k: int) -> Iterator[dict[str, Any]]:
    """Say how alike the most helpful samples of two queries are, and what is left of scores in a randomised model."""
    for method, values in scored.influence.items():
        found = {"top_overlap": top_overlap(values, top_k)}
        if random is not None and method in random.influence:
            other = random.influence[method]
            sums = predicted(bank.subsets, other)
            found["randomised_agreement"] = mean_correlation(rank_correlations(values, other))
            found["lds_randomised"] = mean_correlation(rank_correlations(sums, bank.losses))
        for metric, value in found.items():
            if not np.isnan(value):
                yield {"method": method, "metric": metric, "value": value}
