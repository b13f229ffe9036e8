"""What stages read of those before them: prepared data, a model, and what was trained of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import read_json, sha256_file
from hyperinf.artifacts.records import PREPARED, RECORD, read_record
from hyperinf.data.samples import Sample, read_data_info, read_samples
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.models.encoding import Batches
from hyperinf.models.families import ModelFamily, Task, open_family
from hyperinf.models.families.base import EncodedSamples
from hyperinf.runtime.devices import resolve_device, set_threads
from hyperinf.settings.runtime import CacheSettings, MachineSettings
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.stages import Finetune, Named
from hyperinf.settings.training import EncodingSettings, GradientsOf

_log = logging.getLogger(__name__)
TRAINING = "training.csv"


def machine(settings: MachineSettings) -> str:
    """Set the number of threads, and name the device.

    Raises:
        InputError: no such device.
    """
    set_threads(settings.threads)
    return resolve_device(settings.device)


def task_of(data: Path, info: Mapping[str, Any]) -> Task:
    """Say what a model is to do with prepared data."""
    return Task(data, info["templates"], tuple(info.get("label_names") or ()))


def family_of(
    name: str, model: ModelSource, task: Task, encoding: EncodingSettings, where: CacheSettings
) -> ModelFamily:
    """Open the family of a model.

    Raises:
        InputError: no such model, or one of another family.
    """
    return open_family(name, resolve_model_folder(model, resolve_cache(where), where.wheel_paths), task, encoding)


def model_note(source: ModelSource) -> str:
    """Say what a reader of the numbers must know of a model: that it was cut, or had random weights; else nothing."""
    prepared = Path(source.name) / PREPARED
    return str(read_json(prepared)["note"]) if source.kind == "path" and prepared.is_file() else ""


def warn_of_limit(family: ModelFamily, encoding: EncodingSettings) -> None:
    """Log that the model takes fewer tokens than were asked for."""
    if family.max_length < encoding.max_length:
        _log.warning(
            "max_length: %d tokens are the model's limit, less than %d", family.max_length, encoding.max_length
        )


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned model with its data.

    Attributes:
        folder: what ``hyperinf finetune`` wrote.
        data: what ``hyperinf prepare`` wrote.
        info: the record of the fine-tuning.
        settings: what it was fine-tuned with.
        family: of the model, open.
        device: where models are put.
    """

    folder: Path
    data: Path
    info: Mapping[str, Any]
    settings: Finetune
    family: ModelFamily
    device: str
    _encoded: dict[str, EncodedSamples] = field(default_factory=dict, repr=False)

    @classmethod
    def opened(cls, folder: Path, data: Path, where: CacheSettings, device: str) -> "Finetuned":
        """Read the records of both.

        Raises:
            InputError: what was written cannot be used, has changed since, or does not belong together.
        """
        info, settings = read_finetuned(folder, data)
        about = read_data_info(data)
        if info["data_sha256"] != about["content_sha256"]:
            raise InputError(f"{folder}: got a model trained on other data, expected one trained on {data}")
        # The model's own limit where it is less than what was asked for.
        encoding = EncodingSettings.of(settings, max_length=info["max_length"])
        family = family_of(settings.family, settings.model, task_of(data, about), encoding, where)
        return cls(folder, data, info, settings, family, device)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Name the weights that were kept, in their order."""
        return self.settings.checkpoint_names

    def up_to(self, checkpoint: str) -> tuple[str, ...]:
        """Name the weights that were kept up to a checkpoint, in their order.

        Raises:
            InputError: no such checkpoint.
        """
        if checkpoint not in self.checkpoints:
            raise InputError(f"checkpoint: got {checkpoint!r}, expected one of {', '.join(self.checkpoints)}")
        return self.checkpoints[: self.checkpoints.index(checkpoint) + 1]

    def samples(self, split: str) -> tuple[Sample, ...]:
        """Read the samples of a split, without those that are skipped as too long."""
        samples = read_samples(self.data, split)
        if split == "train":
            skipped = set(self.info.get("skipped", ()))
            return tuple(each for each in samples if each.sample_id not in skipped)
        return self.family.fitting(samples)

    def encoded(self, split: str) -> EncodedSamples:
        """Encode the samples of a split, once."""
        if split not in self._encoded:
            self._encoded[split] = self.family.encode(self.samples(split))
        return self._encoded[split]

    def model(self, checkpoint: str) -> Any:
        """Load the model as it was at a checkpoint, on the device.

        Raises:
            InputError: no such checkpoint.
        """
        self.up_to(checkpoint)
        model = self.family.restored(self.settings, self.settings.seed, self.folder / checkpoint)
        return model.to(self.device)

    def gradients(
        self, model: Any, split: str, batch_size: int, of: GradientsOf, shard: tuple[int, int] = (1, 1)
    ) -> LiveSource:
        """Take the gradients of a split's samples, or of shard ``i`` of ``n``, whenever they are swept.

        Raises:
            InputError: more shards than batches; gradients of the projector where there is no picture.
        """
        encoded = self.encoded(split)
        if of == "projector" and not all(encoded.kinds):
            raise InputError(
                f"gradients_of: got projector for {encoded.kinds.count(False):,} {split} samples without a picture,"
                " expected a picture for each, or gradients of trained weights"
            )
        index, count = shard
        batches = Batches(encoded, batch_size, kinds=encoded.kinds).shard(index - 1, count)
        return LiveSource(model, batches, self.family.loss, self.family.gradient_layers(model, of))

    def origin(self, checkpoint: str, of: GradientsOf) -> dict[str, str]:
        """Say what gradients are taken of: the parts of a sharded scoring must agree on it."""
        weights = {path.name: sha256_file(path) for path in sorted((self.folder / checkpoint).glob("*.safetensors"))}
        model = digest([self.info["settings"], weights])
        return {"data": self.info["data_sha256"], "model": model, "checkpoint": checkpoint, "part of the model": of}


def read_finetuned(folder: Path, data: Path) -> tuple[dict[str, Any], Finetune]:
    """Read the record of a fine-tuning, and its settings.

    Raises:
        InputError: it is missing, is another stage's, or what was written has changed since.
    """
    path = folder / RECORD
    info: dict[str, Any] = read_record(path)
    try:
        settings = Finetune(**info["settings"], data=str(data), out=str(folder))
        for key, kind in (("data_sha256", str), ("max_length", int), ("accuracies", dict)):
            if not isinstance(info[key], kind):
                raise TypeError(key)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: got a record without {str(error).splitlines()[0]}, expected what 'hyperinf finetune' wrote"
        ) from None
    return info, settings


def run_key(settings: Named, opened: Finetuned) -> dict[str, Any]:
    """Name a run as the tables do."""
    return {
        "study": settings.study,
        "task": settings.task,
        "model": settings.model_name,
        "family": opened.settings.family,
        "setting": settings.setting or opened.settings.name,
        "seed": settings.seed,
    }


def ids_of(samples: Sequence[Sample]) -> list[str]:
    """List the samples' ids."""
    return [each.sample_id for each in samples]
