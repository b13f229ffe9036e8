"""A vision tower as a classifier of pictures: how one that is made new learns to see."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.data.samples import Sample
from hyperinf.models.pictures import Pictures


class TowerClassifier(nn.Module):
    """The tower of a vision-language model with a linear layer on the mean of its patches.

    Args:
        model: the vision-language model; its tower is shared, not copied.
        classes: number of them.
        seed: of the linear layer's weights, which are thrown away in the end.
    """

    def __init__(self, model: Any, classes: int, seed: int) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        torch.manual_seed(seed)
        self.head = nn.Linear(self.tower.config.hidden_size, classes)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        """``logits`` ``Tensor[b, classes]`` of pictures ``Tensor[b, channels, height, width]``."""
        patches = self.tower(pixel_values=pixel_values).last_hidden_state[:, 1:]  # without the class token
        return SimpleNamespace(logits=self.head(patches.mean(dim=1)))


class PicturedClasses:
    """Pictures with the answer of their question as their class.

    Args:
        pictures: where they come from.
        questions: one for each sample.
    """

    def __init__(self, pictures: Pictures, questions: Sequence[Sample]) -> None:
        self.ids: tuple[str, ...] = tuple(question.sample_id for question in questions)
        self.lengths: tuple[int, ...] = (1,) * len(questions)
        self.classes: tuple[str, ...] = tuple(sorted({question.answer for question in questions}))
        self._pictures = pictures
        self._images = [question.image for question in questions]
        self._labels = [self.classes.index(question.answer) for question in questions]

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """``pixel_values`` ``[b, channels, height, width]`` and ``labels`` ``[b]``."""
        pixels = torch.stack([self._pictures.pixels(self._images[index]) for index in indices])
        return {"pixel_values": pixels, "labels": torch.tensor([self._labels[index] for index in indices])}
