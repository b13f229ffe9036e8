"""The test questions of a prepared task as a task of lm-evaluation-harness, which then reads local files only."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperinf.data.folders import check_out, written_folder
from hyperinf.data.prompts import Template, load_template, render
from hyperinf.data.questions import Question, read_questions, read_questions_info
from hyperinf.errors import InputError

_NAME = re.compile(r"\w[\w.-]*")


def write_harness_task(data: Path, out: Path, task: str) -> None:
    """Write ``TASK.yaml`` and ``TASK.jsonl``, for ``lm_eval --include_path OUT --tasks TASK``.

    The harness then sees the very prompts and continuations that ``select finetune`` evaluates, so that its ``acc`` and
    ``acc_norm`` are our ``accuracy`` and ``accuracy_norm``. It knows nothing of contexts: where a sample is longer than
    the model takes, it cuts the whole prompt at its left.

    Args:
        data: folder that ``prepare_questions`` wrote.
        out: folder to write; the task in it is bound to this place, as the harness wants a full path.
        task: its name in the harness.

    Raises:
        InputError: a name that the harness would not take; questions about images, or without choices.
    """
    if not _NAME.fullmatch(task):
        raise InputError(f"task: expected a name of letters, digits, '_', '.' and '-', got {task!r}")
    out = Path(out).absolute()
    table, description = f"{task}.jsonl", f"{task}.yaml"
    check_out(out, [table, description])
    questions = read_questions(data, "test")
    _check(data, questions)
    templates = {source: load_template(name) for source, name in read_questions_info(data)["templates"].items()}
    lines = [json.dumps(_row(templates[question.source], question), ensure_ascii=False) for question in questions]
    with written_folder(out) as folder:
        (folder / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / description).write_text(_yaml(_description(task, out / table)), encoding="utf-8")


def _check(data: Path, questions: tuple[Question, ...]) -> None:
    for number, what in (
        (sum(bool(question.image) for question in questions), "are about an image"),
        (sum(not question.choices for question in questions), "have no choices"),
    ):
        if number:
            raise InputError(f"{data}: {number:,} test questions {what}; the harness gets multiple choice in text only")


def _row(template: Template, question: Question) -> dict[str, Any]:
    rendered = render(template, question)
    return {
        "id": question.sample_id,
        "prompt": rendered.before + rendered.context + rendered.after,
        # The space before a continuation is the harness's delimiter: a choice's length is counted without it.
        "choices": [choice.removeprefix(" ") for choice in rendered.choices],
        "right": question.choices.index(question.true_answer),
    }


def _description(task: str, table: Path) -> dict[str, Any]:
    return {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(table)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "right",
        "target_delimiter": " ",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
        "metadata": {"version": 1.0},
    }


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(content), sort_keys=False))
