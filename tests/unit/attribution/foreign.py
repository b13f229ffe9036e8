"""Models and adapters as other tools leave them, and influence by a loop of autograd over rows that stand alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import WORDS, write_tiny
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from hyperinf.attribution.command import score_rows
from hyperinf.settings.scored import ScoreRows

KINDS: dict[str, tuple[str, Any, str, tuple[str, ...]]] = {
    "classifier": ("bert", AutoModelForSequenceClassification, "SEQ_CLS", ("query", "value")),
    "causal": ("llama", AutoModelForCausalLM, "CAUSAL_LM", ("q_proj", "v_proj")),
    "seq2seq": ("t5", AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM", ("q", "v")),
    "tagger": ("bert", AutoModelForTokenClassification, "TOKEN_CLS", ("query", "value")),
}
"""Of each family the type of model, its class, PEFT's task and what gets an adapter."""
DAMPING = 0.1


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows_of(family: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of different lengths, as people write them."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for _ in range(count):
        words = [WORDS[index] for index in rng.integers(0, 20, rng.integers(2, 8))]
        text = " ".join(words)
        if family == "classifier":
            found.append({"text": text, "label": int(rng.integers(0, 3))})
        elif family == "tagger":
            found.append({"tokens": words, "ner_tags": rng.integers(0, 3, len(words)).tolist()})
        else:
            answer = " ".join(WORDS[index] for index in rng.integers(20, 40, rng.integers(1, 5)))
            found.append({"prompt": f"{text} ", "completion": answer})
    return found


def base(folder: Path, family: str) -> Path:
    """A base model with a head, as the hub has it."""
    kind, auto, _, _ = KINDS[family]
    more = {"num_labels": 3} if family in ("classifier", "tagger") else {}
    return write_tiny(folder, kind, auto, **more)


def adapter(folder: Path, model: Path, family: str, **more: Any) -> Path:
    """An adapter as PEFT writes it after training: none of its weights is zero."""
    _, auto, task, targets = KINDS[family]
    adapted = get_peft_model(
        auto.from_pretrained(model), LoraConfig(task_type=task, r=2, target_modules=list(targets), **more)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(str(folder))
    return folder


def score(folder: Path, train: str, target: str, model: Path, **settings: Any) -> Any:
    """Run the command; returns its table."""
    import pandas as pd

    out = str(folder / "scores.parquet")
    given = {"train": (train,), "target": (target,), "model": f"path:{model}", "device": "cpu", "out": out, **settings}
    score_rows(ScoreRows(**given))
    return pd.read_parquet(given["out"])


def inputs(family: str, tokenizer: Any, row: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A row alone, without padding, as one would write it by hand."""
    if family == "classifier":
        return {**tokenizer(row["text"], return_tensors="pt"), "labels": torch.tensor([row["label"]])}
    if family == "tagger":
        encoded = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        return {**encoded, "labels": torch.tensor([row["ner_tags"]])}
    if family == "seq2seq":
        labels = tokenizer(text_target=row["completion"], return_tensors="pt")["input_ids"]
        return {**tokenizer(row["prompt"], return_tensors="pt"), "labels": labels}
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    answer = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    end = [tokenizer.eos_token_id]
    start = [tokenizer.bos_token_id] if tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id] else []
    ids = [*start, *prompt, *answer, *end]
    labels = [*[-100] * (len(start) + len(prompt)), *answer, *end]
    return {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}


def gradients(model: Any, batches: list[dict[str, torch.Tensor]], names: list[str]) -> dict[str, np.ndarray]:
    """``{weight: array[n, r, d]}``, by autograd of one row after the other."""
    weights = [weight for name, weight in model.named_parameters() if name in names]
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for batch in batches:
        for name, gradient in zip(names, torch.autograd.grad(model(**batch).loss, weights), strict=True):
            matrix = gradient.T if "lora_B" in name or gradient.shape[0] > gradient.shape[1] else gradient
            found[name].append(matrix.double().numpy())
    return {name: np.stack(each) for name, each in found.items()}


def influence(method: str, train: dict[str, np.ndarray], queries: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``{weight: array[n, m]}`` in closed form."""
    found = {}
    for name, g in train.items():
        v = queries[name]
        if method == "hyperinf":
            gfim = np.einsum("nrd,nre->de", g, g) / len(g)
            v = v @ np.linalg.inv(gfim + DAMPING * np.mean(g**2) * np.eye(g.shape[2]))
        found[name] = -np.einsum("nrd,mrd->nm", g, v)
    return found


def by_hand(
    method: str,
    family: str,
    model: Path,
    adapted: Path | None,
    rows: dict[str, list[dict[str, Any]]],
    names: list[str] | None = None,
) -> dict[str, np.ndarray]:
    """Influence of ``rows['train']`` on each of ``rows['target']``, ``{weight: array[n, m]}``."""
    loaded = KINDS[family][1].from_pretrained(model).eval()
    if adapted is not None:
        loaded = PeftModel.from_pretrained(loaded, str(adapted), is_trainable=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    if names is None:
        names = [name for name, weight in loaded.named_parameters() if weight.requires_grad and weight.ndim > 1]
    sides = {
        role: gradients(loaded, [inputs(family, tokenizer, row) for row in each], names) for role, each in rows.items()
    }
    return influence(method, sides["train"], sides["target"])
