"""Layers of one shape taken together: a GPU takes as long to begin a product as to multiply many numbers."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from hyperinf.gradients.contractions import Dense, LayerGradients
from hyperinf.gradients.scratch import at_once, takes_many


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
        stacked = torch.stack(own).flatten(2).to(dtype)
        return torch.bmm(self._as(stacked.dtype), stacked.mT)

    def squares(self) -> Tensor:
        """Compute ``|g_i|^2`` of every layer and sample, ``Tensor[l, b]``, float64."""
        if len(self.layers) == 1:
            return self._gradients[0].squares()[None]
        return torch.linalg.vector_norm(self._as(torch.float64), dim=2).square()

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Compute ``sum_i w_i g_i`` of every layer.

        Args:
            weights: ``Tensor[l, b]``; see :meth:`LayerGradients.weighted_sum`.

        Returns:
            ``Tensor[l, r, d]``.
        """
        if len(self.layers) == 1:
            return self._gradients[0].weighted_sum(weights[0])[None]
        _, rank, columns = self._gradients[0].shape
        return torch.bmm(weights[:, None], self._as(weights.dtype)).view(-1, rank, columns)

    def sum(self) -> Tensor:
        """Compute ``sum_i g_i`` of every layer, ``Tensor[l, r, d]``, as :meth:`LayerGradients.sum` does."""
        if len(self.layers) == 1:
            return self._gradients[0].sum()[None]
        _, rank, columns = self._gradients[0].shape
        return self._as(torch.float64).sum(1).view(-1, rank, columns)

    def _as(self, dtype: torch.dtype) -> Tensor:
        """Copy the gradients of all layers in this dtype, ``Tensor[l, b, r d]``, once."""
        if self._rows is None or self._rows.dtype != dtype:
            held = [each.dense().flatten(1) for each in self._gradients]
            if held[0].dtype == dtype:
                self._rows = torch.stack(held)
            else:
                self._rows = held[0].new_empty(len(held), *held[0].shape, dtype=dtype)
                torch._foreach_copy_(self._rows.unbind(), held)
        return self._rows


def together(gradients: Mapping[str, LayerGradients], exponents: Mapping[str, int] | None = None) -> Iterator[Alike]:
    """Put layers together that are of one shape, as many as a device takes at once; a CPU takes each alone.

    Args:
        gradients: of some layers of one block.
        exponents: of the units that gradients are taken to; 0 where there is none.
    """
    units = exponents or {}
    alike: dict[object, list[str]] = {}
    for layer, each in gradients.items():
        many = isinstance(each, Dense) and takes_many(each.device)
        kind = (each.shape, each.dense().dtype, each.device) if many else layer
        alike.setdefault(kind, []).append(layer)
    for layers in alike.values():
        samples, rank, columns = gradients[layers[0]].shape
        most = at_once(samples * rank * columns, gradients[layers[0]].device) if len(layers) > 1 else 1
        for start in range(0, len(layers), most):
            some = layers[start : start + most]
            yield Alike({layer: gradients[layer].scaled(-units.get(layer, 0)) for layer in some})
