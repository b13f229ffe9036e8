"""Encodings of rows by a frozen model: the mean of its last states, taken once, kept in whole files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperinf.artifacts.parts import State
from hyperinf.errors import InputError
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.loading import first_line, load_incomplete, load_tokenizer, loaded
from hyperinf.models.padding import agree_on_padding, bounded, longest_input
from hyperinf.runtime.progress import track
from hyperinf.settings.mislabeled import MANY_ROWS

Floats = NDArray[np.float32]
_CHUNK = 128
_BATCH = 32
_TOKENS, _FEW_TOKENS = 128, 64


def encode_texts(
    folder: str,
    texts: Sequence[str],
    seconds: Sequence[str] | None,
    max_length: int | None,
    device: str,
    state: State,
) -> Floats:
    """Encode texts, or pairs of them, ``[n, d]``, standardised.

    Args:
        folder: of a model, or its name on the hub.
        texts: n texts.
        seconds: n second texts, or None.
        max_length: tokens of a row that are read; by the number of rows where None.
        device: where the model runs.
        state: keeps the encodings of each few hundred rows.

    Raises:
        InputError: no such model.
    """
    from transformers import AutoModel

    tokenizer = load_tokenizer(folder)
    model, missing = load_incomplete(AutoModel, folder, "float32")
    if lacking := [name for name in missing if "pooler" not in name]:
        raise InputError(f"{folder}: the model lacks the weights {min(lacking)}, expected all of them")
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    agree_on_padding(tokenizer, model.config)
    wanted = max_length or (_TOKENS if len(texts) <= MANY_ROWS else _FEW_TOKENS)
    limit = bounded(wanted, longest_input(tokenizer, model.config, model))
    encoder.to(device).eval()

    def chunk(start: int) -> dict[str, Floats]:
        part = slice(start, start + _CHUNK)
        ids = [str(row) for row in range(len(texts[part]))]
        pairs = None if seconds is None else seconds[part]
        encoded = EncodedText(tokenizer, ids, texts[part], pairs, [0] * len(ids), limit)
        found = np.zeros((len(ids), encoder.config.hidden_size), dtype=np.float32)
        for rows, batch in Batches(encoded, _BATCH):
            inputs = {name: value.to(device) for name, value in batch.items() if name != "labels"}
            found[[int(row) for row in rows]] = _mean_state(encoder, inputs)
        return {"encoding": found}

    return _standardised(_chunks(len(texts), chunk, state, "encoding", "rows"))


def encode_images(folder: str, paths: Sequence[str], device: str, state: State) -> Floats:
    """Encode images, ``[n, d]``, standardised.

    Raises:
        InputError: no such model, or one of anything but images; an image that cannot be read.
    """
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    processor = loaded(
        folder, "image processor", lambda: AutoImageProcessor.from_pretrained(folder, trust_remote_code=False)
    )
    model, missing = load_incomplete(AutoModel, folder, "float32")
    if lacking := [name for name in missing if "pooler" not in name]:
        raise InputError(f"{folder}: the model lacks the weights {min(lacking)}, expected all of them")
    model = getattr(model, "vision_model", model)
    model.to(device).eval()

    def opened(path: str) -> Any:
        try:
            return Image.open(path).convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: cannot be read ({first_line(error)}), expected an image") from None

    def chunk(start: int) -> dict[str, Floats]:
        parts = []
        for first in range(start, min(start + _CHUNK, len(paths)), _BATCH):
            last = min(first + _BATCH, start + _CHUNK)
            pixels = processor(images=[opened(each) for each in paths[first:last]], return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                states = model(pixel_values=pixels.to(device)).last_hidden_state
            # [b, t, d] of transformers, [b, d, h, w] of convolutions
            parts.append((states.mean(dim=1) if states.ndim == 3 else states.flatten(2).mean(dim=2)).cpu().numpy())
        return {"encoding": np.concatenate(parts).astype(np.float32)}

    return _standardised(_chunks(len(paths), chunk, state, "encoding", "images"))


def _chunks(rows: int, chunk: Any, state: State, what: str, unit: str) -> Floats:
    def parts() -> Iterator[Floats]:
        for start in range(0, rows, _CHUNK):
            yield state.once(f"encoding-{start}", lambda start=start: chunk(start))["encoding"]  # type: ignore[misc]

    return np.concatenate(list(track(parts(), rows, what, unit, size=len)))


@torch.inference_mode()
def _mean_state(encoder: Any, inputs: dict[str, torch.Tensor]) -> Floats:
    states = encoder(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, : states.shape[1], None].to(states.dtype)
    mean: Floats = ((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).float().cpu().numpy()
    return mean


def _standardised(view: Floats) -> Floats:
    spread = view.std(axis=0)
    return ((view - view.mean(axis=0)) / np.where(spread > 1e-8, spread, 1)).astype(np.float32)


def folder_name(folder: str) -> str:
    """Name a model by the last part of its path or hub name."""
    return Path(folder).name
