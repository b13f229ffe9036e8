"""Gradients of single samples as vectors for :meth:`InfluenceMethod.precondition_each`, as many as fit into memory."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from hyperinf.gradients import GradientSource
from hyperinf.gradients.kept import KeptSource
from hyperinf.gradients.scratch import takes_many
from hyperinf.gradients.sweeping import checked
from hyperinf.influence.methods import InfluenceMethod
from hyperinf.influence.sweeps import sweep_stacks
from hyperinf.runtime.memory import free_bytes

WORTH_A_SWEEP = 2**27
"""Bytes of vectors that a sweep over kept gradients is made for at the least."""


def queries_at_once(method: InfluenceMethod, layers: Mapping[str, tuple[int, int]], memory_bytes: int | None) -> int:
    """Count the queries whose vectors, with all that a method computes of them, fit into memory at a time.

    Args:
        method: fitted.
        layers: ``{layer: (r, d)}``.
        memory_bytes: that they may take, not counting a block of gradients and a layer's matrices. When None half of
            what is free where the method computes; where training gradients are kept in a CPU's memory, as much as
            those: each part of the queries costs a sweep over them, which is quick where all is at hand.

    Returns:
        At least 1.
    """
    if memory_bytes is None:
        device = torch.device(next(iter(method.statistics.devices.values()), "cpu"))
        free = free_bytes(device)
        memory_bytes = 2**62 if free is None else free // 2
        kept = method.source.held_bytes if isinstance(method.source, KeptSource) else 0
        if kept and not takes_many(device):
            memory_bytes = min(memory_bytes, max(kept, WORTH_A_SWEEP))
    return max(1, memory_bytes // (method.copies * 8 * sum(r * d for r, d in layers.values())))


def query_vectors(
    source: GradientSource, role: str, most: int, devices: Mapping[str, torch.device]
) -> Iterator[tuple[list[str], dict[str, Tensor]]]:
    """Take the gradients of all samples in one sweep, ``most`` of them at a time.

    Args:
        source: of the queries.
        role: what they are, for messages.
        most: samples at a time.
        devices: ``{layer: where its vectors are wanted}``.

    Yields:
        Ids and ``{layer: Tensor[k, r, d]}``, in the gradients' dtype, float32 or better.
    """
    ids: list[str] = []
    held: dict[str, list[Tensor]] = {layer: [] for layer in source.layers}
    for block in checked(source, role):
        start = 0
        while start < len(block):
            stop = min(len(block), start + most - len(ids))
            ids.extend(block.sample_ids[start:stop])
            for layer, pieces in held.items():
                dense = block.gradients[layer].dense()[start:stop]
                dtype = torch.promote_types(dense.dtype, torch.float32)
                pieces.append(dense.to(devices.get(layer, dense.device), dtype, copy=True))
            start = stop
            if len(ids) == most:
                yield ids, _joined(held)
                ids = []
        del block
    if ids:
        yield ids, _joined(held)


def _joined(held: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """Join the pieces of each layer; uses them up, as two layers' more are less than twice all."""
    joined = {}
    for layer, pieces in held.items():
        joined[layer] = torch.cat(pieces)
        pieces.clear()
    return joined


def preconditioned(method: InfluenceMethod, vectors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute ``hvp[l]`` of k vectors, one layer after the other where that costs no more; uses the vectors up.

    Args:
        method: fitted.
        vectors: ``{layer: Tensor[k, r, d]}``.

    Returns:
        ``{layer: Tensor[k, r, d]}``, float64.
    """
    if not method.layers_apart or any(takes_many(each.device) for each in vectors.values()):
        return method.precondition_each({layer: vectors.pop(layer).double() for layer in list(vectors)})
    method.prepare()
    return {layer: method.precondition_each({layer: vectors.pop(layer).double()})[layer] for layer in list(vectors)}


def score_vectors(
    method: InfluenceMethod, vectors: dict[str, Tensor], names: Sequence[str], by_layer: bool = False
) -> tuple[tuple[str, ...], dict[str, Tensor], Tensor | None]:
    """Score every training sample on k gradients, in one sweep; uses the gradients up.

    Args:
        method: fitted.
        vectors: ``{layer: Tensor[k, r, d]}``.
        names: k different ones.
        by_layer: give what each layer adds.

    Returns:
        Ids, ``{layer (or "" for all): Tensor[n, k]}`` and losses, where they are known.
    """
    products = preconditioned(method, vectors)
    statistics = method.statistics
    assert method.source is not None
    scores = sweep_stacks(method.source, names, products, statistics.sample_ids, statistics.exponents, by_layer)
    return scores.sample_ids, scores.by_layer or {"": scores.influence}, scores.losses
