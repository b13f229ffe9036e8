"""Sums over the training samples that a method asks for beyond the statistics, and the sweeps that take them."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.gradients import GradientBlock, GradientSource

Vectors = dict[str, Tensor]
"""``{layer: Tensor[r, d]}``."""


@dataclass(frozen=True)
class Sweep:
    """A request for ``sum_i term(g_i)`` of some layers over all training samples.

    Attributes:
        layers: whose sums are wanted.
        term: the part of a layer's sum that a block of samples makes, ``Tensor[r, d]``.
    """

    layers: tuple[str, ...]
    term: Callable[[GradientBlock, str], Tensor]


Steps = Generator[Sweep, Vectors, Vectors]
"""Yields the sweeps that it needs, one after the other, is sent their sums, and returns the result."""


def sweep_sums(source: GradientSource, sweeps: Sequence[Sweep]) -> list[Vectors]:
    """The sums that ``sweeps`` ask for, in float64, from one sweep over ``source``; none where they ask for nothing."""
    sums: list[Vectors] = [{} for _ in sweeps]
    for block in source if any(sweep.layers for sweep in sweeps) else ():
        for sweep, totals in zip(sweeps, sums, strict=True):
            for layer in sweep.layers:
                term = sweep.term(block, layer)
                if layer in totals:
                    totals[layer] += term
                else:
                    totals[layer] = term.double()
        del block  # before the source makes the next one
    return sums


def replayed(steps: Steps, answers: Iterable[Vectors]) -> Sweep | Vectors:
    """The sweep that ``steps`` ask for after the sums of earlier ones, or the result where they ask for no more."""
    try:
        sweep = next(steps)
        for sums in answers:
            sweep = steps.send(sums)
    except StopIteration as end:
        result: Vectors = end.value
        return result
    return sweep


def completed(steps: Steps, source: GradientSource) -> Vectors:
    """The result of ``steps``, by a sweep over ``source`` whenever they ask for one."""
    try:
        sweep = next(steps)
        while True:
            sweep = steps.send(sweep_sums(source, [sweep])[0])
    except StopIteration as end:
        result: Vectors = end.value
        return result


@dataclass(frozen=True)
class SampleScores:
    """Scores of the samples of one sweep, in the source's order.

    Attributes:
        sample_ids: n ids.
        influence: ``{method: Tensor[n]}``, float64; positive is harmful.
        losses: ``Tensor[n]``, each sample's own loss, where the source knows it.
    """

    sample_ids: tuple[str, ...]
    influence: dict[str, Tensor]
    losses: Tensor | None


def sweep_scores(source: GradientSource, products: Mapping[str, Vectors]) -> SampleScores:
    """``-sum_l <hvp_l, g_il>`` of every method in one sweep, summed in float64; uses ``products`` up.

    Args:
        source: the samples to score.
        products: ``{method: hvp}``.
    """
    names = list(products)
    stacked = {layer: torch.stack([products[name].pop(layer) for name in names]) for layer in source.layers}
    ids: list[str] = []
    scores, losses = [], []
    for block in source:
        ids.extend(block.sample_ids)
        total = torch.zeros(())
        for layer, vectors in stacked.items():
            dots = block.contractions(layer).dots(vectors)
            total = total.to(dots) + dots
        scores.append(-total)
        losses.append(block.losses)
        del block
    table = torch.cat(scores)
    known = [loss for loss in losses if loss is not None]
    return SampleScores(
        tuple(ids),
        {name: table[:, column].contiguous() for column, name in enumerate(names)},
        torch.cat(known) if len(known) == len(losses) else None,
    )
