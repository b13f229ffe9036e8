"""Accuracy of a model on a task."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


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
        for _, batch in batches:
            moved = {key: value.to(device) for key, value in batch.items()}
            labels = moved.pop("labels")
            right += int((model(**moved).logits.argmax(dim=-1) == labels).sum())
            total += len(labels)
    model.train(training)
    return right / total
