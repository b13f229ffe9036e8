"""Texts and the texts that a sequence-to-sequence model is to make of them, ready to be collated."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients.losses import IGNORED


class EncodedPairs:
    """Inputs and answers, both padded at the right.

    Args:
        tokenizer: of transformers, with a token to pad with.
        ids: n sample ids.
        inputs: n texts.
        answers: n texts.
        max_length: tokens of each, at most; ``truncated`` counts the samples that lost some.

    Raises:
        InputError: a text without a token.
    """

    def __init__(
        self, tokenizer: Any, ids: Sequence[str], inputs: Sequence[str], answers: Sequence[str], max_length: int
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self._pad = tokenizer.pad_token_id
        sides = {"text": list(inputs), "text_target": list(answers)}
        whole = [tokenizer(**{name: texts}, truncation=False)["input_ids"] for name, texts in sides.items()]
        self.truncated = sum(max(len(first), len(second)) > max_length for first, second in zip(*whole, strict=True))
        self._inputs, self._answers = (
            tokenizer(**{name: texts}, truncation=True, max_length=max_length)["input_ids"]
            for name, texts in sides.items()
        )
        for sample, first, second in zip(self.ids, self._inputs, self._answers, strict=True):
            if not first or not second:
                raise InputError(f"sample {sample!r}: got a text without a token, expected some text")
        self.lengths: tuple[int, ...] = tuple(
            max(len(first), len(second)) for first, second in zip(self._inputs, self._answers, strict=True)
        )

    def __len__(self) -> int:
        return len(self.ids)

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Make a batch of ``input_ids`` and ``attention_mask`` ``[b, t]`` and ``labels`` ``[b, u]``, where t is not u.

        Positions of inputs and of answers can then be told apart.
        """
        inputs, answers = ([side[index] for index in indices] for side in (self._inputs, self._answers))
        width, length = (max(map(len, side)) for side in (inputs, answers))
        return {
            "input_ids": _padded(inputs, width, self._pad),
            "attention_mask": _padded([[1] * len(row) for row in inputs], width, 0),
            "labels": _padded(answers, length + (length == width), IGNORED),
        }

    def tokens(self, index: int) -> tuple[list[int], list[int]]:
        """Give a sample's input and answer."""
        return self._inputs[index], self._answers[index]


def _padded(rows: Sequence[Sequence[int]], width: int, fill: int) -> Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
