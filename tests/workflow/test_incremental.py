"""Every row of the tables in docs/incremental.md, held against what Snakemake would run."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from workspaces import ROOT, SMOKE, Workspace, job_counts

PAGE = ROOT / "docs" / "incremental.md"
BASE = """
data: {mine: {source: {path: mine.csv}, text: text, label: label}}
studies: {mislabel: {tasks: [mine]}, llm: {selection: {fractions: [0.2, 0.4]}}}
"""
# Kinds of change that the page must speak of.
PROMISED = (
    "damping",
    "a method more",
    "a seed more",
    "a fraction kept more",
    "an option of a method that is not taken",
    "the title of a study",
    "style of the figures",
    "the colour of a method",
    "the help of a setting",
    "a method",
    "a comment",
    "content of an input file",
    "its date only",
    "package",
    "threads of a job",
)


def rows() -> list[tuple[str, str, dict[str, int]]]:
    """What was changed, how, and the jobs of each rule that run again."""
    cells = [re.split(r" *\| *", line.strip("| \n")) for line in PAGE.read_text().splitlines() if line.startswith("|")]
    found = [row for row in cells if row[0] != "what was changed" and set(row[0]) != {"-"}]
    return [(what, how, {} if jobs == "nothing" else counts(jobs)) for what, how, jobs in found]


def counts(jobs: str) -> dict[str, int]:
    """``"`rule` (2), `other`"`` as numbers of jobs."""
    parts = [re.fullmatch(r"`(\w+)`(?: \((\d+)\))?", part) for part in jobs.split(", ")]
    assert all(parts), f"{jobs!r} is not a list of rules"
    return {part[1]: int(part[2] or 1) for part in parts if part}


def statement(root: Path, name: str) -> None:
    append(root / name, "\n_UNUSED = 1\n")


def comment(root: Path, name: str) -> None:
    append(root / name, "\n# A thought.\n")


def docstring(root: Path, name: str) -> None:
    text = (root / name).read_text()
    assert text.count('"""') >= 4
    (root / name).write_text(text.replace('"""', '"""In other words: ', 1))


def line(root: Path, name: str) -> None:
    append(root / name, "# more\n")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def date(root: Path, name: str) -> None:
    os.utime(root / name)


def remove(root: Path, name: str) -> None:
    path = root / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def own_version(root: Path, name: str) -> None:
    text = (root / name).read_text()
    changed = re.sub(r"^__version__ = .*", '__version__ = "99"', text, flags=re.M)
    assert changed != text
    (root / name).write_text(changed)


def install(root: Path, package: str) -> None:
    """Metadata that the workflow finds before those of what is really installed."""
    folder = root / f"{package}-99.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")


def replaced(root: Path, old: str, new: str, name: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new, 1))


VERBS: dict[str, Callable[..., None]] = {
    r"a statement more in `(.+)`": statement,
    r"a comment more in `(.+)`": comment,
    r"another docstring in `(.+)`": docstring,
    r"a line more in `(.+)`": line,
    r"a new date for `(.+)`": date,
    r"no more `(.+)`": remove,
    r"another `__version__` in `(.+)`": own_version,
    r"`(\w+)` 99\.0 installed": install,
    r"`(.+)` becomes `(.+)` in `(.+)`": replaced,
}


@pytest.fixture(scope="module")
def own(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished smoke run whose detection task is a file of one's own; tests must not change it."""
    workspace = finished.copy(tmp_path_factory.mktemp("own") / "workspace")
    (workspace.root / "mine.csv").write_text("text,label\n")
    shutil.copy2(ROOT / "requirements.lock", workspace.root)
    (workspace.root / "base.yaml").write_text(BASE)
    snakemake(workspace)
    return workspace


def snakemake(workspace: Workspace, *arguments: str, overlay: str = "{}") -> str:
    (workspace.root / "overlay.yaml").write_text(overlay)
    files = ("--configfile", SMOKE, "base.yaml", "overlay.yaml")
    return workspace.snakemake(*files, "--cores", "2", *arguments)


@pytest.mark.parametrize(("how", "expected"), [row[1:] for row in rows()], ids=[row[0] for row in rows()])
def test_a_change_reruns_what_the_page_says_and_nothing_else(
    own: Workspace, tmp_path: Path, how: str, expected: dict[str, int]
) -> None:
    for pattern, change in VERBS.items():
        if named := re.fullmatch(pattern, how):
            workspace = own.copy(tmp_path / "workspace")
            change(workspace.root, *named.groups())
            assert job_counts(snakemake(workspace, "--dry-run")) == expected
            return
    overlay = re.fullmatch(r"`(.+: .+|\{\})`", how)
    assert overlay, f"{how!r} is no change that this test can make"
    assert job_counts(snakemake(own, "--dry-run", overlay=overlay[1])) == expected


def test_the_page_has_a_row_for_every_kind_of_change() -> None:
    described = "\n".join([what for what, *_ in rows()])
    assert [kind for kind in PROMISED if kind not in described] == []
    assert len(rows()) == len({how for _, how, _ in rows()})


def test_a_large_file_counts_as_changed_when_it_is_newer(fresh: Workspace) -> None:
    overlay = f"{BASE}run: [mislabel]\n"
    mine = fresh.root / "mine.csv"
    mine.write_bytes(b"text,label\n" + (b"a" * 99_998 + b",b\n") * 1000)
    fresh.smoke(overlay=overlay)
    assert fresh.would_run(overlay) == {}
    os.utime(mine)
    assert "prepare" in fresh.would_run(overlay)


def test_touch_keeps_results_that_a_change_would_rerun(own: Workspace, tmp_path: Path) -> None:
    workspace = own.copy(tmp_path / "workspace")
    install(workspace.root, "torch")
    calls = (workspace.root / "calls.jsonl").read_bytes()
    assert len(job_counts(snakemake(workspace, "--dry-run"))) > 10
    snakemake(workspace, "--touch")
    assert job_counts(snakemake(workspace, "--dry-run")) == {}
    assert (workspace.root / "calls.jsonl").read_bytes() == calls
