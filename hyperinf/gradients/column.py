"""What is kept of every block of a sweep, in one piece of memory.

A small tensor that outlives the large ones that it was made beside keeps the allocator from giving their memory back:
with a list of them a process grows with the number of blocks, by many times what they hold.
"""

import torch
from torch import Tensor


class Column:
    """Rows of blocks, one below the other.

    Args:
        length: how many there will be, where that is known: no memory is taken in vain.
    """

    def __init__(self, length: int | None = None) -> None:
        self._length = length
        self._held: Tensor | None = None
        self._count = 0

    def __bool__(self) -> bool:
        """Tell whether there is a block, be it without rows."""
        return self._held is not None

    def extend(self, rows: Tensor) -> None:
        """Copy rows, ``Tensor[b, ...]``; those of all blocks are alike but for b."""
        rows = rows.detach()
        needed = self._count + len(rows)
        held = self._held
        if held is None or needed > len(held) or torch.promote_types(held.dtype, rows.dtype) != held.dtype:
            held = self._roomier(rows, needed)
        held[self._count : needed] = rows
        self._held, self._count = held, needed

    def joined(self) -> Tensor:
        """Give all rows, not a copy."""
        assert self._held is not None, "no block was met"
        return self._held[: self._count]

    def _roomier(self, rows: Tensor, needed: int) -> Tensor:
        """Copy what there is to where there is room for rows, and for as many again where their number is not known."""
        old = rows[:0] if self._held is None else self._held[: self._count]
        room = max(needed, self._length if self._length is not None else 2 * self._count)
        dtype = torch.promote_types(old.dtype, rows.dtype)
        made = torch.empty(room, *rows.shape[1:], dtype=dtype, device=rows.device)
        made[: self._count] = old
        return made
