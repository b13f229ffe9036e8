"""The programs under examples/ run as they stand, offline, and find what they say they find."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOUND = {
    "own_model": (r"ROC-AUC of (0\.\d+)", 0.8),
    "wrong_labels": (r"(\d+)% are wrong", 70),
    "inverse": (r"(\d+) iterations", 5),
}


def test_every_example_is_listed_and_run():
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert names == set(FOUND)
    assert names == set(re.findall(r"\[`(\w+)\.py`\]", (ROOT / "examples/README.md").read_text()))


@pytest.mark.parametrize("name", FOUND)
def test_an_example_runs_and_finds_what_it_looks_for(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    pattern, least = FOUND[name]
    found = re.search(pattern, ran.stdout)
    assert found, ran.stdout
    assert float(found[1]) >= least
    assert not any(tmp_path.iterdir())
