"""Layers of one shape taken together: a GPU takes as long to begin a product as to multiply many numbers."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hyperinf.gradients.contractions import SAFE, Dense, Factors, LayerGradients
from hyperinf.gradients.scratch import at_once, takes_many

MANY_VECTORS = 32
"""From which on products of gradients that are formed of factors are in the factors' dtype, and not in float64."""


class Alike:
    """The gradients of l layers, ``g_i: [r, d]`` of the same b samples each, behind what is taken of all of them.

    What is computed of layers that are taken together lives as long as this does: use it before the next is asked for.

    Args:
        gradients: of layers of one shape, dtype and device where there are several.
    """

    def __init__(self, gradients: Mapping[str, LayerGradients]) -> None:
        self.layers = tuple(gradients)
        self._gradients = list(gradients.values())
        self._rows: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """What products are computed in: the gradients' own dtype, float32 or better."""
        return self._gradients[0].dtype

    @property
    def device(self) -> torch.device:
        """Where products are taken."""
        return self._gradients[0].device

    def pieces(self) -> "Iterator[Alike]":
        """Take the samples apart as :meth:`LayerGradients.pieces` does."""
        if len(self.layers) > 1:
            yield self
            return
        for piece in self._gradients[0].pieces():
            yield Alike({self.layers[0]: piece})

    def dots(self, vectors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Tensor:
        """Compute ``<g_i, v_k>`` of every layer, sample and vector.

        Args:
            vectors: ``{layer: Tensor[k, r, d]}`` of these layers at least; see :meth:`LayerGradients.dots`.
            dtype: that the vectors are taken to; their own when None.

        Returns:
            ``Tensor[l, b, k]``.
        """
        own = [vectors[layer] for layer in self.layers]
        if len(own) == 1:
            return self._gradients[0].dots(own[0].to(dtype))[None]
        if isinstance(self._gradients[0], Factors):  # a product in float64 is for those few that a memory waits for
            dtype = torch.float64 if len(own[0]) < MANY_VECTORS else self.dtype
        stacked = torch.stack(own).flatten(2).to(dtype)
        return torch.bmm(self._as(stacked.dtype), stacked.mT)

    def squares(self) -> Tensor:
        """Compute ``|g_i|^2`` of every layer and sample, ``Tensor[l, b]``, float64."""
        if len(self.layers) > 1:
            squares = torch.linalg.vector_norm(self._as(torch.float64), dim=2).square()
            if self._sound(squares):
                return squares
        return torch.stack([each.squares() for each in self._gradients])

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Compute ``sum_i w_i g_i`` of every layer.

        Args:
            weights: ``Tensor[l, b]``; see :meth:`LayerGradients.weighted_sum`.

        Returns:
            ``Tensor[l, r, d]``.
        """
        return self.weighted_sums(weights[:, :, None])[:, 0]

    def weighted_sums(self, weights: Tensor) -> Tensor:
        """Compute ``sum_i w_ik g_i`` of every layer and of k sets of weights.

        Args:
            weights: ``Tensor[l, b, k]``; see :meth:`LayerGradients.weighted_sums`.

        Returns:
            ``Tensor[l, k, r, d]``.
        """
        if len(self.layers) == 1:
            return self._gradients[0].weighted_sums(weights[0])[None]
        _, rank, columns = self._gradients[0].shape
        return torch.bmm(weights.mT, self._as(weights.dtype)).view(len(self.layers), weights.shape[2], rank, columns)

    def sum(self) -> Tensor:
        """Compute ``sum_i g_i`` of every layer, ``Tensor[l, r, d]``, as :meth:`LayerGradients.sum` does."""
        if len(self.layers) > 1:
            _, rank, columns = self._gradients[0].shape
            total = self._as(torch.float64).sum(1).view(-1, rank, columns)
            if self._sound(total):
                return total
        return torch.stack([each.sum() for each in self._gradients])

    def _sound(self, values: Tensor) -> bool:
        """Tell whether no layer's values are tiny or huge, which gradients formed of factors in float32 may lose."""
        if isinstance(self._gradients[0], Dense):
            return True
        return all(1 / SAFE <= size <= SAFE for size in values.abs().flatten(1).amax(dim=1).tolist())

    def _as(self, dtype: torch.dtype) -> Tensor:
        """Copy the gradients of all layers in this dtype, ``Tensor[l, b, r d]``, once."""
        if self._rows is not None and self._rows.dtype == dtype:
            return self._rows
        if isinstance(self._gradients[0], Factors) and dtype != self.dtype:
            self._rows = self._as(self.dtype).to(dtype)
            return self._rows
        samples, rank, columns = self._gradients[0].shape
        self._rows = torch.empty(len(self.layers), samples, rank * columns, dtype=dtype, device=self.device)
        for each, rows in zip(self._gradients, self._rows.unbind(), strict=True):
            if isinstance(each, Factors):
                each.form(rows.view(each.shape))
        held = [each.dense().flatten(1) for each in self._gradients if isinstance(each, Dense)]
        if held:
            torch._foreach_copy_(self._rows.unbind(), held)
        return self._rows


def together(gradients: Mapping[str, LayerGradients], exponents: Mapping[str, int] | None = None) -> Iterator[Alike]:
    """Put layers together that are of one shape, as many as a device takes at once; a CPU takes each alone.

    Args:
        gradients: of some layers of one block.
        exponents: of the units that gradients are taken to; 0 where there is none.

    Gradients of factors are formed where they are no larger than those.
    """
    units = exponents or {}
    alike: dict[object, list[str]] = {}
    for layer, each in gradients.items():
        many = takes_many(each.device) and (isinstance(each, Dense) or (isinstance(each, Factors) and each.smaller))
        kind = (
            (type(each), each.shape, each.dense().dtype if isinstance(each, Dense) else each.dtype, each.device)
            if many
            else layer
        )
        alike.setdefault(kind, []).append(layer)
    for layers in alike.values():
        samples, rank, columns = gradients[layers[0]].shape
        most = at_once(samples * rank * columns, gradients[layers[0]].device) if len(layers) > 1 else 1
        for start in range(0, len(layers), most):
            some = layers[start : start + most]
            yield Alike({layer: gradients[layer].scaled(-units.get(layer, 0)) for layer in some})
