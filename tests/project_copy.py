"""A copy of the project that a test changes and runs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTENDING = ROOT / "docs/extending.md"
CODE = ("hyperinf", "workflow", "Snakefile", "config.yaml", "profiles", "envs")


class Copy:
    """A copy of the project that is changed and run; it counts the files that were touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        for name in CODE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file}: {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new))
        self.touched.add(file)

    def write(self, file: str, text: str) -> None:
        (self.folder / file).write_text(text)
        self.touched.add(file)

    def follow(self, recipe: str) -> None:
        """Do what the page on extending says under a heading: new files, and lines below a line of others."""
        steps = [*_steps(recipe)]
        assert steps, f"{EXTENDING.name} has no recipe {recipe!r}"
        for file, below, text in steps:
            if below is None:
                self.write(file, text)
            else:
                self.replace(file, f"\n{below}\n", f"\n{below}\n{text}")

    def run(self, *words: object, module: str = "hyperinf") -> str:
        """Run a command of the copy."""
        return self._run(["-m", module, *map(str, words)])

    def python(self, code: str) -> str:
        """Run a line of Python in the copy."""
        return self._run(["-c", code])

    def _run(self, words: list[str]) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def _steps(recipe: str) -> Iterator[tuple[str, str | None, str]]:
    """The file, the line above, and the text of each step."""
    text = EXTENDING.read_text(encoding="utf-8")
    section = text[text.index(f"## {recipe}\n") :].removeprefix("## ").partition("\n## ")[0]
    step = r"^In (?:a new file, `([^`]+)`|`([^`]+)`, below the line `([^`]+)`):\n\n```\w+\n(.*?)^```$"
    for new, old, below, lines in re.findall(step, section, re.DOTALL | re.MULTILINE):
        yield new or old, below or None, lines


def promised(what: str) -> int:
    """How many files CONTRIBUTING says that it takes."""
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    return int(rows[what])
