"""Sums over the training samples that a method asks for beyond the statistics, and the sweeps that take them."""

import math
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, GradientSource
from hyperinf.gradients.alike import together
from hyperinf.gradients.column import Column
from hyperinf.gradients.contractions import SAFE
from hyperinf.gradients.sweeping import checked
from hyperinf.gradients.units import all_largest, all_shifted, each_shifted, exponent_needed, shifted, sizes_of_each
from hyperinf.influence.weighted import SideBySide, Weighing

Vectors = dict[str, Tensor]
"""``{layer: Tensor[r, d]}``."""


@dataclass(frozen=True)
class Sweep:
    """A request for ``sum_i term(g_i)`` of some layers over all training samples.

    Attributes:
        layers: whose sums are wanted.
        terms: the parts of the layers' sums that a block of samples makes, of some layers after the other: their names
            and ``Tensor[l, r, d]``, or as many tensors of shapes that are the same for all blocks; none if weighted.
        factors: whether it needs the factors that gradients are products of, and not the gradients.
        vectors: of a weighted sum those whose products with the gradients are weighed, ``{layer: Tensor[r, d]}``, or k
            at once, ``Tensor[k, r, d]``.
        weighing: of a weighted sum, how: several that weigh alike are taken together.
    """

    layers: tuple[str, ...]
    terms: Callable[[GradientBlock], Iterable[tuple[Sequence[str], Iterable[Tensor]]]]
    factors: bool = False
    vectors: Mapping[str, Tensor] = field(default_factory=dict)
    weighing: Weighing | None = None

    @classmethod
    def of(cls, layers: Iterable[str], term: Callable[[GradientBlock, str], Tensor], factors: bool = False) -> Self:
        """Make one of ``term(block, layer)``, the part of one layer."""
        names = tuple(layers)
        return cls(names, lambda block: (((layer,), (term(block, layer),)) for layer in names), factors)

    @classmethod
    def weighted(cls, vectors: Mapping[str, Tensor], weighing: Weighing) -> Self:
        """Make one of ``sum_i w_i g_i``, the weights of the products of gradients with a vector of every layer."""
        return cls(tuple(vectors), lambda _: (), vectors=dict(vectors), weighing=weighing)


Steps = Generator[Sweep, Vectors, Vectors]
"""Yields the sweeps that it needs, one after the other, is sent their sums, and returns the result."""


def sweep_sums(
    source: GradientSource, sweeps: Sequence[Sweep], sample_ids: Sequence[str] | None = None
) -> list[Vectors]:
    """Take the sums that ``sweeps`` ask for, in float64, in one sweep over ``source``, or none if they ask for nothing.

    Where gradients are held, sums of factors are taken in a sweep over their origin.

    Args:
        source: the training gradients.
        sweeps: what is asked for.
        sample_ids: those of the statistics, which this sweep is checked against.

    Raises:
        InputError: other samples than in the statistics, or in another order.
    """
    sums: list[Vectors] = [{} for _ in sweeps]
    origin = getattr(source, "origin", None)
    for factors, swept in ((True, origin), (False, source)) if origin is not None else ((None, source),):
        asked = [
            (sweep, totals) for sweep, totals in zip(sweeps, sums, strict=True) if factors in (None, sweep.factors)
        ]
        _take_sums(swept, asked, sample_ids)
    return sums


def _take_sums(
    source: GradientSource, asked: Sequence[tuple[Sweep, Vectors]], sample_ids: Sequence[str] | None
) -> None:
    """Add to the sums of each sweep what one sweep over ``source`` gives."""
    kinds: dict[Hashable, tuple[Weighing, list[tuple[Sweep, Vectors]]]] = {}
    for each in asked:
        if (weighing := each[0].weighing) is not None:
            kinds.setdefault(weighing.kind, (weighing, []))[1].append(each)
    alike = [
        ([totals for _, totals in each], SideBySide(weighing, [sweep.vectors for sweep, _ in each]))
        for weighing, each in kinds.values()
    ]
    others = [each for each in asked if each[0].weighing is None]
    for block in checked(source, "train", sample_ids) if any(sweep.layers for sweep, _ in asked) else ():
        for _, side_by_side in alike:
            side_by_side.take(block)
        for sweep, totals in others:
            for layers, terms in sweep.terms(block):
                doubles = terms.double().unbind() if isinstance(terms, Tensor) else [term.double() for term in terms]
                for layer, term in zip(layers, doubles, strict=True):
                    totals[layer] = totals[layer].add_(term) if layer in totals else term
        del block  # before the source makes the next one
    for every, side_by_side in alike:
        for totals, taken in zip(every, side_by_side.taken(), strict=True):
            totals.update(taken)


def replayed(steps: Steps, answers: Iterable[Vectors]) -> Sweep | Vectors:
    """Find the sweep that ``steps`` ask for after the sums of earlier ones, or the result if they ask for no more."""
    try:
        sweep = next(steps)
        for sums in answers:
            sweep = steps.send(sums)
    except StopIteration as end:
        result: Vectors = end.value
        return result
    return sweep


def completed(steps: Sequence[Steps], source: GradientSource, sample_ids: Sequence[str] | None = None) -> list[Vectors]:
    """Take each of ``steps`` to its result: one sweep over ``source`` serves all that ask for one at the same time."""
    results: dict[int, Vectors] = {}
    asked: dict[int, Sweep] = {}

    def take_step(place: int, sums: Vectors | None) -> None:
        try:
            asked[place] = next(steps[place]) if sums is None else steps[place].send(sums)
        except StopIteration as end:
            results[place] = end.value

    for place in range(len(steps)):
        take_step(place, None)
    while asked:
        places = list(asked)
        for place, sums in zip(places, sweep_sums(source, [asked.pop(each) for each in places], sample_ids)):
            take_step(place, sums)
    return [results[place] for place in range(len(steps))]


@dataclass(frozen=True)
class SampleScores:
    """Scores of the samples of one sweep, in the source's order.

    Attributes:
        sample_ids: n ids.
        influence: ``{method: Tensor[n]}``, float64; positive is harmful.
        losses: ``Tensor[n]``, each sample's own loss, where the source knows it.
        by_layer: ``{layer: Tensor[n, methods]}``, what each layer adds to the influence; empty if not asked for.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient over all layers, if asked for.
    """

    sample_ids: tuple[str, ...]
    influence: dict[str, Tensor]
    losses: Tensor | None
    by_layer: dict[str, Tensor] = field(default_factory=dict)
    grad_norm: Tensor | None = None


@dataclass(frozen=True)
class VectorScores:
    """Scores of the samples of one sweep on k vectors, in the source's order.

    Attributes:
        sample_ids: n ids.
        influence: ``Tensor[n, k]``, float64; positive is harmful.
        losses: ``Tensor[n]``, each sample's own loss, where the source knows it.
        by_layer: ``{layer: Tensor[n, k]}``, what each layer adds to the influence; empty if not asked for.
    """

    sample_ids: tuple[str, ...]
    influence: Tensor
    losses: Tensor | None
    by_layer: dict[str, Tensor]


def sweep_scores(
    source: GradientSource,
    products: Mapping[str, Vectors],
    sample_ids: Sequence[str] | None = None,
    exponents: Mapping[str, int] | None = None,
    by_layer: bool = False,
) -> SampleScores:
    """Compute ``-sum_l <hvp_l, g_il>`` of every method in one sweep, summed in float64; uses ``products`` up.

    Args:
        source: the samples to score.
        products: ``{method: hvp}``.
        sample_ids: those of the statistics, which this sweep is checked against.
        exponents: of the units of layers whose gradients are tiny or huge.
        by_layer: keep what each layer adds as well.

    Raises:
        InputError: other samples than in the statistics, or in another order; or a score that is not finite (names the
            method, the sample and the layer).
    """
    exponents = exponents or {}
    names = list(products)
    vectors, units = _stacked(source.layers, products, exponents)
    found = _swept(source, names, vectors, units, sample_ids, exponents, by_layer)
    return SampleScores(found.sample_ids, _by_name(found.influence, names), found.losses, found.by_layer)


def sweep_stacks(
    source: GradientSource,
    names: Sequence[str],
    stacks: dict[str, Tensor],
    sample_ids: Sequence[str] | None = None,
    exponents: Mapping[str, int] | None = None,
    by_layer: bool = False,
) -> VectorScores:
    """Compute ``-sum_l <hvp_l, g_il>`` of k vectors as :func:`sweep_scores` does of methods; uses ``stacks`` up.

    Args:
        source: as in :func:`sweep_scores`.
        names: of the vectors, k different ones.
        stacks: ``{layer: Tensor[k, r, d]}``, float64.
        sample_ids: as in :func:`sweep_scores`.
        exponents: as in :func:`sweep_scores`.
        by_layer: as in :func:`sweep_scores`.

    Raises:
        InputError: as in :func:`sweep_scores`.
    """
    exponents = exponents or {}
    vectors, units = {}, {}
    for layer in source.layers:
        vectors[layer], unit = in_units(stacks.pop(layer), exponents.get(layer, 0))
        if unit is not None:
            units[layer] = unit
    return _swept(source, list(names), vectors, units, sample_ids, exponents, by_layer)


def _swept(
    source: GradientSource,
    names: list[str],
    vectors: Vectors,
    units: Vectors,
    sample_ids: Sequence[str] | None,
    exponents: Mapping[str, int],
    by_layer: bool,
) -> VectorScores:
    """Sweep ``source`` for the scores of vectors ``{layer: Tensor[k, r, d]}`` in units ``{layer: Tensor[k]}``."""
    ids: list[str] = []
    length = None if sample_ids is None else len(sample_ids)
    scores, losses = Column(length), _Losses(length)
    added = {layer: Column(length) for layer in (vectors if by_layer else ())}
    for block in checked(source, "train", sample_ids):
        ids.extend(block.sample_ids)
        parts: dict[str, Tensor] = {}
        total = torch.zeros(())
        for few in together({layer: block.gradients[layer] for layer in vectors}, exponents):
            dots = _in_their_units(few.dots(vectors), [units.get(layer) for layer in few.layers])
            parts.update(zip(few.layers, dots.unbind(), strict=True))
            total = total.to(dots) + _over_layers(dots)
        if not bool(torch.isfinite(total).all()):
            raise InputError(_not_finite(total, parts, names, block.sample_ids))
        scores.extend(-total)
        for layer in added:
            added[layer].extend(-parts[layer])
        losses.extend(block.losses)
        del block, few
    if not scores:
        raise InputError("train: got no samples, expected at least one")
    parts = {layer: pieces.joined() for layer, pieces in added.items()}
    return VectorScores(tuple(ids), scores.joined(), losses.joined(), parts)


def _by_name(table: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    return {name: table[:, column].contiguous() for column, name in enumerate(names)}


def sweep_scores_alone(source: GradientSource, products: Mapping[str, Vectors], norms: bool) -> SampleScores | None:
    """Compute the scores of methods that need no statistics, in the only sweep over ``source``; keeps ``products``.

    Args:
        source: the samples to score.
        products: ``{method: hvp}``.
        norms: take the norms of the gradients as well.

    Returns:
        The scores; or None where gradients of a layer are all zero, not finite, tiny or huge, of which statistics tell.
    """
    names = list(products)
    vectors, units = _stacked(source.layers, {name: dict(vectors) for name, vectors in products.items()}, {})
    ids: list[str] = []
    length = getattr(source, "known_length", None)
    scores, grad_norm, losses = Column(length), Column(length), _Losses(length)
    heard: set[str] = set()
    for block in checked(source, "train"):
        ids.extend(block.sample_ids)
        layers: list[str] = []
        sizes: list[Tensor] = []
        total = squares = torch.zeros(())
        for few in together({layer: block.gradients[layer] for layer in vectors}):
            own = {layer: vectors[layer].to(few.device) for layer in few.layers}
            dots = few.dots(own)
            layers += few.layers
            sizes.append(torch.linalg.vector_norm(dots, ord=math.inf, dim=(1, 2)))
            dots = _in_their_units(dots, [units.get(layer) for layer in few.layers])
            total = total.to(dots) + _over_layers(dots)
            if norms:
                found = few.squares()
                squares = squares.to(found) + _over_layers(found)
        found_sizes = torch.cat([each.to(sizes[0].device) for each in sizes]).tolist()
        largest = dict(zip(layers, found_sizes, strict=True))
        if not all(size == 0 or 1 / SAFE <= size <= SAFE for size in largest.values()):
            return None
        heard.update(layer for layer, size in largest.items() if size > 0)
        scores.extend(-total)
        losses.extend(block.losses)
        if norms:
            grad_norm.extend(squares)
        del block, few
    if len(heard) < len(vectors) or not (scores and bool(torch.isfinite(scores.joined()).all())):
        return None
    return SampleScores(
        tuple(ids),
        _by_name(scores.joined(), names),
        losses.joined(),
        grad_norm=grad_norm.joined().sqrt() if norms else None,
    )


class _Losses:
    """Losses of blocks, as long as all are known."""

    def __init__(self, length: int | None) -> None:
        self._known: Column | None = Column(length)

    def extend(self, losses: Tensor | None) -> None:
        if losses is None:
            self._known = None
        elif self._known is not None:
            self._known.extend(losses)

    def joined(self) -> Tensor | None:
        return self._known.joined() if self._known else None


def _stacked(
    layers: Iterable[str], products: Mapping[str, Vectors], exponents: Mapping[str, int]
) -> tuple[Vectors, Vectors]:
    """Take each layer's vectors of all methods to their units, as :func:`in_units` does; uses them up.

    Returns:
        ``{layer: Tensor[k, r, d]}``, and the units that are not all 1, ``{layer: Tensor[k]}``.
    """
    names, each = list(layers), list(products.values())
    held = all_shifted(
        [method.pop(layer) for layer in names for method in each],
        [exponents.get(layer, 0) for layer in names for _ in each],
    )
    own = [exponent_needed(size) for size in all_largest(held)]
    held = all_shifted(held, [-exponent for exponent in own])
    vectors, units = {}, {}
    for place, layer in enumerate(names):
        rows = slice(place * len(each), (place + 1) * len(each))
        vectors[layer] = held[rows][0][None] if len(each) == 1 else torch.stack(held[rows])
        if any(own[rows]):
            units[layer] = held[rows][0].new_tensor([2.0**exponent for exponent in own[rows]])
    return vectors, units


def _in_their_units(dots: Tensor, units: Sequence[Tensor | None]) -> Tensor:
    """Multiply products ``Tensor[l, b, k]`` of l layers by their units, ``Tensor[k]`` where they are not 1."""
    if all(unit is None for unit in units):
        return dots
    ones = dots.new_ones(dots.shape[2])
    return dots * torch.stack([ones if unit is None else unit.to(dots) for unit in units])[:, None]


def _over_layers(values: Tensor) -> Tensor:
    """Add up ``Tensor[l, ...]``; of one layer that is a view."""
    return values[0] if len(values) == 1 else values.sum(0)


def in_units(vectors: Tensor, exponent: int) -> tuple[Tensor, Tensor | None]:
    """Take k vectors to the unit of a layer's gradients, and then to their own: a factored product is in float32.

    Args:
        vectors: ``Tensor[k, r, d]``.
        exponent: of the gradients' unit.

    Returns:
        ``Tensor[k, r, d]``, and what products with each are to be multiplied by; None for 1.
    """
    vectors = shifted(vectors, exponent)
    own = [exponent_needed(size) for size in sizes_of_each([vectors])[0]]
    units = vectors.new_tensor([2.0**each for each in own]) if any(own) else None
    return each_shifted(vectors, [-each for each in own]), units


def _not_finite(total: Tensor, parts: Mapping[str, Tensor], names: Sequence[str], sample_ids: Sequence[str]) -> str:
    """Name the first score that is not finite, and the layer that made it so (the largest, where only the sum is)."""
    row, column = (~torch.isfinite(total)).nonzero()[0].tolist()
    sizes = {layer: abs(float(part[row, column])) for layer, part in parts.items()}
    layer = max(sizes, key=lambda name: sizes[name] if sizes[name] == sizes[name] else float("inf"))
    value = -float(total[row, column])
    return f"{names[column]}: got {value} for sample {sample_ids[row]!r} (layer {layer!r}), expected finite scores"
