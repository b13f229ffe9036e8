"""A classifier on frozen encodings: a low-rank adapter, residual, and a head; it is trained in seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperinf.artifacts.views import View
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import train

Ints = NDArray[np.int64]
_BATCH = 64
_RATE = 2e-3


class AdaptedHead(nn.Module):
    """Classify ``x + up(gelu(down(x)))``: what the adapter makes of an encoding is the adapted space.

    Args:
        width: d of the encodings.
        classes: number of classes.
        rank: of the adapter.
    """

    def __init__(self, width: int, classes: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        self.head = nn.Linear(width, classes)
        for layer in (self.up, self.head):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.head.bias)

    def adapted(self, features: Tensor) -> Tensor:
        """Map encodings ``[b, d]`` to the adapted space ``[b, d]``."""
        moved: Tensor = features + self.up(nn.functional.gelu(self.down(features)))
        return moved

    def forward(self, features: Tensor) -> Tensor:
        """Give logits ``[b, classes]``."""
        logits: Tensor = self.head(self.adapted(features))
        return logits


def loss_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Compute the cross-entropy of each row, ``Tensor[b]``."""
    return nn.functional.cross_entropy(model(batch["features"]), batch["labels"], reduction="none")


class Encodings:
    """Rows that can be collated: encodings and their labels.

    Args:
        features: ``[n, d]`` of all rows.
        labels: ``[n]``.
        rows: those that are meant.
    """

    def __init__(self, features: View, labels: Ints, rows: Ints) -> None:
        self._features, self._labels, self._rows = features, labels, rows
        self.ids: Sequence[str] = [str(row) for row in rows]
        self.lengths: Sequence[int] = [1] * len(rows)

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Give ``features`` ``[b, d]`` and ``labels`` ``[b]``."""
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        return {"features": torch.from_numpy(self._features[rows]), "labels": torch.from_numpy(self._labels[rows])}


def trained_head(
    features: View,
    labels: Ints,
    classes: int,
    rows: Ints,
    rank: int,
    epochs: int,
    seed: int,
    state: Path,
    after_epoch: Callable[[AdaptedHead], None],
) -> AdaptedHead:
    """Train on some rows.

    Args:
        features: ``[n, d]`` of all rows.
        labels: ``[n]``.
        classes: number of classes.
        rows: those to train on.
        rank: of the adapter.
        epochs: number of passes.
        seed: of the adapter's weights and of the order of rows.
        state: file that training keeps its state in.
        after_epoch: is given the model after every pass.
    """
    torch.manual_seed(seed)
    model = AdaptedHead(features.shape[1], classes, rank)
    settings = TrainingSettings(epochs=epochs, batch_size=_BATCH, learning_rate=_RATE)

    def note(_: int) -> None:
        model.eval()
        after_epoch(model)

    train(model, Encodings(features, labels, rows), settings, seed, state, "", note, loss_of, float("inf"))
    return model.eval()
