"""Influence scores of training samples on a target, by any number of methods from shared sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from hyperinf.gradients import GradientSource, TensorSource
from hyperinf.influence.methods import InfluenceMethod, build_method, options_of
from hyperinf.influence.statistics import DEFAULT_DAMPING, gradient_statistics, mean_gradient
from hyperinf.influence.sweeps import sweep_scores
from hyperinf.runtime.profiling import Cost, metered

Gradients = GradientSource | Mapping[str, Tensor]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of all training samples, in the order in which the source gave them at every sweep.

    Attributes:
        sample_ids: n ids, those of the sweep for the statistics.
        influence: ``{method: Tensor[n]}``, float64; positive is harmful.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient over all layers.
        losses: ``Tensor[n]``, each sample's own loss, where the source knows it.
        reports: what each method says of how it got there.
        costs: wall time and peak memory by ``(method or "shared", stage)``.
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
    damping: float = DEFAULT_DAMPING,
    gfim_scale: str = "sum",
    solver: str = "schulz",
    **kw: Any,
) -> Tensor:
    """Influence of every training sample on the mean loss of the target samples.

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
        **kw: the method's own options: ``tol`` and ``max_iter`` (hyperinf), ``iterations`` (lissa).

    Returns:
        ``Tensor[n]``, float64, in the order of ``train``.

    Raises:
        ValueError: an unknown method or option, ``damping <= 0``, layers of train and target that differ, gradients
            that are not finite (names the layer), no samples, sweeps of different samples or in different orders,
            scores that are not finite (names the sample and the layer).
        ConvergenceError: Schulz's iteration could not invert a layer's matrix, or LiSSA's series diverges (names the
            layer).
    """
    shared: dict[str, Any] = {"damping": damping, "gfim_scale": gfim_scale, "solver": solver}
    _check_common(shared)
    return score_methods(train, target, {method: kw}, **shared).influence[method].cpu()


def score_methods(
    train: Gradients,
    target: Gradients,
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]],
    damping: float = DEFAULT_DAMPING,
    gfim_scale: str = "sum",
    solver: str = "schulz",
    device: str = "cpu",
) -> ScoreTable:
    """Scores by several methods; one sweep gathers the statistics of all, one more takes all the dot products.

    Args:
        train: as in :func:`influence_scores`.
        target: as in :func:`influence_scores`.
        methods: names, or ``{name: its own options}``.
        damping: as in :func:`influence_scores`.
        gfim_scale: as in :func:`influence_scores`.
        solver: as in :func:`influence_scores`.
        device: where the gradients are, for the cost record.

    Raises:
        ValueError: as in :func:`influence_scores`.
        ConvergenceError: as in :func:`influence_scores`.
    """
    built = build_methods(methods, damping, gfim_scale, solver)
    train, target = _as_source(train), _as_source(target)
    _check_layers(train, target)

    costs: dict[tuple[str, str], Cost] = {}
    with metered(device) as costs["shared", "target gradient"]:
        v = mean_gradient(target)
    needs_gfim = any(method.needs_gfim for method in built.values())
    with metered(device) as costs["shared", "statistics"]:
        statistics = gradient_statistics(train, gfim=needs_gfim)
    if needs_gfim:
        costs["shared", "of which GFIM"] = Cost(statistics.gfim_seconds, None)
    v = {layer: vector.to(statistics.devices[layer]) for layer, vector in v.items()}
    products = {}
    for name, method in built.items():
        with metered(device) as costs[name, "precondition"]:
            products[name] = method.fit(train, statistics).precondition(v)
    with metered(device) as costs["shared", "scores"]:
        scores = sweep_scores(train, products, statistics.sample_ids, statistics.exponents)
    reports = {name: method.report() for name, method in built.items()}
    return ScoreTable(
        statistics.sample_ids or scores.sample_ids,
        scores.influence,
        statistics.grad_norm,
        scores.losses,
        reports,
        costs,
    )


def build_methods(
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]],
    damping: float = DEFAULT_DAMPING,
    gfim_scale: str = "sum",
    solver: str = "schulz",
) -> dict[str, InfluenceMethod]:
    """The methods by name, each with its own options and those of the common ones that it has.

    Raises:
        ValueError: no method, an unknown one, or an option that cannot be.
    """
    own = {name: dict(methods[name]) if isinstance(methods, Mapping) else {} for name in methods}
    if not own:
        raise ValueError("methods: expected at least one")
    common: dict[str, Any] = {"damping": damping, "gfim_scale": gfim_scale, "solver": solver}
    _check_common(common)
    return {name: _build(name, common, options) for name, options in own.items()}


def _build(name: str, common: Mapping[str, Any], own: Mapping[str, Any]) -> InfluenceMethod:
    """A method takes of the common options those that it has, unless it has its own; one that it lacks is an error."""
    method = build_method(name)
    known = options_of(method.name)
    return build_method(name, **{**{key: value for key, value in common.items() if key in known}, **own})


def _check_common(options: Mapping[str, Any]) -> None:
    """Options that a method does not use are checked all the same: a wrong value is a mistake anywhere."""
    build_method("hyperinf", **options)


def _as_source(gradients: Gradients) -> GradientSource:
    return TensorSource(gradients) if isinstance(gradients, Mapping) else gradients


def _check_layers(train: GradientSource, target: GradientSource) -> None:
    ours, theirs = dict(train.layers), dict(target.layers)
    for name in ours.keys() ^ theirs.keys():
        where = "target" if name in ours else "train"
        raise ValueError(f"layers differ: {name!r} is missing from the {where} gradients")
    for name, shape in ours.items():
        if theirs[name] != shape:
            raise ValueError(f"layers differ: {name!r} is {list(shape)} in train and {list(theirs[name])} in target")
