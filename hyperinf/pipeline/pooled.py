"""Scores over the checkpoints of a fine-tuning: of each checkpoint's own scores, so that nothing is swept again.

``score_cp = sum_c eta_c score_c`` with the learning rate of the checkpoint's last update, which of TracIN is TracInCP
(Pruthi et al. 2020, equation 2); ``score_epochs = 1/C sum_c score_c``. At a checkpoint they are of all that were kept
so far, itself included.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperinf.artifacts.records import RECORD, read_record
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError
from hyperinf.pipeline.opened import Finetuned, ids_of
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.training.schedule import schedule, steps_per_epoch, total_steps

Wanted = TypeVar("Wanted", bound=ScoringSettings)


def read_earlier(
    settings: ScoringSettings, opened: Finetuned, checkpoint: str, earlier: Sequence[Path], run: Mapping[str, Any]
) -> dict[str, NDArray[np.float64]]:
    """Read what scores over checkpoints are made of, but for the last of them.

    Args:
        settings: which scores.
        opened: the fine-tuning.
        checkpoint: the last of them.
        earlier: folders that ``score`` wrote at the checkpoints before; asked for only where they are needed.
        run: what this one is called.

    Returns:
        ``{influence_<score>: [checkpoints, n]}``.

    Raises:
        InputError: scores of an earlier checkpoint that are missing, or of another run.
    """
    keys = dict.fromkeys(f"influence_{name.at_one_checkpoint}" for name in pooled_names(settings))
    if not keys:
        return {}
    ids = ids_of(opened.samples("train"))
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for folder in earlier:
        at = _checkpoint_of(folder, opened, run)
        frame = read_frame(folder / "scores.parquet", ["sample_id"])
        for key in (key for key in keys if key not in frame):
            where = folder / "scores.parquet"
            raise InputError(f"{where}: got no column {key}, expected it as at the other checkpoints")
        if list(frame["sample_id"]) != ids:
            raise InputError(f"{folder}: got scores of other samples, expected those of the training samples")
        found[at] = {key: frame[key].to_numpy(dtype=np.float64) for key in keys}
    wanted = opened.up_to(checkpoint)[:-1]
    if set(found) != set(wanted):
        raise InputError(
            f"earlier: got scores at {', '.join(found) or 'no checkpoint'}, expected them at"
            f" {', '.join(wanted) or 'none'}, the checkpoints before"
        )
    return {key: np.array([found[name][key] for name in wanted]).reshape(len(wanted), len(ids)) for key in keys}


def with_pools(
    columns: Mapping[str, Any],
    settings: ScoringSettings,
    opened: Finetuned,
    checkpoint: str,
    before: Mapping[str, NDArray[np.float64]],
) -> dict[str, Any]:
    """Add what is made of scores of several checkpoints, and put all in the order that was asked for.

    Args:
        columns: ``influence_<score>`` and ``baseline_<name>`` of this checkpoint, ``[n]`` each.
        settings: which scores.
        opened: the fine-tuning.
        checkpoint: that of ``columns``.
        before: of :func:`read_earlier`.
    """
    found = dict(columns)
    for name in pooled_names(settings):
        key = f"influence_{name.at_one_checkpoint}"
        values = np.vstack([before[key], columns[key]])
        found[f"influence_{name}"] = _weights(name, opened, checkpoint) @ values
    wanted = [*(f"influence_{name}" for name in settings.methods), *(f"baseline_{name}" for name in settings.baselines)]
    return {key: found[key] for key in wanted if key in found}


def over_checkpoints(
    settings: Wanted,
    opened: Finetuned,
    last: Mapping[str, NDArray[np.float64]],
    taken: Callable[[str, Wanted], Mapping[str, NDArray[np.float64]]],
) -> dict[str, NDArray[np.float64]]:
    """Give the scores over all checkpoints of a fine-tuning, of any shape.

    Args:
        settings: which scores.
        opened: the fine-tuning.
        last: ``{score: values}`` at its last checkpoint.
        taken: gives the same of another checkpoint, for settings that name what is needed of it; asked once for each.

    Returns:
        ``{score: values}`` of the scores over checkpoints alone.
    """
    pooled, checkpoints = pooled_names(settings), opened.checkpoints
    if not pooled:
        return {}
    needed = tuple(dict.fromkeys(str(name.at_one_checkpoint) for name in pooled))
    fewer = settings.model_copy(update={"methods": needed})
    found = [*(taken(each, fewer) for each in checkpoints[:-1]), last]
    return {
        str(name): np.tensordot(
            _weights(name, opened, checkpoints[-1]), np.stack([each[str(name.at_one_checkpoint)] for each in found]), 1
        )
        for name in pooled
    }


def pooled_names(settings: ScoringSettings) -> list[ScoreName]:
    """Take apart the names of the scores over checkpoints."""
    return [name for name in map(ScoreName.of, settings.methods) if name.pool]


def _weights(name: ScoreName, opened: Finetuned, checkpoint: str) -> NDArray[np.float64]:
    """Weight the checkpoints up to this one: by the learning rate, or all alike."""
    checkpoints = opened.up_to(checkpoint)
    if name.pool == "epochs":
        return np.full(len(checkpoints), 1 / len(checkpoints))
    return np.array([learning_rate(opened, each) for each in checkpoints])


def learning_rate(opened: Finetuned, checkpoint: str) -> float:
    """Give the learning rate of the last update before a checkpoint."""
    settings, samples = opened.settings, len(opened.samples("train"))
    total = total_steps(settings, samples)
    epoch = checkpoint.removeprefix("epoch-")
    step = int(epoch) * steps_per_epoch(settings, samples) if epoch.isdigit() else total
    return settings.learning_rate * schedule(step - 1, total, settings.warmup_ratio)


def _checkpoint_of(folder: Path, opened: Finetuned, run: Mapping[str, Any]) -> str:
    """Name the checkpoint that a folder's scores are of."""
    record = read_record(folder / RECORD)
    own = dict(record.get("run") or {})
    ours = {**run, "checkpoint": own.get("checkpoint")}
    if record.get("finetuned") != opened.info["settings"] or own != ours:
        raise InputError(f"{folder}: got scores of another run, expected those of this one at an earlier checkpoint")
    return str(own["checkpoint"])
