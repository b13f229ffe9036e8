"""How far apart two passes through a model may be, and still be the same but for rounding."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

FINE = torch.finfo(torch.float32).eps


def rounding_of(model: nn.Module, others: Iterable[Tensor] = ()) -> float:
    """Give the coarsest machine epsilon among a model's weights and other tensors of a pass through it.

    Args:
        model: any module; one whose weights are packed in integers computes in bfloat16 at the finest.
        others: gradients or activations: a loss function may use autocast.
    """
    dtypes = {weight.dtype for weight in model.parameters()} | {tensor.dtype for tensor in others}
    floating = [torch.finfo(dtype).eps for dtype in dtypes if dtype.is_floating_point and dtype.itemsize > 1]
    packed = any(not dtype.is_floating_point or dtype.itemsize == 1 for dtype in dtypes)
    epsilon = max([*floating, torch.finfo(torch.bfloat16).eps if packed else 0.0], default=FINE)
    tf32 = takes_tf32() and any(weight.is_cuda for weight in model.parameters())
    return max(epsilon, 1e-3 if tf32 and epsilon >= FINE else 0.0)


def takes_tf32() -> bool:
    """Tell whether products of float32 on a GPU are in TF32, by whichever switch the caller has set.

    The newer switch knows of the older one, which raises where the newer one says something else.
    """
    matmul = torch.backends.cuda.matmul
    newer = getattr(matmul, "fp32_precision", None)
    return bool(matmul.allow_tf32) if newer is None else newer == "tf32"


def close(a: Tensor, b: Tensor, epsilon: float) -> bool:
    """Tell whether losses are the same but for the rounding of a deep model.

    Args:
        a: ``Tensor[b]``.
        b: ``Tensor[b]``.
        epsilon: of :func:`rounding_of`.
    """
    relative = min(0.1, _relative(epsilon))
    return torch.allclose(a.double(), b.double(), rtol=relative, atol=relative / 5)


def same_gradient(a: Tensor, b: Tensor, size: float, epsilon: float) -> bool:
    """Tell whether a sample's gradients of one weight are the same but for the rounding of a deep model.

    Args:
        a: ``Tensor[r, d]``.
        b: ``Tensor[r, d]``.
        size: norm of the sample's gradient over all weights; a weight that has next to none of it is all rounding.
        epsilon: of :func:`rounding_of`.
    """
    difference, own = float((a.double() - b.double()).norm()), float(a.double().norm())
    return not difference > min(0.3, 2 * _relative(epsilon)) * (own + 0.01 * size)


def _relative(epsilon: float) -> float:
    return 2000 * epsilon if epsilon >= FINE else 1e-5
