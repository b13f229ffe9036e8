"""The synthetic problem ``A x = v`` of the convergence study, drawn from a seed and never held whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

# 1024 rows of 4096 float32 values are 16 MiB: large enough for a full-speed matrix product, small beside A itself.
CHUNK_ROWS = 1024


@dataclass(frozen=True)
class SyntheticProblem:
    """``A = 1/N sum_i s_i s_i^T + damping I`` with ``s_i ~ N(0, I_d)``, and ``v ~ N(0, I_d)``.

    The published study's problem (its Section 3 and ``converge_test.py``). Every draw comes from NumPy's PCG64 on
    the CPU, seeded by (seed, dim, samples), so that a cell of the grid has the same draws on every device and
    whatever other cells are run. The samples are regenerated whenever they are asked for: N x d is never stored.

    Attributes:
        dim: d, the order of A.
        samples: N, the number of vectors ``s_i`` averaged.
        damping: what is added to the diagonal; positive.
        seed: chooses the draws; not negative.
        chunk_rows: how many ``s_i`` exist at a time; changes no draw, and A only by rounding.
    """

    dim: int
    samples: int
    damping: float
    seed: int
    chunk_rows: int = field(default=CHUNK_ROWS, compare=False)

    def sample_chunks(self, device: torch.device | str = "cpu") -> Iterator[Tensor]:
        """Yield the samples in order: ``Tensor[c, d]``, float32, ``c <= chunk_rows``, the same at every call."""
        draws = np.random.Generator(np.random.PCG64(self._streams()[0]))
        for start in range(0, self.samples, self.chunk_rows):
            rows = min(self.chunk_rows, self.samples - start)
            yield torch.from_numpy(draws.standard_normal((rows, self.dim), dtype=np.float32)).to(device)

    def vector(self, device: torch.device | str = "cpu") -> Tensor:
        """The right-hand side v: ``Tensor[d]``, float32."""
        draws = np.random.Generator(np.random.PCG64(self._streams()[1]))
        return torch.from_numpy(draws.standard_normal(self.dim, dtype=np.float32)).to(device)

    def second_moment(self, device: torch.device | str = "cpu") -> Tensor:
        """The undamped sum ``sum_i s_i s_i^T``: ``Tensor[d, d]``, float32, exactly symmetric."""
        total = torch.zeros(self.dim, self.dim, device=device)
        for chunk in self.sample_chunks(device):
            total.addmm_(chunk.T, chunk)
        return (total + total.T) / 2

    def matrix(self, device: torch.device | str = "cpu") -> Tensor:
        """A: ``Tensor[d, d]``, float32 as in the published study, exactly symmetric."""
        matrix = self.second_moment(device).div_(self.samples)
        matrix.diagonal().add_(self.damping)
        return matrix

    def _streams(self) -> list[np.random.SeedSequence]:
        return np.random.SeedSequence((self.seed, self.dim, self.samples)).spawn(2)
