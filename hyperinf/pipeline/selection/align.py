"""Alignment of a vision-language model: what its tower sees becomes tokens that its language model understands."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_directory, discard, write_text
from hyperinf.artifacts.records import PREPARED, RECORD, write_record
from hyperinf.data.folders import check_replaced
from hyperinf.data.questions import read_questions, read_questions_info
from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.models.language import TooLong, check_too_long
from hyperinf.models.llava import load_processor
from hyperinf.models.tower import PicturedClasses, TowerClassifier
from hyperinf.pipeline.selection.model import RunPaths, source_note, warn_of_limit
from hyperinf.pipeline.selection.run import stable
from hyperinf.pipeline.selection.vision import VisionFamily
from hyperinf.training.loop import EpochLog, TrainingSettings, finetune

AlignedPart = Literal["projector", "language_model"]
ALIGNED_PARTS: tuple[AlignedPart, ...] = get_args(AlignedPart)


@dataclass(frozen=True)
class AlignConfig:
    """Inputs of one alignment.

    Attributes:
        source: ``hub:NAME`` or ``path:FOLDER`` of a vision-language model.
        parts: whose weights are all trained on the captions: the ``projector``, and for a model made new also the
            ``language_model``.
        training: how to train them.
        tower_epochs: passes over the pictures in which the vision tower first learns to tell the captions apart, as
            classes; 0 for a tower that is trained already.
        tower_learning_rate: of those; all else is as in ``training``.
        max_length: tokens of a sample with its picture; the model's own limit where that is less.
        dtype: of all weights.
        too_long: what is done with a sample that does not fit even without its context; as in ``ModelConfig``.
    """

    source: str
    parts: tuple[AlignedPart, ...]
    training: TrainingSettings
    tower_epochs: int = 0
    tower_learning_rate: float = 1e-3
    max_length: int = 128
    dtype: str = "float32"
    too_long: TooLong = "truncate"

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in ALIGNED_PARTS:
                raise InputError(f"parts: expected some of {', '.join(ALIGNED_PARTS)}, got {part!r}")
        if not self.parts:
            raise InputError(f"parts: expected some of {', '.join(ALIGNED_PARTS)}, got none")
        if self.tower_epochs < 0:
            raise InputError(f"tower_epochs: expected 0 or more, got {self.tower_epochs}")
        check_too_long(self.too_long)


def run_align(config: AlignConfig, places: RunPaths, state: Path, out: Path, evaluation_batch: int = 64) -> None:
    """Write the aligned model as a folder of transformers, with ``training.csv`` and ``info.json``.

    Goes on after a kill. The pool of ``places.data`` is trained on; its test questions tell how many captions the
    aligned model writes right.

    Args:
        config: see :class:`AlignConfig`.
        places: see :class:`~hyperinf.pipeline.selection.model.RunPaths`.
        state: folder for what is needed to go on after a kill; removed at the end.
        out: model folder to write; replaced if it exists.
        evaluation_batch: captions in a batch of the evaluation.

    Raises:
        InputError: data or a model that cannot be used; a loss that diverges.
    """
    import pandas as pd

    check_replaced(out, PREPARED)
    data = read_questions_info(places.data)
    folder = resolve_model_folder(parse_source(config.source), places.cache, places.wheels)
    family = VisionFamily(folder, data["templates"], config.max_length, places.data, config.too_long)
    model = family.load(config.dtype).to(places.device)
    warn_of_limit(family, config.max_length)
    identity = digest([stable(config), data["content_sha256"]])
    logs = {
        "tower": _train_tower(model, family, config, places, state / "tower.safetensors", identity),
        "captions": _train_parts(model, family, config, places, state / "captions.safetensors", identity),
    }
    found = family.evaluation(family.fitting(read_questions(places.data, "test")), evaluation_batch)(model)
    rows = [{"stage": stage, **vars(log)} for stage, stage_logs in logs.items() for log in stage_logs]
    with atomic_directory(out) as temporary:
        model.save_pretrained(str(temporary))
        load_processor(folder).save_pretrained(str(temporary))
        write_text(temporary / "training.csv", pd.DataFrame(rows).to_csv(index=False))
        note = " ".join(filter(None, [source_note(config.source), f"aligned on {data['source']}"]))
        made = {"source": config.source, "note": note, "outputs": hashed(temporary, "*")}
        write_record(temporary / PREPARED, made)
        more = {
            "data_sha256": data["content_sha256"],
            "caption_accuracy": found["accuracy"],
            "inputs": {**hashed(places.data, "*.parquet"), **model_files(config.source)},
            "outputs": hashed(temporary, "*.safetensors", "training.csv"),
        }
        write_record(temporary / RECORD, fingerprint(stable(config), places.device, **more))
    discard(state)


def _train_tower(
    model: Any, family: VisionFamily, config: AlignConfig, places: RunPaths, state: Path, identity: str
) -> list[EpochLog]:
    if config.tower_epochs == 0:
        return []
    questions = read_questions(places.data, "pool")
    pictured = PicturedClasses(family.pictures, questions)
    classifier = TowerClassifier(model, len(pictured.classes), config.training.seed).to(places.device)
    model.requires_grad_(False)
    classifier.requires_grad_(True)
    settings = replace(
        config.training, steps=None, epochs=config.tower_epochs, learning_rate=config.tower_learning_rate
    )
    return finetune(classifier, pictured, settings, state, identity)


def _train_parts(
    model: Any, family: VisionFamily, config: AlignConfig, places: RunPaths, state: Path, identity: str
) -> list[EpochLog]:
    parts: dict[AlignedPart, nn.Module] = {
        "projector": model.model.multi_modal_projector,
        "language_model": model.model.language_model,
    }
    model.requires_grad_(False)
    for part in config.parts:
        parts[part].requires_grad_(True)
    if "language_model" in config.parts:
        model.get_output_embeddings().requires_grad_(True)
    encoded = family.encode(family.fitting(read_questions(places.data, "pool")))
    return finetune(model, encoded, config.training, state, identity, loss_fn=family.loss)
