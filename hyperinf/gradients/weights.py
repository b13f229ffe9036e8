"""Which weights' gradients are taken, which modules use them, and how each gradient is laid out as a matrix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

GfimAxis = Literal["larger", "smaller"]
GFIM_AXES: tuple[GfimAxis, ...] = ("larger", "smaller")


@dataclass(frozen=True)
class Use:
    """A module that holds a weight and may use it in its forward call."""

    module: nn.Module
    kind: str


@dataclass(frozen=True)
class AdaptedLayer:
    """A weight whose per-sample gradients are taken.

    Attributes:
        name: as ``model.named_parameters()`` has it.
        weight: the parameter.
        uses: the modules that hold it, of kinds whose gradients are known from what they see; a weight that is shared
            has several, one that is used in no such module has none.
        matrix: shape of the gradient as a matrix, before ``transposed``.
        transposed: whether the matrix's second axis comes first.
    """

    name: str
    weight: nn.Parameter
    uses: tuple[Use, ...]
    matrix: tuple[int, int]
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """``(r, d)`` of the gradient, rank first."""
        rows, columns = self.matrix
        return (columns, rows) if self.transposed else (rows, columns)

    def laid_out(self, gradient: Tensor) -> Tensor:
        """Lay a gradient in the weight's own shape out as ``Tensor[r, d]``."""
        matrix = (gradient.to_dense() if gradient.is_sparse else gradient).reshape(self.matrix)
        return matrix.T if self.transposed else matrix


def adapted_layers(
    model: nn.Module, layers: Sequence[str] | None = None, gfim_axis: GfimAxis = "larger"
) -> list[AdaptedLayer]:
    """Find the weights whose per-sample gradients are taken, in the order of the model.

    Args:
        model: any module.
        layers: names of weights as ``model.named_parameters()`` has them: matrices, kernels, embeddings, biases or
            norms, frozen or not. When None, every trainable weight of two or more axes, or every trainable one where
            none has two (biases alone, scaling vectors).
        gfim_axis: which axis of a weight that is no LoRA factor the ``d x d`` GFIM is over.

    Returns:
        The weights. A LoRA A ``(r, d_in)`` stays as it is, a LoRA B ``(d_out, r)`` is transposed, and of any other
        weight the axis that ``gfim_axis`` names comes last. A kernel is the matrix ``(out, in * height * width)``, a
        bias or norm ``(1, features)``.

    Raises:
        ValueError: a name that the model lacks or that stands twice, a weight that cannot have a gradient, no
            trainable weight at all, or another ``gfim_axis``.
    """
    if gfim_axis not in GFIM_AXES:
        raise ValueError(f"gfim_axis: got {gfim_axis!r}, expected one of {', '.join(GFIM_AXES)}")
    holders: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for attribute, parameter in module.named_parameters(recurse=False):
            holders.setdefault(id(parameter), []).append((module, attribute))
    parameters = dict(model.named_parameters(remove_duplicate=False))
    found: list[AdaptedLayer] = []
    seen: dict[int, str] = {}
    for name in _trainable_names(model) if layers is None else _known(layers, parameters):
        weight = parameters[name]
        if id(weight) in seen:
            raise ValueError(f"layers: got {name!r} and {seen[id(weight)]!r}, which are one weight; expected it once")
        seen[id(weight)] = name
        if not (weight.is_floating_point() and weight.numel()):
            raise ValueError(f"layers: got {name!r} of dtype {weight.dtype}, which has no gradient; leave it out")
        uses = tuple(
            Use(module, kind)
            for module, attribute in holders[id(weight)]
            if attribute == "weight" and (kind := _kind(module)) is not None
        )
        matrix = _matrix(weight, holders[id(weight)][0][0])
        found.append(AdaptedLayer(name, weight, uses, matrix, _is_transposed(name, matrix, gfim_axis)))
    return found


def left_out(model: nn.Module, layers: Sequence[AdaptedLayer]) -> tuple[str, ...]:
    """Name the trainable weights that are not among ``layers``: what they learn is in no score."""
    taken = {id(layer.weight) for layer in layers}
    return tuple(name for name, weight in model.named_parameters() if weight.requires_grad and id(weight) not in taken)


def _trainable_names(model: nn.Module) -> list[str]:
    trainable = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    names = [name for name, weight in trainable if weight.ndim >= 2] or [name for name, _ in trainable]
    if names:
        return names
    if any("lora_" in name for name, _ in model.named_parameters()):
        raise ValueError(
            "layers: got a model whose adapter is frozen, expected a trainable weight; load it with"
            " PeftModel.from_pretrained(..., is_trainable=True), or name the layers"
        )
    raise ValueError(
        "layers: got a model without one, expected a trainable weight; name the layers, or put an adapter on it"
    )


def _known(layers: Sequence[str], parameters: dict[str, nn.Parameter]) -> list[str]:
    if isinstance(layers, str):
        raise ValueError(f"layers: got the text {layers!r}, expected a list of names")
    names = list(layers)
    if not names:
        raise ValueError("layers: got none, expected at least one name")
    for name in names:
        if name not in parameters:
            raise ValueError(f"layers: got {name!r}, expected names of the model's parameters")
    return names


def _kind(module: nn.Module) -> str | None:
    """Name the kind whose gradient is known from inputs and outputs; whether that holds is checked later."""
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.Embedding):
        return "embedding"
    if isinstance(module, (nn.Conv1d, nn.Conv2d)) and module.groups == 1 and module.padding_mode == "zeros":
        return "convolution"
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):  # of transformers: a linear layer, transposed
        return "transposed linear"
    return None


def has_plain_forward(use: Use) -> bool:
    """Tell whether the module's forward call is the known one of its kind, not one of a subclass."""
    forwards: dict[str, tuple[Callable[..., Tensor], ...]] = {
        "linear": (nn.Linear.forward,),
        "embedding": (nn.Embedding.forward,),
        "convolution": (nn.Conv1d.forward, nn.Conv2d.forward),
    }
    known = forwards.get(use.kind)
    return known is None or type(use.module).forward in known


def _matrix(weight: Tensor, holder: nn.Module) -> tuple[int, int]:
    if weight.ndim <= 1:
        return 1, weight.numel()
    if weight.ndim == 2:
        return weight.shape[0], weight.shape[1]
    if isinstance(holder, nn.modules.conv._ConvNd):
        return weight.shape[0], weight[0].numel()
    return weight.numel() // weight.shape[-1], weight.shape[-1]


def _is_transposed(name: str, matrix: tuple[int, int], gfim_axis: GfimAxis) -> bool:
    parts = name.split(".")
    if "lora_A" in parts or "lora_embedding_A" in parts:
        return False
    if "lora_B" in parts or "lora_embedding_B" in parts:
        return True
    rows, columns = matrix
    return rows > columns if gfim_axis == "larger" else rows < columns


def dtype_of(weight: Tensor) -> torch.dtype:
    """Choose the dtype in which a weight's gradients are given: its own, float32 at least."""
    return torch.promote_types(weight.dtype, torch.float32)
