"""Accuracy of a model on a task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.losses import with_positions
from hyperinf.models.language import Tokenised, left_padded


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


class EncodedChoices:
    """Every choice of every question as a continuation of its prompt.

    Continuations that share all tokens before their last one share a forward pass: two choices of one token each cost
    one.

    Args:
        prompts: one tokenised prompt a choice, the choices of a question in a row.
        counts: number of choices of each question.
        characters: length of each choice's text, in characters.
        right: index of each question's right choice.
        pad: any token id.
    """

    def __init__(
        self,
        prompts: Sequence[Tokenised],
        counts: Sequence[int],
        characters: Sequence[int],
        right: Sequence[int],
        pad: int,
    ) -> None:
        self.counts = tuple(counts)
        self.right = tuple(right)
        self.truncated = sum(prompt.truncated for prompt in prompts)
        self.pad = pad
        self._characters = torch.tensor(characters, dtype=torch.float64)
        self._continuations = [prompt.continuation for prompt in prompts]
        sequences = [(*prompt.prompt, *prompt.continuation[:-1]) for prompt in prompts]
        places = {row: index for index, row in enumerate(dict.fromkeys(sequences))}
        self.rows = list(places)
        self._wanted: list[list[int]] = [[] for _ in self.rows]
        for index, sequence in enumerate(sequences):
            self._wanted[places[sequence]].append(index)

    def likelihoods(self, model: nn.Module, batch_size: int) -> Tensor:
        """Log-likelihood of every choice, ``Tensor[choices]`` in float64."""
        device = next(model.parameters()).device
        found = torch.zeros(len(self._continuations), dtype=torch.float64)
        order = sorted(range(len(self.rows)), key=lambda index: len(self.rows[index]))
        for start in range(0, len(order), batch_size):
            group = order[start : start + batch_size]
            batch = left_padded([self.rows[index] for index in group], self.pad)
            keep = max(len(self._continuations[choice]) for index in group for choice in self._wanted[index])
            moved = {key: value.to(device) for key, value in batch.items()}
            logits = model(**moved, logits_to_keep=keep).logits.float().log_softmax(dim=-1).cpu()
            for place, index in enumerate(group):
                for choice in self._wanted[index]:
                    tokens = torch.tensor(self._continuations[choice])
                    last = logits[place, -len(tokens) :]
                    found[choice] = last.gather(1, tokens[:, None]).double().sum()
        return found

    def accuracy(self, likelihoods: Tensor) -> ChoiceAccuracy:
        """Share of the questions whose most likely choice is the right one; the first of equals counts."""
        plain, normalised = [], []
        start = 0
        for count in self.counts:
            here = likelihoods[start : start + count]
            plain.append(int(here.argmax()))
            normalised.append(int((here / self._characters[start : start + count]).argmax()))
            start += count
        share = 1 / len(self.counts)
        return ChoiceAccuracy(
            share * sum(map(int.__eq__, plain, self.right)),
            share * sum(map(int.__eq__, normalised, self.right)),
            tuple(plain),
            tuple(normalised),
        )


def choice_accuracy(model: nn.Module, encoded: EncodedChoices, batch_size: int = 32) -> ChoiceAccuracy:
    """Accuracy of a causal language model on multiple-choice questions, dropout off.

    The measure is that of the usual harness: log-likelihood of each choice's tokens after the prompt, and the same
    divided by the choice's length in characters.
    """
    training = model.training
    model.eval()
    with torch.inference_mode():
        likelihoods = encoded.likelihoods(model, batch_size)
    model.train(training)
    return encoded.accuracy(likelihoods)


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
        for batch in batches:
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
