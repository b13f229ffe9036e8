"""Per-sample losses: each sample's own, as its model defines it, so that no batch changes them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from hyperinf.gradients.kinds import is_transformers_model, kind_of, plain_model

LossFunction = Callable[[nn.Module, Any], Tensor]
IGNORED = -100


def default_loss(model: nn.Module, batch: Any) -> Tensor:
    """Compute the loss of each sample as the model itself defines it.

    Padding changes no loss: where the batch has an ``attention_mask``, what a causal model predicts of or from padding
    does not count, and positions are counted from each sample's first token.

    Args:
        model: of transformers (a PEFT model, a compiled or a wrapped one too), or any module that returns logits.
        batch: a mapping of the model's keyword arguments with ``labels``, or a pair ``(inputs, labels)``. Labels are
            classes ``[b]`` for logits ``[b, classes]``; of a transformers model also numbers or several classes
            (``problem_type``), token ids ``[b, t]`` of a causal, masked or sequence-to-sequence language model, tags
            ``[b, t]``, or ``start_positions`` and ``end_positions`` of answers. -100 stands where nothing counts.

    Returns:
        ``Tensor[b]``: cross-entropy (of token ids and tags its mean over the sample's own), squared error for
        regression, mean binary cross-entropy for several classes.

    Raises:
        ValueError: labels are missing or do not fit, a sample has no token that counts, several samples are packed
            into one row, or the model's own loss is not known.
    """
    kind = kind_of(model)
    if kind == "question answering" and isinstance(batch, Mapping) and "labels" not in batch:
        return _span_loss(model, batch)
    inputs, labels = _split(batch)
    if not isinstance(labels, Tensor) or labels.ndim == 0:
        raise ValueError(f"labels: got a {type(labels).__name__}, expected a tensor with one row a sample")
    if labels.is_floating_point() and not is_transformers_model(model):
        raise ValueError(f"labels: got {labels.dtype}, expected integer classes or token ids; pass loss_fn instead")
    if kind == "sequence to sequence" and isinstance(inputs, Mapping) and "decoder_input_ids" not in inputs:
        inputs = {**inputs, "labels": labels}  # the model makes its decoder's input of them
    logits = logits_of(_called(model, inputs))
    if logits.element_size() < 4:
        logits = logits.float()
    if labels.ndim == 2 and logits.ndim == 3:
        return _token_loss(model, kind, inputs, logits, labels)
    if logits.ndim == 2 and labels.shape[0] == logits.shape[0]:
        return _class_loss(model, logits, labels)
    raise ValueError(
        f"labels: got shape {list(labels.shape)} for logits of shape {list(logits.shape)}, expected [b] for"
        " [b, classes], or [b, t] for [b, t, vocabulary]; pass loss_fn for anything else"
    )


def causal_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Compute :func:`default_loss` of a causal language model on left-padded batches, without the work nobody needs.

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
    return mean_over_tokens(*answer_logits(model, batch))


def answer_logits(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the logits ``[b, k, vocabulary]`` that predict the answers at the end, and their targets ``[b, k]``.

    See :func:`causal_loss`; -100 stands where no answer token is predicted.
    """
    inputs, labels = _split(batch)
    targets = next_tokens(labels, inputs)[:, :-1]
    answered = (targets != IGNORED).any(dim=0)
    keep = targets.shape[1] - int(answered.nonzero()[0, 0]) if bool(answered.any()) else 1
    shortened = {key: value[:, :-1] if value.ndim == 2 else value for key, value in inputs.items()}
    return model(**shortened, logits_to_keep=keep).logits, targets[:, -keep:]


def logits_of(output: Any) -> Tensor:
    """Take the logits of what a model returned: a tensor, an object or mapping with ``logits``, or a tuple.

    Raises:
        ValueError: there are none.
    """
    found = output
    if isinstance(output, Mapping):
        found = output.get("logits")
    elif isinstance(output, (tuple, list)):
        found = next((item for item in output if isinstance(item, Tensor) and item.is_floating_point()), None)
    elif not isinstance(output, Tensor):
        found = getattr(output, "logits", None)
    if not isinstance(found, Tensor):
        raise ValueError(f"model: got a {type(output).__name__} without logits, expected logits; pass loss_fn instead")
    return found


def _called(model: nn.Module, inputs: Any) -> Any:
    return model(**with_positions(model, inputs)) if isinstance(inputs, Mapping) else model(inputs)


def with_positions(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Add the positions of left-padded texts, counted from each one's first token, for a model that takes them.

    Left alone are models that count from the padding id or know several kinds of positions.
    """
    mask = inputs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.ndim != 2 or "position_ids" in inputs or bool((mask[:, 0] != 0).all()):
        return dict(inputs)
    inner = plain_model(model)
    if not is_transformers_model(model) or "position_ids" not in inspect.signature(inner.forward).parameters:
        return dict(inputs)
    if any(hasattr(module, "create_position_ids_from_input_ids") for module in inner.modules()):
        return dict(inputs)
    if hasattr(inner, "get_rope_index") or any(hasattr(module, "get_rope_index") for module in inner.children()):
        return dict(inputs)
    return {**inputs, "position_ids": ((mask != 0).long().cumsum(dim=1) - 1).clamp(min=0)}


def _token_loss(model: nn.Module, kind: str, inputs: Any, logits: Tensor, labels: Tensor) -> Tensor:
    labels = _as_classes(labels)
    if kind == "causal":
        targets = next_tokens(labels, inputs if isinstance(inputs, Mapping) else {})
        virtual = logits.shape[1] - labels.shape[1]
        if virtual > 0:  # a learnt prompt stands in front, whose last token predicts the first one of the text
            targets = torch.cat([targets.new_full((len(targets), virtual), IGNORED), targets], dim=1)
            targets[:, virtual - 1] = _first_tokens(labels, inputs)
        return mean_over_tokens(logits, targets)
    if kind not in ("token by token", "sequence to sequence"):
        raise ValueError(
            f"labels: got token labels [b, t] for a {type(plain_model(model)).__name__}, whose own loss is not known;"
            " expected a causal, masked, sequence-to-sequence or token-classification model of transformers, or loss_fn"
        )
    if logits.shape[1] != labels.shape[1]:
        raise ValueError(f"labels: got {labels.shape[1]} positions, expected {logits.shape[1]}, those of the logits")
    return mean_over_tokens(logits, labels)


def next_tokens(labels: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """Give the target of each position, ``Tensor[b, t]``: the next label; none at the last, none of or from padding.

    Raises:
        ValueError: several samples are packed into one row.
    """
    _check_one_sample_a_row(inputs)
    targets = torch.full_like(labels, IGNORED)
    targets[:, :-1] = labels[:, 1:]
    mask = inputs.get("attention_mask")
    if isinstance(mask, Tensor) and mask.shape == labels.shape:
        real = mask != 0
        real = real[:, :-1] & real[:, 1:]
        targets[:, :-1] = torch.where(real, targets[:, :-1], IGNORED)
    return targets


def _first_tokens(labels: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    mask = inputs.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.shape != labels.shape:
        return labels[:, 0]
    return torch.where(mask[:, 0] != 0, labels[:, 0], IGNORED)


def _check_one_sample_a_row(inputs: Mapping[str, Any]) -> None:
    positions, mask = inputs.get("position_ids"), inputs.get("attention_mask")
    packed = any(key in inputs for key in ("cu_seq_lens_q", "cu_seqlens", "seq_idx"))
    if isinstance(positions, Tensor) and positions.ndim == 2 and positions.shape[1] > 1:
        falls = positions[:, 1:] < positions[:, :-1]
        if isinstance(mask, Tensor) and mask.shape == positions.shape:
            falls = falls & (mask[:, :-1] != 0) & (mask[:, 1:] != 0)
        packed = packed or bool(falls.any())
    if packed:
        raise ValueError(
            "batch: got several samples packed into one row, expected one row a sample; use a collator that pads"
        )


def mean_over_tokens(logits: Tensor, targets: Tensor) -> Tensor:
    """Average the cross-entropy over each row's targets, ``Tensor[b]``; ``logits[:, t]`` predict ``targets[:, t]``.

    Raises:
        ValueError: a row has no target.
    """
    counts = (targets != IGNORED).sum(dim=1)
    if bool((counts == 0).any()):
        row = int((counts == 0).nonzero()[0, 0])
        raise ValueError(f"batch: got no answer token in row {row}, expected labels other than {IGNORED}")
    logits = logits.float() if logits.element_size() < 4 else logits
    # One row a token: with the classes on an inner axis it takes three times as long and is less exact.
    tokens = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED)
    return tokens.view_as(targets).sum(dim=1) / counts


def _class_loss(model: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
    problem = _problem_type(model, logits, labels)
    if problem == "single_label_classification":
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim != 1:
            raise ValueError(f"labels: got shape {list(labels.shape)} of integers, expected one class a sample, [b]")
        return cross_entropy(logits, _as_classes(labels), reduction="none")
    labels = labels.to(logits.dtype)
    if labels.ndim == 1 and logits.shape[1] == 1:
        labels = labels[:, None]
    if labels.shape != logits.shape:
        raise ValueError(f"labels: got shape {list(labels.shape)}, expected {list(logits.shape)}, that of the logits")
    if problem == "regression":
        return mse_loss(logits, labels, reduction="none").mean(dim=1)
    return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)


def _problem_type(model: nn.Module, logits: Tensor, labels: Tensor) -> str:
    """Decide as transformers would: by the configuration, or by the number of outputs and the labels' dtype."""
    config = getattr(plain_model(model), "config", None) if is_transformers_model(model) else None
    known = getattr(config, "problem_type", None)
    if known is not None:
        return str(known)
    if config is not None and logits.shape[1] == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


def _span_loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Average the cross-entropies of an answer's start and end; a position outside the text does not count."""
    missing = [key for key in ("start_positions", "end_positions") if key not in batch]
    if missing:
        raise ValueError(f"batch: got {sorted(batch)}, expected {missing[0]!r} as well")
    inputs = {key: value for key, value in batch.items() if key not in ("start_positions", "end_positions")}
    output, mask = _called(model, inputs), inputs.get("attention_mask")
    losses = []
    for logits, key in ((output["start_logits"], "start_positions"), (output["end_logits"], "end_positions")):
        if isinstance(mask, Tensor) and mask.shape == logits.shape:
            logits = logits.masked_fill(mask == 0, torch.finfo(logits.dtype).min)  # no answer stands in padding
        places = batch[key].reshape(len(logits)).long().clamp(0, logits.shape[1])
        logits = logits.float() if logits.element_size() < 4 else logits
        losses.append(cross_entropy(logits, places, reduction="none", ignore_index=logits.shape[1]))
    return (losses[0] + losses[1]) / 2


def _as_classes(labels: Tensor) -> Tensor:
    if labels.is_floating_point():
        raise ValueError(f"labels: got {labels.dtype}, expected integer classes or token ids; pass loss_fn instead")
    return labels.long()


def _split(batch: Any) -> tuple[Any, Tensor]:
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            raise ValueError(f"batch: got the keys {sorted(map(str, batch))}, expected a key 'labels'")
        return {key: value for key, value in batch.items() if key != "labels"}, batch["labels"]
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    raise ValueError(
        f"batch: got a {type(batch).__name__}, expected a mapping with 'labels' or a pair (inputs, labels)"
    )
