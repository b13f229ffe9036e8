"""Rows of sets of questions about images.

The path of an image is relative to the folder of images, by default the folder of the file that the row is from.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath

from hyperinf.data.formats.documents import (
    read_easy_vqa,
    read_easy_vqa_captions,
    read_easy_vqa_open,
    read_gqa,
    read_list,
    read_pope,
    read_textvqa,
    read_vqav2,
)
from hyperinf.data.formats.field_parsers import (
    EASY_VQA_ANSWERS,
    YES_NO,
    RowError,
    UnusableRowError,
    make_sample,
    read_class,
    read_identity,
    read_string,
    read_strings,
)
from hyperinf.data.formats.form import Format
from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import TYPES, Row
from hyperinf.errors import brief

_PLACEHOLDER = "<image>"


def read_easy_vqa_row(row: Row) -> Sample:
    """Read a row of easy-VQA; its choices are the answers of the answer's own kind: shapes, colours, or yes and no."""
    answer = read_string(row, "answer")
    for kind, choices in EASY_VQA_ANSWERS.items():
        if answer in choices:
            question, image = read_string(row, "question"), read_string(row, "image")
            return make_sample(
                "", question, choices, answer, sample_id=read_identity(row, "id"), image=image, kind=kind
            )
    raise RowError(f"got answer {brief(answer)}, expected a shape, a colour, yes or no")


def read_caption_row(row: Row) -> Sample:
    """Read what a picture of easy-VQA shows, asked for: ``a red circle``."""
    caption = read_string(row, "caption")
    if not caption:
        raise UnusableRowError("shape or colour not told by any open question")
    image = read_string(row, "image")
    return make_sample(
        "", "what is present?", (), caption, sample_id=read_identity(row, "id"), image=image, kind="caption"
    )


def read_llava_row(row: Row) -> Sample:
    """Read a conversation of LLaVA's instructions: its first question with its first answer, and no more.

    The rest of a conversation refers to what was said before. ``kind`` is the image path's first folder, which tells
    the source (``coco``, ``gqa``, ``ocr_vqa``, ``textvqa``, ``vg``), or ``text`` where there is no image.
    """
    question, answer = _first_exchange(row["conversations"])
    image = read_string(row, "image").strip()
    kind = _first_folder(image) if image else "text"
    return make_sample("", question.replace(_PLACEHOLDER, ""), (), answer, image=image, kind=kind)


def read_vqav2_row(row: Row) -> Sample:
    """Read a question of VQAv2 with its annotation: the most frequent answer, and those of ten people."""
    answers = row.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise RowError(f"got {brief(answers)} in column 'answers', expected a list of objects")
    return make_sample(
        "",
        read_string(row, "question"),
        (),
        read_string(row, "multiple_choice_answer"),
        sample_id=read_identity(row, "question_id"),
        image=read_string(row, "image"),
        kind=read_string(row, "answer_type"),
        accepted=[read_string(each, "answer") for each in answers],
    )


def read_textvqa_row(row: Row) -> Sample:
    """Read a question of TextVQA with the answers of ten people, of which the most frequent is its answer.

    Its images are in ``train_images``, those of the validation split, too.
    """
    answers = read_strings(row, "answers")
    return make_sample(
        "",
        read_string(row, "question"),
        (),
        _most_frequent(answers),
        sample_id=read_identity(row, "question_id"),
        image=f"train_images/{read_identity(row, 'image_id')}.jpg",
        accepted=answers,
    )


def read_gqa_row(row: Row) -> Sample:
    """Read a question of GQA; ``kind`` is its structural type (``verify``, ``query``). Images are in ``images``."""
    types = row.get("types")
    return make_sample(
        "",
        read_string(row, "question"),
        (),
        read_string(row, "answer"),
        sample_id=read_identity(row, "question_id"),
        image=f"images/{read_identity(row, 'imageId')}.jpg",
        kind=read_string(types, "structural") if isinstance(types, dict) else "",
    )


def read_pope_row(row: Row) -> Sample:
    """Read a question of POPE, whether something is in an image: yes or no."""
    return make_sample(
        "",
        read_string(row, "text"),
        YES_NO,
        read_string(row, "label"),
        sample_id=read_identity(row, "question_id"),
        image=read_string(row, "image"),
        kind=read_string(row, "category"),
    )


def read_image_class(row: Row) -> Sample:
    """Read an image and its class; the classes to choose from are those of all rows."""
    answer = read_class(row, "label")
    image = read_string(row, "image")
    return Sample("", "", "What does the image show?", (), answer, answer, image=image)


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
    """Find the most frequent answer, the first of them among equals."""
    counts = Counter(answer.strip() for answer in answers if answer.strip())
    return counts.most_common(1)[0][0] if counts else ""


_EASY = partial(
    Format,
    template="vqa_short",
    asset="easy_vqa",
    file="{split}/questions.json",
    types=(".json",),
    splits=("train", "test"),
    visual=True,
)
_COLUMNS = ("id", "question", "answer", "image")
EASY_VQA = _EASY(read_easy_vqa_row, _COLUMNS, document=read_easy_vqa_open)
EASY_VQA_ALL = _EASY(read_easy_vqa_row, _COLUMNS, document=read_easy_vqa)
EASY_VQA_CAPTIONS = _EASY(read_caption_row, ("id", "caption", "image"), document=read_easy_vqa_captions)

_JSON = partial(Format, types=(".json",), visual=True)
LLAVA = _JSON(read_llava_row, ("conversations",), "vqa_short", document=read_list, stratified=True)
VQAV2 = _JSON(read_vqav2_row, ("question", "question_id", "image"), "vqa_phrase", document=read_vqav2)
TEXTVQA = _JSON(read_textvqa_row, ("question", "question_id", "image_id"), "vqa_phrase", document=read_textvqa)
GQA = _JSON(read_gqa_row, ("question", "question_id", "imageId"), "vqa_phrase", document=read_gqa)
POPE = Format(
    read_pope_row,
    ("question_id", "image", "text", "label"),
    "vqa_phrase",
    document=read_pope,
    types=(".json", ".jsonl"),
    visual=True,
)
IMAGE_CLASSES = Format(
    read_image_class,
    ("image", "label"),
    "vqa",
    types=TYPES,
    visual=True,
    label="label",
)
