"""What stands in a cell of a source's row, read as what it must be."""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperinf.data.examples import RowError
from hyperinf.data.questions.question import NoAnswerError

Row = Mapping[str, Any]
YES_NO = ("yes", "no")
POPE_KINDS = ("random", "popular", "adversarial")
EASY_VQA = {
    "shape": ("circle", "rectangle", "triangle"),
    "colour": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "yes_no": YES_NO,
}
"""Easy-VQA's answers by kind of question."""


def read_string(row: Row, column: str) -> str:
    """The text in a column; ``""`` if there is none.

    Raises:
        RowError: it is not a string.
    """
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"column {column!r} has {value!r}, expected a string")
    return value


def read_strings(row: Row, column: str) -> list[str]:
    """The texts in a column; none if it is empty.

    Raises:
        RowError: it is not a list of strings.
    """
    value = row.get(column)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RowError(f"column {column!r} has {value!r}, expected a list of strings")
    return value


def read_choice(row: Row, column: str, choices: Sequence[str]) -> str:
    """The choice whose number, counted from 0, stands in a column as an integer or as a string of digits.

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
        raise RowError(
            f"column {column!r} has {row[column]!r}, expected the number of one of {len(choices)} choices, from 0"
        )
    return choices[value]


def read_letter(letter: str, letters: Sequence[str], choices: Sequence[str]) -> str:
    """The choice that bears a letter.

    Raises:
        NoAnswerError: the letter is empty: the answer is withheld.
        RowError: no choice bears it.
    """
    if not letter.strip():
        raise NoAnswerError("no answer")
    if len(letters) != len(choices) or letter not in letters:
        raise RowError(f"answer {letter!r} is not the letter of a choice; those are {', '.join(letters) or 'none'}")
    return choices[letters.index(letter)]
