"""A copy of the project that a test changes and runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def promised(what: str) -> int:
    """How many files CONTRIBUTING says that it takes."""
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    return int(rows[what])
