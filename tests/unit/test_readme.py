"""The README's programs, and its commands on one's own model, run as they stand, with tiny models in their places."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hyperinf.cli.main import main

ROOT = Path(__file__).parents[2]
sys.path.append(str(Path(__file__).parent / "attribution"))
from foreign import adapter, base, rows_of, write  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^hyperinf score train.*$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the README's names stand for."""
    made = tmp_path_factory.mktemp("readme")
    adapter(made / "my-adapter", base(made / "my-llm", "causal"), "causal")
    adapter(made / "my-head", base(made / "my-encoder", "classifier"), "classifier")
    for name, seed in (("train", 1), ("dev", 2)):
        write(made / f"{name}.jsonl", rows_of("causal", 12, seed))
        pd.DataFrame(rows_of("classifier", 12, seed)).to_csv(made / f"{name}.csv", index=False)
    return made


def test_there_are_programs_and_commands():
    assert len(PROGRAMS) >= 3
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_runs_as_it_stands(program, folder):
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    environment = {**os.environ, **offline, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "influence" in ran.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_it_stands(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(shlex.split(command)[1:]) == 0
    assert "look at scores.html" in capsys.readouterr().out
