"""The catalogue: a line for each mistake, exit code 2, quickly, and nothing written."""

from pathlib import Path

import commands
import pytest
from catalogue import CATALOGUE, Wrong
from commands import Run, tree
from processor_time import quickest

SECONDS = 3.0
"""Of processor time, in which a mistake is refused that can be seen without a model."""
IMPORTS = 2.0
"""Of them, what importing takes, which the tests' server has done already."""


@pytest.mark.parametrize("wrong", CATALOGUE, ids=lambda wrong: wrong.name)
def test_each_mistake_is_refused_in_one_line_with_nothing_written(
    wrong: Wrong, world: Path, run: Run, tmp_path: Path
) -> None:
    wrong.spoil(tmp_path, world)
    before = tree(tmp_path), tree(world)
    words = commands.words(wrong.command, wrong.flags, {"here": tmp_path, "world": world})
    ended = run(words, tmp_path, wrong.variables)
    assert ended.code == 2, f"{ended.code}: {ended.out}{ended.err}"
    lines = ended.err.splitlines()
    assert len(lines) == len(wrong.lines), ended.err
    assert all(line.startswith("hyperinf: error: ") for line in lines), ended.err
    for parts in wrong.lines:
        assert any(all(part in line for part in parts) for line in lines), (parts, ended.err)
    assert (tree(tmp_path), tree(world)) == before
    if not (wrong.model or ended.cpu < SECONDS - IMPORTS):
        assert quickest(lambda: run(words, tmp_path, wrong.variables).cpu, SECONDS - IMPORTS) < SECONDS - IMPORTS


def test_the_catalogue_is_long_and_has_every_command() -> None:
    assert len(CATALOGUE) >= 60
    assert len({wrong.name for wrong in CATALOGUE}) == len(CATALOGUE)
    assert {wrong.command for wrong in CATALOGUE} >= set(commands.COMMANDS)
