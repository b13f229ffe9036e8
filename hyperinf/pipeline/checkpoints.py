"""A fine-tuned classifier with its data: the adapters that were kept, and per-sample gradients at each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.files import sha256_file
from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.data.text import TextSplit, read_info, read_split
from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.models.classifier import load_adapted_classifier
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.padding import tell_padding
from hyperinf.pipeline.finetune import encode, open_tokenizer, read_finetuned
from hyperinf.pipeline.sharding.parts import Shard

WHOLE = Shard()


@dataclass(frozen=True)
class Checkpoints:
    """What scoring needs of a fine-tuning run.

    Attributes:
        adapter: folder that ``hyperinf mislabel finetune`` wrote.
        trained: its ``info.json``.
        base: local folder or hub name of the pretrained model.
        splits: ``train`` and ``validation``.
        encoded: the same as tokens.
        padding: id of the token that batches are padded with.
        device: where models are put.
    """

    adapter: Path
    trained: dict[str, Any]
    base: str
    splits: dict[str, TextSplit]
    encoded: dict[str, EncodedText]
    padding: int
    device: str

    @classmethod
    def opened(cls, data: Path, adapter: Path, cache: Path, wheels: tuple[Path, ...], device: str) -> "Checkpoints":
        """Read what the stages before have written.

        Raises:
            InputError: data or adapter that cannot be used, or that do not belong together.
        """
        trained = read_finetuned(adapter)
        if trained["data_sha256"] != read_info(data)["content_sha256"]:
            raise InputError(f"{adapter}: was trained on other data than {data}")
        settings = trained["settings"]
        base = resolve_model_folder(parse_source(settings["model"]), cache, wheels)
        tokenizer, _ = open_tokenizer(base, trained["labels"])
        # The model's own limit where it is less than what was asked for.
        max_length = trained.get("max_length", settings["max_length"])
        splits = {name: read_split(data, name) for name in ("train", "validation")}
        encoded = {name: encode(tokenizer, split, max_length) for name, split in splits.items()}
        return cls(adapter, trained, base, splits, encoded, tokenizer.pad_token_id, device)

    @property
    def epochs(self) -> list[int]:
        """After which an adapter was kept."""
        return list(self.trained["settings"]["keep"])

    def model(self, epoch: int) -> Any:
        """The classifier after an epoch.

        Raises:
            InputError: no adapter was kept then.
        """
        if epoch not in self.epochs:
            raise InputError(f"epoch: expected one of {', '.join(map(str, self.epochs))}, got {epoch}")
        folder, labels = self.adapter / f"epoch-{epoch}", self.trained["labels"]
        model = load_adapted_classifier(self.base, labels, folder, self.trained["settings"]["dtype"])
        tell_padding(model.config, self.padding)
        return model.to(self.device)

    def gradients(self, model: Any, split: str, batch_size: int, shard: Shard = WHOLE) -> LiveSource:
        """Gradients of a split's samples, or of a shard of them, taken whenever they are swept.

        Raises:
            InputError: more shards than batches.
        """
        return LiveSource(model, Batches(self.encoded[split], batch_size).shard(shard.index - 1, shard.count))

    def origin(self, epoch: int) -> dict[str, str]:
        """What gradients after an epoch are taken of: the parts of a sharded scoring must agree on it."""
        weights = sha256_file(self.adapter / f"epoch-{epoch}" / "adapter_model.safetensors")
        model = digest([self.trained["settings"]["model"], self.trained["settings"]["dtype"], weights])
        return {"data": self.trained["data_sha256"], "model": model, "epoch": str(epoch)}
