"""Exact per-sample gradients of linear layers, from one batched forward and backward pass.

A linear layer ``y = x W^T`` has the gradient ``sum_t dy_t x_t^T`` for each sample, so recording the layer's input
and the gradient of its output is enough: no loop over samples, no ``vmap`` through the model's control flow.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from hyperinf.gradients.contractions import Factors
from hyperinf.losses import LossFunction, default_loss


@dataclass(frozen=True)
class AdaptedLayer:
    """A linear layer whose weight's gradient is wanted, and how that gradient is laid out."""

    name: str
    module: nn.Linear
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """``(r, d)`` of the gradient, rank first."""
        out_features, in_features = self.module.weight.shape
        return (in_features, out_features) if self.transposed else (out_features, in_features)


def adapted_layers(model: nn.Module, layers: Sequence[str] | None = None) -> list[AdaptedLayer]:
    """The linear layers whose per-sample gradients are taken, in the order of the model.

    Args:
        model: any module.
        layers: names of weights as ``model.named_parameters()`` has them; every trainable weight matrix when None.

    Returns:
        The layers. A LoRA A ``(r, d_in)`` stays as it is, a LoRA B ``(d_out, r)`` is transposed, and of any other
        weight the smaller axis comes first. Biases and norms are not matrices and are not scored.

    Raises:
        ValueError: a name that the model lacks, a weight that does not belong to a ``torch.nn.Linear``, or no
            trainable weight matrix at all.
    """
    owners = {
        f"{prefix}.{name}" if prefix else name: (module, name)
        for prefix, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }
    parameters = dict(model.named_parameters())
    if layers is None:
        wanted = [name for name, weight in parameters.items() if weight.requires_grad and weight.ndim >= 2]
        if not wanted:
            raise ValueError("the model has no trainable weight matrix: name the layers, or put an adapter on it")
    else:
        wanted = list(layers)
        for name in wanted:
            if name not in parameters:
                raise ValueError(f"layers: the model has no parameter named {name!r}")
    found = []
    for name in wanted:
        module, attribute = owners[name]
        if not isinstance(module, nn.Linear) or attribute != "weight":
            raise ValueError(
                f"{name!r} belongs to a {type(module).__name__}: per-sample gradients are taken of torch.nn.Linear "
                "weights; freeze it or name the layers to use"
            )
        found.append(AdaptedLayer(name, module, _is_transposed(name, module)))
    return found


def per_sample_gradients(
    model: nn.Module,
    batch: Any,
    loss_fn: LossFunction | None = None,
    layers: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """Gradients of each sample's own loss, of the evaluation forward pass (dropout off).

    Args:
        model: any module whose first axis of every adapted layer's input is the batch.
        batch: what ``loss_fn`` takes; for the default a mapping with ``labels`` or a pair ``(inputs, labels)``.
        loss_fn: ``(model, batch) -> Tensor[b]``, each sample's own loss; :func:`default_loss` when None.
        layers: names of the weights; every trainable weight matrix when None. A frozen weight may be named.

    Returns:
        ``{parameter name: Tensor[b, r, d]}``, rank first, float32 or better, detached.

    Raises:
        ValueError: see :func:`adapted_layers` and :func:`default_loss`; also a loss that is not a vector, or a layer
            whose input does not keep one row a sample.
    """
    factors, _ = factors_and_losses(model, batch, loss_fn or default_loss, adapted_layers(model, layers))
    return {name: factors.pop(name).dense() for name in list(factors)}


def factors_and_losses(
    model: nn.Module, batch: Any, loss_fn: LossFunction, layers: Sequence[AdaptedLayer]
) -> tuple[dict[str, Factors], Tensor]:
    """Per-sample gradients as their factors ``{name: ([b, t, r], [b, t, d])}``, and losses ``Tensor[b]``.

    The factors are the tensors that the forward and the backward pass made, in their own dtype: layers that share an
    input share it here too.
    """
    calls = [_Calls(layer) for layer in layers]
    with torch.enable_grad(), _evaluation(model), _trainable(layers), _recorded(calls):
        losses = loss_fn(model, batch)
    if losses.ndim != 1:
        raise ValueError(f"loss_fn: expected one loss a sample, shape [b], got shape {list(losses.shape)}")
    edges = [edge for call in calls for edge in call.edges]
    if not edges:
        raise ValueError("none of the layers took part in the forward pass")
    output_gradients = iter(torch.autograd.grad(losses.sum(), edges, allow_unused=True))
    factors = {
        call.layer.name: call.factors([next(output_gradients) for _ in call.edges], losses.shape[0]) for call in calls
    }
    return factors, losses.detach()


@dataclass
class _Calls:
    """What one layer saw in the forward pass: a layer that is used twice has two calls."""

    layer: AdaptedLayer
    inputs: list[Tensor] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    edges: list[GradientEdge] = field(default_factory=list)

    def record(self, _module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
        if not output.requires_grad:
            raise ValueError(
                f"{self.layer.name!r} ran without autograd: loss_fn must not use no_grad or reentrant checkpointing"
            )
        self.inputs.append(arguments[0].detach())
        self.versions.append(arguments[0]._version)
        # The edge, not the tensor: an in-place operation on the output later would rebind the tensor's own.
        self.edges.append(get_gradient_edge(output))

    def factors(self, output_gradients: Sequence[Tensor | None], samples: int) -> Factors:
        """The calls' positions one after the other; calls that the losses do not depend on have none."""
        inputs, outputs = [], []
        for x, version, dy in zip(self.inputs, self.versions, output_gradients, strict=True):
            if x._version != version:
                raise ValueError(f"the input of {self.layer.name!r} was overwritten in place after it was used")
            if x.shape[0] != samples:
                raise ValueError(
                    f"{self.layer.name!r} saw {x.shape[0]} rows for {samples} samples: "
                    "per-sample gradients need one row a sample"
                )
            if dy is not None:
                inputs.append(_by_position(x))
                outputs.append(_by_position(dy))
        weight = self.layer.module.weight
        x, dy = (
            torch.cat(parts, dim=1) if len(parts) > 1 else parts[0] if parts else weight.new_zeros(samples, 0, features)
            for parts, features in ((inputs, weight.shape[1]), (outputs, weight.shape[0]))
        )
        return Factors(x, dy) if self.layer.transposed else Factors(dy, x)


def _by_position(x: Tensor) -> Tensor:
    """``[b, ..., features]`` as ``[b, t, features]``; not a copy unless the axes between are interleaved."""
    return x.unsqueeze(1) if x.ndim == 2 else x.flatten(1, -2)


def _is_transposed(name: str, module: nn.Linear) -> bool:
    parts = name.split(".")
    if "lora_A" in parts:
        return False
    if "lora_B" in parts:
        return True
    return module.out_features > module.in_features


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Dropout off; each module's own mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _trainable(layers: Sequence[AdaptedLayer]) -> Iterator[None]:
    """A frozen layer that was asked for must still be part of the graph."""
    frozen = [layer.module.weight for layer in layers if not layer.module.weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)


@contextmanager
def _recorded(calls: Sequence[_Calls]) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    try:
        for call in calls:
            handles.append(call.layer.module.register_forward_hook(call.record))
        yield
    finally:
        for handle in handles:
            handle.remove()
