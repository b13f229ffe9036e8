"""A hub token is in the environment of every run, and in nothing that a run writes or prints."""

from pathlib import Path
from typing import Any

import commands
from commands import Run

TOKEN = "hf_" + "Qm7zLw2Kx9" * 3
TOKENS = {"HF_TOKEN": TOKEN, "HUGGING_FACE_HUB_TOKEN": TOKEN}
WORKS = ("prepare", "finetune", "score", "detect", "simulate fisher", "score-stores")
FAILS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prepare", {"--source": f"hub:owner/{TOKEN}"}),
    ("prepare", {"--source": f"path:https://user:{TOKEN}@huggingface.co/a.csv"}),
    ("finetune", {"--model": f"hub:owner/{TOKEN}"}),
    ("score-stores", {"--gfim-scale": TOKEN}),
    ("score-stores", {f"--{TOKEN}": "1"}),
    (f"score {TOKEN}", {}),
)


def test_a_token_is_in_no_file_and_no_line(world: Path, run: Run, tmp_path: Path) -> None:
    for number, (command, flags, code) in enumerate(
        [*((each, {}, 0) for each in WORKS), *((*each, 2) for each in FAILS)]
    ):
        here = tmp_path / str(number)
        here.mkdir()
        ended = run(commands.words(command, flags, {"here": here, "world": world}), here, TOKENS)
        assert ended.code == code, ended.err
        assert TOKEN not in ended.out + ended.err
        assert code == 0 or "***" in ended.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > len(WORKS)
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
