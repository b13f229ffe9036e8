"""The classes of labelled texts: which there are, which are perhaps one, and when a column holds none."""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from hyperinf.data.samples import Sample, squeezed
from hyperinf.errors import InputError, brief

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_FEW = 20
"""So many different numbers may be classes whatever they are."""
_ROWS_A_CLASS = 10
_MOSTLY = 0.9


def with_classes(
    where: str, column: str, splits: Mapping[str, Sequence[Sample]], declared: Sequence[str], merge: bool = False
) -> tuple[dict[str, Sequence[Sample]], tuple[dict[str, int], ...]]:
    """Give all samples the same choices: the classes as they are declared, or else those met, sorted.

    Args:
        where: the source, for messages.
        column: the column of the class, for messages.
        splits: the samples by split.
        declared: the names of the classes in the order of their numbers, or none.
        merge: names that differ only in case, in spaces, or in how a number is written, are one class: the most
            frequent of them.

    Returns:
        The samples, and the groups of names that differ only so, with the number of rows of each.

    Raises:
        InputError: there is one class only, or there are nearly as many as samples, or numbers that measure something,
            so that the column is no label.
    """
    counts = Counter(each.answer for samples in splits.values() for each in samples)
    alike = () if declared else _alike(counts)
    chosen = {name: next(iter(group)) for group in alike for name in group} if merge else {}
    names = tuple(declared) or _sorted({chosen.get(name, name) for name in counts})
    if len(names) < 2:
        raise InputError(f"{where}: got only class {brief(names[0])} in label column {column!r}, expected two or more")
    if not declared:
        _check(f"{where}: got {len(names):,} different", f"of label column {column!r}", names, counts.total())

    def classified(each: Sample) -> Sample:
        answer = chosen.get(each.answer, each.answer)
        return replace(each, choices=names, answer=answer, true_answer=answer)

    return {split: [classified(each) for each in samples] for split, samples in splits.items()}, alike


def _check(got: str, of: str, names: Sequence[str], rows: int) -> None:
    """Refuse what measures something: fractions, or whole numbers with gaps, of many values in few rows."""
    numbers = list(_numbers(names))
    if len(numbers) >= _MOSTLY * len(names):
        whole = all(number.is_integer() for number in numbers)
        gaps = max(numbers) - min(numbers) >= 2 * len(numbers)
        scattered = len(names) > _FEW and rows < _ROWS_A_CLASS * len(names)
        if (len(names) > min(_FEW, max(2, rows // 3))) if not whole else (scattered and gaps):
            raise InputError(
                f"{got} numbers in {rows:,} rows {of}, such as {names[0]} and {names[-1]}, expected a few classes;"
                " put what they measure into classes first, such as low and high; codes of classes begin with a letter"
            )
    if len(names) > max(2, rows // 2):
        raise InputError(f"{got} values in {rows:,} rows {of}, expected a few classes; name the column of the label")


def are_many_numbers(names: Sequence[str]) -> bool:
    """Tell whether classes are more numbers than names of classes mostly are."""
    return len(names) > _FEW and len(list(_numbers(names))) == len(names)


def _numbers(names: Iterable[str]) -> Iterator[float]:
    """Read what is a number, with a decimal comma or a per cent sign, too."""
    for name in names:
        plain = name.removesuffix("%").strip().replace(",", ".")
        if _NUMBER.fullmatch(plain):
            yield float(plain)


def _alike(counts: Mapping[str, int]) -> tuple[dict[str, int], ...]:
    """Group the names that differ only in case, spaces or how a number is written, each the most frequent first."""
    groups: dict[Hashable, dict[str, int]] = {}
    for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        groups.setdefault(_plain(name), {})[name] = number
    return tuple(group for group in groups.values() if len(group) > 1)


def _plain(name: str) -> Hashable:
    plain = squeezed(unicodedata.normalize("NFKC", name)).casefold()
    return Decimal(plain) if _NUMBER.fullmatch(plain) else plain


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names of classes: by value if all are integers, else by their letters."""
    try:
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(names))
