"""The flags of a command, made of its settings; and the settings, made of the flags and the file after ``--config``.

pydantic-settings 2.16 and tyro 1.0 were tried on the settings of ``prepare`` and ``score``. Both are quick enough: help
takes 0.26 and 0.29 s of processor time, and 0.22 s here. pydantic-settings takes a list as JSON, as ``a,b`` or by
repeating its flag, but not as ``--methods a b``; it has no ``--source path:FILE``, lists no names of a register, and
spells out the flags of a further data set, 200 lines of help in all; wrong values it leaves to pydantic's report. tyro
takes lists as we do, but makes commands of optional sections, ends at the first mistake, in a box, and fails on marks
that cannot be hashed, ours of registers among them.
"""

import argparse
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from hyperinf.artifacts.files import parse_json
from hyperinf.cli.places import missing, unwritable
from hyperinf.errors import InputError
from hyperinf.settings.base import Place, Settings, explained, kind_of, mark, ordered, section_of
from hyperinf.settings.checking import Mistake, SettingsError, checked, dotted
from hyperinf.settings.types import OneOf, at_home
from hyperinf.settings.yaml_files import read_yaml

Model = TypeVar("Model", bound=Settings)
_NOTHING = ("null", "none")
_PREFIX = "setting:"
_OTHER_DATA = ("off_task_data", "test_data")
_LAST = ("seed", "out")
# So many names are shown instead of the word NAME.
_FEW = 4


def add_flags(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """Give a parser one flag for each setting, what is required first and sections last, ``--config`` and ``--help``.

    Args:
        parser: of the command, without ``--help``.
        model: the settings of the command.
    """
    flags = dict(leaves(model))
    required = [name for name, field in model.model_fields.items() if field.is_required() and (name,) in flags]
    # First what is read, last what is written.
    _add_group(
        parser,
        "required",
        [(name,) for name in sorted(required, key=lambda name: _LAST.index(name) if name in _LAST else -1)],
        flags,
        model,
    )
    others = [place for place in flags if place[0] not in required]
    for title, runtime in (("what is computed", False), ("where and how", True)):
        alone = [place for place in others if len(place) == 1 and bool(mark(flags[place], "runtime")) == runtime]
        _add_group(parser, title, alone, flags, model)
    for section in dict.fromkeys(place[0] for place in others if len(place) > 1):
        places = [place for place in others if place[0] == section and len(place) > 1]
        _add_group(parser, str(model.model_fields[section].description), places, flags, model)
    also = parser.add_argument_group("also")
    also.add_argument("--config", metavar="FILE", help="YAML or JSON file with settings, or JSON itself; flags win")
    also.add_argument("-h", "--help", action="help", help="show this help and exit")


def leaves(model: type[Settings], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """List the settings of a model and of the sections in it, each with its place."""
    for name, field in ordered(model).items():
        section = section_of(field)
        if section is None:
            yield (*above, name), field
        else:
            yield from leaves(section, (*above, name))


def flag(place: Place) -> str:
    """Name the flag of a setting: ``--section.key-of-it``."""
    return f"--{dotted(tuple(part for part in place if isinstance(part, str))).replace('_', '-')}"


def take_positional(parsed: argparse.Namespace, model: type[Settings], left: Sequence[str]) -> list[str]:
    """Give the setting that has no flag its value where flags came before it: argparse takes it first or not at all.

    Args:
        parsed: gets the value.
        model: the settings of the command.
        left: words of the command line that no argument has taken.

    Returns:
        The words without the value.
    """
    name = next((name for name, field in model.model_fields.items() if mark(field, "positional")), None)
    many = name is not None and get_origin(kind_of(model.model_fields[name].annotation)) is tuple
    lone = list(takewhile(lambda word: not word.startswith("-"), left))[: None if many else 1]
    if name is None or not lone or hasattr(parsed, f"{_PREFIX}{name}"):
        return list(left)
    setattr(parsed, f"{_PREFIX}{name}", lone if many else lone[0])
    return list(left[len(lone) :])


def settings_of(parsed: argparse.Namespace, model: type[Model], look: bool = False) -> Model:
    """Make the settings of what was given on the command line and in the file.

    Args:
        parsed: what was given.
        model: the settings of the command.
        look: whether what is read has to be there.

    Raises:
        InputError: the file cannot be read, settings cannot be used, or a place cannot be written; a line for each
            mistake, which names the flag, or the file and its key.
    """
    values, file = read_config(parsed.config) if parsed.config is not None else ({}, "")
    given: set[tuple[str, ...]] = set()
    known = dict(leaves(model))
    for place, field in known.items():
        name = f"{_PREFIX}{dotted(place)}"
        if hasattr(parsed, name):
            given.add(place)
            _put(values, place, _plain(getattr(parsed, name), field))
    mistakes = [*(missing(model, values) if look else ()), *unwritable(model, values)]
    try:
        settings = checked(model, values)
    except SettingsError as error:
        mistakes = [*error.mistakes, *mistakes]
    if mistakes:
        raise InputError("\n".join(_line(each, known, given, file, values) for each in mistakes))
    return settings


def read_config(text: str) -> tuple[dict[str, Any], str]:
    """Read the settings of a file, or of text that is JSON itself.

    Returns:
        The values, and what messages call the file; nothing for JSON itself.

    Raises:
        InputError: no such file, no YAML, or not a section of keys.
    """
    if not text.lstrip().startswith("{"):
        if not text:
            raise InputError("--config: got nothing, expected a file, or JSON")
        try:
            return read_yaml(Path(at_home(text))), text
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"--config: {error}") from None
    try:
        values = parse_json(text)
    except ValueError as error:
        raise InputError(f"--config: got text that is no JSON ({error}), expected JSON or a file") from None
    return values, ""


def _line(
    mistake: Mistake,
    known: Mapping[tuple[str, ...], FieldInfo],
    given: set[tuple[str, ...]],
    file: str,
    values: Mapping[str, Any],
) -> str:
    names = tuple(part for part in mistake.place if isinstance(part, str))
    # What is wrong inside of a value that is one flag is wrong with the flag.
    place = next((names[:end] for end in range(len(names), 0, -1) if names[:end] in known), names)
    if file and place not in given and _is_there(values, names):
        return f"{file}: {mistake}"
    field = known.get(place)
    name = mark(field, "metavar") if field is not None and mark(field, "positional") else flag(place)
    return f"{name}: {mistake.message}"


def _is_there(values: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def _add_group(
    parser: argparse.ArgumentParser,
    title: str,
    places: Sequence[tuple[str, ...]],
    flags: Mapping[tuple[str, ...], FieldInfo],
    model: type[Settings],
) -> None:
    group = parser.add_argument_group(title)
    for place in places:
        _add(group, place, flags[place], model)


def _add(group: Any, place: tuple[str, ...], field: FieldInfo, model: type[Settings]) -> None:
    shown = _help(field, model)
    if len(place) > 1 and place[0] in _OTHER_DATA:
        # A whole data set once more: one line stands for its flags.
        section = flag(place[:1])
        shown = f"{shown}; {section}.KEY for its other keys" if place[1:] == ("source",) else argparse.SUPPRESS
    options: dict[str, Any] = {"dest": f"{_PREFIX}{dotted(place)}", "default": argparse.SUPPRESS, "help": shown}
    kind = kind_of(field.annotation)
    if kind is bool:
        group.add_argument(flag(place), action=argparse.BooleanOptionalAction, **options)
        return
    many = get_origin(kind) is tuple
    if mark(field, "positional"):
        options["metavar"] = mark(field, "metavar")
        group.add_argument(options.pop("dest"), nargs="*" if many else "?", **options)
        return
    # A flag without a value has an empty one, which is refused with all other mistakes.
    options |= {"nargs": "*"} if many else {"nargs": "?", "const": ""}
    options["metavar"] = mark(field, "metavar") or _metavar(field, kind_of(get_args(kind)[0]) if many else kind)
    group.add_argument(flag(place), **options)


def _help(field: FieldInfo, model: type[Settings]) -> str:
    known = model.model_fields
    text = re.sub(r"`(\w+)`", lambda word: flag((word[1],)) if word[1] in known else word[0], explained(field))
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    if not isinstance(default, bool) and default not in (None, ""):
        text += f" (default: {default})"
    elif default is True:
        text += " (default: yes)"
    return text.replace("%", "%%")


def _metavar(field: FieldInfo, kind: Any) -> str:
    names = list(_names(field))
    if 0 < len(names) <= _FEW:
        return "{" + ",".join(names) + "}"
    return {int: "N", float: "X"}.get(kind, "NAME")


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


def _plain(value: Any, field: FieldInfo) -> Any:
    optional = type(None) in get_args(field.annotation)
    alone = value[0] if isinstance(value, list) and len(value) == 1 else value
    return None if optional and isinstance(alone, str) and alone in _NOTHING else value


def _put(values: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    values[place[-1]] = value
