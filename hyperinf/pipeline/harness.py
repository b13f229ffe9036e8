"""The stage ``harness``: the test samples as a task of lm-evaluation-harness, which then reads local files only."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperinf.data.folders import check_out, written_folder
from hyperinf.data.prompts import Template, load_template, render
from hyperinf.data.samples import Sample, read_data_info, read_samples
from hyperinf.errors import InputError
from hyperinf.settings.stages import Harness

_NAME = re.compile(r"\w[\w.-]*")


def write_harness_task(settings: Harness) -> None:
    """Write ``TASK.yaml`` and ``TASK.jsonl``, for ``lm_eval --include_path OUT --tasks TASK``.

    The harness then sees the very prompts and continuations that we evaluate, so that its ``acc`` and ``acc_norm`` are
    our ``accuracy`` and ``accuracy_norm``. It knows nothing of contexts: where a sample is longer than the model takes,
    it cuts the whole prompt at its left. The task is bound to its folder, as the harness wants a full path.

    Raises:
        InputError: a name that the harness would not take; samples about images, or without choices.
    """
    task, data, out = settings.task, Path(settings.data), Path(settings.out).absolute()
    if not _NAME.fullmatch(task):
        raise InputError(f"task: got {task!r}, expected a name of letters, digits, '_', '.' and '-'")
    table, description = f"{task}.jsonl", f"{task}.yaml"
    check_out(out, [table, description])
    samples = read_samples(data, "test")
    _check(data, samples)
    templates = {source: load_template(name) for source, name in read_data_info(data)["templates"].items()}
    lines = [json.dumps(_row(templates[each.source], each), ensure_ascii=False) for each in samples]
    with written_folder(out) as folder:
        (folder / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / description).write_text(_yaml(_description(task, out / table)), encoding="utf-8")


def _check(data: Path, samples: Sequence[Sample]) -> None:
    for number, what in (
        (sum(bool(each.image) for each in samples), "about an image"),
        (sum(not each.choices for each in samples), "without choices"),
    ):
        if number:
            raise InputError(f"{data}: got {number:,} test samples {what}, expected multiple choice in text only")


def _row(template: Template, sample: Sample) -> dict[str, Any]:
    rendered = render(template, sample)
    return {
        "id": sample.sample_id,
        "prompt": rendered.before + rendered.context + rendered.after,
        # The space before a continuation is the harness's delimiter: a choice's length is counted without it.
        "choices": [choice.removeprefix(" ") for choice in rendered.choices],
        "right": sample.choices.index(sample.true_answer),
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
