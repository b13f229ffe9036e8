"""What stands in a field of a source's row, read as what it must be, and the sample that is made of it."""

import contextlib
import json
from collections.abc import Sequence
from math import isfinite
from typing import Any

from hyperinf.data.samples import Sample, squeezed
from hyperinf.data.sources.notes import Row
from hyperinf.errors import brief, listed

YES_NO = ("yes", "no")
POPE_KINDS = ("random", "popular", "adversarial")
EASY_VQA_ANSWERS = {
    "shape": ("circle", "rectangle", "triangle"),
    "colour": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "yes_no": YES_NO,
}
"""Easy-VQA's answers by kind of question."""


class RowError(ValueError):
    """A row that cannot be a sample: says what is wrong, without saying where."""


class UnusableRowError(RowError):
    """A row that lacks what a sample must have; published sets have some, and they are left out there."""


class NoTextError(UnusableRowError):
    """A row without a text, as any table may have a few."""


class NoAnswerError(UnusableRowError):
    """A row whose answer is withheld, as in the test splits of many published sets, or missing."""


def read_string(row: Row, column: str) -> str:
    """Read the text in a column; ``""`` if there is none.

    Raises:
        RowError: it is not a string.
    """
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"got {brief(value)} in column {column!r}, expected a string")
    return value


def unpacked(value: Any) -> Any:
    """Take what a cell holds; in a table of text, a list stands as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def read_strings(row: Row, column: str) -> list[str]:
    """Read the texts in a column, a list or, as a table of text has it, the list as JSON; none if it is empty.

    Raises:
        RowError: it is not a list of strings.
    """
    value = unpacked(row.get(column))
    if value is None or value == "":
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RowError(f"got {brief(value)} in column {column!r}, expected a list of strings")
    return value


def read_choice(row: Row, column: str, choices: Sequence[str]) -> str:
    """Find the choice whose number, counted from 0, stands in a column as an integer or as a string of digits.

    Raises:
        NoAnswerError: there is no number, or it is -1: the answer is withheld.
        RowError: it is something else, or not the number of a choice.
    """
    value = row[column]
    if value in (None, "", -1, "-1"):
        raise NoAnswerError("no answer")
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(choices):
        got = f"got {brief(row[column])} in column {column!r}"
        raise RowError(f"{got}, expected the number of one of {len(choices)} choices, from 0")
    return choices[value]


def read_letter(letter: str, letters: Sequence[str], choices: Sequence[str]) -> str:
    """Find the choice that bears a letter.

    Raises:
        NoAnswerError: the letter is empty: the answer is withheld.
        RowError: no choice bears it.
    """
    if not letter.strip():
        raise NoAnswerError("no answer")
    if len(letters) != len(choices) or letter not in letters:
        raise RowError(f"got answer {brief(letter)}, expected the letter of a choice: {listed(letters)}")
    return choices[letters.index(letter)]


def read_text(row: Row, column: str) -> str:
    """Read the text in a column, as it stands there.

    Raises:
        NoTextError: there is none.
        RowError: it is not a string.
    """
    value = row[column]
    # NaN is what tables have for nothing.
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise NoTextError(f"no text in column {column!r}")
    if not isinstance(value, str):
        raise RowError(f"got {brief(value)} in column {column!r}, expected a string")
    return value


def read_class(row: Row, column: str) -> str:
    """Read the name of a class, given as a string, a bool or a number; white space around it is no part of it.

    Raises:
        NoAnswerError: there is none.
        RowError: it is something else, such as a list.
    """
    value = row[column]
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        raise NoAnswerError(f"no label in column {column!r}")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and isfinite(value):
        return str(int(value) if value.is_integer() else value)
    raise RowError(f"got label {brief(value)} in column {column!r}, expected a class: a string, a number or a bool")


def read_identity(row: Row, column: str) -> str:
    """Read the sample id in a column.

    Raises:
        RowError: it is missing, or neither a string nor an integer.
    """
    value = row[column]
    if value is None or value == "":
        raise RowError(f"no sample id in column {column!r}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(f"got sample id {brief(value)} in column {column!r}, expected a string or an integer")
    return str(value)


def make_sample(
    context: str,
    question: str,
    choices: Sequence[str],
    answer: str,
    *,
    sample_id: str = "",
    image: str = "",
    kind: str = "",
    accepted: Sequence[str] = (),
) -> Sample:
    """Make a sample of a question, white space around its parts removed; whoever reads the source fills in the rest.

    Raises:
        UnusableRowError: nothing is asked, or the choices are fewer than two, empty or repeated.
        RowError: the answer is none of the choices.
    """
    context, question, answer = context.strip(), question.strip(), answer.strip()
    options = tuple(choice.strip() for choice in choices)
    if not (context or question):
        raise NoTextError("neither a context nor a question")
    if options:
        _check_choices(options)
    if not answer:
        raise NoAnswerError("no answer")
    if options and answer not in options:
        raise RowError(f"got answer {brief(answer)}, expected one of the choices {listed(map(brief, options))}")
    everyone = tuple(each.strip() for each in accepted)
    return Sample(sample_id, context, question, options, answer, answer, image=image, kind=kind, accepted=everyone)


def _check_choices(choices: Sequence[str]) -> None:
    if not all(choices):
        raise UnusableRowError("a choice is empty")
    if len(choices) < 2:
        raise UnusableRowError("fewer than 2 choices")
    if len(set(map(squeezed, choices))) < len(choices):
        raise UnusableRowError("a choice occurs twice")
