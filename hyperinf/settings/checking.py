"""What is wrong with given settings: every mistake at once, in words of the settings themselves."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hyperinf.settings.base import MisfitError, Place, Settings

Model = TypeVar("Model", bound=Settings)
Node = Mapping[str, Any]
"""A part of a JSON schema."""
_KINDS = {"string": "text", "boolean": "true or false", "object": "a section of keys", "null": "null"}
_BOUNDS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "of at most",
    "exclusiveMaximum": "below",
}
# The largest whole number of many a library: worth a word only where it is exceeded.
_LIMIT = 2**63


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
        for mistake in _mistakes(each, schema):
            found.setdefault(mistake.place, mistake)
    return list(found.values())


def dotted(place: Place) -> str:
    """Write a place as ``section.key[index]``, on one line whatever the keys are."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return _one_line(text.removeprefix(".")) or "settings"


def suggestion(given: object, known: Sequence[str]) -> str:
    """Ask whether something like it was meant; nothing where nothing is like it."""
    close = difflib.get_close_matches(str(given).lower(), known, n=1, cutoff=0.66)
    return f", did you mean {close[0]}?" if close else ""


def shown(value: object) -> str:
    """Write a value as a message shows it, on one line."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, Mapping | list | tuple) and not value:
        return "an empty section" if isinstance(value, Mapping) else "an empty list"
    try:
        text = json.dumps(value, default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        # A section with keys that JSON does not have, or one that holds itself.
        text = f"a {type(value).__name__}"
    text = _one_line(text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def expected(node: Node, schema: Node, null: bool = True) -> str:
    """Say what may stand at a place of a schema, in words.

    Args:
        node: the schema of the place.
        schema: the whole.
        null: say also that null may.
    """
    node = resolved(node, schema)
    if "expected" in node:
        return str(node["expected"])
    words = [_member_expected(each, schema) for each in _members(node, schema) if null or each.get("type") != "null"]
    return " or ".join(dict.fromkeys(words))


def resolved(node: Node, schema: Node) -> Node:
    """Follow a reference; what stands beside it wins."""
    reference = node.get("$ref")
    if reference is None:
        return node
    return {**schema["$defs"][reference.rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}


@cache
def _schema(model: type[Settings]) -> dict[str, Any]:
    return model.model_json_schema()


def _mistakes(error: ErrorDetails, schema: Node) -> Iterator[Mistake]:
    place = error["loc"]
    if place[-1:] == ("[key]",):
        form = resolved(_found(place[:-2], schema), schema)["propertyNames"]
        yield Mistake(place[:-1], f"got {shown(error['input'])} as a name, expected {expected(form, schema)}")
        return
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, MisfitError):
        for below, message in reason.mistakes.items():
            yield Mistake((*place, *below), message)
        return
    yield Mistake(place, _message(error, _found(place, schema), schema, reason))


def _message(error: ErrorDetails, node: Node, schema: Node, reason: object) -> str:
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        section = _found(error["loc"][:-1], schema)
        known = [key for each in _members(section, schema) for key in each.get("properties", {})]
        return f"got an unknown key, expected one of {', '.join(known)}{suggestion(error['loc'][-1], known)}"
    if kind == "missing":
        return f"got nothing, expected the {node['description']}"
    if isinstance(reason, ValueError) and str(reason).startswith("got "):
        return str(reason)
    names = [each for member in _members(node, schema) for each in member.get("enum", member.get("examples", ()))]
    choices = [each for each in names if isinstance(each, str)]
    guess = suggestion(value, choices) if isinstance(value, str) else ""
    limit = " and below 2^63" if error.get("ctx", {}).get("lt") == _LIMIT else ""
    return f"got {shown(value)}, expected {expected(node, schema, null=False)}{limit}{guess}"


def _found(path: Place, schema: Node) -> Node:
    """Find the schema of a place; that of the last part of it which is known."""
    node = schema
    for part in path:
        node = _below(node, part, schema) or node
    return node


def _below(node: Node, part: str | int, schema: Node) -> Node | None:
    for member in _members(node, schema):
        if isinstance(part, int):
            if "items" in member:
                return member["items"]
        elif part in member.get("properties", {}):
            return member["properties"][part]
        elif "patternProperties" in member:
            return next(iter(member["patternProperties"].values()))
    return None


def _members(node: Node, schema: Node) -> Iterator[Node]:
    node = resolved(node, schema)
    for member in node.get("anyOf", [node]):
        part = resolved(member, schema)
        if part is not node and "anyOf" in part:
            yield from _members(part, schema)
        else:
            yield part


def _member_expected(node: Node, schema: Node) -> str:
    if "expected" in node:
        return str(node["expected"])
    if "enum" in node:
        return f"one of {', '.join(map(str, node['enum']))}"
    if "const" in node:
        return str(node["const"])
    kind = node.get("type", "object")
    if kind == "array":
        length = "one or more values" if node.get("minItems") else "values"
        return f"a list of {length}, each {expected(node['items'], schema)}"
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        bounds = [f"{words} {node[key]:g}" for key, words in _BOUNDS.items() if key in node and node[key] != _LIMIT]
        return " ".join([noun, " and ".join(bounds)]).strip()
    if kind == "object" and node.get("properties"):
        return f"a section with keys among {', '.join(node['properties'])}"
    return _KINDS[kind]


def _one_line(text: str) -> str:
    return " ".join(text.split())
