"""The kinds of values that settings have beside pydantic's own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

Item = TypeVar("Item")


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"got {value!r} more than once, expected each value once")
    return values


def beside(file: str, ending: str) -> str:
    """Name what lies beside a file: its name up to the first dot, and another ending."""
    path = Path(file)
    return str(path.parent / f"{path.name.split('.')[0] or path.name}.{ending}")


def at_home(path: str) -> str:
    """Put a user's home in the place of a leading ``~`` or ``~NAME``: no shell has, in a file or after ``--flag=``.

    Raises:
        ValueError: there is no such user.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        user = path.partition("/")[0]
        raise ValueError(f"got {path!r}, expected the path of a file or folder; no home is known of {user}") from None


def _encoding(name: str) -> str:
    try:
        # What Python calls encodings are not all of texts, nor of any text.
        fits = "a,b\n".encode(name).decode(name) == "a,b\n"
    except (LookupError, UnicodeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"got {name[:40]!r}, expected an encoding of text, such as latin-1 or utf-16")
    return name


Count = Annotated[int, Field(ge=1, lt=2**63)]
"""A number of things, at least one."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What every generator of random numbers takes."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
"""A part of a whole: from 0 up to, but without, 1."""
Positive = Annotated[float, Field(gt=0)]
Switch = Annotated[bool, Strict()]
"""True or false, and neither 1 nor a word for it."""
Word = Annotated[str, StringConstraints(min_length=1)]
"""Text that is not empty."""
Column = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Name of a column; spaces around it do not count, here as in a file."""
Encoding = Annotated[str, AfterValidator(_encoding)]
"""How a text file is written, as Python names it."""

Distinct = AfterValidator(_distinct)
"""Marks a tuple whose values must differ."""
Counts = Annotated[tuple[Count, ...], Field(min_length=1), Distinct]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), Distinct]
Words = Annotated[tuple[Word, ...], Field(min_length=1), Distinct]


@dataclass(frozen=True)
class Matching:
    """Marks text of a certain form.

    Attributes:
        pattern: regular expression of the whole text.
        expected: what it means.
    """

    pattern: str
    expected: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.str_schema(pattern=self.pattern)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "expected": self.expected}


Key = Annotated[
    str,
    Matching(r"^[a-z][a-z0-9_]*$", "a name of lower-case letters, digits and _, beginning with a letter"),
]
"""A name that becomes part of paths."""
Home = AfterValidator(at_home)
"""Marks a path that may begin with ``~``."""
FilePath = Annotated[str, Matching(r"^[^{}\n\x00]+$", "the path of a file or folder, without braces"), Home]
"""Braces are refused as Snakemake reads them as wildcards."""


@dataclass(frozen=True)
class OneOf:
    """Marks text that must be one of the names of a register.

    Attributes:
        names: the register, or what gives it.
    """

    names: Iterable[str] | Callable[[], Iterable[str]]

    @property
    def known(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self.names() if callable(self.names) else self.names)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self.known)}

    def _check(self, value: str) -> str:
        if value not in self.known:
            raise ValueError(f"one of {', '.join(self.known)} is expected")
        return value
