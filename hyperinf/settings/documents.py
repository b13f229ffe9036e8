"""The files that are made of the settings: ``config.yaml``, the schema that an editor reads, the page of the docs."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hyperinf.settings.base import explained, mark, ordered
from hyperinf.settings.checking import Node, expected, resolved
from hyperinf.settings.default_experiment import default_experiment
from hyperinf.settings.experiment import ExperimentSettings

CONFIG, SCHEMA, PAGE = Path("config.yaml"), Path("workflow/config/schema.json"), Path("docs/settings.md")
_WIDTH = 120
_COLUMN = 38
_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA.as_posix()}
# The default experiment: real sentences, pictures and weights, on a CPU. Written by `hyperinf settings --write`.
#
# Change a value here, or keep this file and put the change into an overlay: `snakemake --configfile my.yaml`.
# An overlay is merged into this file key by key; a list replaces a list. A key that is not known, or a value that
# cannot be, is refused before any job starts. What has to be computed again after a change, and only that, is computed
# again; (r) marks what decides how something is computed and not what: a change of that reruns nothing.
# What is explained once is not explained again. {PAGE.as_posix()} has all settings, those left out here included.
"""
_PAGE_HEAD = """\
# Settings

This page is written by `hyperinf settings --write`. It lists the keys of `config.yaml` and of overlays, section by
section; NAME stands for a key of your own. The stages' commands take settings of the same names as flags, with dashes:
`hyperinf STAGE --help`. A setting marked *how* decides how something is computed, never what: a change of it reruns
nothing.
"""


def documents() -> dict[Path, str]:
    """Make the text of every file, by its path below the root of the project."""
    return {CONFIG: config_text(), SCHEMA: schema_text(), PAGE: page_text()}


def out_of_step(root: Path) -> list[Path]:
    """List the files that are not what the settings make of them."""
    return [path for path, text in documents().items() if not _is_text(root / path, text)]


def _is_text(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def schema_text() -> str:
    """Make the JSON schema of ``config.yaml`` and its overlays: no key is required, as an overlay has only some."""
    schema = ExperimentSettings.model_json_schema()
    # Sections are called by their place: names of classes mean nothing to who writes a configuration.
    names: dict[str, str] = {}
    for place, _, reference in _sections(schema, schema):
        names.setdefault(reference, place)
    sections = {place: _shown(schema["$defs"][name], names) for name, place in names.items()}
    whole = {**_shown({key: part for key, part in schema.items() if key != "$defs"}, names), "$defs": sections}
    whole |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "config.yaml of hyperinf"}
    return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _shown(node: Any, names: Mapping[str, str]) -> Any:
    """What an editor needs of a part of a schema, with references to sections by their places."""
    if isinstance(node, list):
        return [_shown(each, names) for each in node]
    if not isinstance(node, Mapping):
        return node
    left: dict[str, Any] = {}
    for key, part in node.items():
        if key == "properties":
            left[key] = {name: _shown(each, names) for name, each in part.items()}
        elif key == "patternProperties":
            left |= {key: _shown(part, names), "additionalProperties": False}
        elif key == "$ref":
            left[key] = f"#/$defs/{names[part.rpartition('/')[2]]}"
        elif key not in ("title", "required", "propertyNames", "expected", "metavar", "runtime", "unit", "writes"):
            left[key] = part if key == "default" else _shown(part, names)
    return left


def _sections(node: Node, schema: Node, place: str = "") -> Iterator[tuple[str, Node, str]]:
    """List the sections below a section, each with its place, its schema and what refers to it."""
    for key, part in _properties(node).items():
        for each in (part, *part.get("anyOf", ()), *part.get("patternProperties", {}).values()):
            if "$ref" in each:
                # A key of the user's own stands between a mapping and its section.
                below = f"{place}{key}.NAME" if "patternProperties" in part else f"{place}{key}"
                section = resolved({"$ref": each["$ref"]}, schema)
                yield below, section, each["$ref"].rpartition("/")[2]
                yield from _sections(section, schema, f"{below}.")


def _properties(node: Node) -> Mapping[str, Node]:
    return {key: part for each in (node, *node.get("anyOf", ())) for key, part in each.get("properties", {}).items()}


def config_text() -> str:
    """Make ``config.yaml``: every setting that is given or has another value than its default, with its help."""
    told: set[Any] = set()
    lines = [_HEAD]
    for name, field in ordered(ExperimentSettings).items():
        lines += _entry(ExperimentSettings, name, field, getattr(default_experiment(), name), 0, told)
    return "\n".join(lines) + "\n"


def _entry(
    model: type[BaseModel], name: str, field: FieldInfo, value: Any, depth: int, told: set[Any]
) -> Iterator[str]:
    note = "" if _note(field) in told else _note(field)
    told |= {(model, name), note}
    indent = "  " * depth
    if isinstance(value, BaseModel) or (isinstance(value, Mapping) and value):
        if depth == 0:
            yield ""
        within = list(_section(value, depth + 1, told))
        if within:
            yield from _wrapped(note, indent)
            yield f"{indent}{name}:"
            yield from within
    else:
        yield from _line(f"{indent}{name}: {_plain(value)}", note, indent)


def _section(value: Any, depth: int, told: set[Any]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield f"{'  ' * depth}{key}:"
            yield from _section(each, depth + 1, told)
        return
    for name, field in ordered(type(value)).items():
        part = getattr(value, name)
        # A default need not be shown where nothing is there, or where it has been shown already.
        if name in value.model_fields_set or (part is not None and (type(value), name) not in told):
            yield from _entry(type(value), name, field, part, depth, told)


def _note(field: FieldInfo) -> str:
    text = explained(field)
    return f"{text} (r)" if mark(field, "runtime") else text


def _line(text: str, note: str, indent: str) -> Iterator[str]:
    beside = f"{text.ljust(_COLUMN)} # {note}"
    if note and len(beside) > _WIDTH:
        yield from _wrapped(note, indent)
        yield text
    else:
        yield beside if note else text


def _wrapped(note: str, indent: str) -> list[str]:
    return textwrap.wrap(note, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ") if note else []


def _plain(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def page_text() -> str:
    """Make the page of the docs: a table for each section, in the order of ``config.yaml``."""
    schema = ExperimentSettings.model_json_schema()
    parts = [_PAGE_HEAD, _table("`config.yaml`", schema, "", schema)]
    parts += [_table(f"`{place}`", section, f"{place}.", schema) for place, section, _ in _sections(schema, schema)]
    return "\n".join(parts)


def _table(title: str, section: Node, place: str, schema: Node) -> str:
    lines = [
        f"## {title}",
        "",
        str(section.get("description", "")).strip().replace("``", "`"),
        "",
        "| key | what it is | values | default |",
        "| --- | --- | --- | --- |",
    ]
    below = {where: each for where, each, _ in _sections(section, schema, place)}
    required = {name for part in (section, *section.get("anyOf", ())) for name in part.get("required", ())}
    for name, node in _properties(section).items():
        inside = next((where for where in below if re.fullmatch(rf"{re.escape(place + name)}(\.NAME)?", where)), None)
        how = " *(how)*" if node.get("runtime") else ""
        unit = f", in {node['unit']}" if "unit" in node else ""
        values = expected(node, schema)
        default = f"`{json.dumps(node['default'])}`" if "default" in node else ""
        if inside is not None and "expected" not in resolved(node, schema):
            values = f"section `{inside}`" + (
                " or null" if any(each.get("type") == "null" for each in node.get("anyOf", ())) else ""
            )
        cells = [
            f"`{name}`",
            f"{node['description']}{unit}{how}",
            values,
            "*required*" if name in required else default,
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
