"""Which form of a layer's gradients an operation is taken from: chosen by its cost, forced by a test, and counted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Form = Literal["factors", "gradients"]
"""The factors that gradients are made of; or the gradients themselves, formed a few samples at a time."""
Counts = Counter[tuple[str, Form]]

_forced: ContextVar[Form | None] = ContextVar("forced", default=None)
_counts: ContextVar[Counts | None] = ContextVar("counts", default=None)


def chosen(operation: str, cheaper: Form) -> Form:
    """Choose the form that an operation on the factors of one layer and block is taken from.

    Args:
        operation: its name in the record.
        cheaper: the form that takes fewer operations.

    Returns:
        ``cheaper``, or what :func:`forced` says.
    """
    form = _forced.get() or cheaper
    counts = _counts.get()
    if counts is not None:
        counts[operation, form] += 1
    return form


@contextmanager
def forced(form: Form) -> Iterator[None]:
    """Take everything from one form, whatever that costs: both are exact."""
    token = _forced.set(form)
    try:
        yield
    finally:
        _forced.reset(token)


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what is chosen meanwhile: ``{(operation, form): layers times blocks}``; a count within it adds to it."""
    counts: Counts = Counter()
    outer = _counts.get()
    token = _counts.set(counts)
    try:
        yield counts
    finally:
        _counts.reset(token)
        if outer is not None:
            outer.update(counts)


def told(counts: Counts) -> str:
    """Say for a record how often each form was taken, by name: ``"dots factors 8, gram gradients 16"``."""
    return ", ".join(f"{operation} {form} {times}" for (operation, form), times in sorted(counts.items()))
