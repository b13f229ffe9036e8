"""A question with its answer, and what makes one whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinf.data.examples import EmptyRowError, RowError, squeezed


class UnusableRowError(EmptyRowError):
    """A row whose choices cannot be told apart; published sets have some, and they are left out there."""


class NoAnswerError(EmptyRowError):
    """A row whose answer is withheld, as in the test splits of many published sets."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        sample_id: stable name, made of the source's split (or file) and the row, or of the row's own id.
        context: what there is to read before the question; ``""`` if nothing.
        question: the question itself; ``""`` where a text is to be continued.
        choices: distinct and not empty; ``()`` for a short-answer question.
        answer: the observed answer, one of the choices where there are any.
        true_answer: the answer before any corruption.
        corruption: ``""``, ``"wrong_answer"`` or ``"off_task"``.
        image: path of the image, relative to the prepared folder; ``""`` for text.
        kind: the kind of question, where the source tells; ``""`` otherwise.
        source: name of the source data set; off-task rows have another than the rest.
        accepted: the answers of all people asked, with repetition, where a set has several; ``()`` otherwise.
    """

    sample_id: str
    context: str
    question: str
    choices: tuple[str, ...]
    answer: str
    true_answer: str
    corruption: str = ""
    image: str = ""
    kind: str = ""
    source: str = ""
    accepted: tuple[str, ...] = ()

    @property
    def group(self) -> tuple[str, ...]:
        """The image, or else what is asked about what, whatever the choices; no two splits have it in common."""
        return (self.image,) if self.image else self._asked

    @property
    def key(self) -> tuple[tuple[str, ...], frozenset[str]]:
        """What makes two questions copies: the same is asked, with the same choices in whatever order."""
        return self._asked, frozenset(map(squeezed, self.choices))

    @property
    def label(self) -> str:
        """What copies of a question may disagree on."""
        return squeezed(self.true_answer)

    @property
    def _asked(self) -> tuple[str, ...]:
        return squeezed(self.context), squeezed(self.question), self.image


def make_question(
    context: str,
    question: str,
    choices: Sequence[str],
    answer: str,
    *,
    sample_id: str = "",
    image: str = "",
    kind: str = "",
    accepted: Sequence[str] = (),
) -> Question:
    """A question of a source, white space around its parts removed; reading fills in what it lacks.

    Raises:
        UnusableRowError: nothing is asked, or the choices are fewer than two, empty or repeated.
        RowError: the answer is none of the choices.
    """
    context, question, answer = context.strip(), question.strip(), answer.strip()
    options = tuple(choice.strip() for choice in choices)
    if not (context or question):
        raise UnusableRowError("neither a context nor a question")
    if options:
        _check_choices(options)
    if not answer:
        raise NoAnswerError("no answer")
    if options and answer not in options:
        raise RowError(f"answer {answer!r} is none of the choices {', '.join(map(repr, options))}")
    everyone = tuple(each.strip() for each in accepted)
    return Question(sample_id, context, question, options, answer, answer, image=image, kind=kind, accepted=everyone)


def _check_choices(choices: Sequence[str]) -> None:
    if not all(choices):
        raise UnusableRowError("a choice is empty")
    if len(choices) < 2:
        raise UnusableRowError("fewer than 2 choices")
    if len(set(map(squeezed, choices))) < len(choices):
        raise UnusableRowError("a choice occurs twice")
