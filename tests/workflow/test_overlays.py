import subprocess
import sys
from pathlib import Path

import pytest
from overlays import unreadable
from workspaces import ROOT


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "got no such file, expected YAML"),
        (b"studies: [\n", "line 2: "),
        (b"studies:\n\tllm: 1\n", "line 2: "),
        (b"", "got nothing, expected keys"),
        (b"damping 0.2\n", "got text, expected keys"),
        (b"a: \xff\n", "got a file that cannot be read"),
    ],
)
def test_an_overlay_that_cannot_be_read_is_one_line_that_names_it(
    tmp_path: Path, content: bytes | None, line: str
) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    (found,) = unreadable(["--cores", "1", "--configfile", str(file)])
    assert found.startswith(f"{file}: {line}")


def test_every_overlay_is_looked_at_and_nothing_else(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("device: cpu\n")
    arguments = ["all", "--configfile", str(good), "a.yaml", "--cores", "2", "b", "--configfiles=c.yaml", "d"]
    assert [line.partition(":")[0] for line in unreadable(arguments)] == ["a.yaml", "c.yaml"]


def test_a_run_with_a_missing_overlay_starts_nothing(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "workflow/run.py", "-n", "--configfile", str(tmp_path / "no.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()[1:]
    assert line.startswith(f"{tmp_path}/no.yaml: got no such file")
