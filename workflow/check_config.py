"""Refuse a wrong configuration before any job starts: every mistake at once, one line each.

A line says which key, what stands there and what may stand there. Defaults of the schema are filled in on the way.
"""

import copy
import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from hyperinf.pipeline.sharding.rounds import NOT_SHARDED

SCHEMA = Path(__file__).resolve().parent / "schemas" / "config.schema.yaml"
SOURCES = ("asset", "hub", "path")
_SELECTION = {"tasks": "questions", "models": "models"}
STUDIES = {"mislabel": {"tasks": "data", "models": "models"}, "llm": _SELECTION, "vlm": _SELECTION}
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_PLAIN = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?|(?i:true|false|yes|no)")
_KINDS = {"string": "text", "boolean": "true or false", "object": "a section with keys of its own", "null": "null"}

Mistake = tuple[tuple[Any, ...], str]


class ConfigError(ValueError):
    """A configuration that cannot be run; ``lines`` holds one line per mistake."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


def checked_config(config: Mapping[Any, Any], base: Path = Path()) -> dict[str, Any]:
    """The configuration with every default filled in.

    Args:
        config: what the configuration files hold, merged.
        base: folder that relative paths start from.

    Raises:
        ConfigError: anything is wrong with it.
    """
    schema = load_schema()
    filled = _prepared(config, schema)
    mistakes = [mistake for error in _outermost(_validator().iter_errors(filled)) for mistake in _mistakes(error)]
    refused = [place for place, _ in mistakes]
    mistakes += [mistake for mistake in _across_keys(filled, base) if not _touches(mistake[0], refused)]
    if mistakes:
        sections = list(schema["properties"])
        mistakes.sort(key=lambda mistake: _rank(mistake[0][0], sections) if mistake[0] else -1)
        raise ConfigError([line for _, line in mistakes])
    result: dict[str, Any] = filled
    return result


@cache
def load_schema() -> dict[str, Any]:
    """The schema, as a dictionary."""
    schema: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return schema


def _prepared(value: Any, schema: Mapping[str, Any]) -> Any:
    """A copy with defaults filled in, and with numbers as the schema means them."""
    schema = _resolved(schema)
    if isinstance(value, Mapping):
        known = schema.get("properties", {})
        filled = {
            key: copy.deepcopy(_resolved(part)["default"])
            for key, part in known.items()
            if "default" in _resolved(part) and key not in value
        }
        merged = {**value, **filled}
        others = schema.get("additionalProperties")
        return {
            key: _prepared(part, known.get(key, others if isinstance(others, Mapping) else {}))
            for key, part in merged.items()
        }
    if isinstance(value, list):
        return [_prepared(part, schema.get("items", {})) for part in value]
    return _number(value, schema.get("type"))


def _number(value: Any, kind: Any) -> Any:
    # YAML 1.1 reads 5e-4 as text, and only 5.0e-4 as a number.
    if kind in ("number", "integer") and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with what it refers to; its own keywords win."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**_resolved(load_schema()["$defs"][reference.rpartition("/")[2]]), **schema}


@cache
def _validator() -> Any:
    def finite(_: Any, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max

    checker = Draft202012Validator.TYPE_CHECKER.redefine("number", finite)
    return extend(Draft202012Validator, type_checker=checker)(load_schema())


def _outermost(errors: Iterator[ValidationError]) -> list[ValidationError]:
    """One error for a value: what is of the wrong kind need not be measured as well."""
    chosen: dict[tuple[Any, ...], ValidationError] = {}
    for error in errors:
        about_keys = error.validator in ("additionalProperties", "required") or _is_name(error)
        place = (*error.absolute_path, error.message) if about_keys else tuple(error.absolute_path)
        if place not in chosen or error.validator == "type":
            chosen[place] = error
    return list(chosen.values())


def _is_name(error: ValidationError) -> bool:
    return "propertyNames" in error.absolute_schema_path


def _mistakes(error: ValidationError) -> Iterator[Mistake]:
    path, value = tuple(error.absolute_path), error.instance
    schema = _resolved(error.schema)
    if error.validator == "additionalProperties":
        known = list(schema["properties"])
        for key in value:
            if key not in known:
                where = _dotted((*path, key))
                yield (*path, key), f"{where}: unknown key{_suggestion(key, known)}; known here: {', '.join(known)}"
    elif error.validator == "required":
        key = next(key for key in schema["required"] if error.message.startswith(repr(key)))
        where = _dotted((*path, key))
        yield (*path, key), f"{where}: nothing stands here; expected {_expected(schema['properties'][key])}"
    elif error.validator == "uniqueItems":
        for item in dict.fromkeys(json.dumps(item, default=str) for item in value if value.count(item) > 1):
            yield path, f"{_dotted(path)}: {item} stands here more than once; expected each value once"
    elif _is_name(error):
        yield (*path, value), f"{_dotted((*path, value))}: {value!r} is the name; expected {_expected(schema)}"
    else:
        yield path, f"{_dotted(path)}: {_shown(value)}; expected {_expected(schema)}{_advice(value, schema)}"


def _expected(schema: Any) -> str:
    """What may stand at a place, in words."""
    schema = _resolved(schema)
    if "expected" in schema:
        return str(schema["expected"])
    if "enum" in schema:
        return f"one of {', '.join('null' if each is None else str(each) for each in schema['enum'])}"
    kinds = schema.get("type", "object")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return " or ".join(_expected_kind(kind, schema) for kind in kinds)


def _expected_kind(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        length = "a list of one or more values" if schema.get("minItems") else "a list"
        return f"{length}, each {_expected(schema['items'])}"
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        bounds = [
            f"{words} {schema[keyword]}"
            for keyword, words in (
                ("minimum", "of at least"),
                ("exclusiveMinimum", "above"),
                ("maximum", "of at most"),
                ("exclusiveMaximum", "below"),
            )
            if keyword in schema
        ]
        return " ".join([noun, " and ".join(bounds)]).strip()
    if kind == "object" and schema.get("properties"):
        return f"a section with keys among {', '.join(schema['properties'])}"
    return _KINDS[kind]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing stands here"
    if value == [] or value == {}:
        return "the list is empty" if value == [] else "the section is empty"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return f"{text if len(text) <= 60 else text[:57] + '...'} stands here"


def _advice(value: Any, schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return _suggestion(value, [each for each in schema["enum"] if isinstance(each, str)])
    if not isinstance(value, str):
        return ""
    if schema.get("type") == "array":
        return " (in brackets: [a, b]; nested values given with --config are always text, give them with --configfile)"
    if schema.get("type") in ("integer", "number", "boolean") and _PLAIN.fullmatch(value):
        return " (this is text: without quotes; nested values given with --config are always text, use --configfile)"
    return ""


def _suggestion(given: Any, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(given).lower(), known, n=1, cutoff=0.7)
    return f", did you mean {close[0]}?" if close else ""


def _dotted(path: Sequence[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) and not isinstance(part, bool) else f".{part}"
    return text.removeprefix(".") or "the configuration"


def _rank(section: Any, sections: Sequence[str]) -> int:
    return sections.index(section) if section in sections else -1


def _touches(place: tuple[Any, ...], refused: Sequence[tuple[Any, ...]]) -> bool:
    """Whether something at the place, or above or below it, has been refused already."""
    return any(place[: len(other)] == other[: len(place)] for other in refused if other)


def _across_keys(config: Any, base: Path) -> Iterator[Mistake]:
    """What a schema cannot say: names that must exist elsewhere, files that must be there."""
    if not isinstance(config, Mapping):
        return
    for study, sections in STUDIES.items():
        chosen = config.get(study)
        if isinstance(chosen, Mapping):
            for key, section in sections.items():
                yield from _named_elsewhere(chosen.get(key), (study, key), config.get(section), section)
    mislabel = config.get("mislabel")
    if isinstance(mislabel, Mapping):
        epochs, epoch = mislabel.get("epochs"), mislabel.get("report_epoch")
        if isinstance(epochs, list) and epoch not in epochs:
            place = ("mislabel", "report_epoch")
            yield place, f"{_dotted(place)}: {epoch} stands here; expected one of mislabel.epochs, {epochs}"
    for study in ("llm", "vlm"):
        chosen = config.get(study)
        if isinstance(chosen, Mapping) and isinstance(chosen.get("corruption"), Mapping):
            yield from _corruption(study, chosen["corruption"], config.get("questions"))
        if isinstance(chosen, Mapping):
            yield from _sharded(study, chosen)
    models = config.get("models")
    for name, entry in models.items() if isinstance(models, Mapping) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("align"), Mapping):
            caption_source = ("models", str(name), "align", "data")
            data = entry["align"].get("data")
            yield from _named_elsewhere([data], caption_source, config.get("questions"), "questions")
    chosen_studies = config.get("studies")
    running = [study for study in STUDIES if isinstance(chosen_studies, list) and study in chosen_studies]
    # What only studies that do not run would read may be brought later.
    later = _entries_of(config, [study for study in STUDIES if study not in running]) - _entries_of(config, running)
    for section in ("models", "data", "questions"):
        entries = config.get(section)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            if isinstance(entry, Mapping) and isinstance(entry.get("source"), Mapping):
                kinds = (*SOURCES, "shape") if section == "models" else SOURCES
                there = None if (section, name) in later else base
                yield from _one_source((section, name, "source"), entry["source"], kinds, there)
    questions = config.get("questions")
    if isinstance(questions, Mapping):
        for name, entry in questions.items():
            if isinstance(entry, Mapping):
                there = None if ("questions", name) in later else base
                yield from _question_set(str(name), entry, [str(each) for each in questions], there)
    launcher = config.get("launcher")
    if isinstance(launcher, str) and not (base / Path(launcher).expanduser()).is_file():
        yield ("launcher",), f"launcher: {launcher!r} stands here; expected a file, and there is none"
    wheels = config.get("wheels")
    for index, wheel in enumerate(wheels) if isinstance(wheels, list) else ():
        if isinstance(wheel, str) and not (base / Path(wheel).expanduser()).is_file():
            yield ("wheels", index), f"wheels[{index}]: {wheel!r} stands here; expected a file, and there is none"


def _entries_of(config: Mapping[str, Any], studies: Sequence[str]) -> set[tuple[str, str]]:
    """Section and name of all entries that the studies read."""
    found = {
        (section, name)
        for study in studies
        for key, section in STUDIES[study].items()
        for name in _names(_at(config, study, key))
    }
    others = [name for study in studies for name in _names(_at(config, study, "corruption", "off_task_data"))]
    others += [name for _, model in found for name in _names(_at(config, "models", model, "align", "data"))]
    found |= {("questions", name) for name in others}
    tests = [name for _, task in found for name in _names(_at(config, "questions", task, "test_from"))]
    return found | {("questions", name) for name in tests}


def _at(config: Any, *path: str) -> Any:
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _names(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _named_elsewhere(names: Any, path: tuple[str, ...], known: Any, section: str) -> Iterator[Mistake]:
    if not isinstance(names, list) or not isinstance(known, Mapping):
        return
    choices = [str(each) for each in known]
    for index, name in enumerate(names):
        if isinstance(name, str) and name not in known:
            place = (*path, index) if len(path) == 2 else path
            yield (
                place,
                f"{_dotted(place)}: {name!r} stands here; expected a key of {section}: "
                f"{', '.join(choices)}{_suggestion(name, choices)}",
            )


def _corruption(study: str, corruption: Mapping[str, Any], questions: Any) -> Iterator[Mistake]:
    place = (study, "corruption", "off_task_data")
    name, share, wrong = (corruption.get(key) for key in ("off_task_data", "off_task", "wrong_answers"))
    if isinstance(questions, Mapping) and name is not None:
        yield from _named_elsewhere([name], place, questions, "questions")
    if not isinstance(share, int | float) or not isinstance(wrong, int | float):
        return
    if share > 0 and name is None:
        yield place, f"{_dotted(place)}: nothing stands here; expected a key of questions, as off_task is {share}"
    if share + wrong > 1:
        yield (
            place[:2],
            f"{_dotted(place[:2])}: wrong_answers {wrong} and off_task {share} stand here; expected a sum of at most 1",
        )


def _question_set(name: str, entry: Mapping[str, Any], known: Sequence[str], base: Path | None) -> Iterator[Mistake]:
    images, other, splits = (entry.get(key) for key in ("images", "test_from", "splits"))
    if base is not None and isinstance(images, str) and images and not (base / Path(images).expanduser()).is_dir():
        place: tuple[str, ...] = ("questions", name, "images")
        yield place, f"{_dotted(place)}: {images!r} stands here; expected a folder, and there is none"
    if not isinstance(other, str):
        return
    place = ("questions", name, "test_from")
    choices = [each for each in known if each != name]
    if other not in choices:
        line = f"{_dotted(place)}: {other!r} stands here; expected another key of questions: {', '.join(choices)}"
        yield place, line + _suggestion(other, choices)
    if isinstance(splits, Mapping) and splits.get("test") is not None:
        place = ("questions", name, "splits", "test")
        yield place, f"{_dotted(place)}: {splits['test']!r} stands here; expected null, as test_from is {other!r}"


def _sharded(study: str, chosen: Mapping[str, Any]) -> Iterator[Mistake]:
    shards, methods = chosen.get("shards"), chosen.get("methods")
    if not isinstance(shards, int) or shards == 1 or not isinstance(methods, list):
        return
    for index, name in enumerate(methods):
        if name in NOT_SHARDED:
            place = (study, "methods", index)
            yield place, f"{_dotted(place)}: {name!r} stands here; expected it only with {study}.shards 1, not {shards}"


def _one_source(
    path: tuple[Any, ...], source: Mapping[str, Any], kinds: Sequence[str], base: Path | None
) -> Iterator[Mistake]:
    given = [kind for kind in kinds if source.get(kind) is not None]
    if not given:
        yield path, f"{_dotted(path)}: nothing stands here; expected one of {', '.join(kinds)}"
    elif len(given) > 1:
        yield (
            path,
            f"{_dotted(path)}: {' and '.join(given)} stand here; expected only one of {', '.join(kinds)} "
            f"(an overlay is merged into config.yaml: there, write {given[0]}: null to drop it)",
        )
    elif (
        base is not None
        and given == ["path"]
        and isinstance(source["path"], str)
        and not (base / Path(source["path"]).expanduser()).exists()
    ):
        place = (*path, "path")
        yield place, f"{_dotted(place)}: {source['path']!r} stands here; expected a file or folder, and there is none"
