"""Language models, and what every kind of model must offer; all stages of selection are the same for all kinds."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from hyperinf.data.prompts import Rendered, load_template, render
from hyperinf.data.questions import Question
from hyperinf.errors import InputError
from hyperinf.evaluation.accuracy import EncodedChoices, choice_accuracy, decoded
from hyperinf.evaluation.answers import answer_metrics
from hyperinf.gradients.losses import LossFunction, causal_loss
from hyperinf.models.causal import causal_config, load_causal
from hyperinf.models.encoding import Encoded
from hyperinf.models.language import (
    EncodedAnswers,
    PixelSource,
    Tokenised,
    TooLong,
    longest_first,
    padding_id,
    tokenise,
)
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.padding import bounded, longest_input

_log = logging.getLogger(__name__)
Evaluation = Callable[[nn.Module], dict[str, float]]


class Samples(Encoded, Protocol):
    """Samples that are ready to be trained on."""

    truncated: int

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Samples of different kinds must not share a batch when gradients are taken."""
        ...

    def subset(self, indices: Sequence[int]) -> "Samples":
        """The samples at ``indices``."""
        ...


class ModelFamily(Protocol):
    """A kind of model: how it is loaded, how questions are encoded for it, and how its answers are judged."""

    loss: LossFunction
    max_length: int
    """Tokens of a sample, at most: what was asked for, or the model's own limit."""

    def load(self, dtype: str) -> Any:
        """The pretrained model."""
        ...

    def encode(self, questions: Sequence[Question]) -> Samples:
        """Prompts with their observed answers."""
        ...

    def fitting(self, questions: Sequence[Question]) -> tuple[Question, ...]:
        """The questions without those that are skipped as too long."""
        ...

    def evaluation(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        """What a model scores on the questions' true answers, prepared once for many models."""
        ...

    def majority(self, questions: Sequence[Question]) -> dict[str, float]:
        """What always giving the most frequent true answer scores."""
        ...


class LanguageFamily:
    """Causal language models.

    A short answer, one without choices, is trained on with the token that ends a text: the model has to learn where to
    stop, as it is judged by what it writes. An answer among choices is judged by its likelihood and needs no end.

    Args:
        folder: local model folder or hub name.
        templates: ``{source of the question: name of its prompt template}``.
        max_length: tokens of a prompt with its answer, at most.
        data: unused; the pictures of a vision-language model lie there.
        too_long: what is done with a sample that does not fit even without its context; see ``tokenise``.

    Raises:
        InputError: no tokenizer, or a model of another kind.
    """

    loss: LossFunction = staticmethod(causal_loss)

    def __init__(
        self, folder: str, templates: dict[str, str], max_length: int, data: Path, too_long: TooLong = "truncate"
    ) -> None:
        self._folder = folder
        self._templates = {source: load_template(name) for source, name in templates.items()}
        config = self._config()
        self._tokenizer = load_tokenizer(folder)
        self.max_length = bounded(max_length, longest_input(self._tokenizer, config))
        self._too_long = too_long
        self._told: set[str] = set()
        self._pad = padding_id(self._tokenizer)
        self._end: int | None = self._tokenizer.eos_token_id
        self._images: PixelSource | None = None
        self._whole: tuple[int, ...] = ()

    def _config(self) -> Any:
        return causal_config(self._folder)

    def load(self, dtype: str) -> Any:
        """The pretrained model, on the CPU."""
        return load_causal(self._folder, dtype)

    def encode(self, questions: Sequence[Question]) -> EncodedAnswers:
        """Prompts with their observed answers."""
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions]
        rows = self._tokenised(ids, rendered, [each.answer for each in rendered], self._room(questions))
        self._tell(ids, rows, self._room(questions))
        rows = [self._ended(row) if self._is_ended(each) else row for row, each in zip(rows, questions, strict=True)]
        return EncodedAnswers(ids, rows, self._pad, self._images, [question.image for question in questions])

    def _room(self, questions: Sequence[Question]) -> int:
        """Tokens for the prompt and the answer."""
        # Where one answer needs room for its end, all are cut alike: a sample must not depend on its company.
        return self.max_length - int(any(map(self._is_ended, questions)) and self._end is not None)

    def _tokenised(
        self, ids: Sequence[str], prompts: Sequence[Rendered], answers: Sequence[str], room: int
    ) -> list[Tokenised]:
        return tokenise(self._tokenizer, ids, prompts, answers, room, self._too_long, self._whole)

    def _tell(self, ids: Sequence[str], rows: Sequence[Tokenised], room: int) -> None:
        """Warn once of the samples that do not fit without their context."""
        needed = {sample: row.needed for sample, row in zip(ids, rows, strict=True) if row.needed}
        shown = longest_first(needed)
        if needed and shown not in self._told:
            self._told.add(shown)
            what = "lose the beginning of their prompt" if self._too_long == "truncate" else "are skipped"
            _log.warning(
                "%d of %d samples need more than %d tokens without their context and %s: %s",
                len(needed),
                len(set(ids)),
                room,
                what,
                shown,
            )

    def fitting(self, questions: Sequence[Question]) -> tuple[Question, ...]:
        """The questions without those that are skipped as too long: with their answer, or with one of the choices.

        Raises:
            InputError: none is left.
        """
        if self._too_long != "skip":
            return tuple(questions)
        texts = [(question, self._rendered(question)) for question in questions]
        asked = [(question.sample_id, each, text) for question, each in texts for text in (each.answer, *each.choices)]
        ids, prompts, answers = zip(*asked, strict=True)
        room = self._room(questions)
        rows = self._tokenised(ids, prompts, answers, room)
        skipped = {sample for sample, row in zip(ids, rows, strict=True) if row.needed}
        left = tuple(question for question in questions if question.sample_id not in skipped)
        if not left:
            raise InputError(f"max_length: got {self.max_length}, too few tokens for any of {len(questions):,} samples")
        self._tell(ids, rows, room)
        return left

    def _is_ended(self, question: Question) -> bool:
        return not question.choices

    def _ended(self, row: Tokenised) -> Tokenised:
        return row if self._end is None else replace(row, continuation=(*row.continuation, self._end))

    def evaluation(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        """Accuracy by likelihood where the questions have choices, by exact match of greedy decoding where not."""
        if all(question.choices for question in questions):
            return self._by_likelihood(questions, batch_size)
        return self._by_decoding(questions, batch_size)

    def majority(self, questions: Sequence[Question]) -> dict[str, float]:
        """What always giving the most frequent true answer scores."""
        most_frequent = Counter(question.true_answer for question in questions).most_common(1)[0][0]
        return answer_metrics(questions, [most_frequent] * len(questions))

    def encode_choices(self, questions: Sequence[Question]) -> EncodedChoices:
        """Every choice of every question as a continuation of its prompt."""
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions for _ in question.choices]
        prompts = [each for each, question in zip(rendered, questions, strict=True) for _ in question.choices]
        texts = [choice for each in rendered for choice in each.choices]
        rows = self._tokenised(ids, prompts, texts, self.max_length)
        self._tell(ids, rows, self.max_length)
        return EncodedChoices(
            rows,
            counts=[len(question.choices) for question in questions],
            characters=[len(text.strip()) for text in texts],
            right=[question.choices.index(question.true_answer) for question in questions],
            pad=self._pad,
        )

    def _by_likelihood(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        encoded = self.encode_choices(questions)

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = choice_accuracy(model, encoded, batch_size)
            return {"accuracy": found.accuracy, "accuracy_norm": found.accuracy_norm}

        return evaluate

    def _by_decoding(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        encoded = self.encode(questions)
        groups = [range(len(questions))[start : start + batch_size] for start in range(0, len(questions), batch_size)]
        batches = [encoded.prompts(group) for group in groups]
        limit = encoded.longest_answer + 1

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = decoded(model, batches, limit, self._end, self._pad)
            texts = [self._tokenizer.decode(tokens, skip_special_tokens=True) for tokens in found]
            return answer_metrics(questions, texts)

        return evaluate

    def _rendered(self, question: Question) -> Rendered:
        return render(self._templates[question.source], question)
