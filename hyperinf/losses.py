"""Per-sample losses: each sample's own, so that no batch changes them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

LossFunction = Callable[[nn.Module, Any], Tensor]
IGNORED = -100


def default_loss(model: nn.Module, batch: Any) -> Tensor:
    """The loss of each sample, chosen by the shape of the labels.

    Args:
        model: returns logits, or an output object with ``.logits``.
        batch: a mapping of the model's keyword arguments with ``labels``, or a pair ``(inputs, labels)``.
            Integer labels ``[b]`` mean classification; integer labels ``[b, t]`` mean a causal language model,
            with -100 at every position that does not count.

    Returns:
        ``Tensor[b]``: cross-entropy, for a language model its mean over the sample's own answer tokens.

    Raises:
        ValueError: labels are missing, not integers, or of another shape; a sample has no answer token.
    """
    inputs, labels = _split(batch)
    if labels.is_floating_point():
        raise ValueError(f"labels: expected integer classes or token ids, got {labels.dtype}; pass loss_fn instead")
    output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
    logits = output if isinstance(output, Tensor) else output.logits
    if labels.ndim == 1 and logits.ndim == 2:
        return cross_entropy(logits.float() if logits.element_size() < 4 else logits, labels, reduction="none")
    if labels.ndim == 2 and logits.ndim == 3:
        return _answer_token_loss(logits[:, :-1], labels[:, 1:])
    raise ValueError(
        f"labels of shape {list(labels.shape)} do not fit logits of shape {list(logits.shape)}: "
        "expected [b] with [b, classes], or [b, t] with [b, t, vocabulary]"
    )


def causal_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """:func:`default_loss` of a causal language model on left-padded batches, without the work nobody needs.

    Answers stand at the end of a left-padded batch. So only the last positions go through the output layer, which is
    most of the work of a small model with a large vocabulary, and the last token, which predicts nothing, is left out.

    Args:
        model: one of transformers' whose forward pass takes ``logits_to_keep``.
        batch: its keyword arguments with ``labels`` ``[b, t]``, -100 where no answer token stands. What is not
            ``[b, t]``, such as pictures ``[b, channels, height, width]``, is passed on as it is.

    Returns:
        ``Tensor[b]``: mean cross-entropy over each sample's own answer tokens.

    Raises:
        ValueError: a sample has no answer token.
    """
    inputs, labels = _split(batch)
    targets = labels[:, 1:]
    answered = (targets != IGNORED).any(dim=0)
    keep = targets.shape[1] - int(answered.nonzero()[0, 0]) if bool(answered.any()) else 1
    shortened = {key: value[:, :-1] if value.ndim == 2 else value for key, value in inputs.items()}
    return _answer_token_loss(model(**shortened, logits_to_keep=keep).logits, targets[:, -keep:])


def _answer_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over each row's targets; ``logits[:, t]`` predict ``targets[:, t]``."""
    counts = (targets != IGNORED).sum(dim=1)
    if bool((counts == 0).any()):
        row = int((counts == 0).nonzero()[0, 0])
        raise ValueError(f"row {row} of the batch has no answer token: all its labels are {IGNORED}")
    predictions = logits.transpose(1, 2)
    predictions = predictions.float() if predictions.element_size() < 4 else predictions
    tokens = cross_entropy(predictions, targets, reduction="none", ignore_index=IGNORED)
    return tokens.sum(dim=1) / counts


def _split(batch: Any) -> tuple[Any, Tensor]:
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            raise ValueError(f"batch: expected a key 'labels', got {sorted(batch)}")
        return {key: value for key, value in batch.items() if key != "labels"}, batch["labels"]
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    raise ValueError(f"batch: expected a mapping with 'labels' or a pair (inputs, labels), got {type(batch).__name__}")
