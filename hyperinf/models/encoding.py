"""Text as token ids, and batches of it that can be iterated again and again."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Protocol

import torch
from torch import Tensor

from hyperinf.errors import InputError


class Encoded(Protocol):
    """Samples that are ready to be collated into a batch."""

    @property
    def ids(self) -> Sequence[str]:
        """One id a sample."""
        ...

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each sample."""
        ...

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The samples at ``indices`` as one batch, padded to the longest of them, with ``labels``."""
        ...


class EncodedText:
    """Texts or pairs of texts with one class label each.

    Args:
        tokenizer: of transformers.
        ids: n sample ids.
        texts: n texts.
        pairs: n second texts, or None.
        labels: n class indices.
        max_length: longer samples are truncated to this many tokens; ``truncated`` counts them.
    """

    def __init__(
        self,
        tokenizer: Any,
        ids: Sequence[str],
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        labels: Sequence[int],
        max_length: int,
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self._tokenizer = tokenizer
        self._labels = list(labels)
        second = {} if pairs is None else {"text_pair": list(pairs)}
        encoded = tokenizer(text=list(texts), **second, truncation=False)
        self.truncated = sum(len(row) > max_length for row in encoded["input_ids"])
        encoded = tokenizer(text=list(texts), **second, truncation=True, max_length=max_length)
        self._rows = [{key: encoded[key][i] for key in encoded} for i in range(len(self.ids))]
        self.lengths: tuple[int, ...] = tuple(len(row) for row in encoded["input_ids"])
        if not all(self.lengths):
            empty = self.ids[self.lengths.index(0)]
            raise InputError(f"sample {empty!r}: got a text without a token, expected some text")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """All of one kind: texts."""
        return (False,) * len(self.ids)

    def subset(self, indices: Sequence[int]) -> "EncodedText":
        """The samples at ``indices``."""
        part = copy(self)
        part.ids = tuple(self.ids[i] for i in indices)
        part.lengths = tuple(self.lengths[i] for i in indices)
        part._rows = [self._rows[i] for i in indices]
        part._labels = [self._labels[i] for i in indices]
        return part

    def counts(self, token: int) -> tuple[int, ...]:
        """How often each sample holds a token."""
        return tuple(row["input_ids"].count(token) for row in self._rows)

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask``, ... ``[b, t]`` and ``labels`` ``[b]``."""
        padded = self._tokenizer.pad([self._rows[i] for i in indices], return_tensors="pt")
        return {**padded, "labels": torch.tensor([self._labels[i] for i in indices])}


class Batches:
    """``(sample ids, batch)`` pairs, the same ones at every iteration.

    Args:
        encoded: the samples.
        batch_size: samples in a batch.
        by_length: put samples of like length together, so that little is padded; the ids tell which is which.
        kinds: samples of different kinds never share a batch; None when there is only one kind.
    """

    def __init__(
        self, encoded: Encoded, batch_size: int, by_length: bool = True, kinds: Sequence[bool] | None = None
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self._encoded = encoded
        order = list(range(len(encoded.ids)))
        if by_length:
            order.sort(key=lambda index: encoded.lengths[index])
        self._groups = [
            rows[start : start + batch_size]
            for kind in (False, True)
            for rows in [[index for index in order if (kinds is not None and kinds[index]) is kind]]
            for start in range(0, len(rows), batch_size)
        ]

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids of all samples in the order of the batches; no batch is made for them."""
        return tuple(self._encoded.ids[index] for group in self._groups for index in group)

    def widest(self) -> tuple[tuple[str, ...], dict[str, Tensor]]:
        """The pair with the most tokens, padding included; no other is made."""
        return self._made(
            max(self._groups, key=lambda group: len(group) * max(map(self._encoded.lengths.__getitem__, group)))
        )

    def shard(self, index: int, count: int) -> "Batches":
        """Every ``count``-th batch, beginning with batch ``index``.

        Samples stay in the batches that they are in: their gradients are the same to the last bit, however many shards.

        Args:
            index: 0, 1, ..., ``count - 1``.
            count: of shards.

        Raises:
            InputError: there is no such batch.
        """
        if not 0 <= index < count:
            raise InputError(f"shard: expected 1 to {count}, got {index + 1}")
        if count > len(self._groups):
            raise InputError(f"shards: expected at most {len(self._groups)}, the number of batches, got {count}")
        part = copy(self)
        part._groups = self._groups[index::count]
        return part

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
        yield from map(self._made, self._groups)

    def _made(self, group: Sequence[int]) -> tuple[tuple[str, ...], dict[str, Tensor]]:
        return tuple(self._encoded.ids[index] for index in group), self._encoded.collate(group)
