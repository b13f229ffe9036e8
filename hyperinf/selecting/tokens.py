"""Rows as tokens, in a file that is mapped, so that memory does not grow with the number of rows."""

from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperinf.gradients.losses import IGNORED
from hyperinf.models.language import PixelSource, left_padded
from hyperinf.selecting.putting import Piece


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row as tokens.

    Attributes:
        ids: token ids.
        counted: whether the loss counts each.
        length: how many there were before any was cut.
    """

    ids: list[int]
    counted: list[bool]
    length: int


class Tokeniser:
    """Make tokens of pieces.

    Args:
        tokenizer: of transformers.
        max_length: tokens of a row, at most.
        whole: ids of tokens that are never cut: a picture's.
    """

    def __init__(self, tokenizer: Any, max_length: int, whole: Collection[int] = ()) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        first = tokenizer.bos_token_id
        begins = first is not None and tokenizer(text="a")["input_ids"][:1] == [first]
        self._before = [first] if begins else []
        self._end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        self._whole = set(whole)
        self._kept = {*whole, first} - {None}

    @property
    def special(self) -> tuple[int, ...]:
        """Ids of tokens that stand for no text, such as those that end an answer."""
        return tuple(self._tokenizer.all_special_ids)

    def tokens(self, rows: Sequence[tuple[Sequence[Piece], bool]]) -> list[Tokens]:
        """Make tokens of rows: their pieces, and whether they get the tokens that begin and end a text."""
        texts = ["".join(text for text, _ in pieces) for pieces, _ in rows]
        fast = self._tokenizer.is_fast
        found = self._tokenizer(text=texts, add_special_tokens=False, return_offsets_mapping=fast)
        made = []
        for place, (pieces, plain) in enumerate(rows):
            ids = list(found["input_ids"][place])
            counted = _counted(found["offset_mapping"][place], pieces) if fast else self._by_prefixes(pieces, len(ids))
            if plain:
                ids = [*self._before, *ids, *self._end]
                counted = [*[False] * len(self._before), *counted, *[True] * len(self._end)]
            made.append(self._cut(ids, counted))
        return made

    def shown(self, row: NDArray[np.int32]) -> list[tuple[str, bool]]:
        """Write a stored row as text again, in parts, each with whether the loss counts it; pictures are left out."""
        ids = np.where(row < 0, -1 - row, row)
        edges = np.flatnonzero(np.diff(row < 0)) + 1
        parts = [part[~np.isin(part, list(self._whole))] for part in np.split(ids, edges)]
        counts = [bool(part[0] >= 0) for part in np.split(row, edges)]
        return [(self._tokenizer.decode(part.tolist()), counted) for part, counted in zip(parts, counts, strict=True)]

    def _by_prefixes(self, pieces: Sequence[Piece], total: int) -> list[bool]:
        """Tell by the numbers of tokens of what begins the text, where a tokenizer does not say where a token stood."""
        counted: list[bool] = []
        text = ""
        for piece, is_counted in pieces:
            text += piece
            upto = min(total, len(self._tokenizer(text=text, add_special_tokens=False)["input_ids"]))
            counted += [is_counted] * (upto - len(counted))
        return [*counted, *[False] * (total - len(counted))][:total]

    def _cut(self, ids: list[int], counted: list[bool]) -> Tokens:
        length, most = len(ids), self._max_length
        if length <= most or True not in counted:
            return Tokens(ids, counted, length)
        end = length - counted[::-1].index(True)
        start = next((place for place in range(end - 1, -1, -1) if not counted[place]), -1) + 1
        room = most if start == 0 else max(most // 2, most - start)
        end = min(end, start + room)
        ids, counted = ids[:end], counted[:end]
        goes = [place for place in range(start) if ids[place] not in self._kept][: max(0, end - most)]
        gone = set(goes)
        return Tokens(
            [token for place, token in enumerate(ids) if place not in gone],
            [each for place, each in enumerate(counted) if place not in gone],
            length,
        )


def _counted(offsets: Sequence[tuple[int, int]], pieces: Sequence[Piece]) -> list[bool]:
    """Say of each token whether it reaches into a piece that counts."""
    spans, start = [], 0
    for text, is_counted in pieces:
        if is_counted and text:
            spans.append((start, start + len(text)))
        start += len(text)
    found, span = [], 0
    for first, last in offsets:
        while span < len(spans) and spans[span][1] <= first:
            span += 1
        inside = span < len(spans) and max(last, first + 1) > spans[span][0]
        found.append(inside)
    return found


class TokenWriter:
    """Append rows to ``tokens.bin``: a token as 32 bits, minus one minus its id where the loss does not count it."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / TOKENS).open("wb")
        self.starts = [0]

    def add(self, tokens: Tokens) -> None:
        """Append a row."""
        ids = np.asarray(tokens.ids, dtype=np.int32)
        np.where(tokens.counted, ids, -1 - ids).astype(np.int32).tofile(self._file)
        self.starts.append(self.starts[-1] + len(ids))

    def close(self) -> None:
        """Have all of it on the disk."""
        self._file.close()


TOKENS = "tokens.bin"


class EncodedFile:
    """Rows of tokens in a file, ready to be collated.

    Args:
        path: what :class:`TokenWriter` wrote.
        ids: n sample ids.
        starts: n + 1 places in the file.
        pad: any token id; padding is masked.
        images: where pictures come from; None for text.
        pictures: n paths of pictures as ``images`` knows them, ``""`` for none.
    """

    def __init__(
        self,
        path: Path,
        ids: Sequence[str],
        starts: NDArray[np.int64],
        pad: int,
        images: PixelSource | None = None,
        pictures: Sequence[str] = (),
    ) -> None:
        self.ids = tuple(ids)
        self.truncated = 0
        self._tokens = np.memmap(path, dtype=np.int32, mode="r")
        self._from, self._to = starts[:-1], starts[1:]
        self.lengths = tuple((self._to - self._from).tolist())
        self._pad, self._images = pad, images
        self._pictures = list(pictures) if images is not None else [""] * len(self.ids)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Whether each row has a picture."""
        return tuple(map(bool, self._pictures))

    def __len__(self) -> int:
        return len(self.ids)

    def stored(self, index: int) -> NDArray[np.int32]:
        """A row as it is stored: see :class:`TokenWriter`."""
        return self._tokens[self._from[index] : self._to[index]]

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The rows at ``indices`` as one batch, padded at the left, with ``labels``."""
        rows = [self.stored(index) for index in indices]
        batch = left_padded([np.where(row < 0, -1 - row, row).tolist() for row in rows], self._pad)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for place, row in enumerate(rows):
            labels[place, -len(row) :] = torch.from_numpy(np.where(row < 0, IGNORED, row).astype(np.int64))
        pictures = [self._pictures[index] for index in indices if self._pictures[index]]
        if self._images is None or not pictures:
            return {**batch, "labels": labels}
        pixels = torch.stack([self._images.pixels(picture) for picture in pictures])
        return {**batch, "pixel_values": pixels, "labels": labels}

    def subset(self, indices: Sequence[int]) -> "EncodedFile":
        """The rows at ``indices``."""
        part = copy(self)
        chosen = np.asarray(indices, dtype=np.int64)
        part.ids = tuple(self.ids[index] for index in indices)
        part._from, part._to = self._from[chosen], self._to[chosen]
        part.lengths = tuple(self.lengths[index] for index in indices)
        part._pictures = [self._pictures[index] for index in indices]
        return part
