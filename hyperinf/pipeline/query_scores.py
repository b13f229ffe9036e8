"""Score every training sample on each target sample by several methods, and say what each would take alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource
from hyperinf.influence import InfluenceMethod, build_methods, gradient_statistics
from hyperinf.influence.forms import OwnProducts, forms_asked, in_form, needs_each, taken_own_products
from hyperinf.influence.methods.base import gfim_form
from hyperinf.influence.queries import queries_at_once, query_vectors, score_vectors
from hyperinf.pipeline.scoring import method_options
from hyperinf.runtime.profiling import metered
from hyperinf.runtime.progress import track
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings

Array = NDArray[np.float64]
MEMORY = 2**30
"""Bytes of queries' vectors at a time: a constant, as the last digits of products depend on their number."""


@dataclass(frozen=True)
class QueryScores:
    """Scores of n training samples on q target samples.

    Attributes:
        influence: ``{score: [n, q]}``; positive is harmful. A form is up to a factor of each target sample.
        losses: ``[n]``, each training sample's own; None where it is not known.
        grad_norm: ``[n]``.
        seconds: ``{score: what it would take alone}``, without taking the gradients.
    """

    influence: Mapping[str, Array]
    losses: Array | None
    grad_norm: Array
    seconds: Mapping[str, float]


def query_scores(
    train: GradientSource,
    targets: GradientSource,
    sample_ids: list[str],
    target_ids: list[str],
    settings: ScoringSettings,
    device: str,
    scratch: Path | None = None,
) -> QueryScores:
    """Score by all methods, but for scores over checkpoints; one sweep gathers the statistics of all.

    Args:
        train: gradients of the training samples.
        targets: gradients of the target samples.
        sample_ids: the order of the training samples in the result.
        target_ids: that of the target samples.
        settings: which scores, and how.
        device: where gradients are.
        scratch: folder for a GFIM that does not fit into memory.

    Raises:
        InputError: gradients that no score can be taken of.
    """
    methods = build_methods(method_options(settings))
    try:
        with metered(device) as sums:
            statistics = gradient_statistics(train, gfim_form(methods.values(), scratch))
        place = {sample: index for index, sample in enumerate(statistics.sample_ids or ())}
        order = [place[sample] for sample in sample_ids]
        norms = statistics.grad_norm.double().cpu()[order]
        forms, made, seconds = forms_asked(settings.methods), {}, {}
        losses = None
        for name, method in track(methods.items(), len(methods), "scores on each target sample", "methods"):
            with metered(device) as plain:
                made[name], losses = _by(method.fit(train, statistics), targets, target_ids, order)
            shared = sums.seconds - (0.0 if method.needs_gfim else statistics.gfim_seconds)
            seconds[name] = plain.seconds + (shared if method.needs_statistics else 0.0)
            for form in forms[name]:
                score = str(ScoreName(name, form))
                with metered(device) as more:
                    made[score] = _formed(form, made[name], norms, method, order)
                seconds[score] = seconds[name] + more.seconds
    except ValueError as error:
        raise InputError(str(error)) from error
    influence = {name: made[name] for name in settings.methods if name in made}
    return QueryScores(influence, losses, norms.numpy(), seconds)


def _formed(form: str, plain: Array, norms: Tensor, method: InfluenceMethod, order: list[int]) -> Array:
    """Take scores ``[n, q]`` to another form; what they are divided by of each target sample is left out."""
    own = taken_own_products(method) if needs_each((form,)) else None
    if own is not None:
        own = OwnProducts(own.lengths[order], own.self_influence[order])
    formed = in_form(form, torch.from_numpy(plain).T, 1.0, norms, own)
    return formed.expand(plain.shape[1], -1).T.contiguous().numpy()


def _by(
    method: InfluenceMethod, targets: GradientSource, target_ids: list[str], order: list[int]
) -> tuple[Array, Array | None]:
    """Take one method's scores, and the samples' losses."""
    columns: dict[str, Tensor] = {}
    losses = None
    most = queries_at_once(method, targets.layers, MEMORY)
    for names, vectors in query_vectors(targets, "target", most, method.statistics.devices):
        _, parts, losses = score_vectors(method, vectors, names)
        columns |= dict(zip(names, parts[""].T.cpu(), strict=True))
    table = torch.stack([columns[name] for name in target_ids], dim=1).double().numpy()[order]
    return table, None if losses is None else losses.double().cpu().numpy()[order]
