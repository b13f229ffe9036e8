"""YAML files of settings."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from hyperinf.errors import InputError

_EXPRESSIONS = "__use_yte__"
_MERGE = "<<"


class _Strict(yaml.SafeLoader):
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


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a section of keys.

    Raises:
        InputError: no such file, no YAML, a key that stands twice, expressions in place of values, or no section.
    """
    try:
        # A SafeLoader with one more check.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # nosec B506
    except FileNotFoundError:
        raise InputError(f"{path}: got no such file, expected YAML") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: got a file that cannot be read ({reason}), expected YAML") from None
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path}: {where}{error.problem}, expected YAML") from None
    except RecursionError:
        raise InputError(f"{path}: got values nested too deep, expected YAML") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}, expected YAML") from None
    if not isinstance(content, dict):
        kind = {type(None): "nothing", str: "text"}.get(type(content), f"a {type(content).__name__}")
        raise InputError(f"{path}: got {kind}, expected keys with a value each, KEY: VALUE")
    if _EXPRESSIONS in content:
        raise InputError(f"{path}: got {_EXPRESSIONS}, expected values: expressions in them would be run")
    return content


def merged(*files: Mapping[str, Any]) -> dict[str, Any]:
    """Merge files key by key, later ones winning; a list replaces a list."""
    result: dict[str, Any] = {}
    for values in files:
        for key, value in values.items():
            there = result.get(key)
            both = isinstance(there, Mapping) and isinstance(value, Mapping)
            result[key] = merged(there, value) if both else value  # type: ignore[arg-type]
    return result
