"""What differs between language models and vision-language models; all stages of selection are the same for both."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from hyperinf.data.prompts import Rendered, load_template, render
from hyperinf.data.questions import Question
from hyperinf.evaluation import EncodedChoices, choice_accuracy, exact_match
from hyperinf.losses import LossFunction, causal_loss
from hyperinf.models.causal import load_causal
from hyperinf.models.encoding import Encoded
from hyperinf.models.language import EncodedAnswers, padding_id, tokenise
from hyperinf.models.loading import load_tokenizer

Evaluation = Callable[[nn.Module], dict[str, float]]


class Samples(Encoded, Protocol):
    """Samples that are ready to be trained on."""

    truncated: int

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


class LanguageFamily:
    """Causal language models.

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

    def load(self, dtype: str) -> Any:
        """The pretrained model, on the CPU."""
        return load_causal(self._folder, dtype)

    def encode(self, questions: Sequence[Question]) -> EncodedAnswers:
        """Prompts with their observed answers."""
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions]
        rows = tokenise(self._tokenizer, ids, rendered, [each.answer for each in rendered], self._max_length)
        return EncodedAnswers(ids, rows, self._pad)

    def evaluation(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        """Accuracy by likelihood where the questions have choices, by exact match of greedy decoding where not."""
        if all(question.choices for question in questions):
            return self._by_likelihood(questions, batch_size)
        return self._by_exact_match(questions)

    def _by_likelihood(self, questions: Sequence[Question], batch_size: int) -> Evaluation:
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions for _ in question.choices]
        prompts = [each for each, question in zip(rendered, questions, strict=True) for _ in question.choices]
        texts = [choice for each in rendered for choice in each.choices]
        encoded = EncodedChoices(
            tokenise(self._tokenizer, ids, prompts, texts, self._max_length),
            counts=[len(question.choices) for question in questions],
            characters=[len(text.strip()) for text in texts],
            right=[question.choices.index(question.true_answer) for question in questions],
            pad=self._pad,
        )

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = choice_accuracy(model, encoded, batch_size)
            return {"accuracy": found.accuracy, "accuracy_norm": found.accuracy_norm}

        return evaluate

    def _by_exact_match(self, questions: Sequence[Question]) -> Evaluation:
        rendered = [self._rendered(question) for question in questions]
        ids = [question.sample_id for question in questions]
        rows = tokenise(self._tokenizer, ids, rendered, [each.answer for each in rendered], self._max_length)
        longest = max(len(row.continuation) for row in rows) + 1

        def evaluate(model: nn.Module) -> dict[str, float]:
            found = exact_match(model, [row.prompt for row in rows], longest, self._tokenizer.eos_token_id, self._pad)
            texts = [_plain(self._tokenizer.decode(tokens, skip_special_tokens=True)) for tokens in found]
            right = sum(_plain(q.true_answer) == text for q, text in zip(questions, texts, strict=True))
            return {"accuracy": right / len(questions)}

        return evaluate

    def _rendered(self, question: Question) -> Rendered:
        return render(self._templates[question.source], question)


def majority_accuracy(questions: Sequence[Question]) -> float:
    """Accuracy of always giving the most frequent true answer."""
    return Counter(question.true_answer for question in questions).most_common(1)[0][1] / len(questions)


def _plain(text: str) -> str:
    """The first line's words in lower case, without a full stop: what an answer is compared by."""
    lines = text.strip().splitlines()
    return " ".join(lines[0].lower().rstrip(".").split()) if lines else ""
