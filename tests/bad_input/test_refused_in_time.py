"""The time to refuse, all in: a process of its own that imports what it needs."""

import subprocess
import sys
from pathlib import Path

import commands
import pytest
from processor_time import of_children, quickest

SECONDS = 3.0
EARLY = [
    ("", {}),
    ("prepare", {"--source": "path:{here}/no.csv"}),
    ("finetune", {"--data": "{here}/no"}),
    ("score", {"--finetuned": "{here}/no"}),
    ("detect", {"--finetuned": "{here}/no"}),
    ("score-stores", {"--train": "{here}/no"}),
    ("report simulation", {"--convergence": "{here}/no.csv"}),
]


@pytest.mark.parametrize(("command", "flags"), EARLY, ids=lambda value: value if isinstance(value, str) else "")
def test_what_can_be_seen_without_a_model_is_refused_within_3_seconds(
    command: str, flags: dict[str, str], tmp_path: Path
) -> None:
    words = commands.words(command, flags, {"here": tmp_path, "world": tmp_path})

    def refused() -> None:
        done = subprocess.run([sys.executable, "-m", "hyperinf", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert {line.partition(": ")[2][:6] for line in done.stderr.splitlines()} == {"error:"}, done.stderr

    assert quickest(lambda: of_children(refused), SECONDS) < SECONDS
    assert list(tmp_path.iterdir()) == []
