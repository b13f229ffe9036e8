"""Where the parts of a run lie: as the workflow lays them out, or wherever a scoring by hand has read them from."""

from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json
from hyperinf.artifacts.records import RECORD, RUN_FROM, SETTINGS
from hyperinf.reporting.labels import trained_setting
from hyperinf.settings.reporting import StudyShape
from hyperinf.settings.yaml_files import read_yaml


def as_run(study: StudyShape, run: Path) -> StudyShape:
    """Take the checkpoint that was scored where the study names none, and the run was scored at one."""
    record = run / "scores" / RECORD
    if study.checkpoints != ("last",) or not record.is_file():
        return study
    scored = (read_json(record).get("run") or {}).get("checkpoint", "last")
    return study.model_copy(update={"checkpoints": (scored,)})


def scores_folder(run: Path, checkpoint: str) -> Path:
    """Find the scores of a checkpoint; without a folder for each, those of the only one lie in ``scores`` itself."""
    folder = run / "scores"
    return folder if (folder / RECORD).is_file() and not (folder / checkpoint).is_dir() else folder / checkpoint


def data_folder(run: Path, checkpoint: str, seed: int) -> Path:
    """Find the data that a run was scored on, by default ``../../../data/seed-S``."""
    above = [run.resolve(), *run.resolve().parents]
    return _read_by(scores_folder(run, checkpoint), "data", above[min(3, len(above) - 1)] / "data" / f"seed-{seed}")


def finetuned_folder(run: Path, checkpoint: str) -> Path:
    """Find the weights that a run was scored with.

    Settings that differ only in whose gradients are used share their fine-tuning.
    """
    resolved = run.resolve()
    setting = resolved.parent
    beside = setting.parent / trained_setting(setting.name) / resolved.name / "finetuned"
    return _read_by(scores_folder(run, checkpoint), "finetuned", beside)


def _read_by(scores: Path, name: str, usual: Path) -> Path:
    """Find a folder that a scoring has read: in its usual place, or else where its settings say."""
    settings, record = scores / SETTINGS, scores / RECORD
    if (usual / RECORD).is_file() or not (settings.is_file() and record.is_file()):
        return usual
    read: Any = read_json(record)
    return scores.resolve() / str(read.get(RUN_FROM, Path.cwd())) / str(read_yaml(settings).get(name, usual))
