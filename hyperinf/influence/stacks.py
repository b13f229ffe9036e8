"""Vectors of several layers as rows of one tensor, where their shapes are the same: few operations for all of them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Stacks:
    """Layers in groups of one shape, dtype and device.

    Args:
        like: ``{layer: Tensor[r, d]}`` of the shapes that the vectors have, or ``Tensor[k, r, d]``, of k in each.
    """

    def __init__(self, like: Mapping[str, Tensor]) -> None:
        groups: dict[object, list[str]] = {}
        for layer, vector in like.items():
            groups.setdefault((vector.shape, vector.dtype, vector.device), []).append(layer)
        self._groups = [(tuple(layers), like[layers[0]]) for layers in groups.values()]

    def stacked(self, vectors: Mapping[str, Tensor]) -> list[Tensor]:
        """Make of every group's vectors the rows of a ``Tensor[l, p]``, or of k in each a ``Tensor[l, k, p]``."""
        return [torch.stack([vectors[layer] for layer in layers]).flatten(-2) for layers, _ in self._groups]

    def apart(self, stacks: Sequence[Tensor]) -> dict[str, Tensor]:
        """Give each layer's vector in its shape, a view."""
        return {
            layer: row
            for (layers, like), stack in zip(self._groups, stacks, strict=True)
            for layer, row in zip(layers, stack.view(-1, *like.shape).unbind(), strict=True)
        }

    def columns(self, values: Mapping[str, float]) -> list[Tensor]:
        """Make of a number of every layer what :meth:`stacked` can be multiplied by, of each group."""
        return [
            like.new_tensor([values[layer] for layer in layers]).view(-1, *(1 for _ in like.shape[1:]))
            for layers, like in self._groups
        ]

    def numbers(self, *values: Sequence[Tensor]) -> list[dict[str, float]]:
        """Fetch a number of every layer, ``Tensor[l]`` of each group, of all ``values`` at once."""
        if not (values and self._groups):
            return [{} for _ in values]
        device = values[0][0].device
        found = torch.cat([each.to(device) for groups in values for each in groups]).tolist()
        names = [layer for layers, _ in self._groups for layer in layers]
        return [dict(zip(names, found[place * len(names) :])) for place in range(len(values))]
