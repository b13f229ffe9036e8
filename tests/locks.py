"""What the locks hold."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-cu130.lock")
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Pin:
    """A line of a lock: a package, its release, the Pythons that it is for, the hashes of its files."""

    name: str
    release: str
    marker: str
    hashes: tuple[str, ...]


def pins(lock: str) -> list[Pin]:
    """Read a lock strictly: whatever is neither a comment nor a pin with its hashes is an error."""
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text(), flags=re.M)
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        read = re.fullmatch(r"([\w.-]+)==([\w.]+) +(?:; (.+?) +)?((?: *--hash=sha256:[0-9a-f]{64})+)", line)
        assert read, line
        found.append(Pin(canonicalize_name(read[1]), read[2], read[3] or "", tuple(read[4].split())))
    return found


def locked(python: str = PYTHONS[0]) -> dict[str, str]:
    """The release of every package for one Python, by its canonical name."""
    environment = {"python_version": python}
    rows = [pin for lock in LOCKS for pin in pins(lock) if not pin.marker or Marker(pin.marker).evaluate(environment)]
    assert len({pin.name for pin in rows}) == len(rows)
    return {pin.name: pin.release for pin in rows}
