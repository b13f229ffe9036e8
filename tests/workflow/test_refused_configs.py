"""Configurations that cannot be used: said in so many lines, with an exit code, and nothing is started or written."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
from conftest import ROOT, Workspace, environment

STOPPED = "The configuration cannot be used; nothing was started."


@dataclass(frozen=True)
class Refused:
    """An overlay, as text or bytes, and how each of the lines about it begins."""

    name: str
    overlay: str | bytes
    lines: tuple[str, ...]


FILES = [
    Refused("not YAML", "mislabel: [1\n", ("wrong.yaml: line 2: ",)),
    Refused("a tab", "mislabel:\n\tranks: [1]", ("wrong.yaml: line 2: ",)),
    Refused("a list", "[1, 2]", ("wrong.yaml: expected keys of config.yaml",)),
    Refused("text", "hello", ("wrong.yaml: expected keys of config.yaml",)),
    Refused("not UTF-8", b"device: \xff\xfe", ("wrong.yaml: cannot be read ('utf-8' codec can't decode byte 0xff",)),
    Refused("a program", b"\x7fELF\0\0", ("wrong.yaml: unacceptable character",)),
    Refused(
        "a key twice",
        "device: cpu\nllm: {pool: 1}\ndevice: cuda",
        ("wrong.yaml: line 3: key 'device' stands here twice",),
    ),
    Refused(
        "a tag that makes an object",
        "device: !!python/object/apply:os.system [touch ran]",
        ("wrong.yaml: line 1: could not determine a constructor",),
    ),
    Refused("a key that is a list", "{[a]: 4}", ("wrong.yaml: line 1: found unhashable key",)),
    Refused(
        "expressions that would be run",
        "__use_yte__: true\n?open('ran', 'w'): 1",
        ("wrong.yaml: __use_yte__ stands here; expected values",),
    ),
    Refused("lists without end", "[" * 5000, ("wrong.yaml",)),
]
VALUES = [
    Refused("one mistake", "device: gpu", ('device: "gpu" stands here; expected one of auto, cpu, cuda',)),
    Refused(
        "a mistake for each line",
        "{devise: cpu, mislabel: {ranks: [0], noise_rate: 2}}",
        ("devise: unknown key", "mislabel.noise_rate: 2 stands here", "mislabel.ranks[0]: 0 stands here"),
    ),
    Refused(
        "a section that is a list", "llm: [1]", ("llm: [1] stands here; expected a section with keys among tasks",)
    ),
    Refused(
        "names that lead elsewhere",
        "{results: 'a/{task}', data: {../../x: {source: {hub: a/b}, text: t, label: l}}}",
        (
            'results: "a/{task}" stands here',
            "data.../../x: '../../x' is the name; expected a name of lower-case letters",
        ),
    ),
]


def written(workspace: Workspace, refused: Refused) -> set[str]:
    """Puts the overlay into the workspace; returns the files that are there."""
    overlay = refused.overlay if isinstance(refused.overlay, bytes) else refused.overlay.encode()
    (workspace.root / "wrong.yaml").write_bytes(overlay)
    return files(workspace)


def files(workspace: Workspace) -> set[str]:
    found = {str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*")}
    return {path for path in found if not path.startswith(".snakemake") and "__pycache__" not in path}


@pytest.fixture(scope="module")
def untouched(pristine: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace for all the refusals, as none of them may change it."""
    return pristine.copy(tmp_path_factory.mktemp("refused") / "workspace")


@pytest.mark.parametrize("refused", FILES, ids=lambda refused: refused.name)
def test_a_file_that_cannot_be_read_is_one_line_before_snakemake_starts(refused: Refused, untouched: Workspace) -> None:
    before = written(untouched, refused)
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow/run.py"), "--cores", "1", "--configfile", "wrong.yaml"],
        cwd=untouched.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    first, *lines = done.stderr.splitlines()
    assert first == STOPPED
    assert len(lines) == len(refused.lines), done.stderr
    assert all(line.startswith(start) for line, start in zip(lines, refused.lines, strict=True)), done.stderr
    assert files(untouched) == before


@pytest.mark.parametrize("refused", VALUES, ids=lambda refused: refused.name)
def test_each_mistake_in_the_values_is_one_line(refused: Refused, untouched: Workspace) -> None:
    before = written(untouched, refused)
    with pytest.raises(AssertionError) as stopped:  # Snakemake's exit code is not 0
        untouched.snakemake("--configfile", "wrong.yaml", "--cores", "1")
    lines = str(stopped.value).partition(f"{STOPPED}\n")[2].splitlines()
    assert len(lines) == len(refused.lines), stopped.value
    assert all(line.startswith(start) for line, start in zip(lines, refused.lines, strict=True)), lines
    assert files(untouched) - {"printed.txt"} == before - {"printed.txt"}
