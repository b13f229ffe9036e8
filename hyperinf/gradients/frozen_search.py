"""Finding the part of a model that no gradient goes through, by running a few samples."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import REFUSALS
from hyperinf.gradients.frozen import FrozenPart, Needed, tensors_of
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.plans import Pass, run_pass
from hyperinf.gradients.rounding import close
from hyperinf.gradients.weights import AdaptedLayer

WORTH = 0.1
"""Of the operations of a sweep, the least that has to be saved."""


def frozen_part(
    model: nn.Module, batch: Any, loss_fn: LossFunction, layers: Sequence[AdaptedLayer]
) -> FrozenPart | None:
    """Find the part of a model that no gradient of these layers goes through.

    What is not needed is found by trying: with its output not a number, losses and gradients are what they were.

    Args:
        model: any module.
        batch: a few samples, on the model's device.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: the weights whose gradients are taken.

    Returns:
        None where there is no such part, it saves less than `WORTH`, or a pass is not the same without it.
    """
    hooked = [layer for layer in layers if layer.uses]
    try:
        with differentiable(model, layers):
            tree = _traced(model, lambda: loss_fn(model, batch), [layer.weight for layer in layers])
            calls = _worth_their_memory(list(_frozen(tree, {use.module for layer in hooked for use in layer.uses})))
            frozen = sum(call.operations for call in calls)
            trained = sum(call.operations for call in tree) - frozen
            saved = frozen / max(1.0, frozen + _BOTH_WAYS * trained)
            if saved < WORTH:
                return None
            modules = tuple(call.module for call in calls)
            every = frozenset((place, index) for place, call in enumerate(calls) for index in range(len(call.given)))
            with FrozenPart(modules, every, saved).recorded() as outputs:
                first = run_pass(model, batch, loss_fn, hooked)
            if not outputs:
                return None

            def same(needed: Needed) -> bool:
                part = FrozenPart(modules, needed, saved)
                with suppress(*REFUSALS), part.replayed(part.without(outputs)):
                    return _same_pass(first, run_pass(model, batch, loss_fn, hooked))
                return False

            needed = _fewest(every, same)
    except (AttributeError, *REFUSALS):  # what is wrong is told where numbers are taken
        return None
    return None if needed is None else FrozenPart(modules, needed, saved)


_BOTH_WAYS = 3
"""Operations of a forward and backward pass through a layer, in those of the forward pass."""


def _worth_their_memory(calls: list["_Node"]) -> list["_Node"]:
    """Leave single matrices out beside whole layers: they save little for what their outputs take."""
    layers = [call for call in calls if call.within]
    most = 2 * sum(call.operations for call in layers) >= sum(call.operations for call in calls)
    return layers if most else calls


def _fewest(every: Needed, same: Callable[[Needed], bool]) -> Needed | None:
    """Leave out of all outputs what a pass is the same without; None where it never is.

    The last call's outputs are all that is needed of a row of layers, and are tried first.
    """
    final = max(call for call, _ in every)
    needed = frozenset(each for each in every if each[0] == final)
    if not same(needed):
        needed = every
        if not same(needed):
            return None
    return _without(needed, sorted(needed), same) if len(needed) > 1 else needed


def _without(needed: Needed, some: Sequence[tuple[int, int]], same: Callable[[Needed], bool]) -> Needed:
    """Leave out as many of some outputs as can be, halves of them at a time."""
    less = needed.difference(some)
    if less and same(less):
        return less
    if len(some) > 1:
        half = len(some) // 2
        for part in (some[:half], some[half:]):
            needed = _without(needed, part, same)
    return needed


def _same_pass(first: Pass, again: Pass) -> bool:
    """Tell whether losses and gradients are the same up to rounding; what is not a number is not."""
    pairs = [(first.losses, again.losses)]
    for ours, theirs in zip(first.gradients, again.gradients, strict=True):
        pairs += zip(ours, theirs, strict=True)
    return all(
        bool(torch.isfinite(found).all()) and close(found.float(), known.float(), torch.finfo(known.dtype).eps)
        for known, found in pairs
    )


@dataclass
class _Node:
    """A call of a module, and those made within it."""

    module: nn.Module
    within: list["_Node"] = field(default_factory=list)
    given: list[Tensor] = field(default_factory=list)
    frozen: bool = False

    @property
    def operations(self) -> float:
        own = _operations(self.module, self.given[0]) if self.given else 0.0
        return own + sum(node.operations for node in self.within)


def _traced(model: nn.Module, run: Callable[[], Any], weights: Sequence[Tensor]) -> list[_Node]:
    """List the calls that are made by ``run``, each with those within it, and whether weights move what it gives."""
    root = _Node(model)
    stack = [root]
    moving = _Moving(weights)

    def before(module: nn.Module, *_: Any) -> None:
        node = _Node(module)
        stack[-1].within.append(node)
        stack.append(node)

    def after(module: nn.Module, _: Any, output: Any) -> None:
        node = stack.pop()
        node.given = tensors_of(output) or []
        node.frozen = bool(node.given) and not any(map(moving, node.given))

    handles = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return root.within


class _Moving:
    """Tells whether a tensor depends on any of some weights, by the graph: others may require gradients, too.

    Of a base below adapters, inputs may be made to require them, as for checkpoints of activations.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = {id(weight) for weight in weights}
        self._known: dict[Any, bool] = {}

    def __call__(self, tensor: Tensor) -> bool:
        if tensor.grad_fn is None:
            return id(tensor) in self._weights
        return self._moves(tensor.grad_fn)

    def _moves(self, end: Any) -> bool:
        stack = [end]
        while stack:
            node = stack[-1]
            before = [each for each, _ in node.next_functions if each is not None]
            unknown = [each for each in before if each not in self._known]
            if unknown:
                stack += unknown
                continue
            variable = getattr(node, "variable", None)
            own = variable is not None and id(variable) in self._weights
            self._known[node] = own or any(self._known[each] for each in before)
            stack.pop()
        return self._known[end]


def _frozen(nodes: Sequence[_Node], used: set[nn.Module]) -> Iterator[_Node]:
    """Find the outermost calls that are frozen and cost anything."""
    for node in nodes:
        if node.frozen and node.operations and not used.intersection(node.module.modules()):
            yield node
        else:
            yield from _frozen(node.within, used)


def _operations(module: nn.Module, output: Tensor) -> float:
    """Count multiplications by a module's own matrices; looking rows up costs nothing."""
    if isinstance(module, nn.Embedding) or not output.ndim:
        return 0.0
    features = output.shape[1] if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) else output.shape[-1]
    matrices = sum(weight.numel() for weight in module.parameters(recurse=False) if weight.ndim > 1)
    return matrices * output.numel() / max(1, features)
