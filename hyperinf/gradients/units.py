"""Powers of two of the size of numbers: dividing by them is exact and takes products away from the ends of a range."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Sizes between its inverse and this need no other unit than 1: products of four of them are far inside float32.
ORDINARY = 2.0**32


def exponent_of(size: float) -> int:
    """Find ``e`` of the largest power of two ``2^e <= size``; 0 where the size is zero or not finite."""
    return math.frexp(size)[1] - 1 if 0 < size < math.inf else 0


def exponent_needed(size: float) -> int:
    """Find the exponent of the unit that numbers of this size need: 0 where the size is ordinary."""
    return 0 if 1 / ORDINARY <= size <= ORDINARY else exponent_of(size)


def largest(x: Tensor) -> float:
    """Find the largest absolute value of ``x``, 0 of nothing."""
    return float(x.abs().amax()) if x.numel() else 0.0


def numbers(scalars: Sequence[Tensor]) -> list[float]:
    """Fetch tensors of one number each, from a device all at once: each time that it is waited for costs."""
    if not scalars:
        return []
    return [float(each) for each in torch.stack([each.to(scalars[0].device) for each in scalars]).tolist()]


def all_largest(tensors: Sequence[Tensor]) -> list[float]:
    """Find the largest absolute value of each tensor, as :func:`largest` does of one."""
    sizes = iter(numbers(_norms([x for x in tensors if x.numel()])))
    return [next(sizes) if x.numel() else 0.0 for x in tensors]


def _norms(tensors: list[Tensor]) -> Sequence[Tensor]:
    # One operation for all is what counts on a GPU; on a CPU the same norm takes twice as long.
    if any(x.is_cuda for x in tensors):
        return torch._foreach_norm(tensors, math.inf)
    return [x.abs().amax() for x in tensors]


def shifted(x: Tensor, exponent: int) -> Tensor:
    """Compute ``2^exponent x`` in its dtype, exactly where the dtype has it; ``x`` itself where the exponent is 0."""
    if exponent == 0:
        return x
    half = exponent // 2  # the power itself can be out of the range that x and the result are in
    return x * 2.0**half * 2.0 ** (exponent - half)


def sizes_of_each(stacks: Sequence[Tensor]) -> list[list[float]]:
    """Find the largest absolute value of each ``x[k]`` of tensors ``[k, ...]``, fetched from a device all at once."""
    sizes = iter(torch.cat([_sizes(stack).to(stacks[0].device) for stack in stacks]).tolist() if stacks else [])
    return [[next(sizes) for _ in range(len(stack))] for stack in stacks]


def _sizes(stack: Tensor) -> Tensor:
    if not stack.numel():
        return stack.new_zeros(len(stack))
    low, high = stack.flatten(1).aminmax(dim=1)  # one pass, and no copy
    return torch.maximum(-low, high)


def each_shifted(stack: Tensor, exponents: Sequence[int], in_place: bool = False) -> Tensor:
    """Compute ``2^exponent_k x[k]`` of ``Tensor[k, ...]``, as :func:`shifted` does of one; itself where all are 0."""
    if not any(exponents):
        return stack
    first, second = (
        stack.new_tensor(powers).view(-1, *(1 for _ in stack.shape[1:])) for powers in _in_two_steps(exponents)
    )
    return (stack.mul_(first) if in_place else stack * first).mul_(second)


def all_shifted(tensors: Sequence[Tensor], exponents: Sequence[int]) -> list[Tensor]:
    """Compute ``2^exponent x`` of each tensor, as :func:`shifted` does of one, with few operations for all."""
    if not any(exponents):
        return list(tensors)
    first, second = _in_two_steps(exponents)
    half_way = torch._foreach_mul(list(tensors), first)
    torch._foreach_mul_(half_way, second)
    return list(half_way)


def _in_two_steps(exponents: Sequence[int]) -> tuple[list[float], list[float]]:
    """Give powers of two whose products are those asked for, which can be out of the range that ``x`` is in."""
    halves = [exponent // 2 for exponent in exponents]
    return [2.0**half for half in halves], [2.0 ** (each - half) for each, half in zip(exponents, halves, strict=True)]
