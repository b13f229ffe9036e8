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
