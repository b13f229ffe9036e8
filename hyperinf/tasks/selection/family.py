"""Language models, and what every kind of model must offer; all stages of selection are the same for all kinds."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from hyperinf.answers import answer_metrics
from hyperinf.data.prompts import Rendered, load_template, render
from hyperinf.data.questions import Question
from hyperinf.evaluation import EncodedChoices, choice_accuracy, decoded
from hyperinf.losses import LossFunction, causal_loss
from hyperinf.models.causal import load_causal
from hyperinf.models.encoding import Encoded
from hyperinf.models.language import EncodedAnswers, PixelSource, Tokenised, padding_id, tokenise
from hyperinf.models.loading import load_tokenizer

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

    def load(self, dtype: str) -> Any:
        """The pretrained model."""
        ...

    def encode(self, questions: Sequence[Question]) -> Samples:
        """Prompts with their observed answers."""
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
    """

    loss: LossFunction = staticmethod(causal_loss)

    def __init__(self, folder: str, templates: dict[str, str], max_length: int, data: Path) -> None:
        self._folder = folder
        self._templates = {source: load_template(name) for source, name in templates.items()}
        self._max_length = max_length
        self._tokenizer = load_tokenizer(folder)
        self._pad = padding_id(self._tokenizer)
        self._end: int | None = self._tokenizer.eos_token_id
        self._images: PixelSource | None = None

    def load(self, dtype: str) -> Any:
        """The pretrained model, on the CPU."""
        return load_causal(self._folder, dtype)

    def encode(self, questions: Sequence[Question]) -> EncodedAnswers:
        """Prompts with their observed answers."""
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions]
        # Where one answer needs room for its end, all are cut alike: a sample must not depend on its company.
        room = int(any(self._is_ended(question) for question in questions) and self._end is not None)
        rows = tokenise(self._tokenizer, ids, rendered, [each.answer for each in rendered], self._max_length - room)
        rows = [self._ended(row) if self._is_ended(each) else row for row, each in zip(rows, questions, strict=True)]
        return EncodedAnswers(ids, rows, self._pad, self._images, [question.image for question in questions])

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
        return EncodedChoices(
            tokenise(self._tokenizer, ids, prompts, texts, self._max_length),
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
