"""The flags of a command, made of its settings; and the settings, made of the flags and the file after ``--config``.

pydantic-settings and tyro were tried for this: the first gives no help per value and takes lists as JSON, the second
takes a second to import and words its errors in boxes. argparse needs these lines.
"""

import argparse
import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from hyperinf.errors import InputError
from hyperinf.settings.base import Settings, mark
from hyperinf.settings.checking import Mistake, Place, SettingsError, checked, dotted
from hyperinf.settings.sources import DataSource, ModelSource
from hyperinf.settings.types import OneOf

Model = TypeVar("Model", bound=Settings)
_NOTHING = ("null", "none")
_PREFIX = "setting:"
_OTHER_DATA = ("off_task_data", "test_data")


def add_flags(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """Give a parser one flag for each setting, and ``--config``."""
    parser.add_argument("--config", metavar="FILE", help="YAML or JSON of these, or the JSON itself; flags win")
    needed = parser.add_argument_group("required")
    decides, how = parser.add_argument_group("what is computed"), parser.add_argument_group("where and how")
    for place, field in sorted(leaves(model), key=lambda leaf: len(leaf[0])):
        required = field.is_required() and len(place) == 1
        _add(needed if required else how if mark(field, "runtime") else decides, place, field)


def leaves(model: type[Settings], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """List the settings of a model and of the sections in it, each with its place."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield (*above, name), field
        else:
            yield from leaves(section, (*above, name))


def flag(place: Place) -> str:
    """Name the flag of a setting: ``--section.key-of-it``."""
    return f"--{dotted(tuple(part for part in place if isinstance(part, str))).replace('_', '-')}"


def settings_of(parsed: argparse.Namespace, model: type[Model]) -> Model:
    """Make the settings of what was given on the command line and in the file.

    Raises:
        SettingsError: the file cannot be read, or settings cannot be used; places are flags and keys of the file.
    """
    values, file = read_config(parsed.config) if parsed.config else ({}, "")
    given: set[tuple[str, ...]] = set()
    for place, field in leaves(model):
        name = f"{_PREFIX}{dotted(place)}"
        if hasattr(parsed, name):
            given.add(place)
            _put(values, place, _plain(getattr(parsed, name), field))
    try:
        return checked(model, values)
    except SettingsError as error:
        raise InputError("\n".join(_line(each, given, file, values) for each in error.mistakes)) from None


def read_config(text: str) -> tuple[dict[str, Any], str]:
    """Read the settings of a file, or of text that is JSON itself.

    Returns:
        The values, and what messages call the file; nothing for JSON itself.

    Raises:
        InputError: no such file, no YAML, or not a section of keys.
    """
    from hyperinf.settings.yaml_files import read_yaml

    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"--config: got text that is no JSON ({error}), expected JSON or a file") from None
        return values, ""
    return read_yaml(Path(text)), text


def _line(mistake: Mistake, given: set[tuple[str, ...]], file: str, values: Mapping[str, Any]) -> str:
    names = tuple(part for part in mistake.place if isinstance(part, str))
    if file and names not in given and _is_there(values, names):
        return f"{file}: {mistake}"
    return f"{flag(mistake.place) if names else 'settings'}: {mistake.message}"


def _is_there(values: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def _add(group: Any, place: tuple[str, ...], field: FieldInfo) -> None:
    shown = _help(field)
    if len(place) > 1 and place[0] in _OTHER_DATA:
        # A whole data set once more: one line stands for its flags.
        shown = f"{shown}; so for every key of data" if place[1:] == ("source",) else argparse.SUPPRESS
    options: dict[str, Any] = {"dest": f"{_PREFIX}{dotted(place)}", "default": argparse.SUPPRESS, "help": shown}
    kind = _kind(field.annotation)
    if kind is bool:
        group.add_argument(flag(place), action=argparse.BooleanOptionalAction, **options)
        return
    if get_origin(kind) is tuple:
        options["nargs"] = "*"
    options["metavar"] = mark(field, "metavar") or _metavar(field, place[-1])
    group.add_argument(flag(place), **options)


def _help(field: FieldInfo) -> str:
    unit = mark(field, "unit")
    text = f"{field.description}{f', in {unit}' if unit and unit not in str(field.description) else ''}"
    if not field.is_required():
        default = field.get_default(call_default_factory=True)
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text += "" if shown in (None, "", False) else f" (default: {'yes' if shown is True else shown})"
    return text.replace("%", "%%")


def _metavar(field: FieldInfo, name: str) -> str:
    names = list(_names(field))
    if names and len(names) <= 4:
        return "{" + ",".join(names) + "}"
    return "NAME" if names else name.upper().replace("_", "-")


def _names(field: FieldInfo) -> Iterator[str]:
    """The values that a field takes, where they are names."""
    for each in field.metadata:
        if isinstance(each, OneOf):
            yield from each.known
    yield from _names_of(field.annotation)


def _names_of(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Literal:
        yield from map(str, get_args(annotation))
    elif origin is Annotated:
        base, *marks = get_args(annotation)
        for each in marks:
            if isinstance(each, OneOf):
                yield from each.known
        yield from _names_of(base)
    elif origin in (Union, types.UnionType, tuple):
        for each in get_args(annotation):
            yield from _names_of(each)


def _kind(annotation: Any) -> Any:
    """The type of a value, without ``None`` and annotations."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _kind(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _section(field: FieldInfo) -> type[Settings] | None:
    kind = _kind(field.annotation)
    is_section = isinstance(kind, type) and issubclass(kind, Settings)
    return kind if is_section and kind not in (DataSource, ModelSource) else None


def _plain(value: Any, field: FieldInfo) -> Any:
    optional = type(None) in get_args(field.annotation)
    return None if optional and isinstance(value, str) and value in _NOTHING else value


def _put(values: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[place[-1]] = value
