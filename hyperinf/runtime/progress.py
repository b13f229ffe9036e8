"""Say on stderr how far a long loop is: one line that changes on a terminal, a new one now and then in a log."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

from tqdm import tqdm

from hyperinf.runtime.process import is_main

Item = TypeVar("Item")

_SECONDS_ON_TERMINAL = {"delay": 3.0, "mininterval": 0.5}
_SECONDS_IN_LOG = {"delay": 8.0, "mininterval": 8.0}
_SILENCE_ON_TERMINAL, _SILENCE_IN_LOG = 1.0, 9.0
"""Seconds after which a loop says where it is, though its item is not done."""
_PAUSE = 2.0
"""Seconds without a loop after which silence is counted anew."""


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
    with (
        _Bar(
            total=total,
            desc=what,
            bar_format=f"{{desc}}: {share} {unit}, {{rate_noinv:.3g}} {unit}/s, {rest}",
            disable=not is_main(),
            leave=False,
            miniters=1,
            **(_SECONDS_ON_TERMINAL if sys.stderr.isatty() else _SECONDS_IN_LOG),
        ) as bar,
        bar.watched(),
    ):
        for item in iterable:
            done = size(item)
            yield item
            del item  # before the next one is made: it may be large
            bar.update(done)


@contextlib.contextmanager
def waiting(what: str, seconds: float) -> Iterator[None]:
    """Say now and then how much is left of a computation that cannot be looked into.

    Args:
        what: is computed.
        seconds: that it will take, about.
    """
    with (
        _Bar(
            total=max(seconds, 1e-3),
            desc=what,
            bar_format="{desc}: {elapsed} so far, about {remaining} left",
            disable=not is_main(),
            leave=False,
            **(_SECONDS_ON_TERMINAL if sys.stderr.isatty() else _SECONDS_IN_LOG),
        ) as bar,
        bar.watched(),
    ):
        bar.began = time.monotonic()
        yield


@contextlib.contextmanager
def at_work(what: str) -> Iterator[None]:
    """Say on stderr now and then how long a command has been at work, while no loop of it says where it is.

    Args:
        what: the command.
    """
    if not is_main():
        yield
        return
    before, _Bar.command = _Bar.command, (what, time.monotonic())
    _Bar.shown = time.monotonic()
    _Bar.watch()
    try:
        yield
    finally:
        _Bar.command = before


class _Bar(tqdm):
    """Show what tqdm shows, without its thread; where stderr is no terminal, on new lines, with no carriage return.

    Attributes:
        began: where the unit is the second: what is done is the time that has passed since.
        shown: when any of them was shown last.
        idle: when one ended last.
        open: those whose loop goes on, the innermost last.
        command: what is at work, and since when.
    """

    monitor_interval = 0
    began: float | None = None
    shown = idle = 0.0
    open: ClassVar[list["_Bar"]] = []
    command: ClassVar[tuple[str, float] | None] = None
    _watcher: ClassVar[threading.Thread | None] = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Show it while its loop goes on, though an item takes long: a thread looks after the innermost bar."""
        if self.disable:
            yield
            return
        if _Bar.command is None and not self.open and time.monotonic() - _Bar.idle > _PAUSE:
            _Bar.shown = time.monotonic()
        self.open.append(self)
        self.watch()
        try:
            yield
        finally:
            _Bar.open = [each for each in self.open if each is not self]  # bars are equal where they are at one place
            _Bar.idle = time.monotonic()

    @staticmethod
    def watch() -> None:
        """Start the thread that looks after the bars, once."""
        if _Bar._watcher is None or not _Bar._watcher.is_alive():
            _Bar._watcher = threading.Thread(target=_Bar._look, name="progress", daemon=True)
            _Bar._watcher.start()

    @staticmethod
    def _look() -> None:
        while True:
            time.sleep(0.5)
            # A bar may be closed, and its stream too, while this thread looks at it.
            with contextlib.suppress(IndexError, ValueError, OSError):
                if not _Bar.open:
                    if _Bar.command is not None and time.monotonic() - _Bar.shown > _SILENCE_IN_LOG:
                        what, since = _Bar.command
                        _Bar.shown = time.monotonic()
                        passed = tqdm.format_interval(time.monotonic() - since)
                        print(f"{what}: {passed} so far", file=sys.stderr, flush=True)
                    continue
                bar = _Bar.open[-1]
                terminal = bar.fp.isatty()
                if time.monotonic() - _Bar.shown > (_SILENCE_ON_TERMINAL if terminal else _SILENCE_IN_LOG):
                    if bar.began is not None:
                        bar.n = min(time.monotonic() - bar.began, 0.99 * bar.total)
                    # On a terminal it is to be cleared in the end; in a log its own next line is not to follow at once.
                    bar.delay = 0 if terminal else bar._time() - bar.start_t + _SECONDS_IN_LOG["delay"]
                    bar.refresh()

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Show the state, or clear it where ``msg`` is empty, which leaves a log as it is."""
        if self.fp.isatty():
            _Bar.shown = time.monotonic()
            return super().display(msg, pos)
        if msg is None:
            _Bar.shown = time.monotonic()
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False
