"""Fine-tune a model on the training samples, and keep its weights at chosen checkpoints."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_directory, discard, read_json, write_json, write_text
from hyperinf.artifacts.records import RECORD, read_record, write_record, write_settings
from hyperinf.data.folders import check_out
from hyperinf.data.samples import Sample, read_data_info, read_samples
from hyperinf.errors import InputError
from hyperinf.models.families.base import Evaluation, ModelFamily
from hyperinf.pipeline.opened import TRAINING, family_of, machine, model_note, task_of, warn_of_limit
from hyperinf.pipeline.scorable import check_scorable
from hyperinf.pipeline.tables import write_table
from hyperinf.runtime.process import is_main, wait_for_all
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.stages import Finetune
from hyperinf.training.loop import SAVE_SECONDS, train
from hyperinf.training.state import MOMENTS

_log = logging.getLogger(__name__)
EVALUATED = ("validation", "test")


def finetune(settings: Finetune, save_seconds: float = SAVE_SECONDS) -> None:
    """Write ``CHECKPOINT/`` for each checkpoint, ``training.csv`` and ``info.json``; goes on after a kill.

    Args:
        settings: of the stage.
        save_seconds: between two saves of the state to go on from; no result depends on it.

    Raises:
        InputError: data, model or adapter targets that cannot be used; a loss that diverges.
    """
    out, data = Path(settings.out), Path(settings.data)
    check_out(out, ["epoch-*", "last", TRAINING])
    device = machine(settings)
    info = read_data_info(data)
    family = family_of(settings.family, settings.model, task_of(data, info), settings, settings)
    model = family.adapted(settings, settings.seed)
    warn_of_limit(family, settings)
    samples = {name: read_samples(data, name) for name in ("train", *EVALUATED)}
    _check_images(settings, samples)
    fitting = {name: family.fitting(each) for name, each in samples.items()}
    encoded = {name: family.encode(each) for name, each in fitting.items()}
    family.check(model, encoded)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.to(device)
    check_scorable(model, encoded["train"], family.loss, kinds=encoded["train"].kinds)

    identity = digest([settings.deciding(), info["content_sha256"]])
    kept = _Kept(
        family,
        model,
        str(settings.model),
        Path(settings.state_folder) / "kept",
        {name: family.evaluation(fitting[name]) for name in EVALUATED},
    )
    kept.start(identity)
    names = settings.checkpoint_names

    def on_epoch(epoch: int) -> None:
        if f"epoch-{epoch}" in names:
            kept.keep(f"epoch-{epoch}")

    resume = Path(settings.state_folder) / "resume.safetensors"
    logs = train(
        model,
        encoded["train"],
        settings,
        settings.seed,
        resume,
        identity,
        on_epoch,
        family.loss,
        save_seconds,
        kept.take_moments if settings.keep_moments else None,
    )
    if names == ("last",):
        kept.keep("last")
    with atomic_directory(out) as temporary:
        for name in names:
            shutil.copytree(kept.folder / name, temporary / name, ignore=lambda *_: [RECORD, _ACCURACY])
        write_table(temporary / TRAINING, (vars(log) for log in logs), ("epoch", "step", "loss"))
        more: dict[str, Any] = {
            "data_sha256": info["content_sha256"],
            "max_length": family.max_length,
            "accuracies": {name: kept.accuracy(name) for name in names},
            "inputs": {**hashed(data, "*.parquet"), **model_files(str(settings.model))},
            "outputs": hashed(temporary, "*/*", TRAINING),
            "truncated": {name: each.truncated for name, each in encoded.items()},
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "model_note": model_note(settings.model),
            **family.notes,
        }
        if len(fitting["train"]) < len(samples["train"]):
            there = {each.sample_id for each in fitting["train"]}
            more["skipped"] = [each.sample_id for each in samples["train"] if each.sample_id not in there]
        write_settings(temporary, settings)
        write_record(temporary / RECORD, fingerprint(settings.deciding(), device, **more))
    discard(Path(settings.state_folder))


def _check_images(settings: Finetune, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Refuse samples whose images would not be looked at."""
    number = sum(bool(each.image) for split in samples.values() for each in split)
    if number and not FAMILIES[settings.family].images:
        with_images = ", ".join(name for name, family in FAMILIES.items() if family.images)
        raise InputError(
            f"{settings.data}: got {number:,} samples with an image, expected text for family {settings.family};"
            f" take a model of family {with_images}"
        )


_ACCURACY = "accuracy.json"


class _Kept:
    """Checkpoints of a training that may be killed: each is evaluated and written once.

    Args:
        family: of the model.
        model: in training.
        source: of the pretrained model.
        folder: where they are until the training is done.
        evaluations: by split.
    """

    def __init__(
        self, family: ModelFamily, model: Any, source: str, folder: Path, evaluations: dict[str, Evaluation]
    ) -> None:
        self.folder = folder
        self._family, self._model, self._source, self._evaluations = family, model, source, evaluations
        self._moments: dict[str, Any] | None = None

    def take_moments(self, moments: dict[str, Any]) -> None:
        """Hold AdamW's moments until the next checkpoint is kept."""
        self._moments = moments

    def start(self, identity: str) -> None:
        """Remove checkpoints that a run of other settings has kept, or that are damaged."""
        state = self.folder.parent
        marker = state / "identity"
        own = marker.is_file() and marker.read_bytes() == identity.encode()
        if is_main() and not (own and self._whole()):
            if state.exists():
                shutil.rmtree(state)
            self.folder.mkdir(parents=True)
            write_text(marker, identity)
        wait_for_all()

    def keep(self, name: str) -> None:
        """Write the weights as they are now, and what the model scores with them."""
        with atomic_directory(self.folder / name) as temporary:
            self._family.save(self._model, self._source, temporary)
            if self._moments is not None:
                save_file(self._moments, str(temporary / MOMENTS))
            found = {split: evaluate(self._model) for split, evaluate in self._evaluations.items()}
            write_json(temporary / _ACCURACY, found)
            write_record(temporary / RECORD, {"outputs": hashed(temporary, "*")})
        wait_for_all()  # only one process has written it, and all of them read it

    def accuracy(self, name: str) -> Any:
        """Read what the model scored at a checkpoint: ``{split: {metric: value}}``."""
        return read_json(self.folder / name / _ACCURACY)

    def _whole(self) -> bool:
        try:
            for checkpoint in self.folder.iterdir():
                read_record(checkpoint / RECORD)
        except InputError as damage:
            _log.warning("%s; training begins again", str(damage).partition(": damaged")[0])
            return False
        return True
