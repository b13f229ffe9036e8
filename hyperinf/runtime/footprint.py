"""How many bytes the tensors that a computation makes take as it goes on, counted, whatever an allocator does."""

import weakref
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Footprint(TorchDispatchMode):
    """Counts, within the block, the bytes of what operations made and nobody has let go of.

    What was there before counts nothing, nor do views of it. What an operation takes for itself alone is not seen.

    Attributes:
        changes: the bytes of each tensor that was made, and again, less than zero, once it was let go, one after the
            other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[int] = []
        self._known: dict[int, weakref.ref[Any]] = {}

    @property
    def peak(self) -> int:
        """The most bytes at a time."""
        return peak_of(self.changes)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it made."""
        for each in tree_leaves((args, kwargs)):
            self._meet(each, counts=False)
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            self._meet(each, counts=True)
        return out

    def _meet(self, value: Any, counts: bool) -> None:
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            return
        storage = value.untyped_storage()
        key, size = id(storage), storage.nbytes() if counts else 0
        if key in self._known:
            return

        def gone(_: Any) -> None:
            del self._known[key]
            if size:
                self.changes.append(-size)

        self._known[key] = weakref.ref(storage, gone)
        if size:
            self.changes.append(size)


def changes_of_many(few: Sequence[int], one_more: Sequence[int], number: int, count: int) -> list[float]:
    """Tell the changes of ``count`` things from those of a few and of one more.

    Each tensor's bytes are taken to be a fixed part and a part for each thing, so that it does not matter that the peak
    of many is in another place than that of a few. Of changes that do not go together the peaks tell.

    Args:
        few: :attr:`Footprint.changes` of ``number`` things.
        one_more: of one more.
        number: of things.
        count: of things that is asked for.
    """
    if len(few) != len(one_more) or any((a > 0) != (b > 0) for a, b in zip(few, one_more, strict=True)):
        few, one_more = [peak_of(few)], [peak_of(one_more)]
    return [a + (count - number) * (b - a) for a, b in zip(few, one_more, strict=True)]


def peak_of(changes: Sequence[float]) -> int:
    """Find the most bytes at a time."""
    return int(max(accumulate(changes), default=0))
