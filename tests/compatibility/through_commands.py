"""Models in the hub's layout through the stages of the two commands: trained, saved, loaded again and scored."""

import functools
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from adapters import Method
from architectures import ARCHITECTURES, Architecture
from tiny_models import WORDS, word_tokenizer, write_tiny

from hyperinf.errors import InputError
from hyperinf.models.lora import LoraSettings
from hyperinf.models.shapes import byte_tokenizer
from hyperinf.training.loop import TrainingSettings

LIBRARY = "library"


@functools.cache
def _said(command: str, name: str) -> str:
    """Run a command on the row of a name, once a process."""
    row = next(row for row in ARCHITECTURES if row.name == name)
    data = sentences() if command == "mislabel" else questions()
    scores = through_mislabel if command == "mislabel" else through_select
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of adapted layers whose gradients are zero, and truly are
        here = Path(folder)
        write_base(row, here / "model")
        try:
            found = scores(row, data, here)
        except InputError as error:
            assert not (here / "out").exists(), "it was refused too late"
            return f"`{command}` refuses it before training: {error}".replace(str(here), "FOLDER")
    assert np.isfinite(found).all()
    assert found.std() > 0
    return f"`{command}`"


def through_commands(row: Architecture | Method) -> str:
    """Say which command takes the row's model, and what it ends with where it refuses it before training.

    Raises:
        AssertionError: scores that are not finite, or all the same.
    """
    if isinstance(row, Method) or row.targets is None or row.task not in ("classify", "causal"):
        return LIBRARY
    return _said("mislabel" if row.task == "classify" else "select", row.name)


def write_base(row: Architecture, folder: Path) -> None:
    """Write the row's model as a base model comes: without a head, a decoder without a token to pad with."""
    from transformers import AutoModelForCausalLM

    # Of Qwen2 transformers reads the vocabulary alone, as one of bytes; questions need more than a few words.
    bytes_ = row.kind == "qwen2" or row.task == "causal"
    decoder = row.task == "causal" or (row.name.endswith("as a classifier") and row.kind not in ("t5", "bart"))
    words = word_tokenizer(ended=not decoder, pad=not decoder, padding_side="left" if row.kind == "xlnet" else "right")
    sizes = {**row.sizes, "vocab_size": 300 if bytes_ else 64, "pad_token_id": None if decoder else 1}
    auto = AutoModelForCausalLM if row.task == "causal" else None
    write_tiny(folder, row.kind, auto, byte_tokenizer() if bytes_ else words, **sizes)


def through_mislabel(row: Architecture, data: Path, here: Path) -> np.ndarray:
    """HyperINF's scores of a fine-tuned classifier."""
    from hyperinf.pipeline.finetune import FinetuneConfig, run_finetune
    from hyperinf.pipeline.mislabel import ScoreConfig, run_scores
    from hyperinf.pipeline.scoring import ScoringOptions

    training = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-2)
    lora = LoraSettings(2, row.targets)
    config = FinetuneConfig(data, f"path:{here / 'model'}", lora, training, (1,), max_length=20)
    run_finetune(config, here / "state", here / "out", "cpu")
    scoring = ScoringOptions(("hyperinf",), solver="cholesky")
    run_scores(ScoreConfig(data, here / "out", "words", "tiny", 1, scoring), here / "scores", "cpu")
    return pd.read_parquet(here / "scores" / "epoch-1.parquet")["influence_hyperinf"].to_numpy()


def through_select(row: Architecture, data: Path, here: Path) -> np.ndarray:
    """HyperINF's scores of a pool of questions."""
    from hyperinf.pipeline.scoring import ScoringOptions
    from hyperinf.pipeline.selection.model import ModelConfig, RunPaths
    from hyperinf.pipeline.selection.run import SelectionKey
    from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
    from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup

    training = TrainingSettings(steps=2, batch_size=4, learning_rate=5e-3, seed=1)
    config = ModelConfig(f"path:{here / 'model'}", LoraSettings(2, row.targets), 1, max_length=60)
    places = RunPaths(data)
    run_warmup(WarmupConfig(config, training), places, here / "state", here / "out")
    scoring = ScoringOptions(("hyperinf",), solver="cholesky")
    run_pool_scores(PoolScoreConfig(SelectionKey("q", "tiny", 1), scoring), places, here / "out", here / "scores")
    return pd.read_parquet(here / "scores" / "scores.parquet")["influence_hyperinf"].to_numpy()


@functools.cache
def sentences() -> Path:
    """Sentences of words, some labels wrong."""
    from hyperinf.data.sources import parse_source
    from hyperinf.data.text import TextTaskConfig, prepare_text_task

    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    texts = [" ".join(WORDS[i] for i in rng.integers(0, 3, rng.integers(4, 9)) + 3 * label) for label in labels]
    pd.DataFrame({"text": texts, "label": np.array(["low", "high"])[labels]}).to_csv(folder / "words.csv", index=False)
    source = parse_source(f"path:{folder / 'words.csv'}")
    sizes = {"train": 20, "validation": 8, "test": 8, "noise_rate": 0.2, "seed": 1}
    prepare_text_task(TextTaskConfig(source=source, text="text", label="label", **sizes), folder / "data")
    return folder / "data"


@functools.cache
def questions() -> Path:
    """Questions of different lengths with two choices."""
    from hyperinf.data.questions import QuestionTaskConfig, prepare_questions
    from hyperinf.data.sources import parse_source

    folder = Path(tempfile.mkdtemp())
    rows = [
        {"id": f"q{i}", "question": f"{i} {'ab'[i % 2] * (1 + i % 5)}", "choices": ["a", "b"], "answer": "ab"[i % 2]}
        for i in range(40)
    ]
    (folder / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    source = parse_source(f"path:{folder / 'letters.jsonl'}")
    task = {"source": source, "format": "record", "template": "question", "pool": 16, "validation": 6, "test": 6}
    prepare_questions(QuestionTaskConfig(**task, seed=1), folder / "prepared")
    return folder / "prepared"
