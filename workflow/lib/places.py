"""Folders that Snakemake writes to whatever is run, and fails in with a page of its own where it cannot."""

import os
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_cache_dir

NOTES = Path(".snakemake")


def unwritable() -> list[str]:
    """List one line for each of Snakemake's own folders that cannot be written: its notes, its copies of rules."""
    cache = Path(user_cache_dir("snakemake", "snakemake")) / "snakemake"
    advice = {
        NOTES: "run in a copy of the project of your own, or have its owner open this folder up: chmod -R g+w",
        cache: "set XDG_CACHE_HOME to another",
    }
    shut = {place: there for place in advice if (there := closed(place))}
    return [f"{there}: got no leave to write {place}, expected it; {advice[place]}" for place, there in shut.items()]


def closed(path: Path) -> Path | None:
    """Find what keeps a file or folder from being written: the nearest folder that is there, if it is closed to us."""
    there = next((each for each in (path, *path.absolute().parents) if each.exists()), Path("/"))
    return None if os.access(there, os.W_OK) else there


def first_closed(paths: Iterable[str | Path]) -> Path | None:
    """Find the first folder that keeps one of the files from being written."""
    folders = dict.fromkeys(Path(path).parent for path in paths)
    return next((there for folder in folders if (there := closed(folder))), None)
