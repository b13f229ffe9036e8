"""What all models of settings share."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo


class Settings(BaseModel):
    """A section of settings: frozen, and without keys that it does not know.

    A field is declared by :func:`setting`. What is made of the fields: the flags of a command
    (:mod:`hyperinf.cli.flags`), the check of a YAML file (:mod:`hyperinf.settings.checking`), the JSON schema, the
    commented ``config.yaml`` and the settings page of the docs (:mod:`hyperinf.settings.documents`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _bools_are_no_numbers(cls, values: Any) -> Any:
        # pydantic reads true as 1: as text it is refused where it stands.
        if not isinstance(values, Mapping):
            return values
        return {name: _without_bools(value) if name in _numeric(cls) else value for name, value in values.items()}

    def plain(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return self.model_dump(mode="json")

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
    expected: str = "",
    **constraints: Any,
) -> Any:
    """Declare one setting.

    Args:
        default: its value where none is given; ``...`` for a setting that has to be given.
        help: what it does, in one line.
        runtime: it decides how something is computed, not what: a change reruns nothing.
        unit: of a number, such as ``tokens``.
        metavar: what stands for the value in a command's help.
        expected: what may stand here, where type and bounds do not say it well.
        **constraints: of pydantic's ``Field``, such as ``ge`` or ``min_length``.
    """
    extra = {"runtime": runtime, "unit": unit, "metavar": metavar, "expected": expected}
    marks: dict[str, Any] = {name: value for name, value in extra.items() if value}
    factory = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**factory, description=help, json_schema_extra=marks or None, **constraints)


def mark(field: FieldInfo, name: str) -> Any:
    """What :func:`setting` was told of a field beside its help: ``runtime``, ``unit``, ``metavar``, ``expected``."""
    extra = field.json_schema_extra
    return extra.get(name, "") if isinstance(extra, Mapping) else ""


@cache
def _numeric(model: type[BaseModel]) -> frozenset[str]:
    """Name the fields that hold numbers, alone or in lists."""
    kinds = {name: set(re.findall(r"\w+", str(field.annotation))) for name, field in model.model_fields.items()}
    return frozenset(name for name, words in kinds.items() if words & {"int", "float"} and "bool" not in words)


def _without_bools(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_bools(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else value


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
