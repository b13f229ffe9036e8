"""How each weight's gradient is read off what its modules see, found by comparing with autograd on a few samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import width_of
from hyperinf.gradients.calls import Call, Recording, recorded
from hyperinf.gradients.contractions import Factors
from hyperinf.gradients.layouts import Layout, layouts_of
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.rounding import takes_tf32
from hyperinf.gradients.weights import AdaptedLayer

WEIGHTS = (1.0, -2.0, 4.0, -1.0, 2.0, -4.0, 8.0, -8.0)
"""Of the samples' losses in the comparison. Powers of two scale a gradient exactly, so rounding is all that differs."""
COMBINATIONS = 64


@dataclass(frozen=True)
class Plan:
    """How one weight's gradient is made of its modules' calls.

    Attributes:
        layouts: of the calls that the losses depend on, in their order; None where no layout gives autograd's
            gradient, which is then taken one sample at a time.
        uses: of which module each call is.
        width: of the batch that this was found in.
        samples: in it; with one alone all positions are its own, which says nothing of more.
        proven: whether the gradient that was compared was not zero.
    """

    layouts: tuple[Layout, ...] | None
    uses: tuple[int, ...] = ()
    width: int = 1
    samples: int = 1
    proven: bool = True

    def fits(self, calls: Sequence[Call], samples: int, width: int) -> bool:
        """Tell whether calls like these are what the plan was found for."""
        if self.layouts is None:
            return True
        if tuple(call.use for call in calls) != self.uses:
            return False
        if samples == 1:
            return True
        return self.samples > 1 and all(
            layout.fits(call.lead, samples, width, self.width) for layout, call in zip(self.layouts, calls, strict=True)
        )


BY_SAMPLE = Plan(None)
UNCHECKED = Plan(())


@dataclass(frozen=True)
class Pass:
    """A forward pass and the backward pass from the sum of its losses.

    Attributes:
        losses: ``Tensor[b]``; part of the graph still where it was kept.
        recordings: of the layers, in their order.
        calls: for each of them, those that the losses depend on.
        gradients: for each of them, the gradients of those calls' outputs.
        sums: the gradients of the sum of the losses with respect to the weights that were asked for, where there are.
    """

    losses: Tensor
    recordings: list[Recording]
    calls: list[list[Call]]
    gradients: list[list[Tensor]]
    sums: list[Tensor | None]

    def factors(self, index: int, layouts: Iterable[Layout]) -> Factors:
        """Make the gradients of one layer's weight as factors, the calls' positions one after the other."""
        recording, samples = self.recordings[index], len(self.losses)
        lefts, rights = [], []
        for call, gradient, layout in zip(self.calls[index], self.gradients[index], layouts, strict=True):
            left, right = recording.factors(call, gradient)
            lefts.append(layout.by_sample(left, samples))
            rights.append(layout.by_sample(right, samples))
        r, d = recording.layer.shape
        weight = recording.layer.weight
        left, right = (
            torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] if parts else weight.new_zeros(samples, 0, size)
            for parts, size in ((lefts, r), (rights, d))
        )
        return Factors(left, right)


def run_pass(
    model: nn.Module,
    batch: Any,
    loss_fn: LossFunction,
    layers: Sequence[AdaptedLayer],
    keep: bool = False,
    also: Sequence[Tensor] = (),
) -> Pass:
    """Run the model forward, and backward from the sum of the losses; within ``differentiable``.

    Args:
        model: any module.
        batch: what ``loss_fn`` takes.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: whose calls are recorded.
        keep: whether the graph stays, for further backward passes.
        also: weights whose own gradients are wanted too.

    Raises:
        ValueError: losses that are not one a sample or do not depend on a weight; a module that ran without autograd.
    """
    with recorded(layers) as recordings:
        losses = loss_fn(model, batch)
    if not isinstance(losses, Tensor) or losses.ndim != 1:
        got = f"shape {list(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
        raise ValueError(f"loss_fn: got {got}, expected one loss a sample, shape [b]")
    for recording in recordings:
        if recording.without_graph and not recording.calls:
            raise ValueError(
                f"layer {recording.layer.name!r}: got a call that ran without autograd, expected a loss_fn that"
                " uses neither no_grad nor reentrant checkpointing"
            )
    if not losses.requires_grad:
        raise ValueError("loss_fn: got losses that depend on no weight, expected part of an autograd graph")
    edges = [call.edge for recording in recordings for call in recording.calls]
    wanted: list[Any] = [*edges, *also]
    found = iter(torch.autograd.grad(losses.sum(), wanted, allow_unused=True, retain_graph=keep) if wanted else ())
    calls: list[list[Call]] = []
    gradients: list[list[Tensor]] = []
    for recording in recordings:
        pairs = [(call, gradient) for call in recording.calls if (gradient := next(found)) is not None]
        calls.append([call for call, _ in pairs])
        gradients.append([gradient for _, gradient in pairs])
    return Pass(losses if keep else losses.detach(), recordings, calls, gradients, list(found))


def compared_pass(
    model: nn.Module, batch: Any, loss_fn: LossFunction, layers: Sequence[AdaptedLayer]
) -> tuple[Pass, list[Plan]]:
    """Run the passes of a batch and compare what the modules saw with autograd; within ``differentiable``.

    Losses are weighted sample by sample: one more backward pass, from ``sum_i w_i loss_i``, gives ``sum_i w_i g_i`` of
    every weight. The layout of the calls whose factors come to the same is the right one. Where none does (the weight
    is used elsewhere too, or changed on its way, or samples share what it made) the plan says that gradients are to be
    taken one sample at a time.

    Args:
        model: any module.
        batch: what ``loss_fn`` takes.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: the weights.

    Returns:
        The pass, and a plan a layer.

    Raises:
        ValueError: see :func:`run_pass`.
    """
    ran = run_pass(model, batch, loss_fn, layers, keep=True)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.tensor(WEIGHTS)[torch.randint(len(WEIGHTS), (len(ran.losses),), generator=generator)]
    chosen[:2] = torch.tensor(WEIGHTS[:2])[: len(chosen)]  # two samples never weigh the same
    weights = chosen.to(ran.losses)
    wanted = [layer.weight for layer in layers]
    sums = torch.autograd.grad((ran.losses * weights).sum(), wanted, allow_unused=True) if wanted else ()
    ran = replace(ran, losses=ran.losses.detach())
    plans = []
    for index, (layer, total) in enumerate(zip(layers, sums, strict=True)):
        expected = layer.laid_out(torch.zeros_like(layer.weight) if total is None else total)
        plans.append(_plan(ran, index, expected, weights, width_of(batch)))
    return ran, plans


def _plan(ran: Pass, index: int, expected: Tensor, weights: Tensor, width: int) -> Plan:
    calls, samples = ran.calls[index], len(ran.losses)
    if ran.recordings[index].strange:
        return BY_SAMPLE
    uses = tuple(call.use for call in calls)
    exact = expected.to(torch.promote_types(expected.dtype, torch.float32))
    proven = bool(exact.any())
    for layouts in _candidates(calls, samples):
        factors = ran.factors(index, layouts)
        if _agrees(factors, weights, exact, _epsilon(ran, index)):
            return Plan(layouts, uses, width, samples, proven)
    return BY_SAMPLE


def _candidates(calls: Sequence[Call], samples: int) -> Iterable[tuple[Layout, ...]]:
    """List layouts of all calls; those of one module with positions of one shape have the same."""
    groups = list(dict.fromkeys((call.use, call.lead) for call in calls))
    choices = [list(layouts_of(lead, samples)) for _, lead in groups]
    for chosen in islice(product(*choices), COMBINATIONS):
        of_group = dict(zip(groups, chosen, strict=True))
        yield tuple(of_group[call.use, call.lead] for call in calls)


def _epsilon(ran: Pass, index: int) -> float:
    """Find the coarsest rounding on the way: of the weight, its inputs, or its outputs' gradients."""
    dtypes = {ran.recordings[index].layer.weight.dtype, *(gradient.dtype for gradient in ran.gradients[index])}
    dtypes |= {call.input.dtype for call in ran.calls[index] if call.input.is_floating_point()}
    if torch.float32 in dtypes and ran.losses.is_cuda and takes_tf32():
        return 1e-3
    return max(torch.finfo(dtype).eps for dtype in dtypes)


def _agrees(factors: Factors, weights: Tensor, expected: Tensor, epsilon: float) -> bool:
    """Tell whether ``sum_i w_i L_i^T R_i`` is what autograd says, up to rounding of its terms."""
    left, right = factors.left.to(expected.dtype), factors.right.to(expected.dtype)
    difference = (factors.weighted_sum(weights).to(expected.dtype) - expected).norm()
    if not bool(torch.isfinite(difference)):
        return not bool(torch.isfinite(expected).all())  # the values are at fault; who uses them says so
    terms = (weights.abs().to(left)[:, None] * left.norm(dim=2) * right.norm(dim=2)).sum()
    relative = max(8 * epsilon, sqrt(epsilon) / 4)
    return bool(difference <= relative * expected.norm() + 4 * epsilon * terms)
