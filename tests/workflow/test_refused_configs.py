"""Configurations that cannot be used: said in so many lines, with an exit code, and nothing is started or written."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
from workspaces import ROOT, Workspace, environment

STOPPED = "The configuration cannot be used; nothing was started."


@dataclass(frozen=True)
class Refused:
    """An overlay, as text or bytes, and how each of the lines about it begins."""

    name: str
    overlay: str | bytes
    lines: tuple[str, ...]


FILES = [
    Refused("not YAML", "device: [1\n", ("wrong.yaml: line 2: ",)),
    Refused("a tab", "studies:\n\tllm: [1]", ("wrong.yaml: line 2: ",)),
    Refused("a list", "[1, 2]", ("wrong.yaml: got a list",)),
    Refused("text", "hello", ("wrong.yaml: got text",)),
    Refused("not UTF-8", b"device: \xff\xfe", ("wrong.yaml: got a file that cannot be read",)),
    Refused("a program", b"\x7fELF\0\0", ("wrong.yaml: ",)),
    Refused("a key twice", "device: cpu\nrun: [llm]\ndevice: cuda", ("wrong.yaml: line 3: key 'device'",)),
    Refused("a tag", "device: !!python/object/apply:os.system [touch ran]", ("wrong.yaml: line 1: ",)),
    Refused("a key that is a list", "{[a]: 4}", ("wrong.yaml: line 1: ",)),
    Refused("expressions to run", "__use_yte__: true\n?open('ran', 'w'): 1", ("wrong.yaml: got __use_yte__",)),
    Refused("lists without end", "[" * 5000, ("wrong.yaml: ",)),
]
VALUES = [
    Refused("one mistake", "device: gpu", ('device: got "gpu"',)),
    Refused("a section that is a list", "studies: {llm: [1]}", ("studies.llm: got [1], expected a section",)),
    Refused(
        "names that lead elsewhere",
        "{results: 'a/{task}', data: {../../x: {source: {hub: a/b}, text: t, label: l}}}",
        ('results: got "a/{task}"', 'data.../../x: got "../../x" as a name'),
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
