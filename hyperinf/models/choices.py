"""The choices of questions as continuations of their prompts, and which of them a model finds most likely."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperinf.evaluation.accuracy import ChoiceAccuracy
from hyperinf.models.language import Tokenised, left_padded
from hyperinf.runtime.progress import track


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
        starts = range(0, len(order), batch_size)
        for start in track(starts, len(starts), "evaluation", "batches"):
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
        weight = 1 / len(self.counts)
        return ChoiceAccuracy(
            weight * sum(map(int.__eq__, plain, self.right)),
            weight * sum(map(int.__eq__, normalised, self.right)),
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
