"""The choices of questions as continuations of their prompts, and which of them a model finds most likely."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperinf.evaluation.accuracy import ChoiceAccuracy
from hyperinf.gradients.batches import REFUSALS
from hyperinf.gradients.kinds import plain_model
from hyperinf.gradients.rounding import rounding_of
from hyperinf.models.language import Tokenised, left_padded
from hyperinf.models.loading import first_line
from hyperinf.models.prefixes import Segment
from hyperinf.models.shared_passes import Continuation, SharedPasses
from hyperinf.models.sharing import Plan, sharing_plan
from hyperinf.runtime.progress import track

_log = logging.getLogger(__name__)


class EncodedChoices:
    """Every choice of every question as a continuation of its prompt.

    Continuations that share all tokens before their last one share a forward pass: two choices of one token each cost
    one. Where a question has several, what these begin with alike is run once, with what questions share, from the
    cache of keys and values, if that saves enough tokens (:func:`hyperinf.models.sharing.sharing_plan`) and gives the
    same for a few questions.

    Args:
        prompts: one tokenised prompt a choice, the choices of a question in a row.
        counts: number of choices of each question.
        characters: length of each choice's text, in characters.
        right: index of each question's right choice.
        pad: any token id.

    Attributes:
        rows: the tokens that are run for the choices, one or more rows a question, all different.
        plan: how what rows share is run once; None where each row is run whole.
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
        sequences = [(*prompt.prompt, *prompt.continuation[:-1]) for prompt in prompts]
        places = {row: index for index, row in enumerate(dict.fromkeys(sequences))}
        self.rows = list(places)
        self._continuations: list[Continuation] = []
        self._wanted: list[list[int]] = [[] for _ in self.rows]
        for index, (sequence, prompt) in enumerate(zip(sequences, prompts, strict=True)):
            row, tokens = places[sequence], prompt.continuation
            self._continuations.append(Continuation(row, len(sequence) - len(tokens), tokens))
            self._wanted[row].append(index)
        self._untrusted: set[type] = set()
        asked = iter(self._continuations)
        self.plan = sharing_plan(self.rows, [[next(asked).row for _ in range(count)] for count in self.counts])

    def likelihoods(self, model: nn.Module, batch_size: int) -> Tensor:
        """Log-likelihood of every choice, ``Tensor[choices]`` in float64."""
        if self.plan is not None and self._trusted(model, self.plan, batch_size):
            return self._shared(model, self.plan.segments, batch_size)
        return self._plain(model, range(len(self.rows)), batch_size)

    def _trusted(self, model: nn.Module, plan: Plan, batch_size: int) -> bool:
        """Tell whether a model's cache gives what plain passes give for a few questions, up to rounding."""
        kind = type(plain_model(model))
        if kind in self._untrusted:
            return False
        plain = self._plain(model, plan.tried, batch_size)
        if not plain.isfinite().all():  # what a broken training leaves is no fault of the cache
            return False
        try:
            found = self._shared(model, plan.tried_segments, batch_size)
        except torch.OutOfMemoryError:
            raise
        except (*REFUSALS, AttributeError) as error:  # of whatever a model does with a cache that it does not know
            reason = first_line(error)
        else:
            gap, largest = float((found - plain).abs().max()), float(plain.abs().max())
            if gap <= rounding_of(model) ** (2 / 3) * largest:  # 2e-5 in float32, 0.04 in bfloat16
                return True
            reason = f"a log-likelihood is {gap:.2g} off, of at most {largest:.3g}"
        self._untrusted.add(kind)
        what = "each choice is run with its whole prompt, as the cache of %s is not to be relied on: %s"
        _log.warning(what, kind.__name__, reason)
        return False

    def _shared(self, model: nn.Module, segments: Sequence[Segment], batch_size: int) -> Tensor:
        return SharedPasses(model, self._continuations, self.pad, batch_size).likelihoods(segments)

    def _plain(self, model: nn.Module, rows: Sequence[int], batch_size: int) -> Tensor:
        """The likelihoods by plain passes over rows; 0 where a row is not among them."""
        device = next(model.parameters()).device
        found = torch.zeros(len(self._continuations), dtype=torch.float64)
        order = sorted(rows, key=lambda index: len(self.rows[index]))
        starts = range(0, len(order), batch_size)
        for start in track(starts, len(starts), "evaluation", "batches"):
            group = order[start : start + batch_size]
            batch = left_padded([self.rows[index] for index in group], self.pad)
            keep = max(len(self._continuations[choice].tokens) for index in group for choice in self._wanted[index])
            moved = {key: value.to(device) for key, value in batch.items()}
            logits = model(**moved, logits_to_keep=keep).logits.float().log_softmax(dim=-1).cpu()
            for place, index in enumerate(group):
                for choice in self._wanted[index]:
                    tokens = torch.tensor(self._continuations[choice].tokens)
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
