"""The part of a model that no gradient goes through: which of its modules' calls need not be run again, and which do.

A call is frozen where its output depends on no weight whose gradient is taken: the layers below the first adapter, a
vision tower below an adapted language model. What such calls gave is given again in a later pass over the same batch;
and of a row of them, each fed by the one before, only the last one's output is needed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import REFUSALS
from hyperinf.gradients.losses import LossFunction
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.plans import Pass, run_pass
from hyperinf.gradients.rounding import close
from hyperinf.gradients.weights import AdaptedLayer

WORTH = 0.1
"""Of the operations of a sweep, the least that has to be saved."""


class StrayedError(RuntimeError):
    """A pass that made other calls than the one whose outputs it was given."""


Needed = frozenset[tuple[int, int]]
"""Places of calls, and of tensors in their outputs."""


@dataclass(frozen=True)
class FrozenPart:
    """The calls of a pass that need not be made again.

    Attributes:
        calls: their modules, in the order of a forward pass; one that is called twice stands twice.
        needed: what of their outputs is used by what is made again.
        saved: share of the operations of a forward and backward pass.
    """

    calls: tuple[nn.Module, ...]
    needed: Needed
    saved: float

    @contextmanager
    def recorded(self) -> Iterator[list[Any]]:
        """Note the outputs of the calls made within the block, those of a whole pass or none.

        Yields:
            A list that is filled when the block ends: of each call what it gave, with blanks of the same shape in the
            place of what is not needed. It stays empty where other calls were made, or the same more than once.
        """
        outputs: list[Any] = []
        made: list[nn.Module] = []
        found: list[Any] = []

        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if len(made) < len(self.calls):
                found.append(self._bare(len(made), output))
            made.append(module)

        handles = [module.register_forward_hook(hook) for module in dict.fromkeys(self.calls)]
        try:
            yield outputs
        finally:
            for handle in handles:
                handle.remove()
        if len(made) == len(self.calls) and all(map(_same, made, self.calls)):
            outputs.extend(found)

    def without(self, outputs: Sequence[Any]) -> list[Any]:
        """Put blanks in the place of what is not needed of all outputs."""
        return [self._bare(place, output) for place, output in enumerate(outputs)]

    def _bare(self, call: int, output: Any) -> Any:
        places = count()
        return _mapped(output, lambda tensor: _copy(tensor) if (call, next(places)) in self.needed else _blank(tensor))

    @contextmanager
    def replayed(self, outputs: Sequence[Any]) -> Iterator[None]:
        """Give outputs of an earlier pass instead of making its calls; see :meth:`recorded`.

        Raises:
            StrayedError: calls are made in another order, or more or fewer of them.
        """
        made = 0

        def instead(module: nn.Module) -> Callable[..., Any]:
            def forward(*_: Any, **__: Any) -> Any:
                nonlocal made
                if made == len(self.calls) or self.calls[made] is not module:
                    raise StrayedError
                made += 1
                return _mapped(outputs[made - 1], _given)

            return forward

        with ExitStack() as stack:
            for module in dict.fromkeys(self.calls):
                stack.enter_context(_calling(module, instead(module)))
            yield
        if made != len(self.calls):
            raise StrayedError


@contextmanager
def _calling(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Call this in the place of a module's own forward method."""
    own = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def bytes_of(outputs: Sequence[Any]) -> int:
    """Count what outputs take that :meth:`FrozenPart.recorded` noted; blanks take nothing."""
    held = (tensor for output in outputs for tensor in _tensors(output) or ())
    return sum(0 if _is_blank(tensor) else tensor.nbytes for tensor in held)


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
            tree = _traced(model, lambda: loss_fn(model, batch))
            calls = _worth_their_memory(list(_frozen(tree, {use.module for layer in hooked for use in layer.uses})))
            frozen = sum(call.operations for call in calls)
            trained = sum(call.operations for call in tree) - frozen
            saved = frozen / max(1.0, frozen + _BOTH_WAYS * trained)
            if saved < WORTH:
                return None
            modules = tuple(call.module for call in calls)
            every = frozenset((place, index) for place, call in enumerate(calls) for index in range(call.tensors))
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
    frozen: bool = False
    own: float = 0.0
    tensors: int = 0

    @property
    def operations(self) -> float:
        return self.own + sum(node.operations for node in self.within)


def _traced(model: nn.Module, run: Callable[[], Any]) -> list[_Node]:
    """List the calls that are made by ``run``, each with those within it."""
    root = _Node(model)
    stack = [root]

    def before(module: nn.Module, *_: Any) -> None:
        node = _Node(module)
        stack[-1].within.append(node)
        stack.append(node)

    def after(module: nn.Module, _: Any, output: Any) -> None:
        node = stack.pop()
        tensors = _tensors(output)
        node.frozen = bool(tensors) and not any(tensor.requires_grad for tensor in tensors or ())
        node.own = _operations(module, tensors[0]) if tensors else 0.0
        node.tensors = len(tensors or ())

    handles = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return root.within


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


def _tensors(output: Any) -> list[Tensor] | None:
    """List the tensors of an output; None where it holds what is neither a tensor nor plain."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (tuple, list)):
        parts = [_tensors(item) for item in output]
        return None if any(part is None for part in parts) else [tensor for part in parts for tensor in part or ()]
    return [] if output is None or isinstance(output, (bool, int, float, str)) else None


def _mapped(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors of an output."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, Mapping):
        return type(output)(**{key: _mapped(item, change) for key, item in output.items()})
    if isinstance(output, (tuple, list)):
        items = [_mapped(item, change) for item in output]
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
    return output


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _blank(tensor: Tensor) -> Tensor:
    """Make a tensor of the same shape of one number, which is none."""
    value = float("nan") if tensor.is_floating_point() or tensor.is_complex() else 0
    return torch.full((), value, dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)


def _is_blank(tensor: Tensor) -> bool:
    return not any(tensor.stride())


def _given(tensor: Tensor) -> Tensor:
    """Give a tensor that what comes after may overwrite."""
    return tensor if _is_blank(tensor) else tensor.clone()


def _same(one: nn.Module, other: nn.Module) -> bool:
    return one is other
