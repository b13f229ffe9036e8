"""Rows of sets of questions about images.

The path of an image is relative to the folder of images, by default the folder of the file that the row is from.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from hyperinf.data.examples import RowError, read_identity
from hyperinf.data.questions.field_parsers import EASY_VQA, YES_NO, Row, read_string, read_strings
from hyperinf.data.questions.question import Question, UnusableRowError, make_question

TEXT = "text"
_PLACEHOLDER = "<image>"


def easy_vqa(row: Row) -> Question:
    """A row of easy-VQA; its choices are the answers of the answer's own kind: shapes, colours, or yes and no."""
    answer = read_string(row, "answer")
    for kind, choices in EASY_VQA.items():
        if answer in choices:
            question, image = read_string(row, "question"), read_string(row, "image")
            return make_question(
                "", question, choices, answer, sample_id=read_identity(row, "id"), image=image, kind=kind
            )
    raise RowError(f"answer {answer!r} is neither a shape nor a colour nor yes or no")


def easy_vqa_caption(row: Row) -> Question:
    """What a picture of easy-VQA shows, asked for: ``a red circle``."""
    caption = read_string(row, "caption")
    if not caption:
        raise UnusableRowError("shape or colour not told by any open question")
    image = read_string(row, "image")
    return make_question(
        "", "what is present?", (), caption, sample_id=read_identity(row, "id"), image=image, kind="caption"
    )


def llava(row: Row) -> Question:
    """A conversation of LLaVA's instructions: its first question with its first answer, and no more.

    The rest of a conversation refers to what was said before. ``kind`` is the image path's first folder, which tells
    the source (``coco``, ``gqa``, ``ocr_vqa``, ``textvqa``, ``vg``), or ``text`` where there is no image.
    """
    question, answer = _first_exchange(row["conversations"])
    image = read_string(row, "image").strip()
    kind = _first_folder(image) if image else TEXT
    return make_question("", question.replace(_PLACEHOLDER, ""), (), answer, image=image, kind=kind)


def vqav2(row: Row) -> Question:
    """A question of VQAv2 with its annotation: the most frequent answer, and those of ten people."""
    answers = row.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise RowError(f"column 'answers' has {answers!r}, expected a list of objects")
    return make_question(
        "",
        read_string(row, "question"),
        (),
        read_string(row, "multiple_choice_answer"),
        sample_id=read_identity(row, "question_id"),
        image=read_string(row, "image"),
        kind=read_string(row, "answer_type"),
        accepted=[read_string(each, "answer") for each in answers],
    )


def textvqa(row: Row) -> Question:
    """A question of TextVQA with the answers of ten people, of which the most frequent is its answer.

    Its images are in ``train_images``, those of the validation split, too.
    """
    answers = read_strings(row, "answers")
    return make_question(
        "",
        read_string(row, "question"),
        (),
        _most_frequent(answers),
        sample_id=read_identity(row, "question_id"),
        image=f"train_images/{read_identity(row, 'image_id')}.jpg",
        accepted=answers,
    )


def gqa(row: Row) -> Question:
    """A question of GQA; ``kind`` is its structural type (``verify``, ``query``, ...). Images are in ``images``."""
    types = row.get("types")
    return make_question(
        "",
        read_string(row, "question"),
        (),
        read_string(row, "answer"),
        sample_id=read_identity(row, "question_id"),
        image=f"images/{read_identity(row, 'imageId')}.jpg",
        kind=read_string(types, "structural") if isinstance(types, dict) else "",
    )


def pope(row: Row) -> Question:
    """A question of POPE, whether something is in an image: yes or no."""
    return make_question(
        "",
        read_string(row, "text"),
        YES_NO,
        read_string(row, "label"),
        sample_id=read_identity(row, "question_id"),
        image=read_string(row, "image"),
        kind=read_string(row, "category"),
    )


def _first_exchange(conversation: object) -> tuple[str, str]:
    if not isinstance(conversation, list) or not all(isinstance(turn, dict) for turn in conversation):
        raise RowError("not a conversation, a list of objects with 'from' and 'value'")
    for asked, answered in pairwise(conversation):
        if (asked.get("from"), answered.get("from")) == ("human", "gpt"):
            return read_string(asked, "value"), read_string(answered, "value")
    raise UnusableRowError("no question of 'human' that 'gpt' answers")


def _first_folder(image: str) -> str:
    folders = [part for part in PurePosixPath(image).parts[:-1] if part != "/"]
    return folders[0] if folders else ""


def _most_frequent(answers: Sequence[str]) -> str:
    """The first of them among equals."""
    counts = Counter(answer.strip() for answer in answers if answer.strip())
    return counts.most_common(1)[0][0] if counts else ""
