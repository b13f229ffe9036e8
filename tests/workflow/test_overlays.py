import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from overlays import unreadable


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "no such file; --configfile takes overlays on config.yaml"),
        (b"mislabel: [\n", "line 2: expected the node content, but found '<stream end>'; expected YAML"),
        (b"mislabel:\n\tdamping: 1\n", "line 2: found character '\\t' that cannot start any token; expected YAML"),
        (b"", "expected keys of config.yaml with a value each, KEY: VALUE"),
        (b"damping 0.2\n", "expected keys of config.yaml with a value each, KEY: VALUE"),
        (b"a: \xff\n", "cannot be read ('utf-8' codec can't decode byte 0xff in position 3: invalid start byte)"),
    ],
)
def test_an_overlay_that_cannot_be_read_is_one_line_that_names_it(
    tmp_path: Path, content: bytes | None, line: str
) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_bytes(content)
    assert unreadable(["--cores", "1", "--configfile", str(file)]) == [f"{file}: {line}"]


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
    assert run.stderr.splitlines()[1:] == [
        f"{tmp_path}/no.yaml: no such file; --configfile takes overlays on config.yaml"
    ]
