"""Sums of gradients by weights that come of their products with a vector; of many vectors in one matrix product."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from hyperinf.gradients import GradientBlock
from hyperinf.gradients.alike import Alike, together

Weights = Callable[[Alike, Tensor], Tensor]
"""Of some layers and their products ``<g_i, x_k>``, ``Tensor[l, b, k]``, makes as many weights."""


@dataclass(frozen=True)
class Weighing:
    """How the weights ``w_ik`` of ``sum_i w_ik g_i`` come of the products ``<g_i, x_k>``.

    Attributes:
        kind: equal for those, and only those, that weigh alike: their vectors may be taken together.
        weights: see :data:`Weights`.
        exponents: of the units that gradients are taken to; 0 where there is none.
        own_dtype: take products in the gradients' own dtype, and not in that of the vectors.
    """

    kind: Hashable
    weights: Weights
    exponents: Mapping[str, int]
    own_dtype: bool = False

    def sums(self, block: GradientBlock, vectors: Mapping[str, Tensor]) -> Iterator[tuple[Sequence[str], Tensor]]:
        """Take the sums over a block's samples.

        Args:
            block: of gradients.
            vectors: ``{layer: Tensor[k, r, d]}``, all of the same k.

        Yields:
            Layers, and ``Tensor[l, k, r, d]`` of them.
        """
        for few in together({layer: block.gradients[layer] for layer in vectors}, self.exponents):
            if self.own_dtype:
                yield few.layers, self._of(few, vectors, few.dtype)
            else:
                yield few.layers, reduce(torch.add, (self._of(piece, vectors) for piece in few.pieces()))

    def _of(self, few: Alike, vectors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Tensor:
        dots = few.dots({layer: vectors[layer] for layer in few.layers}, dtype)
        return few.weighted_sums(self.weights(few, dots))


class SideBySide:
    """Vectors of several requests that weigh alike, and the sums of each.

    Args:
        weighing: of all of them.
        requests: ``{layer: Tensor[r, d]}`` of each, or ``Tensor[k, r, d]``; they may be of different layers.
    """

    def __init__(self, weighing: Weighing, requests: Sequence[Mapping[str, Tensor]]) -> None:
        self._weighing, self._requests = weighing, requests
        groups: dict[tuple[int, ...], list[str]] = {}
        for layer in dict.fromkeys(layer for request in requests for layer in request):
            have = tuple(place for place, request in enumerate(requests) if layer in request)
            groups.setdefault(have, []).append(layer)
        self._groups = [
            {layer: _joined([requests[place][layer] for place in have]) for layer in layers}
            for have, layers in groups.items()
        ]
        self._totals: dict[str, Tensor] = {}

    def take(self, block: GradientBlock) -> None:
        """Add what a block makes, in float64."""
        for vectors in self._groups:
            for layers, sums in self._weighing.sums(block, vectors):
                for layer, part in zip(layers, sums.double(), strict=True):
                    self._totals[layer] = self._totals[layer].add_(part) if layer in self._totals else part

    def taken(self) -> list[dict[str, Tensor]]:
        """Give each request's sums, in its order of layers and its vectors' shapes; none where no block was met."""
        used = dict.fromkeys(self._totals, 0)

        def next_of(layer: str, vector: Tensor) -> Tensor:
            start = used[layer]
            used[layer] += 1 if vector.ndim == 2 else len(vector)
            return self._totals[layer][start : used[layer]].view_as(vector)

        return [
            {layer: next_of(layer, vector) for layer, vector in request.items() if layer in used}
            for request in self._requests
        ]


def _joined(vectors: Sequence[Tensor]) -> Tensor:
    """Join ``Tensor[r, d]`` and ``Tensor[k, r, d]``; of one that is a view."""
    stacks = [vector if vector.ndim == 3 else vector[None] for vector in vectors]
    return stacks[0] if len(stacks) == 1 else torch.cat(stacks)
