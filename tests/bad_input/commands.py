"""Every command with arguments that work on the good inputs, as flags that a test may change."""

import json
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

COMMANDS: dict[str, dict[str, str]] = {
    "assets fetch": {"": "sarcasm"},
    "simulate convergence": {
        "--dim": "8", "--samples": "20", "--seed": "1", "--methods": "schulz", "--iterations": "2",
        "--out": "{here}/out/c.csv",
    },
    "simulate fisher": {"--rows": "2", "--columns": "3", "--samples": "20", "--seed": "1", "--out": "{here}/out"},
    "simulate timing": {"--dims": "8", "--methods": "inv", "--repeats": "1", "--seed": "1",
        "--out": "{here}/out/t.csv"},
    "mislabel data": {
        "--source": "path:{world}/words.csv", "--text": "sentence", "--label": "label",
        "--train": "40", "--validation": "10", "--test": "20", "--seed": "1", "--out": "{here}/out",
    },
    "mislabel finetune": {
        "--data": "{world}/data", "--model": "path:{world}/bert", "--rank": "2", "--epochs": "1", "--seed": "1",
        "--max-length": "20", "--device": "cpu", "--out": "{here}/out",
    },
    "mislabel score": {
        "--data": "{world}/data", "--adapter": "{world}/adapter", "--task": "words", "--model-name": "bert",
        "--methods": "hyperinf tracin", "--seed": "1", "--device": "cpu", "--out": "{here}/out",
    },
    "model prepare": {"--source": "path:{world}/llama", "--layers": "1", "--out": "{here}/out"},
    "select data": {
        "--source": "path:{world}/questions.jsonl", "--format": "record", "--pool": "12", "--validation": "4",
        "--test": "4", "--seed": "1", "--out": "{here}/out",
    },
    "select warmup": {
        "--data": "{world}/questions", "--model": "path:{world}/llama", "--rank": "2", "--steps": "1", "--seed": "1",
        "--device": "cpu", "--out": "{here}/out",
    },
    "select score": {
        "--data": "{world}/questions", "--weights": "{world}/warmup", "--task": "q", "--model-name": "llama",
        "--seed": "1", "--methods": "hyperinf", "--device": "cpu", "--out": "{here}/out",
    },
    "select finetune": {
        "--data": "{world}/questions", "--weights": "{world}/warmup", "--scores": "{world}/pool-scores/scores.parquet",
        "--task": "q", "--model-name": "llama", "--seed": "1", "--percent": "50", "--steps": "1", "--device": "cpu",
        "--out": "{here}/out",
    },
    "select shard-statistics": {
        "--data": "{world}/questions", "--weights": "{world}/warmup", "--shard": "1", "--shards": "2",
        "--batch-size": "6", "--methods": "hyperinf", "--device": "cpu", "--out": "{here}/out.safetensors",
    },
    "shards add": {
        "--what": "statistics", "--parts": "{world}/statistics-1.safetensors {world}/statistics-2.safetensors",
        "--out": "{here}/out/s.safetensors",
    },
    "scores": {"--train": "{world}/store", "--target": "{world}/target", "--out": "{here}/out/s.parquet"},
    "report simulation": {"--convergence": "{world}/convergence.csv", "--out": "{here}/out"},
    "report mislabel": {"--runs": "{world}/scores", "--epoch": "1", "--out": "{here}/out"},
    "report selection": {"--study": "llm", "--runs": "{world}/llm", "--out": "{here}/out"},
    "report page": {"--results": "{world}", "--out": "{here}/out/report.html"},
}  # fmt: skip

MAKING: tuple[tuple[str, dict[str, str | None]], ...] = (
    ("mislabel data", {"--out": "{here}/data"}),
    ("mislabel data", {"--out": "{here}/other-data", "--seed": "2"}),
    ("mislabel finetune", {"--out": "{here}/adapter"}),
    ("mislabel score", {"--out": "{here}/scores"}),
    ("select data", {"--out": "{here}/questions"}),
    ("select data", {"--out": "{here}/other-questions", "--seed": "2"}),
    ("select warmup", {"--out": "{here}/warmup"}),
    ("select score", {"--out": "{here}/pool-scores"}),
    ("select shard-statistics", {"--out": "{here}/statistics-1.safetensors"}),
    ("select shard-statistics", {"--shard": "2", "--out": "{here}/statistics-2.safetensors"}),
    ("model prepare", {"--out": "{here}/prepared"}),
    ("simulate convergence", {"--out": "{here}/convergence.csv"}),
)
"""What makes the good inputs that are made by commands, in this order."""


def words(command: str, change: Mapping[str, str | None], places: Mapping[str, Path]) -> list[str]:
    """The command line; ``change`` replaces flags, and drops those that are None."""
    flags = {**COMMANDS.get(command, {}), **change}
    found = command.split()
    for flag, value in flags.items():
        if value is not None:
            found += [*([flag] if flag else []), *(word.format(**places) for word in shlex.split(value))]
    return found


def write_sources(folder: Path, tiny_bert: Path, tiny_llama: Path) -> None:
    """The good inputs that no command makes: tables, models, gradient stores."""
    import pandas as pd
    import torch
    from PIL import Image

    from hyperinf.gradients import GradientStore, TensorSource

    shutil.copytree(tiny_bert, folder / "bert")
    shutil.copytree(tiny_llama, folder / "llama")
    rows = [f"w{index % 5} w{index % 7} w{index % 11},{'low' if index % 2 else 'high'}" for index in range(0, 300, 3)]
    (folder / "words.csv").write_text("\n".join(["sentence,label", *rows]) + "\n")
    asked = [{"question": f"Is {i} even?", "choices": ["yes", "no"], "answer": ("yes", "no")[i % 2]} for i in range(30)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    table = pd.DataFrame([row.rsplit(",") for row in rows], columns=["sentence", "label"])
    table.to_parquet(folder / "words.parquet", index=False)
    Image.new("RGB", (40, 40), "red").save(folder / "cat.png")
    generator = torch.Generator().manual_seed(0)
    gradients = {"u": torch.randn(9, 1, 3, generator=generator), "w": torch.randn(9, 2, 5, generator=generator)}
    GradientStore.write(folder / "store", TensorSource(gradients))
    GradientStore.write(folder / "target", TensorSource({name: each[:2] for name, each in gradients.items()}))
    GradientStore.write(folder / "other-layers", TensorSource({"u": gradients["u"]}))
    GradientStore.write(folder / "other-shape", TensorSource({"u": gradients["u"], "w": gradients["w"][:, :, :4]}))
    GradientStore.write(folder / "nan", TensorSource({**gradients, "w": gradients["w"] / 0 * 0}))


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, what it printed, seconds of processor time."""

    code: int
    out: str
    err: str
    cpu: float


Run = Callable[..., Ended]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with its size and the time of its last change; folders without their size."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (0 if path.is_dir() else status.st_size, status.st_mtime_ns)
    return found
