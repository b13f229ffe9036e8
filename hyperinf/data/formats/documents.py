"""Published files that are one JSON document, or JSON lines under another name, read row by row.

A row is given with where it stands. The documents hold a split of up to some hundred thousand questions and are read
whole: LLaVA-1.5's instructions (1 GB) take about 3 GB of memory.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json
from hyperinf.data.formats.field_parsers import EASY_VQA_ANSWERS, POPE_KINDS, YES_NO
from hyperinf.data.sources.tables import Located, Row, read_json_lines
from hyperinf.errors import InputError, brief


def read_list(path: Path) -> Iterator[Located]:
    """Read a list of objects (LLaVA)."""
    return _objects(str(path), read_json(path))


def read_textvqa(path: Path) -> Iterator[Located]:
    """Read TextVQA: a list of objects under ``data``."""
    return _objects(str(path), _member(path, read_json(path), "data"))


def read_gqa(path: Path) -> Iterator[Located]:
    """Read GQA: an object of questions by their ids, which are put into column ``question_id``."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise InputError(f"{path}: got a {type(document).__name__}, expected an object of questions by their ids")
    for key, value in document.items():
        where = f"{path}, question {brief(key)}"
        yield where, {**_object(where, value), "question_id": key}


def read_vqav2(path: Path) -> Iterator[Located]:
    """Read VQAv2: the questions' file, joined by ``question_id`` with the annotations' file beside it.

    For ``v2_OpenEnded_mscoco_val2014_questions.json`` that is ``v2_mscoco_val2014_annotations.json``. Column ``image``
    is COCO's name of the image below the folder that the questions' ``data_subtype`` names
    (``val2014/COCO_val2014_000000262148.jpg``).
    """
    document = read_json(path)
    questions = _member(path, document, "questions")
    folder = document.get("data_subtype")
    if not isinstance(folder, str):
        raise InputError(
            f"{path}: got no data_subtype, the name of COCO's folder of images, expected VQAv2's questions"
        )
    annotations = _annotations(_annotations_file(path))
    for where, row in _objects(str(path), questions):
        image = row.get("image_id")
        if not isinstance(image, int):
            raise InputError(f"{where}: got image_id {brief(image)}, expected an integer")
        name = f"{folder}/COCO_{folder}_{image:012d}.jpg"
        yield where, {**annotations.get(_number(where, row), {}), **row, "image": name}


def read_pope(path: Path) -> Iterator[Located]:
    """Read POPE: JSON lines, although the published files' names end in ``.json``.

    Where rows lack a ``category`` it is the last word of the file's name: ``coco_pope_popular.json``.
    """
    category = path.stem.rpartition("_pope_")[2]
    known = {"category": category} if category in POPE_KINDS else {}
    return ((where, {**known, **row}) for where, row in read_json_lines(path))


def read_easy_vqa(path: Path) -> Iterator[Located]:
    """Read Easy-VQA: a list of question, answer and number of the image, with the images in ``images`` beside the file.

    Column ``id`` is the place in the list, whatever is left out.
    """
    for number, value in enumerate(_list(str(path), read_json(path))):
        where = f"{path}, row {number}"
        if not isinstance(value, list) or [type(each) for each in value] != [str, str, int]:
            raise InputError(f"{where}: got {brief(value)}, expected a question, an answer and the number of an image")
        question, answer, image = value
        yield where, {"id": f"{number:06d}", "question": question, "answer": answer, "image": f"images/{image}.png"}


def read_easy_vqa_open(path: Path) -> Iterator[Located]:
    """Read Easy-VQA without its yes/no questions."""
    return ((where, row) for where, row in read_easy_vqa(path) if row["answer"] not in YES_NO)


def read_easy_vqa_captions(path: Path) -> Iterator[Located]:
    """Read Easy-VQA's images, each with what its open questions and their answers tell of it: column ``caption``.

    An image of which they do not tell one shape and one colour has an empty one. Yes/no questions tell nothing here:
    they name what is not there, too.
    """
    told: dict[str, set[str]] = {}
    for _, row in read_easy_vqa(path):
        words = told.setdefault(row["image"], set())
        if row["answer"] not in YES_NO:
            words.update(word for text in (row["question"], row["answer"]) for word in re.findall("[a-z]+", text))
    for image, words in told.items():
        colours, shapes = (words.intersection(EASY_VQA_ANSWERS[kind]) for kind in ("colour", "shape"))
        caption = f"a {min(colours)} {min(shapes)}" if len(colours) == len(shapes) == 1 else ""
        yield f"{path}, {image}", {"id": Path(image).stem, "caption": caption, "image": image}


def _annotations_file(path: Path) -> Path:
    name = path.name.replace("OpenEnded_", "").replace("_questions", "_annotations")
    if name == path.name or not (path.parent / name).is_file():
        expected = "v2_OpenEnded_..._questions.json" if name == path.name else f"{name} beside it"
        raise InputError(f"{path}: got no annotations of these questions, expected {expected}")
    return path.parent / name


def _annotations(path: Path) -> dict[int, Row]:
    rows = _objects(str(path), _member(path, read_json(path), "annotations"))
    return {_number(where, row): row for where, row in rows}


def _number(where: str, row: Row) -> int:
    number = row.get("question_id")
    if not isinstance(number, int):
        raise InputError(f"{where}: got question_id {brief(number)}, expected an integer")
    return number


def _member(path: Path, document: Any, name: str) -> Any:
    if not isinstance(document, dict) or name not in document:
        raise InputError(f"{path}: got none, expected an object with {name!r}")
    return document[name]


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: got a {type(value).__name__}, expected a list of questions")
    return value


def _objects(where: str, value: Any) -> Iterator[Located]:
    for number, each in enumerate(_list(where, value)):
        place = f"{where}, row {number}"
        yield place, _object(place, each)


def _object(where: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: got a {type(value).__name__}, expected a JSON object")
    return value
