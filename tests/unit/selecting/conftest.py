"""A pool of two tasks, and a target of one of them, and a command that has run on them."""

from pathlib import Path

import pytest
from selecting_place import Place


@pytest.fixture
def place(tmp_path: Path, tiny_llama: Path) -> Place:
    return Place(tmp_path, tiny_llama)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> Place:
    """One whose command has run, with an evaluation."""
    place = Place(tmp_path_factory.mktemp("selection"), tiny_llama)
    place.select(keep="25%", evaluate=True)
    return place
