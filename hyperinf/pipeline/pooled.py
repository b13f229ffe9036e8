"""Scores over the checkpoints of a fine-tuning: of each checkpoint's own scores, so that nothing is swept again.

``score_cp = sum_c eta_c score_c`` with the learning rate of the checkpoint's last update, which of TracIN is TracInCP
(Pruthi et al. 2020, equation 2); ``score_epochs = 1/C sum_c score_c``. At a checkpoint they are of all that were kept
so far, itself included.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.records import RECORD, read_record
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError
from hyperinf.pipeline.opened import Finetuned
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.training.loop import schedule, steps_per_epoch, total_steps


def with_pools(
    columns: Mapping[str, Any],
    settings: ScoringSettings,
    opened: Finetuned,
    checkpoint: str,
    earlier: Sequence[Path],
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """Add what is made of scores of several checkpoints, and put all in the order that was asked for.

    Args:
        columns: ``influence_<score>`` and ``baseline_<name>`` of this checkpoint, ``[n]`` each.
        settings: which scores.
        opened: the fine-tuning.
        checkpoint: that of ``columns``.
        earlier: folders that ``score`` wrote at the checkpoints before; asked for only where they are needed.
        run: what this one is called.

    Raises:
        InputError: scores of an earlier checkpoint that are missing, or of another run.
    """
    names = [ScoreName.of(name) for name in settings.methods]
    found = dict(columns)
    if any(name.pool for name in names):
        checkpoints = opened.checkpoints[: opened.checkpoints.index(checkpoint) + 1]
        before = _read(earlier, checkpoints[:-1], opened, run)
        rates = np.array([learning_rate(opened, each) for each in checkpoints])
        for name in (name for name in names if name.pool):
            key = f"influence_{name.at_one_checkpoint}"
            values = np.stack([*(_column(frame, key, folder) for folder, frame in before), columns[key]])
            found[f"influence_{name}"] = values.mean(axis=0) if name.pool == "epochs" else rates @ values
    wanted = [*(f"influence_{name}" for name in settings.methods), *(f"baseline_{name}" for name in settings.baselines)]
    return {key: found[key] for key in wanted if key in found}


def learning_rate(opened: Finetuned, checkpoint: str) -> float:
    """Give the learning rate of the last update before a checkpoint."""
    settings, samples = opened.settings, len(opened.samples("train"))
    total = total_steps(settings, samples)
    epoch = checkpoint.removeprefix("epoch-")
    step = int(epoch) * steps_per_epoch(settings, samples) if epoch.isdigit() else total
    return settings.learning_rate * schedule(step - 1, total, settings.warmup_ratio)


def _read(
    folders: Sequence[Path], wanted: Sequence[str], opened: Finetuned, run: Mapping[str, Any]
) -> list[tuple[Path, Any]]:
    """Read earlier scores in the order of their checkpoints."""
    found: dict[str, tuple[Path, Any]] = {}
    for folder in folders:
        record = read_record(folder / RECORD)
        own = dict(record.get("run") or {})
        if record.get("finetuned") != opened.info["settings"] or {**own, "checkpoint": None} != {
            **run,
            "checkpoint": None,
        }:
            raise InputError(
                f"{folder}: got scores of another run, expected those of this one at an earlier checkpoint"
            )
        frame = read_frame(folder / "scores.parquet", ["sample_id"])
        if list(frame["sample_id"]) != [each.sample_id for each in opened.samples("train")]:
            raise InputError(f"{folder}: got scores of other samples, expected those of the training samples")
        found[own["checkpoint"]] = (folder, frame)
    if set(found) != set(wanted):
        raise InputError(
            f"earlier: got scores at {', '.join(found) or 'no checkpoint'}, expected them at"
            f" {', '.join(wanted) or 'none'}, the checkpoints before"
        )
    return [found[name] for name in wanted]


def _column(frame: Any, key: str, folder: Path) -> Any:
    if key not in frame:
        raise InputError(f"{folder / 'scores.parquet'}: got no column {key}, expected it as at the other checkpoints")
    return frame[key].to_numpy(dtype=np.float64)
