"""Whether the loss that is taken of a transformers model is the model's own, and none that sees its answer."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import mask_of
from hyperinf.gradients.kinds import is_transformers_model, kind_of, plain_model
from hyperinf.gradients.losses import (
    IGNORED,
    LossFunction,
    causal_loss,
    default_loss,
    logits_of,
    next_tokens,
    with_positions,
)
from hyperinf.gradients.modes import evaluation
from hyperinf.gradients.rounding import FINE, close, rounding_of


def check_own_loss(model: nn.Module, batch: Any, loss_fn: LossFunction) -> None:
    """Check the losses of this package on a batch against what the model returns with ``labels``.

    Nothing is checked of a user's own ``loss_fn`` or of a module that is none of transformers'.

    Args:
        model: any module.
        batch: one sample, or a batch that cannot be cut.
        loss_fn: that which will be used.

    Raises:
        ValueError: the model's own loss of a sample is another, or it sees the answers that it is judged by.
    """
    if loss_fn not in (default_loss, causal_loss) or not is_transformers_model(model):
        return
    if not isinstance(batch, Mapping) or not isinstance(batch.get("labels"), Tensor):
        return
    with torch.inference_mode(False), torch.no_grad(), evaluation(model), _quiet():
        if loss_fn is default_loss:
            _check_same(model, batch)
        if (loss_fn is causal_loss or kind_of(model) == "causal") and batch["labels"].ndim == 2:
            _check_unseen(model, batch)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what transformers says where a model without a loss type of its own takes the usual one."""
    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_same(model: nn.Module, batch: Mapping[str, Any]) -> None:
    """Compare one sample alone; of several the model's own loss is a mean that need not weigh them alike."""
    labels, mask = batch["labels"], mask_of(batch)
    if len(labels) > 1 or (mask is not None and not bool((mask != 0).all())):
        return
    inner = plain_model(model)
    problem = getattr(inner.config, "problem_type", None)
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    try:
        output = model(**with_positions(model, inputs), labels=labels)
    except (ValueError, RuntimeError, IndexError, TypeError, NotImplementedError):
        return  # its own loss does not take such labels: integers of another width, a class where it wants several
    finally:
        if hasattr(inner.config, "problem_type"):
            inner.config.problem_type = problem
    own = output.get("loss") if isinstance(output, Mapping) else None
    if not isinstance(own, Tensor) or own.ndim:
        return
    ours = default_loss(model, {**inputs, "labels": labels})[0]
    if not close(ours, own, max(FINE, rounding_of(model))):
        raise ValueError(
            f"model: got a loss of {float(ours):.6g} where the {type(inner).__name__} itself has {float(own):.6g},"
            " expected the same; pass loss_fn"
        )


def _check_unseen(model: nn.Module, batch: Mapping[str, Any]) -> None:
    """Check that another last answer token does not change what stands before it."""
    ids, labels = batch.get("input_ids"), batch["labels"]
    if not isinstance(ids, Tensor) or ids.shape != labels.shape or ids.shape[1] < 2:
        return
    judged = next_tokens(labels, batch) != IGNORED  # the positions whose logits are judged, by the token after
    last = judged.shape[1] - judged.flip(1).long().argmax(dim=1)
    rows = [row for row in range(len(ids)) if bool(judged[row].any())]
    changed = ids.clone()
    for row in rows:
        changed[row, last[row]] = _another(model, int(ids[row, last[row]]))
    inputs = with_positions(model, {key: value for key, value in batch.items() if key != "labels"})
    try:
        before, after = (logits_of(model(**{**inputs, "input_ids": each})) for each in (ids, changed))
    except ValueError:
        return  # the changed text has another number of pictures' tokens
    virtual = before.shape[1] - ids.shape[1]
    tolerance = min(0.05, 100 * rounding_of(model, [before]))
    for row in rows:
        same, other = (logits[row, virtual:][judged[row]].double() for logits in (before, after))
        size = max(float(same.abs().max()), 1e-3)
        if float((same - other).abs().max()) > tolerance * size:
            raise ValueError(
                f"model: got a {type(plain_model(model)).__name__} that sees the answers it is judged by (its"
                " logits change with a later token), expected a causal model; set is_decoder, or give the"
                " token_type_ids it needs"
            )


def _another(model: nn.Module, token: int) -> int:
    """Find another token than this, and none that pads or stands for a picture or a sound."""
    inner = plain_model(model)
    names = ("pad_token_id", "image_token_id", "image_token_index", "video_token_id", "audio_token_id")
    taken = {token, *(getattr(inner.config, name, None) for name in names)}
    size = int(inner.get_input_embeddings().weight.shape[0])
    return next((other % size for other in range(token + 1, token + 8) if other % size not in taken), token)
