"""What ``info.json`` says of a question task."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from hyperinf.data.questions.assembly import Assembly
from hyperinf.data.questions.config import QuestionSource, QuestionTaskConfig
from hyperinf.data.questions.corruption import OFF_TASK, WRONG_ANSWER
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.splits import SPLITS

_SHOWN = 20


def describe(config: QuestionTaskConfig, assembly: Assembly, skipped: Sequence[str]) -> dict[str, Any]:
    """A JSON value: where the questions are from, how many there are of what, and the hash of what they say.

    Args:
        config: the task.
        assembly: its splits.
        skipped: ids of questions passed over because of their images.
    """
    splits, drawn = assembly.splits, assembly.drawn
    corruption = Counter(each.corruption for each in splits["pool"])
    return {
        **_origin(config.origin),
        "templates": dict(assembly.templates),
        "asked": config.asked,
        "missing": {split: config.asked[split] - len(splits[split]) for split in SPLITS},
        "counts": {split: _counts(splits[split]) for split in SPLITS},
        "drawn_from": {_split(role): dict(parts) for role, parts in drawn.drawn_from.items()},
        "withheld_splits": list(assembly.reading.corpus.hidden),
        "unusable_rows_dropped": dict(assembly.reading.unusable),
        "duplicates_dropped": drawn.duplicates,
        "overlapping_dropped": drawn.overlapping,
        "contradictory_dropped": len(drawn.contradictory),
        "contradictory_first_ids": list(drawn.contradictory[:_SHOWN]),
        "bad_images_skipped": len(skipped),
        "bad_images_first_ids": list(skipped[:_SHOWN]),
        "wrong_answers": config.wrong_answers,
        "wrong_mode": config.wrong_mode,
        "off_task": config.off_task,
        "off_task_from": None if config.off_task_from is None else _origin(config.off_task_from),
        "test_from": None if config.test_from is None else _origin(config.test_from),
        "corrupted": {name: corruption[name] for name in (WRONG_ANSWER, OFF_TASK)},
        "seed": config.seed,
        "content_sha256": content_sha256(splits),
    }


def content_sha256(splits: Mapping[str, Sequence[Question]]) -> str:
    """Hash of what the splits say, which unlike the Parquet bytes does not depend on the version of a library.

    It covers the images: an image's path is a hash of its content.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        for each in splits[split]:
            digest.update(json.dumps([split, *astuple(each)], ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _origin(origin: QuestionSource) -> dict[str, Any]:
    return {
        "source": str(origin.source),
        "format": origin.format,
        "subset": origin.subset,
        "revision": origin.revision,
        "template": origin.template_name,
        "text_rows": origin.text_rows,
    }


def _counts(questions: Sequence[Question]) -> dict[str, Any]:
    return {
        "questions": len(questions),
        "images": len({each.image for each in questions if each.image}),
        "answers": _frequent(each.answer for each in questions),
        "true_answers": _frequent(each.true_answer for each in questions),
        "answer_positions": _positions(questions),
        "kinds": dict(Counter(each.kind for each in questions if each.kind)),
    }


def _frequent(answers: Iterable[str]) -> dict[str, Any]:
    """The most frequent answers; where nearly each is unique, naming them would say nothing."""
    counts = Counter(answers)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    shown = {answer: number for answer, number in ranked if number > 1 or len(counts) <= _SHOWN}
    return {"distinct": len(counts), "most_frequent": shown, "others": counts.total() - sum(shown.values())}


def _positions(questions: Sequence[Question]) -> dict[str, int]:
    """How often the answer is the first choice (0), the second (1), ..."""
    counts = Counter(each.choices.index(each.answer) for each in questions if each.choices)
    return {str(position): counts[position] for position in sorted(counts)}


def _split(role: str) -> str:
    return "pool" if role == "train" else role
