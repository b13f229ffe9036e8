"""How many bytes the tensors that a computation makes take as it goes on, counted, whatever an allocator does."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Footprint(TorchDispatchMode):
    """Counts, within the block, the bytes of what operations made and nobody has let go of.

    What was there before counts nothing, nor do views of it. What an operation takes for itself alone is not seen.

    Attributes:
        course: bytes after each operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.course: list[int] = []
        self._now = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it made."""
        for each in tree_leaves((args, kwargs)):
            self._meet(each, counts=False)
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            self._meet(each, counts=True)
        self.course.append(self._now)
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
            self._now -= size

        self._known[key] = weakref.ref(storage, gone)
        self._now += size


def bytes_of_many(few: list[int], one_more: list[int], number: int, count: int) -> int:
    """Tell the most bytes at a time of ``count`` things from the courses of a few and of one more.

    Each operation's bytes are taken to be a fixed part and a part for each thing, so that it does not matter that the
    peak of many is in another place than that of a few. Courses of different lengths tell by their own peaks.

    Args:
        few: :attr:`Footprint.course` of ``number`` things.
        one_more: of one more.
        number: of things.
        count: of things that is asked for.
    """
    if len(few) != len(one_more):
        few, one_more = [max(few, default=0)], [max(one_more, default=0)]
    return max((a + (count - number) * (b - a) for a, b in zip(few, one_more, strict=True)), default=0)
