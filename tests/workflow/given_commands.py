"""The commands that the workflow gives, run in this process, and what each reads of the library against its code hash.

In a workspace that :func:`name_hashed` has changed, a job's hash of code is the names of what would be hashed, and
stands behind its command.
"""

import logging
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from workspaces import Workspace

# What hands settings on: they are compared as values. Texts of errors, which GPU is free, and what is said of progress
# decide nothing.
HANDED_ON = (
    "hyperinf.cli", "hyperinf.settings", "hyperinf.runtime.redaction", "hyperinf.runtime.gpus",
    "hyperinf.runtime.progress", "hyperinf.__main__",
)  # fmt: skip
# Names of templates are checked by reading the file; samples are put into prompts where they are trained on.
PROMPTS = "hyperinf/data/prompts.yaml"
NAMES = """

def code_hash(*modules, data=(), root=ROOT):
    files = [str(path.relative_to(root)) for pattern in data for path in sorted(root.glob(pattern))]
    return " ".join([*sorted(reached_modules(*modules, root=root)), *files])
"""
_opened: set[str] | None = None


@dataclass(frozen=True)
class Command:
    """A command of the workflow: its words after ``python -m hyperinf``, and the modules and files that are hashed."""

    words: tuple[str, ...]
    hashed: frozenset[str] = frozenset()

    @property
    def stage(self) -> str:
        """One word, or two."""
        return " ".join(word for word in self.words[:2] if not word.startswith("-"))

    @property
    def out(self) -> Path:
        """What it writes."""
        return Path(self.words[self.words.index("--out") + 1])

    def run(self) -> int:
        """Run it, with the modules that are loaded already."""
        return int(import_module("hyperinf.cli").main(list(self.words)))

    def unhashed(self) -> set[str]:
        """Run it as a process of its own would, and name what it has read of the library that is not hashed."""
        with _forgotten(), _watched() as opened:
            assert self.run() == 0, shlex.join(self.words)
            loaded = {name for name in sys.modules if name.split(".")[0] == "hyperinf"}
        loaded = {name for name in loaded if not f"{name}.".startswith(tuple(f"{each}." for each in HANDED_ON))}
        assert loaded & self.hashed, shlex.join(self.words)
        return (loaded | opened) - self.hashed - ({PROMPTS} if self.stage == "prepare" else set())


def name_hashed(workspace: Workspace) -> None:
    """Let every job show the names of what is hashed."""
    with (workspace.root / "workflow/lib/code_hash.py").open("a") as file:
        file.write(NAMES)
    for rules in (workspace.root / "workflow/rules").glob("*.smk"):
        rules.write_text(rules.read_text().replace('2>&1"', '2>&1 # {params.code}"'))


def commands(workspace: Workspace, *configfiles: str) -> list[Command]:
    """What the workflow would run, in an order that it could run it in."""
    printed = workspace.snakemake("--dry-run", "--printshellcmds", "--configfile", *configfiles)
    found = re.findall(r"python -m hyperinf (.+) > .+? 2>&1(?: # (.+))?$", printed, re.M)
    return [Command(tuple(shlex.split(words)), frozenset(hashed.split())) for words, hashed in found]


@contextmanager
def _forgotten() -> Iterator[None]:
    """Forget the library's modules, and remember them again: what others have imported must stay what it is."""

    def own() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] == "hyperinf"]

    before, log = {name: sys.modules.pop(name) for name in own()}, logging.getLogger("hyperinf")
    handlers, shown = list(log.handlers), warnings.showwarning
    try:
        yield
    finally:
        for name in own():
            del sys.modules[name]
        sys.modules.update(before)
        log.handlers[:], warnings.showwarning = handlers, shown


@contextmanager
def _watched() -> Iterator[set[str]]:
    """See which files of the library, other than modules, are opened."""
    global _opened
    _opened = set()
    try:
        yield _opened
    finally:
        _opened = None


def _see(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str) and "/hyperinf/" in arguments[0]:
        name = f"hyperinf/{arguments[0].rpartition('/hyperinf/')[2]}"
        if not name.endswith((".py", ".pyc")) and "__pycache__" not in name:
            _opened.add(name)


sys.addaudithook(_see)
