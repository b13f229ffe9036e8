"""The part of a model that no gradient goes through: which of its modules' calls need not be run again, and which do.

A call is frozen where its output depends on no weight whose gradient is taken: the layers below the first adapter, a
vision tower below an adapted language model. What such calls gave is given again in a later pass over the same batch;
and of a row of them, each fed by the one before, only the last one's output is needed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import mapped


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
        if tuple(made) == self.calls:
            outputs.extend(found)

    def without(self, outputs: Sequence[Any]) -> list[Any]:
        """Put blanks in the place of what is not needed of all outputs."""
        return [self._bare(place, output) for place, output in enumerate(outputs)]

    def _bare(self, call: int, output: Any) -> Any:
        places = count()

        def bare(tensor: Tensor) -> Tensor:
            needed = (call, next(places)) in self.needed or not tensor.is_floating_point()  # no integer tells of a use
            return _copy(tensor) if needed else _blank(tensor)

        return _changed(output, bare)

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
                return _changed(outputs[made - 1], _given)

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
    held = (tensor for output in outputs for tensor in tensors_of(output) or ())
    return sum(0 if _is_blank(tensor) else tensor.nbytes for tensor in held)


def tensors_of(output: Any) -> list[Tensor] | None:
    """List the tensors of an output; None where it holds what is neither a tensor nor plain."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (tuple, list)):
        parts = [tensors_of(item) for item in output]
        return None if any(part is None for part in parts) else [tensor for part in parts for tensor in part or ()]
    return [] if output is None or isinstance(output, (bool, int, float, str)) else None


def _changed(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors of an output."""
    if isinstance(output, Tensor):
        return change(output)
    if isinstance(output, (Mapping, tuple, list)):
        return mapped(output, lambda item: _changed(item, change))
    return output


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _blank(tensor: Tensor) -> Tensor:
    """Make a tensor of the same shape of one number, which is none."""
    return torch.full((), float("nan"), dtype=tensor.dtype, device=tensor.device).expand(tensor.shape)


def _is_blank(tensor: Tensor) -> bool:
    return not any(tensor.stride())


def _given(tensor: Tensor) -> Tensor:
    """Give a tensor that what comes after may overwrite."""
    return tensor if _is_blank(tensor) else tensor.clone()
