"""Which of a source's splits plays which part."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinf.errors import InputError
from hyperinf.settings.data import SplitNames


@dataclass(frozen=True)
class Assignment:
    """The split that each part is drawn from first; None where the source has none for it."""

    train: str
    validation: str | None
    test: str | None

    @property
    def names(self) -> list[str]:
        """Name the splits in use, train first, without repetition."""
        return list(dict.fromkeys(name for name in (self.train, self.validation, self.test) if name is not None))


def named(names: SplitNames) -> list[str]:
    """Name the splits that the user named, without repetition."""
    return list(dict.fromkeys(name for name in (names.train, names.validation, names.test) if name is not None))


def assign(where: str, names: SplitNames, there: Sequence[str], hidden: Sequence[str] = ()) -> Assignment:
    """Find the splits of a source; a part whose split is not named has the one of its own name, if there is one.

    A source with one split only is one table: all parts are drawn from it.

    Args:
        where: the source, for messages.
        names: what the user calls them.
        there: the source's splits.
        hidden: those among them whose labels are withheld.

    Raises:
        InputError: a split that the user named is not there or has no labels, or there is nothing to train on.
    """
    train = _find(where, "train", names.train, there, hidden)
    if len(there) == 1:
        train = there[0]
    if train is None:
        shown = ", ".join(map(repr, there))
        raise InputError(f"{where}: got no split 'train', expected one of {shown} to be named as the training split")
    validation = _find(where, "validation", names.validation, there, hidden)
    return Assignment(train, validation, _find(where, "test", names.test, there, hidden))


def _find(where: str, part: str, name: str | None, there: Sequence[str], hidden: Sequence[str]) -> str | None:
    wanted = name or part
    if wanted in hidden and (name is not None or part == "train"):
        raise InputError(f"{where}: got split {wanted!r} for {part}, whose labels are withheld, expected another split")
    if wanted in there and wanted not in hidden:
        return wanted
    if wanted != part and wanted not in there:
        raise InputError(f"{where}: got no split {wanted!r} for {part}, expected one of {', '.join(map(repr, there))}")
    return None
