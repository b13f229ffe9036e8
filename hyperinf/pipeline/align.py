"""Align a vision-language model: what its tower sees becomes tokens that its language model understands."""

from pathlib import Path
from typing import Any

from torch import nn

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_directory, discard
from hyperinf.artifacts.records import PREPARED, RECORD, write_record, write_settings
from hyperinf.data.folders import check_replaced
from hyperinf.data.samples import read_data_info, read_samples
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.models.families.vision import VisionFamily
from hyperinf.models.llava import load_processor
from hyperinf.models.tower import PicturedClasses, TowerClassifier
from hyperinf.pipeline.opened import TRAINING, machine, model_note, task_of, warn_of_limit
from hyperinf.pipeline.tables import write_table
from hyperinf.settings.stages import Align
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import train
from hyperinf.training.state import EpochLog


def align(settings: Align) -> None:
    """Write the aligned model as a folder of transformers, with ``training.csv`` and ``info.json``.

    Goes on after a kill. The training samples are learnt; the test samples tell how many captions the aligned model
    writes right.

    Raises:
        InputError: data or a model that cannot be used; a loss that diverges.
    """
    out, data = Path(settings.out), Path(settings.data)
    check_replaced(out, PREPARED)
    device = machine(settings)
    info = read_data_info(data)
    folder = resolve_model_folder(settings.model, resolve_cache(settings), settings.wheel_paths)
    family = VisionFamily(folder, task_of(data, info), settings)
    model = family.pretrained().to(device)
    warn_of_limit(family, settings)
    identity = digest([settings.deciding(), info["content_sha256"]])
    state = Path(settings.state_folder)
    logs = {
        "tower": _train_tower(model, family, settings, device, state / "tower.safetensors", identity),
        "captions": _train_parts(model, family, settings, state / "captions.safetensors", identity),
    }
    found = family.evaluation(family.fitting(read_samples(data, "test")))(model)
    rows = [{"stage": stage, **vars(log)} for stage, stage_logs in logs.items() for log in stage_logs]
    with atomic_directory(out) as temporary:
        model.save_pretrained(str(temporary))
        load_processor(folder).save_pretrained(str(temporary))
        write_table(temporary / TRAINING, rows, ("stage", "epoch", "step", "loss"))
        note = " ".join(filter(None, [model_note(settings.model), f"aligned on {info['source']}"]))
        made = {"source": str(settings.model), "note": note, "outputs": hashed(temporary, "*")}
        write_record(temporary / PREPARED, made)
        more = {
            "data_sha256": info["content_sha256"],
            "caption_accuracy": found["accuracy"],
            "inputs": {**hashed(data, "*.parquet"), **model_files(str(settings.model))},
            "outputs": hashed(temporary, "*.safetensors", TRAINING),
        }
        write_settings(temporary, settings)
        write_record(temporary / RECORD, fingerprint(settings.deciding(), device, **more))
    discard(state)


def _train_tower(
    model: Any, family: VisionFamily, settings: Align, device: str, state: Path, identity: str
) -> list[EpochLog]:
    if settings.tower_epochs == 0:
        return []
    pictured = PicturedClasses(family.pictures, read_samples(Path(settings.data), "train"))
    classifier = TowerClassifier(model, len(pictured.classes), settings.seed).to(device)
    model.requires_grad_(False)
    classifier.requires_grad_(True)
    schedule = TrainingSettings.of(
        settings, max_steps=None, epochs=settings.tower_epochs, learning_rate=settings.tower_learning_rate
    )
    return train(classifier, pictured, schedule, settings.seed, state, identity)


def _train_parts(model: Any, family: VisionFamily, settings: Align, state: Path, identity: str) -> list[EpochLog]:
    parts: dict[str, nn.Module] = {
        "projector": model.model.multi_modal_projector,
        "language_model": model.model.language_model,
    }
    model.requires_grad_(False)
    for part in settings.parts:
        parts[part].requires_grad_(True)
    if "language_model" in settings.parts:
        model.get_output_embeddings().requires_grad_(True)
    encoded = family.encode(family.fitting(read_samples(Path(settings.data), "train")))
    return train(model, encoded, settings, settings.seed, state, identity, loss_fn=family.loss)
