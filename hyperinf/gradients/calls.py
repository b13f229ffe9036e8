"""What the modules that hold a weight saw in one forward pass, and the two factors of the weight's gradient."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import unfold
from torch.utils.hooks import RemovableHandle

from hyperinf.gradients.weights import AdaptedLayer, Use


@dataclass(frozen=True)
class Call:
    """One call of a module: its input, the edge of its output in the graph, and where the samples may stand.

    Attributes:
        use: index of the module among the weight's uses.
        input: what it was given, detached.
        version: of the input, which tells whether it was overwritten since.
        edge: of the output; its gradient is asked for. An in-place operation on the output would rebind the tensor's
            own edge, not this one.
        lead: shape of the positions, all axes of the output but the features.
    """

    use: int
    input: Tensor
    version: int
    edge: GradientEdge
    lead: tuple[int, ...]


@dataclass
class Recording:
    """The calls of one weight's modules in a forward pass.

    Attributes:
        layer: the weight.
        calls: in the order in which they ran.
        without_graph: whether a call ran without autograd.
        strange: whether a call had arguments or an output that its kind does not have.
    """

    layer: AdaptedLayer
    calls: list[Call] = field(default_factory=list)
    without_graph: bool = False
    strange: bool = False

    def record(self, use: int, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        """Note a call; nothing is computed."""
        module, kind = self.layer.uses[use].module, self.layer.uses[use].kind
        value = arguments[0] if arguments else keywords.get("input", keywords.get("x"))
        if not isinstance(value, Tensor) or not isinstance(output, Tensor):
            self.strange = True
            return
        lead = _lead(kind, module, value, output)
        if lead is None:
            self.strange = True
        elif not output.requires_grad:
            self.without_graph = True
        else:
            self.calls.append(Call(use, value.detach(), value._version, get_gradient_edge(output), lead))

    def factors(self, call: Call, output_gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Make the factors of the gradient, rank first: ``Tensor[*lead, r]`` and ``Tensor[*lead, d]``.

        Raises:
            ValueError: the input was overwritten after the call.
        """
        if call.input._version != call.version:
            raise ValueError(
                f"layer {self.layer.name!r}: got an input overwritten in place after its use, expected it as it was"
            )
        rows, columns = _FACTORS[self.layer.uses[call.use].kind](
            self.layer.uses[call.use].module, call.input, output_gradient
        )
        return (columns, rows) if self.layer.transposed else (rows, columns)


@contextmanager
def recorded(layers: Sequence[AdaptedLayer]) -> Iterator[list[Recording]]:
    """Record the calls of the layers' modules within the block."""
    recordings = [Recording(layer) for layer in layers]
    handles: list[RemovableHandle] = []
    try:
        for recording in recordings:
            for index, use in enumerate(recording.layer.uses):
                handles.append(_hooked(recording, index, use))
        yield recordings
    finally:
        for handle in handles:
            handle.remove()


def _hooked(recording: Recording, index: int, use: Use) -> RemovableHandle:
    def hook(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        recording.record(index, arguments, keywords, output)

    return use.module.register_forward_hook(hook, with_kwargs=True)


def _lead(kind: str, module: Any, value: Tensor, output: Tensor) -> tuple[int, ...] | None:
    """Find the shape of the positions; None where input and output are not those of this kind of module."""
    if kind == "convolution":
        spatial = 1 if isinstance(module, nn.Conv1d) else 2
        if value.ndim != spatial + 2 or output.ndim != spatial + 2:
            return None
        return output.shape[0], output[0, 0].numel()
    if kind == "embedding":
        lead = tuple(value.shape)
    else:
        lead = tuple(value.shape[:-1])
    if tuple(output.shape[:-1]) != lead:
        return None
    return lead or (1,)


def _of_linear(_: Any, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return _at_least_2d(gradient), _at_least_2d(value)


def _of_transposed_linear(_: Any, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return _at_least_2d(value), _at_least_2d(gradient)


def _at_least_2d(value: Tensor) -> Tensor:
    return value.unsqueeze(0) if value.ndim == 1 else value


def _of_embedding(module: Any, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Take rows of the identity for the tokens looked up, none for the padding's, which has no gradient."""
    chosen = torch.zeros(*value.shape, module.num_embeddings, dtype=gradient.dtype, device=gradient.device)
    chosen.scatter_(-1, value.long().unsqueeze(-1), 1.0)
    if module.padding_idx is not None:
        chosen[..., module.padding_idx] = 0.0
    return _at_least_2d(chosen), _at_least_2d(gradient)


def _of_convolution(module: Any, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the patches under the kernel at every place of the output: ``[n, places, in * height * width]``."""
    if value.ndim == 3:  # in one dimension: of height 1
        value, gradient = value.unsqueeze(2), gradient.unsqueeze(2)
        kernel, stride, dilation = ((1, *size) for size in (module.kernel_size, module.stride, module.dilation))
    else:
        kernel, stride, dilation = module.kernel_size, module.stride, module.dilation
    left, right, top, bottom = _padding(module)
    padded = torch.nn.functional.pad(value, (left, right, top, bottom))
    patches = unfold(padded, kernel, dilation=dilation, stride=stride)
    return gradient.flatten(2).transpose(1, 2), patches.transpose(1, 2)


def _padding(module: Any) -> tuple[int, int, int, int]:
    """Count the zeros at the left, right, top and bottom."""
    around = list(module._reversed_padding_repeated_twice)
    if module.padding == "valid":
        around = [0] * len(around)
    left, right = around[:2]
    top, bottom = around[2:] if len(around) > 2 else (0, 0)
    return left, right, top, bottom


_FACTORS = {
    "linear": _of_linear,
    "transposed linear": _of_transposed_linear,
    "embedding": _of_embedding,
    "convolution": _of_convolution,
}
