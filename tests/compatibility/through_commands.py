"""Models in the hub's layout through the stages ``finetune`` and ``score``: trained, saved, loaded again and scored."""

import functools
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from adapters import Method
from architectures import ARCHITECTURES, Architecture
from stage_runs import finetuned, influence, prepared, questions, scored
from tiny_models import WORDS, word_tokenizer, write_tiny

from hyperinf.errors import InputError
from hyperinf.models.shapes import byte_tokenizer

LIBRARY = "library"
FAMILIES = {"classify": "classifier", "causal": "causal"}
HOW = {
    "classifier": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2, "max_length": 20},
    "causal": {"max_steps": 2, "batch_size": 4, "learning_rate": 5e-3, "max_length": 60},
}


def through_commands(row: Architecture | Method) -> str:
    """Say as which family the stages take the row's model, and what they end with where they refuse it before training.

    Raises:
        AssertionError: scores that are not finite, or all the same.
    """
    if isinstance(row, Method) or row.targets is None or row.task not in FAMILIES:
        return LIBRARY
    return _said(row.name)


@functools.cache
def _said(name: str) -> str:
    """Run the stages on the row of a name, once a process."""
    row = next(row for row in ARCHITECTURES if row.name == name)
    family = FAMILIES[row.task]
    data = sentences() if family == "classifier" else letters()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of adapted layers whose gradients are zero, and truly are
        here = Path(folder)
        write_base(row, here / "model")
        try:
            run = finetuned(here / "out", data, here / "model", family, target_modules=row.targets, **HOW[family])
            scores = scored(here / "scores", data, run, methods=("hyperinf",), hyperinf={"solver": "cholesky"})
        except InputError as error:
            assert not (here / "out").exists(), "it was refused too late"
            return f"`{family}` refuses it before training: {error}".replace(str(here), "FOLDER")
        found = influence(scores)
    assert np.isfinite(found).all()
    assert found.std() > 0
    return f"`{family}`"


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


@functools.cache
def sentences() -> Path:
    """Sentences of words, some labels wrong."""
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    texts = [" ".join(WORDS[i] for i in rng.integers(0, 3, rng.integers(4, 9)) + 3 * label) for label in labels]
    pd.DataFrame({"text": texts, "label": np.array(["low", "high"])[labels]}).to_csv(folder / "words.csv", index=False)
    sizes = {"train": 20, "validation": 8, "test": 8, "label_noise": 0.2}
    return prepared(folder / "data", folder / "words.csv", text="text", label="label", **sizes)


@functools.cache
def letters() -> Path:
    """Questions of different lengths with two choices."""
    rows = [
        {"id": f"q{i}", "question": f"{i} {'ab'[i % 2] * (1 + i % 5)}", "choices": ["a", "b"], "answer": "ab"[i % 2]}
        for i in range(40)
    ]
    return questions(Path(tempfile.mkdtemp()) / "data", rows, train=16, validation=6, test=6)
