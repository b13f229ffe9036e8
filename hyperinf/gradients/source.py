"""The one interface between gradients and everything that uses them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from hyperinf.gradients.contractions import Dense, LayerGradients
from hyperinf.gradients.scratch import Scratch
from hyperinf.gradients.sweeping import checked, clean_ids

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class GradientBlock:
    """Per-sample gradients of a few samples.

    Attributes:
        gradients: ``{layer name: the gradients of that layer}``: held, or as the factors that they are products of.
        sample_ids: the ``b`` samples' ids, in the order of the rows.
        losses: ``Tensor[b]``, each sample's own loss, where the source knows it.
        mask: ``Tensor[b, w]``, zero where a token of the batch is padding, where the batch says so.
    """

    gradients: Mapping[str, LayerGradients]
    sample_ids: tuple[str, ...]
    losses: Tensor | None = None
    mask: Tensor | None = None

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], sample_ids: tuple[str, ...], losses: Tensor | None = None) -> Self:
        """Make a block of gradients that are held, ``{layer name: Tensor[b, r, d]}``, rank first."""
        scratch = Scratch()
        return cls({name: Dense(tensor, scratch) for name, tensor in tensors.items()}, sample_ids, losses)

    def __len__(self) -> int:
        return len(self.sample_ids)


@runtime_checkable
class GradientSource(Protocol):
    """Per-sample gradients that can be swept again and again, a block at a time.

    Curvature and scoring code takes a source and cannot tell a store on disk from live extraction, so its memory
    does not grow with the number of samples. A source of one's own derives from this class, or has all that it has.
    """

    @property
    def layers(self) -> Mapping[str, tuple[int, int]]:
        """``{layer name: (r, d)}`` in a fixed order."""
        ...

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids of all samples in the order of every sweep."""
        ...

    def __iter__(self) -> Iterator[GradientBlock]:
        """Begin a new sweep over all blocks, in the same order every time."""
        ...

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.sample_ids)

    @property
    def known_length(self) -> int | None:
        """The number of samples; None where a sweep would be needed to tell it."""
        return len(self)

    def layer(self, name: str) -> Tensor:
        """Give all samples' gradients of one layer, ``Tensor[n, r, d]``; by a sweep where one layer cannot be read."""
        return torch.cat([block.gradients[name].dense() for block in checked(self, "gradients")])


# Of a block of gradients that are in memory. A block is views of them, so that more samples cost no memory but what is
# computed of the block of one layer.
BLOCK_BYTES = 2**30


class TensorSource(GradientSource):
    """Gradients that are already in memory.

    Args:
        gradients: ``{layer name: Tensor[n, r, d]}``, each layer in its own floating dtype and on its own device.
        sample_ids: ``n`` distinct ids, strings, numbers or an integer tensor; ``"0"``, ``"1"``, ... when not given.
        block_size: samples in a block; no result depends on it beyond rounding. As `BLOCK_BYTES` has room when None.
        losses: ``Tensor[n]``, each sample's own loss, if known.

    Attributes:
        origin: where they were taken, whose factors can be had again; None where that is not at hand.

    Raises:
        ValueError: no layer, a tensor that is not ``[n, r, d]`` in float16, bfloat16, float32 or float64, different
            ``n``, or ids that do not fit.
    """

    def __init__(
        self,
        gradients: Mapping[str, Tensor],
        sample_ids: Sequence[Any] | Tensor | None = None,
        block_size: int | None = None,
        losses: Tensor | None = None,
    ) -> None:
        if not gradients:
            raise ValueError("gradients: got none, expected at least one layer")
        if block_size is not None and block_size < 1:
            raise ValueError(f"block_size: got {block_size}, expected at least 1")
        for name, tensor in gradients.items():
            if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_meta:
                what = f"a {tensor.layout} one on {tensor.device}" if isinstance(tensor, Tensor) else type(tensor)
                raise ValueError(f"gradients of {name!r}: got {what}, expected a dense torch.Tensor with values")
            if tensor.ndim != 3:
                raise ValueError(f"gradients of {name!r}: got shape {list(tensor.shape)}, expected [n, r, d]")
            if tensor.dtype not in FLOATING:
                known = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATING)
                raise ValueError(f"gradients of {name!r}: got {tensor.dtype}, expected one of {known}")
        counts = {name: tensor.shape[0] for name, tensor in gradients.items()}
        samples = next(iter(counts.values()))
        if len(set(counts.values())) > 1:
            raise ValueError(f"gradients: got {counts} samples, expected as many of every layer")
        ids = tuple(map(str, range(samples))) if sample_ids is None else clean_ids(sample_ids)
        if len(ids) != samples or (sample_ids is not None and len(set(ids)) != samples):
            raise ValueError(f"sample_ids: got {len(ids)} ({len(set(ids))} distinct), expected {samples} distinct ids")
        if losses is not None and tuple(losses.shape) != (samples,):
            raise ValueError(f"losses: got shape {list(losses.shape)}, expected [{samples}]")
        self._gradients = {name: tensor.detach() for name, tensor in gradients.items()}
        self._ids = ids
        self._block_size = block_size or _samples_in_block(self._gradients)
        self._losses = losses
        self.origin: GradientSource | None = None

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """``{layer name: (r, d)}``."""
        return {name: (tensor.shape[1], tensor.shape[2]) for name, tensor in self._gradients.items()}

    @property
    def device(self) -> torch.device:
        """Where the first layer's are."""
        return next(iter(self._gradients.values())).device

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """The ids in the order of the rows."""
        return self._ids

    def __iter__(self) -> Iterator[GradientBlock]:
        for start in range(0, len(self._ids), self._block_size):
            rows = slice(start, start + self._block_size)
            whole = self._block_size >= len(self._ids)
            yield GradientBlock.of(
                self._gradients if whole else {name: tensor[rows] for name, tensor in self._gradients.items()},
                self._ids[rows],
                None if self._losses is None else self._losses[rows],
            )

    def layer(self, name: str) -> Tensor:
        """Give the tensor that is held."""
        return self._gradients[name]

    @classmethod
    def gather(cls, source: GradientSource) -> "TensorSource":
        """Hold all of ``source`` in memory, from one sweep of it."""
        pieces: dict[str, list[Tensor]] = {name: [] for name in source.layers}
        ids: list[str] = []
        losses: list[Tensor] = []
        for block in checked(source, "gradients"):
            for name, held in pieces.items():
                held.append(block.gradients[name].dense())
            ids.extend(block.sample_ids)
            losses += [] if block.losses is None else [block.losses]
        gathered = cls(
            {name: torch.cat(held) for name, held in pieces.items()}, ids, losses=torch.cat(losses) if losses else None
        )
        gathered.origin = source
        return gathered


def _samples_in_block(gradients: Mapping[str, Tensor]) -> int:
    """Count the samples whose gradients of all layers are at most `BLOCK_BYTES`, at least 1."""
    sample = sum(math.prod(tensor.shape[1:]) * tensor.element_size() for tensor in gradients.values())
    return max(1, BLOCK_BYTES // max(1, sample))
