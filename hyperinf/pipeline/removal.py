"""Train without the samples that scores find most helpful or most harmful, and on those alone a little further."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperinf.pipeline.opened import Finetuned
from hyperinf.pipeline.retrain import Retraining
from hyperinf.settings.training import TrainingSettings
from hyperinf.settings.validation import RemovalSettings
from hyperinf.training.side_by_side import Part

Array = NDArray[np.float64]
RANDOM = "random"
Place = tuple[str, str, float]
"""Method, which samples (``helpful``, ``harmful`` or ``random``), and the fraction of them."""


def chosen_samples(
    scores: Mapping[str, Array], removal: RemovalSettings, samples: int, seed: int
) -> dict[Place, tuple[int, ...]]:
    """Choose the samples that are left out.

    Args:
        scores: ``{method: [n]}`` in their order, influence on the mean target; positive is harmful.
        removal: how many, and by which methods.
        samples: n.
        seed: of random ones.

    Returns:
        Ascending indices, at least one and not all.
    """
    found: dict[Place, tuple[int, ...]] = {}
    shuffled = np.random.default_rng([seed, 3]).permutation(samples)
    for fraction in removal.fractions:
        k = min(max(1, round(fraction * samples)), samples - 1)
        for method in removal.methods or tuple(scores)[:1]:
            order = np.argsort(scores[method], kind="stable")
            found[method, "helpful", fraction] = _ascending(order[:k])
            found[method, "harmful", fraction] = _ascending(order[-k:])
        found[RANDOM, RANDOM, fraction] = _ascending(shuffled[:k])
    return found


def _ascending(indices: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(sorted(int(index) for index in indices))


def removal_rows(
    opened: Finetuned, retraining: Retraining, chosen: Mapping[Place, tuple[int, ...]], samples: int
) -> Iterator[dict[str, Any]]:
    """Give the change of the mean target loss, a row a metric and place.

    ``loss_without``: of training afresh without the samples, against training afresh on all. ``loss_patched``: of one
    more pass over the samples alone from the scored model on, at its own learning rate, against that model.

    Args:
        opened: what was fine-tuned.
        retraining: trains.
        chosen: the samples, as :func:`chosen_samples` gives them.
        samples: n.
    """
    settings, everything = opened.settings, tuple(range(samples))
    fresh = opened.family.adapted(settings, settings.seed).to(opened.device)
    without = {place: _without(everything, left_out) for place, left_out in chosen.items()}
    yield from _changes("loss_without", retraining, fresh, without, settings, settings.seed, everything)
    del fresh
    patch = TrainingSettings(
        epochs=1,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_ratio=0,
    )
    model = opened.model(opened.checkpoints[-1])
    yield from _changes("loss_patched", retraining, model, chosen, patch, settings.seed, ())


def _without(everything: tuple[int, ...], left_out: tuple[int, ...]) -> tuple[int, ...]:
    gone = set(left_out)
    return tuple(index for index in everything if index not in gone)


def _changes(
    metric: str,
    retraining: Retraining,
    model: Any,
    parts: Mapping[Place, Part],
    settings: TrainingSettings,
    seed: int,
    reference: Part,
) -> Iterator[dict[str, Any]]:
    """Train on each part and on the reference, or take the model as it is where that is empty."""
    distinct = list(dict.fromkeys([*([reference] if reference else []), *map(tuple, parts.values())]))
    losses = dict(zip(distinct, retraining.losses(model, distinct, settings, seed, metric), strict=True))
    before = losses[tuple(reference)] if reference else retraining.losses_of(model)
    for (method, strategy, fraction), part in parts.items():
        value = float(losses[tuple(part)].mean() - before.mean())
        yield {"method": method, "strategy": strategy, "fraction": fraction, "metric": metric, "value": value}
