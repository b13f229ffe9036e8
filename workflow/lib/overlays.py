"""Refuse overlays that cannot be read, one line each, before Snakemake meets them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperinf.errors import InputError
from hyperinf.settings.yaml_files import read_yaml

_FLAGS = ("--configfile", "--configfiles")


def unreadable(arguments: Sequence[str]) -> list[str]:
    """List one line for each file after ``--configfile`` that is missing, no YAML, or no section of keys.

    Args:
        arguments: of Snakemake.
    """
    return [line for name in _named(arguments) if (line := _objection(Path(name)))]


def _named(arguments: Sequence[str]) -> Iterator[str]:
    taking = False
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag in _FLAGS and equals:
            taking = False
            yield value
        elif argument.startswith("-"):
            taking = argument in _FLAGS
        elif taking:
            yield argument


def _objection(path: Path) -> str:
    try:
        read_yaml(path)
    except InputError as error:
        return str(error)
    return ""
