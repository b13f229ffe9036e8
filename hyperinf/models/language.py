"""Prompts and answers as token ids of a causal language model, left-padded into batches."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hyperinf.data.prompts import Rendered
from hyperinf.errors import InputError
from hyperinf.gradients.losses import IGNORED
from hyperinf.settings.training import TooLong

NAMED = 5
"""Samples that a message names; of the others it says how many there are."""


@dataclass(frozen=True)
class Tokenised:
    """A prompt and one of its continuations.

    Attributes:
        prompt: token ids.
        continuation: token ids.
        truncated: whether the prompt lost tokens: of its context at the left, or, where that was not enough, of its
            beginning.
        needed: tokens of both without the context, where they were too many; else 0.
    """

    prompt: tuple[int, ...]
    continuation: tuple[int, ...]
    truncated: bool
    needed: int = 0

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.continuation)


class PixelSource(Protocol):
    """Where pictures come from, ready for a model."""

    def pixels(self, picture: str) -> Tensor:
        """One picture, ``Tensor[channels, height, width]``."""
        ...


def tokenise(
    tokenizer: Any,
    sample_ids: Sequence[str],
    prompts: Sequence[Rendered],
    answers: Sequence[str],
    max_length: int,
    too_long: TooLong = "refuse",
    whole: Collection[int] = (),
) -> list[Tokenised]:
    """Tokenise prompts, each with one continuation; where both are too long the context is cut from its left.

    A prompt and its continuation are tokenised as one text, so that a token never starts elsewhere than it would in
    running text; the continuation is what follows the prompt's own tokens.

    Args:
        tokenizer: of transformers.
        sample_ids: n ids, for messages; an id may occur more than once.
        prompts: n prompts.
        answers: n continuations, with their leading space.
        max_length: tokens of prompt and continuation, at most.
        too_long: what is done with a sample that does not fit even without its context: ``truncate`` cuts its prompt
            from the left, ``skip`` leaves it as it is for the caller to drop (``needed`` is not 0), ``refuse`` raises.
        whole: ids of tokens that are never cut: a picture's.

    Raises:
        InputError: samples do not fit (names them all at once), or a continuation has no token (names it).
    """
    contexts = [prompt.context for prompt in prompts]
    found = _pairs(tokenizer, [prompt.before + prompt.context + prompt.after for prompt in prompts], answers)
    cut: dict[int, int] = {}
    needed: dict[int, int] = {}
    while too_many := [
        index
        for index, (prompt, answer) in enumerate(found)
        if len(prompt) + len(answer) > max_length and index not in needed
    ]:
        needed |= {index: sum(map(len, found[index])) for index in too_many if not contexts[index]}
        shorter = [index for index in too_many if contexts[index]]
        for index in shorter:
            excess = len(found[index][0]) + len(found[index][1]) - max_length
            contexts[index] = _without_first(tokenizer, contexts[index], excess)
            cut[index] = cut.get(index, 0) + excess
        texts = [prompts[index].before + contexts[index] + prompts[index].after for index in shorter]
        for index, pair in zip(shorter, _pairs(tokenizer, texts, [answers[i] for i in shorter]), strict=True):
            found[index] = pair
    for sample, (_, answer) in zip(sample_ids, found, strict=True):
        if not answer:
            raise InputError(f"sample {sample!r}: its answer has no token; expected some text")
    unfit = dict(needed) if too_long == "refuse" else {}
    if too_long == "truncate":
        kept = {*whole, tokenizer.bos_token_id}
        for index in needed:
            prompt, answer = found[index]
            found[index] = (_without_beginning(prompt, max_length - len(answer), kept), answer)
            if not found[index][0]:
                unfit[index] = needed[index]
    if unfit:
        raise InputError(_do_not_fit({sample_ids[index]: tokens for index, tokens in unfit.items()}, max_length))
    return [
        Tokenised(prompt, answer, index in cut or index in needed, needed.get(index, 0))
        for index, (prompt, answer) in enumerate(found)
    ]


def longest_first(needed: Mapping[str, int]) -> str:
    """Name the first few samples, the longest first, with the tokens that they need, and count the others."""
    order = sorted(needed, key=lambda sample: -needed[sample])
    more = f" and {len(order) - NAMED} more" if len(order) > NAMED else ""
    return ", ".join(f"{sample!r} ({needed[sample]})" for sample in order[:NAMED]) + more


def _do_not_fit(needed: Mapping[str, int], max_length: int) -> str:
    expected = f"without its context; expected at most max_length, {max_length}"
    if len(needed) == 1:
        ((sample, tokens),) = needed.items()
        return f"sample {sample!r} needs {tokens} tokens {expected}"
    return f"{len(needed):,} samples need too many tokens, each {expected}: {longest_first(needed)}"


def _without_beginning(prompt: Sequence[int], room: int, kept: Collection[int | None]) -> tuple[int, ...]:
    """The last tokens of a prompt that there is room for, with all of its tokens that have to be kept; () if none."""
    excess = len(prompt) - room
    goes = [place for place, token in enumerate(prompt) if token not in kept][: max(excess, 0)]
    # An answer needs a token of its question before it.
    if room < 1 or len(goes) < excess or len(goes) == sum(token not in kept for token in prompt):
        return ()
    return tuple(token for place, token in enumerate(prompt) if place not in set(goes))


class EncodedAnswers:
    """Prompts with their observed answers, ready to be trained on: the loss counts the answer's tokens only.

    Args:
        ids: n sample ids.
        rows: n tokenised prompts with their answers.
        pad: any token id; padding is masked by length, never by this id.
        images: where the samples' pictures come from; None for text.
        pictures: n paths of pictures as ``images`` knows them; ``""`` for a sample without one.
    """

    def __init__(
        self,
        ids: Sequence[str],
        rows: Sequence[Tokenised],
        pad: int,
        images: PixelSource | None = None,
        pictures: Sequence[str] | None = None,
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self.lengths: tuple[int, ...] = tuple(row.length for row in rows)
        self.truncated = sum(row.truncated for row in rows)
        self._rows = list(rows)
        self._pad = pad
        self._images = images
        self._pictures = [""] * len(rows) if pictures is None else list(pictures)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Whether each sample has a picture: layers that see pictures have no row for a sample without one."""
        return tuple(bool(picture) for picture in self._pictures)

    @property
    def longest_answer(self) -> int:
        """Tokens of the longest answer."""
        return max(len(row.continuation) for row in self._rows)

    def __len__(self) -> int:
        return len(self.ids)

    def collate(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The samples at ``indices`` as one batch.

        Returns:
            ``input_ids``, ``attention_mask``, ``position_ids`` and ``labels``, each ``[b, t]``, padded at the left;
            with pictures also ``pixel_values`` ``[pictures, channels, height, width]``, in the order of the samples.
        """
        rows = [self._rows[index] for index in indices]
        batch = left_padded([row.prompt + row.continuation for row in rows], self._pad)
        labels = torch.full_like(batch["input_ids"], IGNORED)
        for place, row in enumerate(rows):
            labels[place, -len(row.continuation) :] = torch.tensor(row.continuation)
        return {**batch, **self.pixels(indices), "labels": labels}

    def prompts(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The same without the answers: what a model is to continue."""
        return {**left_padded([self._rows[index].prompt for index in indices], self._pad), **self.pixels(indices)}

    def pixels(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The samples' pictures; nothing where there are none."""
        pictures = [self._pictures[index] for index in indices if self._pictures[index]]
        if self._images is None or not pictures:
            return {}
        return {"pixel_values": torch.stack([self._images.pixels(picture) for picture in pictures])}

    def subset(self, indices: Sequence[int]) -> "EncodedAnswers":
        """The samples at ``indices``."""
        return EncodedAnswers(
            [self.ids[i] for i in indices],
            [self._rows[i] for i in indices],
            self._pad,
            self._images,
            [self._pictures[i] for i in indices],
        )


def left_padded(rows: Sequence[Sequence[int]], pad: int) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and ``position_ids``, each ``[b, t]``; every row ends at the last position."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = torch.tensor(row)
        mask[place, longest - len(row) :] = 1
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0)}


def padding_id(tokenizer: Any) -> int:
    """A token id to pad with; which one does not matter, as padding is masked by length."""
    for name in ("pad_token_id", "eos_token_id"):
        if getattr(tokenizer, name, None) is not None:
            return int(getattr(tokenizer, name))
    return 0


def _pairs(
    tokenizer: Any, prompts: Sequence[str], answers: Sequence[str]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    if not prompts:
        return []
    alone = tokenizer(text=list(prompts))["input_ids"]
    whole = tokenizer(text=[prompt + answer for prompt, answer in zip(prompts, answers, strict=True)])["input_ids"]
    pairs = []
    for first, both in zip(alone, whole, strict=True):
        start = len(first)
        end = tokenizer.eos_token_id if both and both[-1] == tokenizer.eos_token_id else None
        if end is not None and first and first[-1] == end:  # a tokenizer that closes every text
            start, both = start - 1, both[:-1]
        pairs.append((tuple(both[:start]), tuple(both[start:])))
    return pairs


def _without_first(tokenizer: Any, text: str, tokens: int) -> str:
    """The text without so many of its first tokens; at least one character goes."""
    ids = tokenizer(text=text, add_special_tokens=False)["input_ids"]
    rest = tokenizer.decode(ids[tokens:]).lstrip() if tokens < len(ids) else ""
    return rest if len(rest) < len(text) else text[1:]
