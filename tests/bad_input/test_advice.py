"""What a refusal tells to do is done, and then the command works."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import commands
import pytest
from catalogue import CATALOGUE, CHANGED, Wrong
from commands import Run

ROOT = Path(__file__).resolve().parents[2]
REMOVE = re.compile(r"; remove (?P<what>\S+) to have it made again")
DAMAGED = [wrong for wrong in CATALOGUE if any(CHANGED in part for parts in wrong.lines for part in parts)]
# What files and places are advised on, in words of the refusal, and the tests that do it.
FOLLOWED = {
    "remove {} to have it made again": (
        "tests/bad_input/test_advice.py::test_what_is_removed_as_it_says_is_made_again_and_then_taken",
        "tests/workflow/test_kept_outputs.py::test_all_that_was_removed_after_the_run_is_made_again",
    ),
    "make room and leave to write in it, or name another with --cache or HYPERINF_CACHE": (
        "tests/unit/data/test_shared_cache.py::test_a_cache_that_may_only_be_read_is_one_line_and_another_one_works",
        "tests/unit/data/test_shared_cache.py::test_a_full_disk_is_one_line_that_says_so_and_with_room_it_works",
    ),
    "expected it there, or a file {} brought by hand and given with --wheels": (
        "tests/unit/data/test_shared_cache.py::test_one_that_cannot_be_mended_is_refused_with_a_way_out_that_works",
    ),
    "make room and leave to write there, or set results to another folder": (
        "tests/workflow/test_shared_results.py::test_results_that_cannot_be_written_are_one_line_and_another_folder_works",
        "tests/workflow/test_shared_results.py::test_a_full_disk_is_one_line_before_the_first_job_and_with_room_it_works",
    ),
    "remove {} where the folder is yours to write, or set results to another folder": (
        "tests/workflow/test_shared_results.py::test_a_colleagues_lock_that_cannot_be_written_is_one_line_and_its_advice_works",
    ),
    "run in a copy of the project of your own, or have its owner open this folder up: chmod -R g+w": (
        "tests/workflow/test_shared_results.py::test_folders_of_snakemakes_own_that_are_closed_are_one_line_with_a_way_out",
    ),
    "set XDG_CACHE_HOME to another": (
        "tests/workflow/test_shared_results.py::test_folders_of_snakemakes_own_that_are_closed_are_one_line_with_a_way_out",
    ),
    "then delete {}/.lock": (
        "tests/workflow/test_run_lock.py::test_a_run_is_refused_in_one_line_while_jobs_in_slurm_cannot_be_ended",
    ),
}
ADVICE = re.compile(
    r"\b(remove|delete|run in|set XDG_\w+|set results) [\w{}]|make room|given with --|to have it made again"
)


@pytest.mark.parametrize("wrong", DAMAGED, ids=lambda wrong: wrong.name)
def test_what_is_removed_as_it_says_is_made_again_and_then_taken(
    wrong: Wrong, world: Path, run: Run, tmp_path: Path
) -> None:
    wrong.spoil(tmp_path, world)
    places = {"here": tmp_path, "world": world}
    words = commands.words(wrong.command, wrong.flags, places)
    said = REMOVE.search(run(words, tmp_path).err)
    assert said, wrong.name
    path = Path(said["what"])
    assert tmp_path in path.parents
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = run(_making(path.relative_to(tmp_path).as_posix(), places), tmp_path)
    assert again.code == 0, again.err
    done = run(words, tmp_path)
    assert done.code == 0, done.err


def _making(name: str, places: dict[str, Path]) -> list[str]:
    """The command that made one of the good inputs."""
    top = name.partition("/")[0]
    return next(
        commands.words(command, {**change, "--out": f"{{here}}/{top}"}, places)
        for command, change in commands.MAKING
        if change["--out"] == f"{{here}}/{top}"
    )


def test_every_advice_on_files_and_places_has_a_test_that_follows_it() -> None:
    found = {text for text in _texts() if ADVICE.search(text)}
    unfollowed = [text for text in sorted(found) if not any(each in text for each in FOLLOWED)]
    assert unfollowed == []
    assert [each for each in FOLLOWED if not any(each in text for text in found)] == []


@pytest.mark.parametrize("test", sorted({test for tests in FOLLOWED.values() for test in tests}))
def test_the_tests_that_follow_an_advice_are_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def _texts() -> Iterator[str]:
    """Texts of the sources with values as ``{}``, but for docstrings."""
    for path in [*ROOT.glob("hyperinf/**/*.py"), *ROOT.glob("workflow/**/*.py")]:
        tree = ast.parse(path.read_text())
        said = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        within = {id(part) for node in said for part in node.values}
        lone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within | lone:
                yield node.value
