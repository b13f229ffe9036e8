"""The task: a finished validation study, its fine-tuned model, and its rows in the batches that every tool gets."""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hyperinf.models.encoding import Batches
from hyperinf.pipeline.bank import Bank
from hyperinf.pipeline.opened import Finetuned, ids_of
from hyperinf.settings.runtime import CacheSettings

BATCH = 32


class Rows(torch.utils.data.Dataset):
    """Encoded samples by length, so that any loader that takes them in their order pads as little as ours.

    Args:
        encoded: of a family.
        count: the first samples only, of those in the order of the study.
    """

    def __init__(self, encoded: Any, count: int | None = None) -> None:
        chosen = encoded if count is None else encoded.subset(range(min(count, len(encoded.ids))))
        order = sorted(range(len(chosen.ids)), key=lambda index: chosen.lengths[index])
        self.encoded = chosen.subset(order)
        self.ids = list(self.encoded.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.encoded.collate([index]).items()}

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Give the rows of a batch, padded to the longest: any collator that stacks can take them."""
        batch = self.encoded.collate(indices)
        return [{name: value[place] for name, value in batch.items()} for place in range(len(indices))]

    def groups(self, size: int = BATCH) -> list[list[int]]:
        """List the places of each batch."""
        return [list(range(start, min(start + size, len(self)))) for start in range(0, len(self), size)]

    def batches(self, size: int = BATCH) -> Iterator[dict[str, Tensor]]:
        """Make every batch."""
        for group in self.groups(size):
            yield self.encoded.collate(group)

    def paired(self) -> Batches:
        """Give the batches as hyperinf takes them."""
        return Batches(self.encoded, BATCH)


@dataclass(frozen=True)
class Study:
    """A finished run of the study ``validation``.

    Attributes:
        opened: what was fine-tuned, with its data.
        bank: what retraining on its random subsets came to.
        seed: of the run.
    """

    opened: Finetuned
    bank: Bank
    seed: int

    @classmethod
    def read(cls, run: Path, data: Path | None = None, cache: str | None = None) -> "Study":
        """Read a run's folder, such as ``results/validation/sarcasm/minilm/lora-8/seed-11``, and the data beside it."""
        quiet()
        data = data or run.parents[2] / "data" / run.name
        opened = Finetuned.opened(run / "finetuned", data, CacheSettings(cache=cache), "cpu")
        return cls(opened, Bank.read(run / "retrained", opened), opened.settings.seed)

    def model(self) -> Any:
        """Load the fine-tuned model, without dropout."""
        model = self.opened.model(self.opened.checkpoints[-1])
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model.eval()

    def rows(self, split: str, count: int | None = None) -> Rows:
        """Encode the samples of ``train`` or ``validation``."""
        return Rows(self.opened.encoded(split), count)

    def ids(self, split: str) -> list[str]:
        """List the samples' ids in the order of the bank."""
        return ids_of(self.opened.samples(split))

    def harmful(self, helpful: Any, train: Rows, targets: Rows) -> np.ndarray:
        """Bring scores ``[n, q]`` of these rows, of which positive helps, to our sign and the bank's order."""
        place = {
            split: {name: index for index, name in enumerate(rows.ids)}
            for split, rows in (("train", train), ("validation", targets))
        }
        rows, columns = ([place[split][name] for name in self.ids(split)] for split in place)
        return -np.asarray(helpful, dtype=np.float64)[np.ix_(rows, columns)]


def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Compute each sample's own loss."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return cross_entropy(model(**inputs).logits, batch["labels"], reduction="none")


def trained_layers(model: nn.Module) -> list[str]:
    """Name the linear layers whose weights are trained: the adapter's, and the head's."""
    return [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module.weight.requires_grad
    ]


def quiet() -> None:
    """Keep tools from telling of each batch."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
