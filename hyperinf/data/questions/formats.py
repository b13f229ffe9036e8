"""The forms that a source's rows may have; a form more is one function and one entry here."""

from collections.abc import Callable
from dataclasses import dataclass

from hyperinf.data.chats import CHAT_COLUMNS
from hyperinf.data.questions.cells import Row
from hyperinf.data.questions.chatted import headlines, logiqa_evals, quartz
from hyperinf.data.questions.published import hellaswag, logiqa, piqa, qasc, qasc_facts
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.record import record
from hyperinf.errors import InputError


@dataclass(frozen=True)
class Format:
    """How a source's row becomes a question.

    Attributes:
        read: makes a question of a row, or raises a ``RowError`` that says what is wrong with it.
        columns: the columns that must be there.
        template: the prompt template that suits it (``hyperinf/data/prompts.yaml``).
        optional: columns that are read if they are there.
        asset: the asset that has this form.
        file: the asset's file.
        own: the user's own table: a row that cannot be used is refused, where published sets have it left out.
    """

    read: Callable[[Row], Question]
    columns: tuple[str, ...]
    template: str
    optional: tuple[str, ...] = ()
    asset: str | None = None
    file: str | None = None
    own: bool = False


FORMATS: dict[str, Format] = {
    "qasc": Format(qasc, ("question", "choices", "answerKey"), "multiple_choice", ("id",)),
    "qasc_facts": Format(
        qasc_facts, ("question", "choices", "answerKey", "fact1", "fact2"), "multiple_choice", ("id",)
    ),
    "hellaswag": Format(hellaswag, ("ctx", "endings", "label"), "completion"),
    "piqa": Format(piqa, ("goal", "sol1", "sol2", "label"), "completion"),
    "logiqa": Format(logiqa, ("context", "query", "options", "correct_option"), "multiple_choice"),
    "logiqa_evals": Format(logiqa_evals, CHAT_COLUMNS, "multiple_choice", asset="logiqa", file="logiqa.jsonl"),
    "headlines": Format(headlines, CHAT_COLUMNS, "headline", asset="sarcasm", file="samples.jsonl"),
    "quartz": Format(quartz, CHAT_COLUMNS, "multiple_choice", asset="quartz", file="samples.jsonl"),
    "record": Format(
        record, ("question", "answer"), "question", ("choices", "context", "id", "image", "kind"), own=True
    ),
}
"""Every format by name."""


def known_format(name: str) -> Format:
    """The format of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in FORMATS:
        raise InputError(f"format {name!r} is not known; known are {', '.join(FORMATS)}")
    return FORMATS[name]
