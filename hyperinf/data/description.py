"""What the record of a prepared folder says of its data."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from hyperinf.data.assembly import Assembly
from hyperinf.data.corruption import LABEL_NOISE, OFF_TASK
from hyperinf.data.remarks import remarks
from hyperinf.data.samples import SPLITS, Sample
from hyperinf.settings.data import DataSettings
from hyperinf.settings.stages import Prepare

_SHOWN = 20
# Which splits were used is told by "drawn_from".
_ELSEWHERE = ("splits",)


def describe(settings: Prepare, assembly: Assembly) -> dict[str, Any]:
    """Say where the samples are from, how many there are of what, and the hash of what they say, as a JSON value."""
    splits, drawn, skipped = assembly.splits, assembly.drawn, assembly.images.skipped
    corruption = Counter(each.corruption for each in splits["train"])
    asked = {split: getattr(settings, split) for split in SPLITS}
    return {
        **_origin(settings),
        "templates": assembly.templates,
        "label_names": assembly.label_names,
        "asked": asked,
        "missing": {split: asked[split] - len(splits[split]) for split in SPLITS},
        "counts": {split: _counts(splits[split]) for split in SPLITS},
        "drawn_from": {role: dict(parts) for role, parts in drawn.drawn_from.items()},
        "withheld_splits": list(assembly.corpus.hidden),
        "unusable_rows_dropped": dict(assembly.corpus.unusable),
        "duplicates_dropped": drawn.duplicates,
        "overlapping_dropped": drawn.overlapping,
        "contradictory_found": len(drawn.contradictory),
        "contradictory_dropped": 0 if settings.keep_contradictory else len(drawn.contradictory),
        "contradictory_first_ids": [each.sample_id for _, each in drawn.contradictory[:_SHOWN]],
        "unknown_columns": list(assembly.corpus.unknown_columns[:_SHOWN]),
        "labels_alike": [dict(each) for each in assembly.corpus.labels_alike[:_SHOWN]],
        "classes_without_training_samples": list(assembly.classes_not_trained[:_SHOWN]),
        "remarks": remarks(settings, assembly),
        "bad_images_skipped": len(skipped),
        "bad_images_first_ids": list(skipped[:_SHOWN]),
        "label_noise": settings.label_noise,
        "noise_mode": settings.noise_mode,
        "off_task": settings.off_task,
        "off_task_data": None if settings.off_task_data is None else _origin(settings.off_task_data),
        "test_data": None if settings.test_data is None else _origin(settings.test_data),
        "corrupted": {name: corruption[name] for name in (LABEL_NOISE, OFF_TASK)},
        "seed": settings.seed,
        "content_sha256": content_sha256(splits),
    }


def content_sha256(splits: Mapping[str, Sequence[Sample]]) -> str:
    """Hash what the splits say, which unlike the Parquet bytes does not depend on the version of a library.

    It covers the images: an image's path is a hash of its content.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        for each in splits[split]:
            digest.update(json.dumps([split, *astuple(each)], ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()


def _origin(data: DataSettings) -> dict[str, Any]:
    """Describe a data set by its settings, what it is called being text."""
    plain = {name: getattr(data, name) for name in DataSettings.model_fields if name not in _ELSEWHERE}
    return {**plain, "source": str(data.source)}


def _counts(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "samples": len(samples),
        "images": len({each.image for each in samples if each.image}),
        "answers": _frequent(each.answer for each in samples),
        "true_answers": _frequent(each.true_answer for each in samples),
        "answer_positions": _positions(samples),
        "kinds": dict(Counter(each.kind for each in samples if each.kind)),
    }


def _frequent(answers: Iterable[str]) -> dict[str, Any]:
    """Count the most frequent answers; where nearly each is unique, naming them would say nothing."""
    counts = Counter(answers)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    shown = {answer: number for answer, number in ranked if number > 1 or len(counts) <= _SHOWN}
    return {"distinct": len(counts), "most_frequent": shown, "others": counts.total() - sum(shown.values())}


def _positions(samples: Sequence[Sample]) -> dict[str, int]:
    """Count how often the answer is the first choice (0), the second (1), ..."""
    counts = Counter(each.choices.index(each.answer) for each in samples if each.choices)
    return {str(position): counts[position] for position in sorted(counts)}
