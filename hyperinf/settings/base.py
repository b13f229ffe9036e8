"""What all models of settings share."""

import json
import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
Place = tuple[str | int, ...]
"""Keys and indices that lead to a setting."""


class MisfitError(ValueError):
    """Values of a section that do not go together.

    Attributes:
        mistakes: ``got X, expected Y`` by the key that is to be changed, or by the place of it below the section.
    """

    def __init__(self, mistakes: Mapping[str | Place, str]) -> None:
        self.mistakes = {(key,) if isinstance(key, str) else key: message for key, message in mistakes.items()}
        super().__init__("; ".join(f"{'.'.join(map(str, place))}: {each}" for place, each in self.mistakes.items()))


class Settings(BaseModel):
    """A section of settings: frozen, and without keys that it does not know.

    A field is declared by :func:`setting`. What is made of the fields: the flags of a command
    (:mod:`hyperinf.cli.flags`), the check of a YAML file (:mod:`hyperinf.settings.checking`), the JSON schema, the
    commented ``config.yaml`` and the settings page of the docs (:mod:`hyperinf.settings.documents`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    as_text: ClassVar[bool] = False
    """Whether text stands for the whole section, so that it is one flag of a command."""

    @model_validator(mode="before")
    @classmethod
    def _as_yaml_means_it(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        numeric = _numeric(cls)
        return {
            name: _as_number(value) if name in numeric else _with_text_keys(value)
            for name, value in _with_text_keys(values).items()
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Give the fields in the order in which they are shown."""
        made = handler(schema)
        section = handler.resolve_ref_schema(made)
        if "properties" in section:
            section["properties"] = {name: section["properties"][name] for name in ordered(cls)}
        return made

    def plain(self) -> dict[str, Any]:
        """The settings as JSON values, in the order in which they are shown."""
        plain = self.model_dump(mode="json")
        return {name: plain[name] for name in ordered(type(self))}

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what is computed, as JSON values: those that are not marked ``runtime``."""
        return _deciding(self)

    def canonical(self) -> str:
        """:meth:`deciding` as JSON text; equal settings give equal text."""
        return json.dumps(self.deciding(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def of(cls, *others: "Settings", **values: Any) -> Self:
        """Make the section of whichever fields of ``others`` it has, and of ``values``, which win."""
        taken = {name: getattr(each, name) for each in others for name in type(each).model_fields}
        known = {name: value for name, value in taken.items() if name in cls.model_fields}
        return cls(**{**known, **values})


def setting(
    default: Any = ...,
    *,
    help: str,
    runtime: bool = False,
    unit: str = "",
    metavar: str = "",
    writes: str = "",
    reads: str = "",
    positional: bool = False,
    **constraints: Any,
) -> Any:
    """Declare one setting.

    Args:
        default: its value where none is given; ``...`` for a setting that has to be given.
        help: what it is or does, in one line; names of other settings in backticks.
        runtime: it decides how something is computed, not what: a change reruns nothing.
        unit: of a number, such as ``tokens``, where the help does not say it.
        metavar: what stands for the value in a command's help.
        writes: ``file`` or ``folder`` where it is the path of what a stage writes.
        reads: what has to be there where it is the path of what a stage reads, such as ``a folder``.
        positional: on a command line it has no flag; at most one setting of a command.
        **constraints: of pydantic's ``Field``, such as ``ge`` or ``min_length``.
    """
    extra = {"runtime": runtime, "unit": unit, "metavar": metavar}
    extra |= {"writes": writes, "reads": reads, "positional": positional}
    marks: dict[str, Any] = {name: value for name, value in extra.items() if value}
    factory = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**factory, description=help, json_schema_extra=marks or None, **constraints)


def mark(field: FieldInfo, name: str) -> Any:
    """What :func:`setting` was told of a field beside its help: ``runtime``, ``unit``, ``metavar``, and so on."""
    extra = field.json_schema_extra
    return extra.get(name, "") if isinstance(extra, Mapping) else ""


def explained(field: FieldInfo) -> str:
    """What a setting is or does, with its unit."""
    unit = mark(field, "unit")
    return f"{field.description}, in {unit}" if unit else str(field.description)


def text_key(key: object) -> str:
    """Write a key of YAML as text, whatever it is: one that is a number, or half a character, is not known."""
    return str(key).encode(errors="backslashreplace").decode()


def _with_text_keys(value: Any) -> Any:
    return {text_key(key): each for key, each in value.items()} if isinstance(value, Mapping) else value


def kind_of(annotation: Any) -> Any:
    """The type of a value, without ``None`` and what is annotated."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return kind_of(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def section_of(field: FieldInfo) -> type[Settings] | None:
    """The settings that a field holds, if it holds a section."""
    kind = kind_of(field.annotation)
    return kind if isinstance(kind, type) and issubclass(kind, Settings) and not kind.as_text else None


def ordered(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Give the fields as they are shown: values before sections, a class's own before those that it inherits."""
    own_first = [name for each in model.__mro__ for name in getattr(each, "__annotations__", ())]
    places = {name: place for place, name in reversed([*enumerate(own_first)])}

    def key(name: str) -> tuple[bool, int]:
        field = model.model_fields[name]
        holds_more = section_of(field) is not None or get_origin(kind_of(field.annotation)) is dict
        return holds_more, places[name]

    return {name: model.model_fields[name] for name in sorted(model.model_fields, key=key)}


@cache
def _numeric(model: type[BaseModel]) -> frozenset[str]:
    """Name the fields that hold numbers, alone or in lists."""
    kinds = {name: set(re.findall(r"\w+", str(field.annotation))) for name, field in model.model_fields.items()}
    return frozenset(name for name, words in kinds.items() if words & {"int", "float"})


def _as_number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_number(each) for each in value]
    if isinstance(value, bool):
        # pydantic reads true as 1: as text it is refused where it stands.
        return str(value).lower()
    # YAML reads 1e-4 as text, and only 1.0e-4 as a number.
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _deciding(section: BaseModel) -> dict[str, Any]:
    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        if mark(field, "runtime"):
            plain.pop(name, None)
        else:
            plain[name] = _without_runtime(getattr(section, name), plain[name])
    return plain


def _without_runtime(value: Any, plain: Any) -> Any:
    if isinstance(value, BaseModel):
        return _deciding(value)
    if isinstance(value, Mapping):
        return {key: _without_runtime(value[key], plain[key]) for key in value}
    if isinstance(value, tuple):
        return [_without_runtime(each, shown) for each, shown in zip(value, plain, strict=True)]
    return plain
