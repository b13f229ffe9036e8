"""A pool of two tasks, and a target of one of them, small enough for a model of two layers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperinf.selecting.command import select_rows
from hyperinf.settings.selecting import SelectRows

QUICK = {
    "warmup_steps": 4,
    "batch_size": 4,
    "rank": 2,
    "evaluation_steps": 3,
    "evaluation_seeds": 2,
    "max_length": 64,
    "device": "cpu",
    "threads": 1,
}


def chat(asked: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}], **more}


def add(number: int) -> dict[str, Any]:
    return chat(f"{number}+1=", str(number + 1), task="add")


def shout(number: int) -> dict[str, Any]:
    word = "abcdefgh"[number % 8] * 4
    return chat(f"Shout {word}", f"{word.upper()}!", task="shout")


def write(path: Path, rows: Sequence[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def lines(path: Path | str) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


class Place:
    """A folder with a pool and a target."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        self.pool = write(folder / "pool.jsonl", [make(place) for place in range(12) for make in (add, shout)])
        self.target = write(folder / "dev.jsonl", [add(place) for place in range(20, 26)])

    def select(self, out: str = "kept.jsonl", save_seconds: float = 60.0, **settings: Any) -> Path:
        """Run the command; returns what it wrote."""
        select_rows(self.settings(out, **settings), save_seconds)
        return self.folder / out

    def settings(self, out: str = "kept.jsonl", **settings: Any) -> SelectRows:
        """What the command is given."""
        given = {"pool": (self.pool,), "target": (self.target,), "model": f"path:{self.model}", **QUICK, **settings}
        return SelectRows(**given, out=str(self.folder / out))
