"""The files that are made of the settings: ``config.yaml``, the schema that an editor reads, the page of the docs."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hyperinf.settings.base import mark
from hyperinf.settings.checking import expected
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
# What is explained once is not explained again. docs/settings.md has all settings, those left out here included.
"""


def documents() -> dict[Path, str]:
    """Make the text of every file, by its path below the root of the project."""
    return {CONFIG: config_text(), SCHEMA: schema_text(), PAGE: page_text()}


def schema_text() -> str:
    """Make the JSON schema of ``config.yaml`` and its overlays: no key is required, as an overlay has only some."""
    schema = ExperimentSettings.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        part.pop("required", None)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    schema["title"] = "config.yaml of hyperinf"
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def config_text() -> str:
    """Make ``config.yaml``: every setting that is given or has another value than its default, with its help."""
    told: set[tuple[type, str]] = set()
    lines = [_HEAD]
    for name, field in ExperimentSettings.model_fields.items():
        lines += _entry(ExperimentSettings, name, field, getattr(default_experiment(), name), 0, told)
    return "\n".join(lines) + "\n"


def _entry(
    model: type[BaseModel], name: str, field: FieldInfo, value: Any, depth: int, told: set[tuple[type, str]]
) -> Iterator[str]:
    note = "" if (model, name) in told else _note(field)
    told.add((model, name))
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


def _section(value: Any, depth: int, told: set[tuple[type, str]]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield f"{'  ' * depth}{key}:"
            yield from _section(each, depth + 1, told)
        return
    for name, field in type(value).model_fields.items():
        part = getattr(value, name)
        given = name in value.model_fields_set
        if given or not _is_spared(value, name, field, told):
            yield from _entry(type(value), name, field, part, depth, told)


def _is_spared(value: BaseModel, name: str, field: FieldInfo, told: set[tuple[type, str]]) -> bool:
    """Whether a default need not be shown: where nothing is there, or where it has been shown already."""
    part = getattr(value, name)
    return part is None or (type(value), name) in told or mark(field, "rare") is True


def _note(field: FieldInfo) -> str:
    unit = mark(field, "unit")
    text = f"{field.description}{f', in {unit}' if unit and unit not in str(field.description) else ''}"
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
    plain = [_scalar(each) for each in value] if isinstance(value, tuple) else _scalar(value)
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _scalar(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def page_text() -> str:
    """Make the page of the docs: a table for each section."""
    schema = ExperimentSettings.model_json_schema()
    parts = [
        "# Settings\n\nThis page is written by `hyperinf settings --write`. Keys of `config.yaml` and of overlays; the "
        "flags of the commands have the same names, with dashes. A setting marked *how* decides how something is "
        "computed, never what: a change of it reruns nothing.\n"
    ]
    for title, section in (("config.yaml", schema), *sorted(_sections(schema))):
        parts.append(f"## {title}\n\n{section.get('description', '').strip()}\n\n{_table(section, schema)}")
    return "\n".join(parts)


def _sections(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, section in schema["$defs"].items():
        if section.get("properties"):
            yield name.removesuffix("Settings").removesuffix("Section"), section


def _table(section: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    rows = ["| key | what it does | values | default |", "| --- | --- | --- | --- |"]
    for name, node in section["properties"].items():
        how = " *(how)*" if node.get("runtime") else ""
        default = f"`{json.dumps(node['default'])}`" if "default" in node else "see there"
        if name in section.get("required", ()):
            default = "*required*"
        cells = [f"`{name}`", f"{node.get('description', '')}{how}", expected(node, schema), default]
        rows.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def out_of_step(root: Path) -> list[Path]:
    """List the files that are not what the settings make of them."""
    return [path for path, text in documents().items() if not _is_text(root / path, text)]


def _is_text(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
