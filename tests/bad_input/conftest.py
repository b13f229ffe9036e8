"""Good inputs, made once by the commands themselves, and what runs a command and says how it ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import commands
import pytest
from commands import Ended, Run

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a command of hyperinf in a folder; what is fetched goes elsewhere."""
    cache = str(tmp_path_factory.mktemp("cache"))
    server = subprocess.Popen(
        [sys.executable, str(HERE / "fork_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HYPERINF_CACHE": cache},
    )
    assert server.stdin is not None
    assert server.stdout is not None

    def ended(words: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> Ended:
        request = {"words": words, "folder": str(folder), "variables": dict(variables or {})}
        print(json.dumps(request), file=server.stdin, flush=True)
        return Ended(**json.loads(server.stdout.readline()))

    yield ended
    server.stdin.close()
    server.wait(10)


@pytest.fixture(scope="session")
def world(run: Run, tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, tiny_llama: Path) -> Path:
    """A folder of good inputs of every kind; tests must not change it."""
    folder = tmp_path_factory.mktemp("world")
    commands.write_sources(folder, tiny_bert, tiny_llama)
    for command, change in commands.MAKING:
        words = commands.words(command, change, {"world": folder, "here": folder})
        ended = run(words, folder)
        assert ended.code == 0, f"{' '.join(words)}\n{ended.err}"
    return folder
