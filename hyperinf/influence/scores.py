"""Influence scores of training samples on a target, by any number of methods from shared sweeps."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, TensorSource
from hyperinf.gradients.sweeping import check_layers
from hyperinf.influence.forms import lengths_of, needs_each, taken_own_products, with_forms
from hyperinf.influence.methods import build_methods
from hyperinf.influence.methods.base import gfim_form
from hyperinf.influence.methods.building import DEFAULTS
from hyperinf.influence.statistics import gradient_statistics, mean_gradient
from hyperinf.influence.sweeps import sweep_scores, sweep_scores_alone
from hyperinf.runtime.profiling import Cost, metered
from hyperinf.settings.methods import MethodOptions
from hyperinf.settings.scores import FORMS, ScoreName

Gradients = GradientSource | Mapping[str, Tensor]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of all training samples, in the order in which the source gave them at every sweep.

    Attributes:
        sample_ids: n ids, those of the sweep for the statistics.
        influence: ``{score: Tensor[n]}``, float64; positive is harmful. Each method's own, and the forms asked for.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient over all layers.
        losses: ``Tensor[n]``, each sample's own loss, where the source knows it.
        reports: what each method says of how it got there.
        costs: wall time, peak memory and which form products were taken from, by ``(method or "shared", stage)``.
    """

    sample_ids: tuple[str, ...]
    influence: dict[str, Tensor]
    grad_norm: Tensor
    losses: Tensor | None
    reports: dict[str, dict[str, Any]]
    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)


def influence_scores(
    train: Gradients,
    target: Gradients,
    method: str = "hyperinf",
    damping: float = DEFAULTS.damping,
    gfim_scale: str = DEFAULTS.gfim_scale,
    solver: str = DEFAULTS.solver,
    normalize: str = "none",
    **kw: Any,
) -> Tensor:
    """Compute the influence of every training sample on the mean loss of the target samples.

    ``influence[i] = -sum_l <H_l^-1 v_l, g_il>``: the first-order change of the target loss per unit of extra weight
    on sample i (Koh and Liang 2017). **Positive is harmful.** Mislabelled samples have the largest influence; data
    selection keeps the smallest.

    Args:
        train: a ``GradientSource``, or ``{layer: Tensor[n, r, d]}``.
        target: the same for the target (validation) samples, ``{layer: Tensor[m, r, d]}``.
        method: a name in ``METHODS``.
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        gfim_scale: ``"sum"`` or ``"mean"``; used by the methods on the GFIM.
        solver: ``"schulz"``, ``"cholesky"`` or ``"auto"``; used by ``hyperinf``.
        normalize: ``"none"``, or a form in ``hyperinf.settings.scores.FORMS``: ``"unit"``, ``"theta_relative"``,
            ``"loss_relative"`` or ``"self_influence"``; see :mod:`hyperinf.influence.forms`.
        **kw: the method's own options: ``tol`` and ``max_iter`` (hyperinf), ``iterations`` (lissa); and
            ``gfim_dtype``, what the GFIM is kept in: ``"auto"``, ``"float64"``, ``"float32"`` or ``"bfloat16"``.

    Returns:
        ``Tensor[n]``, float64, in the order of ``train``.

    Raises:
        ValueError: an unknown method, form or option, ``damping <= 0``, layers of train and target that differ,
            gradients that are not finite (names the layer), no samples, sweeps of different samples or in different
            orders, scores that are not finite (names the sample and the layer).
        ConvergenceError: Schulz's iteration could not invert a layer's matrix, or LiSSA's series diverges (names the
            layer).
    """
    if normalize not in ("none", *FORMS):
        raise InputError(f"normalize: got {normalize!r}, expected none, {' or '.join(FORMS)}")
    forms = () if normalize == "none" else (normalize,)
    norms = normalize == "unit"
    table = _scored(train, target, {method: kw}, damping, gfim_scale, solver, norms=norms, forms={method: forms})
    return table.influence[str(ScoreName(method, *forms))].cpu()


def score_methods(
    train: Gradients,
    target: Gradients,
    methods: Sequence[str] | Mapping[str, MethodOptions | Mapping[str, Any]],
    damping: float = DEFAULTS.damping,
    gfim_scale: str = DEFAULTS.gfim_scale,
    solver: str = DEFAULTS.solver,
    device: str = "cpu",
    forms: Mapping[str, Sequence[str]] | None = None,
    scratch: Path | None = None,
) -> ScoreTable:
    """Score by several methods; one sweep gathers the statistics of all, one more takes all the dot products.

    Methods that need no statistics take one sweep in all.

    Args:
        train: as in :func:`influence_scores`.
        target: as in :func:`influence_scores`.
        methods: see :func:`build_methods`.
        damping: as in :func:`influence_scores`.
        gfim_scale: as in :func:`influence_scores`.
        solver: as in :func:`influence_scores`.
        device: where the gradients are, for the cost record.
        forms: ``{method: names in hyperinf.settings.scores.FORMS}``, taken beside the method's own score.
        scratch: folder for a GFIM that does not fit into memory; it is refused when None.

    Raises:
        ValueError: as in :func:`influence_scores`.
        ConvergenceError: as in :func:`influence_scores`.
    """
    return _scored(train, target, methods, damping, gfim_scale, solver, device, forms=forms, scratch=scratch)


def _scored(
    train: Gradients,
    target: Gradients,
    methods: Sequence[str] | Mapping[str, MethodOptions | Mapping[str, Any]],
    damping: float,
    gfim_scale: str,
    solver: str,
    device: str | None = None,
    norms: bool = True,
    forms: Mapping[str, Sequence[str]] | None = None,
    scratch: Path | None = None,
) -> ScoreTable:
    """Score as :func:`score_methods` does.

    Without ``norms`` the gradients' norms may be left out, as no numbers; without ``device`` costs are not measured.
    """
    measured = partial(metered, device) if device else _unmeasured
    built = build_methods(methods, damping, gfim_scale, solver)
    wanted = {name: tuple((forms or {}).get(name, ())) for name in built}
    train, target = _as_source(train), _as_source(target)
    check_layers(target.layers, train.layers, "target")

    costs: dict[tuple[str, str], Cost] = {}
    with measured() as costs["shared", "target gradient"]:
        v = mean_gradient(target)
    if not any(method.needs_statistics or needs_each(wanted[name]) for name, method in built.items()):
        with measured() as costs["shared", "scores"]:
            products = {name: method.precondition(v) for name, method in built.items()}
            alone = sweep_scores_alone(train, products, norms)
        if alone is not None:
            grad_norm = torch.empty(0) if alone.grad_norm is None else alone.grad_norm
            reports = {name: method.report() for name, method in built.items()}
            influence = with_forms(alone.influence, wanted, lengths_of(products, wanted), grad_norm)
            return ScoreTable(alone.sample_ids, influence, grad_norm, alone.losses, reports, costs)
    form = gfim_form(built.values(), scratch)
    with measured() as costs["shared", "statistics"]:
        statistics = gradient_statistics(train, form)
    if form:
        costs["shared", "of which GFIM"] = Cost(statistics.gfim_seconds, None)
    v = {layer: vector.to(statistics.devices[layer]) for layer, vector in v.items()}
    products = {}
    for name, method in built.items():
        with measured() as costs[name, "precondition"]:
            products[name] = method.fit(train, statistics).precondition(v)
    lengths, own = lengths_of(products, wanted), {}
    for name in (name for name in built if needs_each(wanted[name])):
        with measured() as costs[name, "own products"]:
            own[name] = taken_own_products(built[name])
    with measured() as costs["shared", "scores"]:
        scores = sweep_scores(train, products, statistics.sample_ids, statistics.exponents)
    reports = {name: method.report() for name, method in built.items()}
    return ScoreTable(
        statistics.sample_ids or scores.sample_ids,
        with_forms(scores.influence, wanted, lengths, statistics.grad_norm, own),
        statistics.grad_norm,
        scores.losses,
        reports,
        costs,
    )


def _unmeasured() -> AbstractContextManager[Cost]:
    return nullcontext(Cost())


def _as_source(gradients: Gradients) -> GradientSource:
    return TensorSource(gradients) if isinstance(gradients, Mapping) else gradients
