"""What is wrong with given settings: every mistake at once, in words of the settings themselves."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hyperinf.settings.base import Settings

Model = TypeVar("Model", bound=Settings)
Place = tuple[str | int, ...]
_KINDS = {"string": "text", "boolean": "true or false", "object": "a section of keys", "null": "null"}
_BOUNDS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "of at most",
    "exclusiveMaximum": "below",
}
# What a pattern means: pydantic knows only the expression.
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "a name of lower-case letters, digits and _, beginning with a letter",
    r"^[^{}\n]+$": "the path of a file or folder, without braces",
    r"^\w[\w.-]*(/\w[\w.-]*)?$": "a name on the hub, OWNER/NAME",
    r"^[^{}*?\n]*[^{}*?\s]$": "a folder's path, without braces, * and ?",
}


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        place: keys and indices down to it.
        message: ``got X, expected Y``.
    """

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.place)}: {self.message}"


class SettingsError(ValueError):
    """Settings that cannot be used.

    Attributes:
        mistakes: all of them, in the order of the fields.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, mistakes)))


def checked(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Make the settings of plain values.

    Raises:
        SettingsError: with every mistake there is.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(mistakes_of(model, error)) from None


def mistakes_of(model: type[Settings], error: ValidationError) -> list[Mistake]:
    """Translate what pydantic found."""
    schema = _schema(model)
    errors = error.errors(include_url=False)
    found: dict[Place, Mistake] = {}
    for each in errors:
        # A list whose only value was refused counts as too short as well.
        if each["type"] == "too_short" and any(other["loc"][:-1] == each["loc"] for other in errors):
            continue
        mistake = _mistake(each, schema)
        # Of a union's members each says what it would have expected: one line says it for all.
        found.setdefault(mistake.place, mistake)
    return list(found.values())


def dotted(place: Place) -> str:
    """Write a place as ``section.key[index]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "settings"


def suggestion(given: object, known: Sequence[str]) -> str:
    """Ask whether something like it was meant; nothing where nothing is like it."""
    close = difflib.get_close_matches(str(given).lower(), known, n=1, cutoff=0.7)
    return f", did you mean {close[0]}?" if close else ""


def shown(value: object) -> str:
    """Write a value as a message shows it."""
    if value is None or value == "":
        return "nothing"
    if value == [] or value == {} or value == ():
        return "an empty section" if value == {} else "an empty list"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


@cache
def _schema(model: type[Settings]) -> dict[str, Any]:
    return model.model_json_schema()


def _mistake(error: ErrorDetails, schema: Mapping[str, Any]) -> Mistake:
    kind, value = error["type"], error["input"]
    if error["loc"][-1:] == ("[key]",):
        return Mistake(error["loc"][:-1], f"got {value!r} as a name, expected {_PATTERNS[error['ctx']['pattern']]}")
    place, node = _found(error["loc"], schema)
    if kind == "extra_forbidden":
        _, section = _found(error["loc"][:-1], schema)
        known = list(_resolved(section, schema).get("properties", {}))
        guess = suggestion(place[-1], known)
        return Mistake(place, f"got an unknown key, expected one of {', '.join(known)}{guess}")
    if kind == "missing":
        return Mistake(place, f"got nothing, expected {node.get('description') or expected(node, schema)}")
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, ValueError) and str(reason).startswith("got "):
        return Mistake(place, str(reason))
    choices = _choices(node, schema)
    guess = suggestion(value, choices) if isinstance(value, str) else ""
    return Mistake(place, f"got {shown(value)}, expected {expected(node, schema)}{guess}")


def _found(path: Sequence[str | int], schema: Mapping[str, Any]) -> tuple[Place, Mapping[str, Any]]:
    """The place without what pydantic puts in of its own (the member of a union), and the schema that stands there."""
    node: Mapping[str, Any] = schema
    place: list[str | int] = []
    for part in path:
        following = _below(node, part, schema)
        if following is not None:
            place.append(part)
            node = following
        elif isinstance(part, int) or not _is_member(part):
            place.append(part)
    return tuple(place), node


def _is_member(part: str) -> bool:
    """Whether pydantic means a member of a union, such as ``constrained-str`` or ``function-after[...]``."""
    return "[" in part or "-" in part or part in {"str", "int", "float", "bool", "none"} or part[:1].isupper()


def _below(node: Mapping[str, Any], part: str | int, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for member in _members(node, schema):
        if isinstance(part, int):
            if "items" in member:
                return member["items"]
        elif part in member.get("properties", {}):
            return member["properties"][part]
        elif any(isinstance(member.get(name), Mapping) for name in ("additionalProperties", "patternProperties")):
            others = member.get("patternProperties", {})
            return next(iter(others.values()), member.get("additionalProperties"))
    return None


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    return {**schema["$defs"][reference.rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}


def _members(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    node = _resolved(node, schema)
    for member in node.get("anyOf", [node]):
        yield _resolved(member, schema)


def _choices(node: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    return [each for member in _members(node, schema) for each in member.get("enum", ()) if isinstance(each, str)]


def expected(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say what may stand at a place of a schema, in words."""
    node = _resolved(node, schema)
    if "expected" in node:
        return str(node["expected"])
    words = [_member_expected(member, schema) for member in _members(node, schema)]
    return " or ".join(dict.fromkeys(words))


def _member_expected(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    if "const" in node:
        return str(node["const"])
    if node.get("pattern") in _PATTERNS:
        return _PATTERNS[node["pattern"]]
    kind = node.get("type", "object")
    if kind == "array":
        length = "one or more values" if node.get("minItems") else "values"
        return f"a list of {length}, each {expected(node['items'], schema)}"
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        bounds = [f"{words} {_number(node[key])}" for key, words in _BOUNDS.items() if key in node]
        return " ".join([noun, " and ".join(bounds)]).strip()
    if kind == "object" and node.get("properties"):
        return f"a section with keys among {', '.join(node['properties'])}"
    return _KINDS[kind]


def _number(bound: float) -> str:
    return "2^63" if bound == 2**63 else f"{bound:g}"
