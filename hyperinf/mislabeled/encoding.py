"""Encodings of rows by a frozen model: the mean of its last states, taken once, kept in whole files."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperinf.artifacts.parts import State
from hyperinf.artifacts.views import View, in_parts
from hyperinf.errors import InputError
from hyperinf.models.encoding import Batches, EncodedText
from hyperinf.models.loading import first_line, load_incomplete, load_tokenizer, loaded
from hyperinf.models.padding import agree_on_padding, bounded, longest_input
from hyperinf.runtime.progress import track
from hyperinf.settings.mislabeled import MANY_ROWS

Floats = NDArray[np.float32]
Encoder = Callable[[slice], Floats]
"""Gives the encodings of a part of the rows, ``[b, d]``."""
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
) -> View:
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
    return _stored(len(texts), partial(_text_encoder, folder, texts, seconds, max_length, device), state, "rows")


def _text_encoder(
    folder: str, texts: Sequence[str], seconds: Sequence[str] | None, max_length: int | None, device: str
) -> Encoder:
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

    def encode(part: slice) -> Floats:
        ids = [str(row) for row in range(len(texts[part]))]
        pairs = None if seconds is None else seconds[part]
        encoded = EncodedText(tokenizer, ids, texts[part], pairs, [0] * len(ids), limit)
        found = np.zeros((len(ids), encoder.config.hidden_size), dtype=np.float32)
        for rows, batch in Batches(encoded, _BATCH):
            inputs = {name: value.to(device) for name, value in batch.items() if name != "labels"}
            found[[int(row) for row in rows]] = _mean_state(encoder, inputs)
        return found

    return encode


def encode_images(folder: str, paths: Sequence[str], device: str, state: State) -> View:
    """Encode images, ``[n, d]``, standardised.

    Raises:
        InputError: no such model, or one of anything but images; an image that cannot be read.
    """
    return _stored(len(paths), partial(_image_encoder, folder, paths, device), state, "images")


def _image_encoder(folder: str, paths: Sequence[str], device: str) -> Encoder:
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

    def encode(part: slice) -> Floats:
        parts = []
        for batch in in_parts(len(paths[part]), _BATCH):
            images = [opened(each) for each in paths[part][batch]]
            pixels = processor(images=images, return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                states = model(pixel_values=pixels.to(device)).last_hidden_state
            # [b, t, d] of transformers, [b, d, h, w] of convolutions
            parts.append((states.mean(dim=1) if states.ndim == 3 else states.flatten(2).mean(dim=2)).cpu().numpy())
        return np.concatenate(parts).astype(np.float32)

    return encode


def _stored(rows: int, encoder: Callable[[], Encoder], state: State, unit: str) -> View:
    """Encode the rows and standardise them; a model is loaded where there is something to encode."""
    loaded_encoder = cache(encoder)

    def encoded(part: slice) -> dict[str, Floats]:
        return {"encoding": loaded_encoder()(part)}

    def parts() -> Iterator[Floats]:
        for part in in_parts(rows, _CHUNK):
            yield state.once(f"encoding-{part.start}", partial(encoded, part))["encoding"]

    def standardised() -> Iterator[Floats]:
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for part in track(parts(), rows, "encoding", unit, size=len):
            own = part.mean(axis=0, dtype=np.float64)
            apart, total = own - mean, count + len(part)
            # Sums of squares of parts are put together as by Chan, Golub and LeVeque (1983).
            squares = squares + ((part - own) ** 2).sum(axis=0) + apart**2 * count * len(part) / total
            mean, count = mean + apart * len(part) / total, total
        spread = np.sqrt(squares / count)
        spread = np.where(spread > 1e-8, spread, 1)
        for part in parts():
            yield ((part - mean) / spread).astype(np.float32)

    return state.view("encoding", rows, standardised)


@torch.inference_mode()
def _mean_state(encoder: Any, inputs: dict[str, torch.Tensor]) -> Floats:
    states = encoder(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, : states.shape[1], None].to(states.dtype)
    mean: Floats = ((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).float().cpu().numpy()
    return mean
