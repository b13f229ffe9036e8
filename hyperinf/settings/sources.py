"""Where a model or a data set comes from."""

from typing import Annotated, Any, Self

from pydantic import model_validator
from pydantic.types import StringConstraints

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.registers import DATA_ASSETS, MODEL_ASSETS, SHAPES
from hyperinf.settings.types import FilePath, OneOf, only_one

HubName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)?$")]


class _Source(Settings):
    """One of several places; text ``KIND:NAME`` will do."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        kind, colon, name = value.partition(":")
        if not colon or kind not in cls.model_fields or not name.strip():
            forms = ", ".join(f"{each}:NAME" for each in cls.model_fields)
            raise ValueError(f"got {value!r}, expected one of {forms}")
        return {kind: name}

    @model_validator(mode="after")
    def _one(self) -> Self:
        only_one("source", dict(self))
        return self

    @property
    def kind(self) -> str:
        """``asset``, ``hub``, ``path`` or ``shape``."""
        return only_one("source", dict(self))

    @property
    def name(self) -> str:
        """What it is called there."""
        return str(getattr(self, self.kind))

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class DataSource(_Source):
    """Where a data set comes from."""

    asset: Annotated[str, OneOf(DATA_ASSETS)] | None = setting(None, help="a data set that a package index carries")
    hub: HubName | None = setting(None, help="a data set on the hub", metavar="OWNER/NAME")
    path: FilePath | None = setting(None, help="a file, or a folder in the hub's layout", metavar="PATH")


class ModelSource(_Source):
    """Where a model comes from."""

    asset: Annotated[str, OneOf(MODEL_ASSETS)] | None = setting(None, help="a model that a package index carries")
    hub: HubName | None = setting(None, help="a model on the hub", metavar="OWNER/NAME")
    path: FilePath | None = setting(None, help="a folder with a config.json, or a file NAME.gguf", metavar="PATH")
    shape: Annotated[str, OneOf(SHAPES)] | None = setting(None, help="a model made new, with random weights")
