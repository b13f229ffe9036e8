"""Batches of whatever form a model takes: moved to a device, cut to some of their samples, freed of padding."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

TOKENS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "position_ids", "special_tokens_mask")
"""Keys whose second axis is the tokens of the text."""


REFUSALS = (ValueError, RuntimeError, IndexError, KeyError, TypeError, AssertionError)
"""What models raise at a batch that they cannot take."""


class CannotSplitError(Exception):
    """Which part of a batch belongs to which sample cannot be told."""


def moved(value: Any, device: torch.device | str) -> Any:
    """Move the tensors of a batch to a device; what was made under inference mode is copied out of it."""
    if isinstance(value, Tensor):
        with torch.inference_mode(False):
            return (value.clone() if value.is_inference() else value).to(device)
    if isinstance(value, (Mapping, tuple, list)):
        return mapped(value, lambda item: moved(item, device))
    return value.to(device) if hasattr(value, "to") else value


def labels_of(batch: Any) -> Any:
    """Find the labels of a mapping or a pair; None where there are none."""
    if isinstance(batch, Mapping):
        return batch.get("labels")
    return batch[1] if isinstance(batch, (tuple, list)) and len(batch) == 2 else None


def first_tensor(value: Any, axes: int = 1) -> Tensor | None:
    """Find the first tensor of a batch with at least so many axes."""
    if isinstance(value, Tensor):
        return value if value.ndim >= axes else None
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            found = first_tensor(item, axes)
            if found is not None:
                return found
    return None


def kinds_of(batch: Any) -> tuple[Hashable, ...]:
    """Say what a batch is made of, whatever its values and sizes: hashable."""
    if isinstance(batch, Mapping):
        return tuple((str(key), kinds_of(batch[key])) for key in sorted(batch, key=str))
    if isinstance(batch, (tuple, list)):
        return tuple(kinds_of(item) for item in batch)
    if isinstance(batch, Tensor):
        return batch.ndim, str(batch.dtype)
    return (type(batch).__name__,)


def samples_in(batch: Any) -> int | None:
    """Count the samples that a batch seems to hold, by its labels or its first tensor."""
    labels = labels_of(batch)
    tensor = labels if isinstance(labels, Tensor) and labels.ndim else first_tensor(batch)
    return None if tensor is None else len(tensor)


def width_of(batch: Any) -> int:
    """Count the tokens of a batch of texts, or what else stands in the second axis of its first tensor that has one."""
    ids = batch.get("input_ids") if isinstance(batch, Mapping) else None
    tensor = ids if isinstance(ids, Tensor) and ids.ndim > 1 else first_tensor(batch, 2)
    return 1 if tensor is None else tensor.shape[1]


def rows_of(value: Any, rows: Sequence[int], samples: int) -> Any:
    """Cut a batch to some of its samples.

    Args:
        value: the batch or a part of it.
        rows: of the samples that stay.
        samples: in the batch.

    Raises:
        CannotSplitError: a tensor without one row a sample.
    """
    if isinstance(value, Tensor):
        if value.ndim == 0 or (value.shape[0] == 1 and samples > 1):
            return value
        if value.shape[0] == samples:
            return value[list(rows)]
        if value.ndim > 2 and value.shape[1] == samples:  # position ids of several kinds, [kinds, b, t]
            return value[:, list(rows)]
        raise CannotSplitError
    if isinstance(value, Mapping):
        return mapped(value, lambda item: rows_of(item, rows, samples))
    if isinstance(value, (tuple, list)):
        if any(isinstance(item, (Tensor, Mapping, tuple, list)) for item in value):
            return mapped(value, lambda item: rows_of(item, rows, samples))
        if len(value) == samples:
            return type(value)(value[row] for row in rows)
        raise CannotSplitError
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CannotSplitError


def mask_of(batch: Any) -> Tensor | None:
    """Find the attention mask ``Tensor[b, t]`` of a batch, where it has one of two axes."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return mask_of(batch[0])
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    return mask if isinstance(mask, Tensor) and mask.ndim == 2 else None


def padding_of(batch: Any) -> Tensor | None:
    """Count the padded positions of each sample, ``Tensor[b]``; None where the batch does not say."""
    mask = mask_of(batch)
    return None if mask is None else (mask == 0).sum(dim=1)


def company_of(batch: Any) -> tuple[bool, bool, bool]:
    """Tell whether a batch has padding at its left, padding elsewhere, and more than one sample."""
    mask = mask_of(batch)
    alone = samples_in(batch) == 1
    if mask is None or not mask.shape[1]:
        return False, False, not alone
    return bool((mask[:, 0] == 0).any()), bool((mask[:, 1:] == 0).any()), not alone


def without_padding(batch: Any, with_labels: bool) -> Any:
    """Cut the columns in which no sample has a token.

    Args:
        batch: a mapping with ``attention_mask``, or a pair of one and labels.
        with_labels: whether labels ``[b, t]`` stand at the same tokens.
    """
    mask = mask_of(batch)
    if mask is None:
        return batch
    used = (mask != 0).any(dim=0)
    if bool(used.all()) or not bool(used.any()):
        return batch

    def cut(value: Any, wanted: bool) -> Any:
        fits = isinstance(value, Tensor) and value.ndim > 1 and value.shape[1] == len(used)
        return value[:, used] if wanted and fits else value

    def cut_labels(value: Any) -> Any:
        return cut(value, with_labels and isinstance(value, Tensor) and not value.is_floating_point())

    if isinstance(batch, Mapping):
        keys = {key: cut_labels(v) if key == "labels" else cut(v, key in TOKENS) for key, v in batch.items()}
        return _like(batch, keys)
    inputs, labels = batch
    return _like(batch, [without_padding(inputs, with_labels), cut_labels(labels)])


def mapped(value: Any, change: Any) -> Any:
    """Change the items of a mapping, tuple or list, and make a container of the same kind of them."""
    if isinstance(value, Mapping):
        return _like(value, {key: change(item) for key, item in value.items()})
    return _like(value, [change(item) for item in value])


def _like(value: Any, items: Any) -> Any:
    """Make a container of the same kind, so that attributes and names still work."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    try:
        return type(value)(items)
    except TypeError:
        return items
