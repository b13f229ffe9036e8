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
    "prepare": {
        "--source": "path:{world}/words.csv", "--text": "sentence", "--label": "label",
        "--train": "40", "--validation": "10", "--test": "20", "--seed": "1", "--label-noise": "0.2",
        "--out": "{here}/out",
    },
    "prepare, questions": {
        "--source": "path:{world}/questions.jsonl", "--format": "record", "--template": "question", "--train": "12",
        "--validation": "4", "--test": "4", "--seed": "1", "--out": "{here}/out",
    },
    "prepare-model": {"--source": "path:{world}/llama", "--layers": "1", "--out": "{here}/out"},
    "finetune": {
        "--data": "{world}/data", "--model": "path:{world}/bert", "--family": "classifier", "--rank": "2",
        "--epochs": "1", "--seed": "1", "--max-length": "20", "--device": "cpu", "--out": "{here}/out",
    },
    "finetune, questions": {
        "--data": "{world}/questions", "--model": "path:{world}/llama", "--family": "causal", "--rank": "2",
        "--target-modules": "q_proj v_proj", "--max-steps": "1", "--seed": "1", "--device": "cpu",
        "--out": "{here}/out",
    },
    "score": {
        "--data": "{world}/data", "--finetuned": "{world}/tuned", "--methods": "hyperinf tracin", "--seed": "1",
        "--device": "cpu", "--out": "{here}/out",
    },
    "score, questions": {
        "--data": "{world}/questions", "--finetuned": "{world}/warm", "--methods": "hyperinf", "--seed": "1",
        "--device": "cpu", "--out": "{here}/out",
    },
    "detect": {"--finetuned": "{world}/tuned", "--scores": "{world}/scores", "--out": "{here}/out"},
    "select": {
        "--data": "{world}/questions", "--finetuned": "{world}/warm", "--scores": "{world}/few/scores.parquet",
        "--fraction": "0.5", "--max-steps": "1", "--seed": "1", "--device": "cpu", "--out": "{here}/out",
    },
    "select, a pool": {
        "": "{world}/questions.jsonl", "--target": "{world}/questions.jsonl", "--model": "{world}/llama",
        "--warmup-steps": "1", "--device": "cpu", "--out": "{here}/kept.jsonl",
    },
    "score, rows": {
        "": "{world}/questions.jsonl", "--target": "{world}/questions.jsonl", "--model": "{world}/llama",
        "--layers": "q_proj", "--device": "cpu", "--out": "{here}/scores.parquet",
    },
    "retrain": {
        "--data": "{world}/data", "--finetuned": "{world}/tuned", "--subsets": "3", "--again": "2", "--seed": "1",
        "--device": "cpu", "--out": "{here}/out",
    },
    "validate": {
        "--data": "{world}/data", "--finetuned": "{world}/tuned", "--retrained": "{world}/bank", "--methods": "tracin",
        "--seed": "1", "--resamples": "5", "--device": "cpu", "--out": "{here}/out",
    },
    "validate, rows": {
        "": "{world}/words.csv", "--text": "sentence", "--label": "label", "--model": "{world}/bert", "--rows": "40",
        "--queries": "10", "--subsets": "3", "--again": "2", "--epochs": "1", "--max-length": "20", "--device": "cpu",
        "--out": "{here}/out",
    },
    "shard target": {
        "--data": "{world}/questions", "--finetuned": "{world}/warm", "--gradient-batch-size": "6", "--device": "cpu",
        "--out": "{here}/out.safetensors",
    },
    "shard statistics": {
        "--data": "{world}/questions", "--finetuned": "{world}/warm", "--shard": "1", "--shards": "2",
        "--gradient-batch-size": "6", "--methods": "hyperinf", "--device": "cpu", "--out": "{here}/out.safetensors",
    },
    "shard add": {
        "--what": "statistics", "--parts": "{world}/statistics-1.safetensors {world}/statistics-2.safetensors",
        "--out": "{here}/out/s.safetensors",
    },
    "shard solve": {
        "--target": "{world}/target.safetensors", "--statistics": "{world}/statistics.safetensors",
        "--methods": "hyperinf", "--device": "cpu", "--out": "{here}/out/s.safetensors",
    },
    "score-stores": {"--train": "{world}/store", "--target": "{world}/target", "--out": "{here}/out/s.parquet"},
    "harness": {"--data": "{world}/questions", "--task": "mine", "--out": "{here}/out"},
    "report simulation": {"--convergence": "{world}/convergence.csv", "--out": "{here}/out"},
    "report page": {"--results": "{world}", "--out": "{here}/out/report.html"},
    "mislabeled": {
        "": "{world}/words.csv", "--text": "sentence", "--label": "label", "--model": "{world}/bert", "--folds": "2",
        "--epochs": "1", "--max-length": "20", "--device": "cpu", "--out": "{here}/out",
    },
    "provenance": {"": "{world}/scores/scores.parquet"},
    "crate": {"--results": "{world}", "--out": "{here}/out.zip"},
    "settings": {"--check": "{here}/mine.yaml"},
}  # fmt: skip
"""By name: the words of a command and, after a comma, the inputs that it is given."""
WRITES = sorted(name for name, flags in COMMANDS.items() if "--out" in flags and name != "crate")
"""Those that write what ``--out`` names, of the good inputs."""
TRAINS = ("finetune", "finetune, questions", "select", "select, a pool")

MAKING: tuple[tuple[str, dict[str, str | None]], ...] = (
    ("prepare", {"--out": "{here}/data"}),
    ("prepare", {"--out": "{here}/other-data", "--seed": "2"}),
    ("finetune", {"--out": "{here}/tuned"}),
    ("score", {"--out": "{here}/scores"}),
    ("retrain", {"--out": "{here}/bank"}),
    ("prepare, questions", {"--out": "{here}/questions"}),
    ("prepare, questions", {"--out": "{here}/other-questions", "--seed": "2"}),
    ("finetune, questions", {"--out": "{here}/warm"}),
    ("score, questions", {"--out": "{here}/few"}),
    ("shard target", {"--out": "{here}/target.safetensors"}),
    ("shard statistics", {"--out": "{here}/statistics-1.safetensors"}),
    ("shard statistics", {"--shard": "2", "--out": "{here}/statistics-2.safetensors"}),
    ("shard add", {"--out": "{here}/statistics.safetensors"}),
    ("prepare-model", {"--out": "{here}/prepared"}),
    ("simulate convergence", {"--out": "{here}/convergence.csv"}),
)
"""What makes the good inputs that are made by commands, in this order."""


def words(command: str, change: Mapping[str, str | None], places: Mapping[str, Path]) -> list[str]:
    """The command line; ``change`` replaces flags, and drops those that are None."""
    flags = {**COMMANDS.get(command, {}), **change}
    found = command.partition(",")[0].split()
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
