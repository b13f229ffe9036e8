"""Say on stderr how far a long loop is: one line that changes on a terminal, a new one now and then in a log."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from hyperinf.runtime.process import is_main

Item = TypeVar("Item")

_SECONDS_ON_TERMINAL = {"delay": 3.0, "mininterval": 0.5}
_SECONDS_IN_LOG = {"delay": 10.0, "mininterval": 10.0}


def track(
    iterable: Iterable[Item], total: int | None, what: str, unit: str, size: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """Yield the items, and write rate and time left to stderr where that takes more than a few seconds.

    Of several processes of ``accelerate launch`` only the first one writes.

    Args:
        iterable: what is gone through.
        total: number of units; None where it is not known, and then there is no time left to tell.
        what: the loop, such as ``fine-tuning, epoch 2``.
        unit: what is counted, in the plural, such as ``batches``.
        size: units of an item.
    """
    share, rest = ("{n_fmt}", "{elapsed} so far") if total is None else ("{n_fmt} of {total_fmt}", "{remaining} left")
    with _Bar(
        total=total,
        desc=what,
        bar_format=f"{{desc}}: {share} {unit}, {{rate_noinv:.3g}} {unit}/s, {rest}",
        disable=not is_main(),
        leave=False,
        miniters=1,
        **(_SECONDS_ON_TERMINAL if sys.stderr.isatty() else _SECONDS_IN_LOG),
    ) as bar:
        for item in iterable:
            done = size(item)
            yield item
            del item  # before the next one is made: it may be large
            bar.update(done)


class _Bar(tqdm):
    """Show what tqdm shows, without its thread; where stderr is no terminal, on new lines, with no carriage return."""

    monitor_interval = 0

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Show the state, or clear it where ``msg`` is empty, which leaves a log as it is."""
        if self.fp.isatty():
            return super().display(msg, pos)
        if msg is None:
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False
