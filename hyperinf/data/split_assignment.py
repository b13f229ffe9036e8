"""Which of a source's splits plays which part."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinf.errors import InputError


@dataclass(frozen=True)
class Assignment:
    """The split that a role is drawn from first; None where the source has none for it.

    ``called`` is what messages call the role ``train``.
    """

    train: str
    validation: str | None
    test: str | None
    called: str = "train"

    @property
    def names(self) -> list[str]:
        """The splits in use, train first, without repetition."""
        return list(dict.fromkeys(name for name in (self.train, self.validation, self.test) if name is not None))


@dataclass(frozen=True)
class Roles:
    """The splits a user names for training, validation and test; None is the split of the role's own name, if any.

    ``called`` is what messages call the role ``train``: in a selection it is a pool.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None
    called: str = "train"

    @property
    def named(self) -> list[str]:
        """The splits that the user named, without repetition."""
        return list(dict.fromkeys(name for name in (self.train, self.validation, self.test) if name is not None))

    def assign(self, where: str, there: Sequence[str], hidden: Sequence[str] = ()) -> Assignment:
        """Find the splits in a source.

        A source with one split only is one table: all roles are drawn from it.

        Args:
            where: the source, for messages.
            there: the source's splits.
            hidden: those among them whose labels are withheld.

        Raises:
            InputError: a split that the user named is not there or has no labels, or there is nothing to train on.
        """
        train = self._find(where, "train", self.train, there, hidden)
        if len(there) == 1:
            train = there[0]
        if train is None:
            raise InputError(
                f"{where}: no split 'train'; name one of {', '.join(map(repr, there))} as the training split"
            )
        validation = self._find(where, "validation", self.validation, there, hidden)
        test = self._find(where, "test", self.test, there, hidden)
        return Assignment(train, validation, test, self.called)

    def _find(self, where: str, role: str, name: str | None, there: Sequence[str], hidden: Sequence[str]) -> str | None:
        wanted = name or role
        called = self.called if role == "train" else role
        if wanted in hidden and (name is not None or role == "train"):
            raise InputError(
                f"{where}: the labels of split {wanted!r} are withheld; another split must serve for {called}"
            )
        if wanted in there and wanted not in hidden:
            return wanted
        if wanted != role and wanted not in there:
            raise InputError(f"{where}: no split {wanted!r} for {called}; it has {', '.join(map(repr, there))}")
        return None
