"""Fine-tune a LoRA classifier on (noisy) labels and keep its adapter after chosen epochs."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files, to_json
from hyperinf.artifacts.files import atomic_directory, discard, read_json, write_json, write_text
from hyperinf.artifacts.records import RECORD, read_record, write_record
from hyperinf.data.folders import check_out
from hyperinf.data.sources import parse_source, resolve_model_folder
from hyperinf.data.text import TextSplit, read_info, read_split
from hyperinf.errors import InputError
from hyperinf.evaluation.accuracy import classification_accuracy
from hyperinf.models.classifier import adapted_classifier, classifier_config, save_adapter
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.loading import load_tokenizer
from hyperinf.models.lora import LoraSettings
from hyperinf.models.padding import agree_on_padding, bounded, longest_input, tell_padding
from hyperinf.pipeline.scorable import check_scorable
from hyperinf.runtime.devices import resolve_device, set_threads
from hyperinf.runtime.process import is_main, wait_for_all
from hyperinf.training.loop import TrainingSettings, finetune

_log = logging.getLogger(__name__)

EVALUATION_BATCH = 64
TRAINING = "training.csv"


@dataclass(frozen=True)
class FinetuneConfig:
    """Inputs of one fine-tuning run.

    Attributes:
        data: folder that ``hyperinf mislabel data`` wrote.
        model: ``asset:NAME``, ``hub:NAME`` or ``path:FOLDER``.
        lora: where the adapter sits.
        training: how to train; its ``epochs`` is the last of ``keep``.
        keep: epochs after which the adapter is kept.
        max_length: tokens of a sample.
        dtype: of all weights.
        cache: folder of fetched assets.
        wheels: wheels brought by hand.
    """

    data: Path
    model: str
    lora: LoraSettings
    training: TrainingSettings
    keep: tuple[int, ...]
    max_length: int = 128
    dtype: str = "float32"
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.keep or min(self.keep) < 1 or len(set(self.keep)) != len(self.keep):
            raise InputError(f"epochs: expected distinct epochs of at least 1, got {list(self.keep)}")
        if max(self.keep) != self.training.epochs:
            raise InputError(f"epochs: the last one kept must be {self.training.epochs}, got {max(self.keep)}")
        if self.max_length < 2:
            raise InputError(f"max_length: expected at least 2 tokens, got {self.max_length}")


def run_finetune(
    config: FinetuneConfig, state: Path, out: Path, device: str = "auto", threads: int | None = None
) -> None:
    """Train, writing ``out/epoch-E/`` (PEFT adapters), ``out/training.csv`` and ``out/info.json``; whole or not at all.

    Args:
        config: see :class:`FinetuneConfig`.
        state: folder for what is needed to go on after a kill; removed at the end.
        out: folder to write; replaced if it exists.
        device: ``auto``, ``cpu``, ``cuda``.
        threads: of torch's operations.

    Raises:
        InputError: data, model or adapter targets that cannot be used; a loss that diverges.
    """
    import pandas as pd

    check_out(out, ["epoch-*", TRAINING])
    device = resolve_device(device)
    set_threads(threads)
    info = read_info(config.data)
    folder = resolve_model_folder(parse_source(config.model), config.cache, config.wheels)
    labels = len(info["label_names"])
    tokenizer, padding = open_tokenizer(folder, labels)
    model = adapted_classifier(folder, labels, config.lora, config.training.seed, config.dtype)
    tell_padding(model.config, tokenizer.pad_token_id)
    max_length = bounded(config.max_length, longest_input(tokenizer, model.config, model))
    splits = {name: encode(tokenizer, read_split(config.data, name), max_length) for name in SPLITS}
    check_ends(model.get_base_model(), splits)
    model.to(device)
    check_scorable(model, splits["train"])
    _warn_of_cut(splits, max_length)

    identity = digest([_identity(config), info["content_sha256"]])
    kept = state / "kept"
    _start(state, identity)

    def on_epoch(epoch: int) -> None:
        if epoch not in config.keep:
            return
        with atomic_directory(kept / f"epoch-{epoch}") as temporary:
            save_adapter(model, config.model, temporary)
            accuracies = {
                f"{name}_accuracy": classification_accuracy(model, Batches(splits[name], EVALUATION_BATCH))
                for name in ("validation", "test")
            }
            write_json(temporary / "accuracy.json", accuracies)
            write_record(temporary / RECORD, {"outputs": hashed(temporary, "*")})

    logs = finetune(model, splits["train"], config.training, state / "resume.safetensors", identity, on_epoch)

    rows = []
    for log in logs:
        accuracies = _accuracies(kept / f"epoch-{log.epoch}") if log.epoch in config.keep else {}
        rows.append({"epoch": log.epoch, "step": log.step, "loss": log.loss, **accuracies})
    with atomic_directory(out) as temporary:
        for epoch in config.keep:
            shutil.copytree(kept / f"epoch-{epoch}", temporary / f"epoch-{epoch}", ignore=lambda *_: [RECORD])
        columns = ["epoch", "step", "loss", "validation_accuracy", "test_accuracy"]
        write_text(temporary / TRAINING, pd.DataFrame(rows, columns=columns).to_csv(index=False))
        more = {
            "data_sha256": info["content_sha256"],
            "labels": len(info["label_names"]),
            "inputs": {**hashed(config.data, "*.parquet"), **model_files(config.model)},
            "outputs": hashed(temporary, "epoch-*/*", TRAINING),
            "truncated": {name: split.truncated for name, split in splits.items()},
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        }
        # What the settings do not say, as the tokenizer or the model decided it.
        if max_length != config.max_length:
            more["max_length"] = max_length
        if padding is not None:
            more["padding"] = padding
        write_record(temporary / RECORD, fingerprint(_identity(config), device, **more))
    discard(state)


SPLITS = ("train", "validation", "test")


def read_finetuned(folder: Path) -> dict[str, Any]:
    """What :func:`run_finetune` wrote of its run into ``info.json``.

    Raises:
        InputError: it is missing, or lacks what scoring needs, or what was written has changed since.
    """
    path = folder / RECORD
    info = read_record(path)
    settings = info.get("settings") if isinstance(info, dict) else None
    if not isinstance(settings, dict):
        raise InputError(f"{path}: no settings; expected what 'mislabel finetune' wrote")
    lora = settings.get("lora")
    found = {**settings, **info, "rank": lora.get("rank") if isinstance(lora, dict) else None}
    expected = {
        "data_sha256": str,
        "labels": int,
        "model": str,
        "keep": list,
        "max_length": int,
        "dtype": str,
        "rank": int,
    }
    for key, kind in expected.items():
        if not isinstance(found.get(key), kind):
            raise InputError(f"{path}: {key} is {found.get(key)!r}; expected what 'mislabel finetune' wrote")
    finetuned: dict[str, Any] = info
    return finetuned


def read_accuracy(folder: Path, epochs: Sequence[int]) -> list[float]:
    """The test accuracy after each of the epochs.

    Raises:
        InputError: the table of the training is missing, or has no such epoch.
    """
    import pandas as pd

    path = folder / TRAINING
    try:
        accuracy = pd.read_csv(path).set_index("epoch")["test_accuracy"]
        return [float(accuracy.loc[epoch]) for epoch in epochs]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected what 'mislabel finetune' wrote") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no test accuracy of every epoch ({type(error).__name__}: {error})") from None


def open_tokenizer(folder: str, labels: int) -> tuple[Any, str | None]:
    """The tokenizer of a model that classifies, ready to pad, and the token that it pads with if it had none.

    Raises:
        InputError: no tokenizer, or a model that does not classify texts into so many classes.
    """
    config = classifier_config(folder, labels)
    tokenizer = load_tokenizer(folder)
    return tokenizer, agree_on_padding(tokenizer, config)


def check_ends(model: Any, splits: Mapping[str, EncodedText]) -> None:
    """See that all texts have as many tokens of the text's end as the head of an encoder-decoder wants.

    Such a head (T5, BART) reads the state at the last of them, and transformers refuses a batch in which their numbers
    differ: in the middle of a training, should one text hold the end's own spelling.

    Raises:
        InputError: names the sample that differs.
    """
    if not model.config.is_encoder_decoder or hasattr(model, "score"):
        return
    end = model.config.eos_token_id
    wanted = max(1, min(splits["train"].counts(end)))
    for name, split in splits.items():
        for sample, count in zip(split.ids, split.counts(end), strict=True):
            if count != wanted:
                raise InputError(
                    f"{name}: sample {sample!r} has {count} tokens that end a text (id {end}), expected {wanted} as in"
                    " all others: the model's head reads the last one"
                )


def _warn_of_cut(splits: Mapping[str, EncodedText], max_length: int) -> None:
    cut = {name: split.truncated for name, split in splits.items() if split.truncated}
    if cut:
        shown = ", ".join(f"{count:,} of {len(splits[name]):,} in {name}" for name, count in cut.items())
        _log.warning("texts of more than %d tokens are cut at their end: %s", max_length, shown)


def encode(tokenizer: Any, split: TextSplit, max_length: int) -> EncodedText:
    """A split as tokens, with its observed (noisy) labels."""
    return EncodedText(tokenizer, split.sample_ids, split.texts, split.pairs, split.labels, max_length)


def _identity(config: FinetuneConfig) -> dict[str, Any]:
    """What decides the result: not where files lie, nor how often the state is saved."""
    plain: dict[str, Any] = to_json(config)
    for key in ("data", "cache", "wheels"):
        del plain[key]
    del plain["training"]["save_seconds"]
    return plain


def _start(state: Path, identity: str) -> None:
    """Adapters that a run of other settings has kept, or that are damaged, must not end up in this one's output."""
    marker = state / "identity"
    own = marker.is_file() and marker.read_bytes() == identity.encode()
    if is_main() and not (own and _whole(state / "kept")):
        if state.exists():
            shutil.rmtree(state)
        (state / "kept").mkdir(parents=True)
        write_text(marker, identity)
    wait_for_all()


def _whole(kept: Path) -> bool:
    try:
        for epoch in kept.glob("epoch-*"):
            read_record(epoch / RECORD)
    except InputError as damage:
        _log.warning("%s; training begins again", str(damage).partition(": damaged")[0])
        return False
    return True


def _accuracies(folder: Path) -> dict[str, float]:
    accuracies: dict[str, float] = read_json(folder / "accuracy.json")
    return accuracies
