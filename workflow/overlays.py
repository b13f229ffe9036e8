"""Refuse overlays that cannot be read, one line each, before Snakemake meets them."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

_EXPRESSIONS = "__use_yte__"
_MERGE = "<<"
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
        # A SafeLoader with one more check.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # nosec B506
    except FileNotFoundError:
        return f"{path}: no such file; --configfile takes overlays on config.yaml"
    except (OSError, UnicodeDecodeError) as error:
        return f"{path}: cannot be read ({error})"
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{path}: {where}{error.problem}; expected YAML"
    except RecursionError:
        return f"{path}: nested too deep; expected YAML"
    except yaml.YAMLError as error:
        return f"{path}: {' '.join(str(error).split())}; expected YAML"
    if not isinstance(content, dict):
        return f"{path}: expected keys of config.yaml with a value each, KEY: VALUE"
    if _EXPRESSIONS in content:
        return f"{path}: {_EXPRESSIONS} stands here; expected values, as expressions in them would be run"
    return ""


class _Strict(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice in a section: YAML would lose the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: list[str] = []
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != _MERGE:
                    problem = f"key {key.value!r} stands here twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.append(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping
