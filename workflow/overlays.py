"""Refuse overlays that cannot be read, one line each, before Snakemake meets them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

_FLAGS = ("--configfile", "--configfiles")


def unreadable(arguments: Sequence[str]) -> list[str]:
    """One line for each file after ``--configfile`` that is missing, no YAML, or no section of keys.

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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{path}: no such file; --configfile takes overlays on config.yaml"
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read ({error})"
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{path}: {where}{error.problem}; expected YAML"
    except yaml.YAMLError as error:
        return f"{path}: {' '.join(str(error).split())}; expected YAML"
    if not isinstance(content, dict):
        return f"{path}: expected keys of config.yaml with a value each, KEY: VALUE"
    return ""
