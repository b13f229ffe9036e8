"""Accuracy of a model on a task."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.losses import with_positions
from hyperinf.runtime.progress import track


def classification_accuracy(model: nn.Module, batches: Iterable[tuple[Any, dict[str, Tensor]]]) -> float:
    """Share of samples whose most likely class is their label; dropout off.

    Args:
        model: a transformers classifier.
        batches: ``(sample ids, batch with labels [b])`` pairs.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    right = total = 0
    with torch.inference_mode():
        for _, batch in track(batches, None, "evaluation", "batches"):
            moved = {key: value.to(device) for key, value in batch.items()}
            labels = moved.pop("labels")
            right += int((model(**with_positions(model, moved)).logits.argmax(dim=-1) == labels).sum())
            total += len(labels)
    model.train(training)
    return right / total


@dataclass(frozen=True)
class ChoiceAccuracy:
    """Accuracy of picking the most likely choice.

    Attributes:
        accuracy: by the choices' log-likelihoods.
        accuracy_norm: by log-likelihood per character of the choice's text, so that length is no disadvantage.
        chosen: index of the most likely choice of each question.
        chosen_norm: the same, length-normalised.
    """

    accuracy: float
    accuracy_norm: float
    chosen: tuple[int, ...]
    chosen_norm: tuple[int, ...]


def decoded(
    model: Any, batches: Iterable[Mapping[str, Tensor]], limit: int, end: int | None, pad: int
) -> list[list[int]]:
    """Token ids that greedy decoding appends to each prompt, at most ``limit``, up to and without ``end``.

    Args:
        model: a generative model of transformers.
        batches: its keyword arguments, prompts padded at the left.
        limit: tokens.
        end: the token that ends an answer.
        pad: any token id.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    answers: list[list[int]] = []
    with torch.inference_mode():
        for batch in track(batches, None, "evaluation", "batches"):
            width = batch["input_ids"].shape[1]
            # Positions follow from the mask, at every step anew.
            moved = {key: value.to(device) for key, value in batch.items() if key != "position_ids"}
            ids = model.generate(
                **moved,
                max_new_tokens=limit,
                do_sample=False,
                pad_token_id=pad,
                eos_token_id=end,
            )
            for row in ids[:, width:].tolist():
                answers.append(row[: row.index(end)] if end is not None and end in row else row)
    model.train(training)
    return answers
