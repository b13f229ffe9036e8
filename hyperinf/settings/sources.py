"""Where a model or a data set comes from."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.registers import DATA_ASSETS, FAMILIES, MODEL_ASSETS, OF_ASSETS, OF_SHAPES, SHAPES, KnownModel
from hyperinf.settings.types import FilePath, Matching, OneOf

HubName = Annotated[str, Matching(r"^\w[\w.-]*(/\w[\w.-]*)?$", "a name on the hub, OWNER/NAME")]


class _Source(Settings):
    """One of several places; text ``KIND:NAME`` will do."""

    as_text = True
    at_path: ClassVar[str]
    """What is expected at a path."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = cls._with_kind(value)
        kind, _, name = value.partition(":")
        if kind not in cls.model_fields or not name.strip():
            raise ValueError(f"got {value!r}, expected {cls._forms()}")
        return {kind: name}

    @classmethod
    def _with_kind(cls, text: str) -> str:
        return text

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name, value in self if value is not None]
        if len(given) != 1:
            more = f" (in an overlay, write {given[0]}: null to drop it)" if given else ""
            raise ValueError(f"got {' and '.join(given) or 'none'}, expected {self._forms()}{more}")
        return self

    @classmethod
    def _forms(cls) -> str:
        *others, last = (f"{kind}:NAME" for kind in cls.model_fields)
        return f"{', '.join(others)} or {last}"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow text beside the section."""
        made = handler(schema)
        section = handler.resolve_ref_schema(made)
        parts = {key: section.pop(key) for key in ("type", "properties", "additionalProperties")}
        text = {"type": "string", "pattern": f"^({'|'.join(cls.model_fields)}):.+"}
        section.update(anyOf=[parts, text], expected=f"{cls._forms()}, or a section with one of these keys")
        return made

    @property
    def kind(self) -> str:
        """``asset``, ``hub``, ``path`` or ``shape``."""
        return next(name for name, value in self if value is not None)

    @property
    def name(self) -> str:
        """What it is called there."""
        return str(getattr(self, self.kind))

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class DataSource(_Source):
    """Where a data set comes from."""

    at_path = "a file, or a folder in the hub's layout"

    asset: Annotated[str, OneOf(DATA_ASSETS)] | None = setting(
        None, help="name of a data set that a package index carries"
    )
    hub: HubName | None = setting(None, help="name of a data set on the hub", metavar="OWNER/NAME")
    path: FilePath | None = setting(None, help="path of a file, or of a folder in the hub's layout", metavar="PATH")


class ModelSource(_Source):
    """Where a model comes from."""

    at_path = "a folder with a config.json, or a GGUF file"

    asset: Annotated[str, OneOf(MODEL_ASSETS)] | None = setting(
        None, help="name of a model that a package index carries"
    )
    hub: HubName | None = setting(None, help="name of a model on the hub", metavar="OWNER/NAME")
    path: FilePath | None = setting(None, help="path of a folder with a config.json, or of a GGUF file", metavar="PATH")
    shape: Annotated[str, OneOf(SHAPES)] | None = setting(None, help="shape of a new model with random weights")

    @property
    def known(self) -> KnownModel | None:
        """Find what is known of it before it is there; None for a model of the user's own or of the hub."""
        return {"asset": OF_ASSETS, "shape": OF_SHAPES}.get(self.kind, {}).get(self.name)

    @property
    def families(self) -> tuple[str, ...]:
        """Name the families that it can belong to; for one that is not known all, until it is looked at."""
        return self.known.families if self.known else tuple(FAMILIES)


class NamedModel(ModelSource):
    """Where a model comes from; of text without a kind, a folder where there is one of that name, else the hub."""

    @classmethod
    def _with_kind(cls, text: str) -> str:
        if not text.strip() or text.partition(":")[0] in cls.model_fields:
            return text
        is_path = text.startswith((".", "/", "~")) or text.endswith(".gguf") or Path(text).exists()
        return f"{'path' if is_path else 'hub'}:{text}"

    @classmethod
    def _forms(cls) -> str:
        return f"a folder, OWNER/NAME on the hub, or {super()._forms()}"
