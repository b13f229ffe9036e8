"""The forms that a source's rows may have; a form more is one function and one entry here."""

from collections.abc import Callable
from dataclasses import dataclass

from hyperinf.data.conversations import CHAT_COLUMNS
from hyperinf.data.questions.chat_formats import headlines, logiqa_evals, quartz
from hyperinf.data.questions.documents import (
    ReadDocument,
    read_easy_vqa,
    read_easy_vqa_captions,
    read_easy_vqa_open,
    read_gqa,
    read_list,
    read_pope,
    read_textvqa,
    read_vqav2,
)
from hyperinf.data.questions.field_parsers import Row
from hyperinf.data.questions.published import hellaswag, logiqa, piqa, qasc, qasc_facts
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.user_jsonl import record
from hyperinf.data.questions.visual import easy_vqa, easy_vqa_caption, gqa, llava, pope, textvqa, vqav2
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
        file: the asset's file; with ``{split}`` in it where there is one for each of ``splits``.
        own: the user's own table: a row that cannot be used is refused, where published sets have it left out.
        document: reads the published file where that is no table; None for tables and sets in the hub's layout.
        types: suffixes of the files that have this form.
        splits: the splits of an asset, or of a folder like it, that come as files in known places.
        visual: the questions are about images; a row without one is left out unless the source says otherwise.
        stratified: each kind of question has its proportional part of what is drawn.
    """

    read: Callable[[Row], Question]
    columns: tuple[str, ...]
    template: str
    optional: tuple[str, ...] = ()
    asset: str | None = None
    file: str | None = None
    own: bool = False
    document: ReadDocument | None = None
    types: tuple[str, ...] = (".jsonl", ".parquet")
    splits: tuple[str, ...] = ()
    visual: bool = False
    stratified: bool = False


def _visual(
    read: Callable[[Row], Question],
    columns: tuple[str, ...],
    document: ReadDocument,
    template: str = "vqa_phrase",
    types: tuple[str, ...] = (".json",),
    stratified: bool = False,
) -> Format:
    return Format(read, columns, template, document=document, types=types, visual=True, stratified=stratified)


def _easy_vqa(
    document: ReadDocument,
    read: Callable[[Row], Question] = easy_vqa,
    columns: tuple[str, ...] = ("id", "question", "answer", "image"),
) -> Format:
    return Format(
        read,
        columns,
        "vqa_short",
        asset="easy_vqa",
        file="{split}/questions.json",
        document=document,
        types=(".json",),
        splits=("train", "test"),
        visual=True,
    )


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
    "easy_vqa": _easy_vqa(read_easy_vqa_open),
    "easy_vqa_all": _easy_vqa(read_easy_vqa),
    "easy_vqa_captions": _easy_vqa(read_easy_vqa_captions, easy_vqa_caption, ("id", "caption", "image")),
    "llava": _visual(llava, ("conversations",), read_list, template="vqa_short", stratified=True),
    "vqav2": _visual(vqav2, ("question", "question_id", "image"), read_vqav2),
    "textvqa": _visual(textvqa, ("question", "question_id", "image_id"), read_textvqa),
    "gqa": _visual(gqa, ("question", "question_id", "imageId"), read_gqa),
    "pope": _visual(pope, ("question_id", "image", "text", "label"), read_pope, types=(".json", ".jsonl")),
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
