"""Samples as they come from a source, before anything is drawn from them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from hyperinf.errors import InputError


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table that a task reads: text, second text or None, label, sample id or None."""

    text: str
    label: str
    pair: str | None = None
    id: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that must be there, without repetition."""
        return list(dict.fromkeys(name for name in (self.text, self.pair, self.label, self.id) if name is not None))

    def check(self, where: str, there: Sequence[str]) -> None:
        """Refuse a table that lacks one of the columns.

        Raises:
            InputError: naming the first one missing and those that are there.
        """
        check_columns(where, self.names, there)


class Sample(Protocol):
    """What drawing has to know of a sample, whatever else it carries."""

    @property
    def sample_id(self) -> str:
        """Stable name of the source's row."""

    @property
    def key(self) -> Hashable:
        """What makes two samples copies of each other."""

    @property
    def group(self) -> Hashable:
        """What samples share that must not stand in two roles; copies are always of one group."""

    @property
    def label(self) -> str:
        """What two copies may disagree on."""


SampleT = TypeVar("SampleT", bound=Sample)


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text or pair of texts; ``label`` is the name of its class."""

    sample_id: str
    text: str
    pair: str | None
    label: str

    @property
    def key(self) -> tuple[str, str | None]:
        """What makes two examples the same text: words, whatever white space lies between them."""
        return squeezed(self.text), None if self.pair is None else squeezed(self.pair)

    @property
    def group(self) -> tuple[str, str | None]:
        """A text stands in one role only."""
        return self.key


@dataclass(frozen=True)
class Corpus(Generic[SampleT]):
    """All samples of a source.

    Attributes:
        splits: the source's own splits by name; a source that is one table has one.
        label_names: the classes in the order of their numbers; none where samples are not classified.
        exact: the asked numbers must be met; otherwise they mean "at most" (published subsets of the hub's sets).
        hidden: splits that are there but whose labels are withheld, as in GLUE's test sets.
        skipped: rows left out because they have no text or no label.
    """

    splits: Mapping[str, Sequence[SampleT]]
    label_names: tuple[str, ...]
    exact: bool
    hidden: tuple[str, ...] = ()
    skipped: int = 0


class RowError(ValueError):
    """A row that cannot be an example: says what is wrong, without saying where."""


class EmptyRowError(RowError):
    """A row with no text or no label."""


def squeezed(text: str) -> str:
    """The words of a text, one space between them."""
    return " ".join(text.split())


def check_columns(where: str, names: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: naming the first one missing and those that are there.
    """
    for name in names:
        if name not in there:
            raise InputError(f"{where}: no column {name!r}; it has {', '.join(there) or 'none'}")


def example(columns: Columns, row: Mapping[str, Any], sample_id: str, label: str | None) -> Example:
    """Make an example of a row whose label has been read already.

    Raises:
        EmptyRowError: the row has no text or no label.
        RowError: a text is not a string, or the id is neither a string nor an integer.
    """
    text = read_text(row, columns.text)
    pair = None if columns.pair is None else read_text(row, columns.pair)
    if label is None:
        raise EmptyRowError(f"no label in column {columns.label!r}")
    if columns.id is not None:
        sample_id = read_identity(row, columns.id)
    return Example(sample_id, text, pair, label)


def label_name(value: Any) -> str | None:
    """The name of a class given as a string, a bool, an integer or a whole float; None if there is no label.

    Raises:
        RowError: the value is something else, such as 0.37 or a list.
    """
    if value is None or value != value:
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    raise RowError(f"label {value!r} is not a class: expected a string, an integer or a bool")


def order_names(names: set[str]) -> tuple[str, ...]:
    """Class names sorted: by value if all are integers, else by their letters."""
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))


def check_labels(where: str, column: str, label_names: Sequence[str], rows: int) -> None:
    """Refuse a column that cannot be a label.

    Raises:
        InputError: it has one value only, or nearly as many values as there are rows.
    """
    if len(label_names) < 2:
        raise InputError(
            f"{where}: label column {column!r} has one class only, {label_names[0]!r}; expected two or more"
        )
    if len(label_names) > max(2, rows // 2):
        raise InputError(
            f"{where}: label column {column!r} has {len(label_names):,} different values in {rows:,} rows;"
            " expected a few classes"
        )


def check_ids(where: str, samples: Sequence[Sample]) -> None:
    """Refuse sample ids that occur twice.

    Raises:
        InputError: naming the first that does.
    """
    seen: set[str] = set()
    for each in samples:
        if each.sample_id in seen:
            raise InputError(f"{where}: sample id {each.sample_id!r} occurs twice; ids must be unique")
        seen.add(each.sample_id)


def read_text(row: Mapping[str, Any], column: str) -> str:
    """The text in a column, as it stands there.

    Raises:
        EmptyRowError: there is none.
        RowError: it is not a string.
    """
    value = row[column]
    if value is None or value != value:
        raise EmptyRowError(f"no text in column {column!r}")
    if not isinstance(value, str):
        raise RowError(f"column {column!r} has {value!r}, expected a string")
    if not value.strip():
        raise EmptyRowError(f"no text in column {column!r}")
    return value


def read_identity(row: Mapping[str, Any], column: str) -> str:
    """The sample id in a column.

    Raises:
        RowError: it is missing, or neither a string nor an integer.
    """
    value = row[column]
    if value is None or value == "":
        raise RowError(f"no sample id in column {column!r}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(f"sample id {value!r} in column {column!r}, expected a string or an integer")
    return str(value)
