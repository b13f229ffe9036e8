"""Data sets with the columns and in the layout that they are published in, small enough for a test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

# Columns and class names as published at nyu-mll/glue.
GLUE: dict[str, tuple[str, str | None, list[str]]] = {
    "qnli": ("question", "sentence", ["entailment", "not_entailment"]),
    "qqp": ("question1", "question2", ["not_duplicate", "duplicate"]),
    "sst2": ("sentence", None, ["negative", "positive"]),
    "cola": ("sentence", None, ["unacceptable", "acceptable"]),
    "mrpc": ("sentence1", "sentence2", ["not_equivalent", "equivalent"]),
    "rte": ("sentence1", "sentence2", ["entailment", "not_entailment"]),
    "wnli": ("sentence1", "sentence2", ["not_entailment", "entailment"]),
}
LETTERS = "ABCDEFGH"


def write_split(path: Path, rows: Rows, classes: Mapping[str, list[str]] | None = None) -> None:
    """Parquet with the features that the hub writes beside the columns; ``classes`` are columns of class labels."""
    import datasets
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    features = datasets.Dataset.from_list(rows).features
    features.update({column: datasets.ClassLabel(names=names) for column, names in (classes or {}).items()})
    table = datasets.Dataset.from_list(rows, features=features).data.table
    pq.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), path)


def glue_rows(split: str, count: int, text: str, pair: str | None, hidden: bool = False) -> Rows:
    """Rows of a GLUE task; a test split has its labels withheld."""
    return [
        {
            text: f"{split} text {index}",
            **({pair: f"{split} pair {index}"} if pair else {}),
            "label": -1 if hidden else index % 2,
            "idx": index,
        }
        for index in range(count)
    ]


def write_glue(folder: Path, subset: str, counts: tuple[int, int, int] = (12, 6, 5)) -> None:
    """A task of nyu-mll/glue below ``folder``."""
    text, pair, classes = GLUE[subset]
    for split, count in zip(("train", "validation", "test"), counts, strict=True):
        rows = glue_rows(split, count, text, pair, hidden=split == "test")
        write_split(folder / subset / f"{split}-00000-of-00001.parquet", rows, {"label": classes})


def qasc_row(split: str, index: int) -> dict[str, Any]:
    """allenai/qasc."""
    return {
        "id": f"{split}-{index}",
        "question": f"What is {split} {index}?",
        "choices": {"text": [f"thing {index + i}" for i in range(8)], "label": list(LETTERS)},
        "answerKey": "" if split == "test" else LETTERS[index % 8],
        "fact1": f"first {index}.",
        "fact2": "" if split == "test" else f"second {index}.",
        "combinedfact": "",
        "formatted_question": "What is it? (A) thing",
    }


def hellaswag_row(split: str, index: int) -> dict[str, Any]:
    """Rowan/hellaswag."""
    return {
        "ind": index,
        "activity_label": "Rowing",
        "ctx_a": f"A man rows {split} {index}.",
        "ctx_b": "he",
        "ctx": f"A man rows {split} {index}. he",
        "endings": [f"ends {index} as {i}." for i in range(4)],
        "source_id": "activitynet~v_x",
        "split": split,
        "split_type": "indomain",
        "label": "" if split == "test" else str(index % 4),
    }


def piqa_row(split: str, index: int) -> dict[str, Any]:
    """ybisk/piqa as the hub converts it."""
    return {
        "goal": f"How to {split} {index}",
        "sol1": f"one {index}",
        "sol2": f"two {index}",
        "label": -1 if split == "test" else index % 2,
    }


def logiqa_row(split: str, index: int) -> dict[str, Any]:
    """lucasmccabe/logiqa as the hub converts it."""
    return {
        "context": f"Some {split} {index} are all.",
        "query": "Which follows?",
        "options": [f"It follows {index} {i}." for i in range(4)],
        "correct_option": index % 4,
    }


def write_llava_data(folder: Path, count: int = 30) -> None:
    """LLaVA-1.5's instructions and four benchmarks, each in its published form, where paper.yaml names them."""
    import json

    folders = {"coco/train2017": "jpg", "gqa/images": "jpg", "textvqa/train_images": "jpg", "vg/VG_100K": "jpg"}
    conversations = []
    for index in range(count):
        below, kind = list(folders.items())[index % len(folders)]
        image = f"{below}/{index:012d}.{kind}"
        _picture(folder / "llava" / image, index)
        turns = [("human", f"<image>\nWhat is in it {index}?"), ("gpt", f"thing {index % 3}"), ("human", "Where?")]
        asked = [{"from": who, "value": text} for who, text in [*turns, ("gpt", "there")]]
        conversations.append({"id": f"{index:012d}", "image": image, "conversations": asked})
    conversations.append({"id": "text", "conversations": conversations[0]["conversations"][:2]})
    _write_json(folder / "llava/llava_v1_5_mix665k.json", conversations)

    numbers = range(262148, 262148 + count)
    for number in numbers:
        _picture(folder / f"coco/val2014/COCO_val2014_{number:012d}.jpg", number)
        _picture(folder / f"gqa/images/{number}.jpg", number)
        _picture(folder / f"textvqa/train_images/{number:x}.jpg", number)
    questions = [{"image_id": n, "question": f"What {n}?", "question_id": n * 1000} for n in numbers]
    _write_json(
        folder / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json", {"data_subtype": "val2014", "questions": questions}
    )
    annotations = [
        {
            "question_id": n * 1000,
            "image_id": n,
            "answer_type": "other",
            "question_type": "what",
            "multiple_choice_answer": "down",
            "answers": [
                {"answer": "down" if i < 7 else "up", "answer_confidence": "yes", "answer_id": i} for i in range(10)
            ],
        }
        for n in numbers
    ]
    _write_json(
        folder / "vqav2/v2_mscoco_val2014_annotations.json", {"data_subtype": "val2014", "annotations": annotations}
    )
    gqa = {
        str(n): {"imageId": str(n), "question": f"Which {n}?", "answer": "left", "types": {"structural": "query"}}
        for n in numbers
    }
    _write_json(folder / "gqa/testdev_balanced_questions.json", gqa)
    textvqa = [
        {"question_id": n, "image_id": f"{n:x}", "question": f"Brand {n}?", "answers": ["ace"] * 6 + ["ice"] * 4}
        for n in numbers
    ]
    _write_json(folder / "textvqa/TextVQA_0.5.1_val.json", {"data": textvqa})
    lines = [
        {
            "question_id": place,
            "image": f"COCO_val2014_{n:012d}.jpg",
            "text": "Is there a dog in the image?",
            "label": ("yes", "no")[place % 2],
            "category": "random",
        }
        for place, n in enumerate(numbers, start=1)
    ]
    (folder / "pope").mkdir()
    (folder / "pope/coco_pope_random.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _picture(path: Path, number: int) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (number % 256, number // 256 % 256, 7)).save(path)


def _write_json(path: Path, content: Any) -> None:
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
