"""What curvature and scores take of one layer's per-sample gradients: a few sums and products, never the gradients.

A linear layer's gradient of sample i is ``g_i = L_i^T R_i``, where ``L_i: [t, r]`` and ``R_i: [t, d]`` are the input of
the layer and the gradient of its output at the t positions of the sample (which of them is L follows from the layout).
Two forms answer the same questions: :class:`Dense` holds ``g``, :class:`Factors` holds L and R and forms a gradient
only where that takes fewer operations, a few samples at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hyperinf.gradients.scratch import GRAM_NUMBERS, Scratch, at_once, symmetric_product
from hyperinf.gradients.units import exponent_needed, exponent_of, largest, shifted
from hyperinf.runtime.choice import Form, chosen

# Squares of numbers of a size between its inverse and this are well inside float32.
SAFE = 2.0**50
# Numbers of intermediate results at a time, 16 MiB in float32; one sample may need more than that.
SCRATCH = 2**22
# Operations that take as long as writing and reading one number of a gradient that is formed.
WRITTEN = 8
# Samples whose gradients are added up in float32.
IN_A_ROW = 256
# Numbers whose squares float32 adds up to some 1e-8 of their sum.
LONG_ROW = 2048


class LayerGradients(ABC):
    """The gradients ``g_i: [r, d]`` of ``b`` samples for one layer, behind what is taken of them."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """``(b, r, d)``."""

    @property
    def device(self) -> torch.device:
        """Where products are taken."""
        return self.row(0).device

    @abstractmethod
    def scaled(self, exponent: int) -> "LayerGradients":
        """Multiply by ``2^exponent``, exactly, in :attr:`dtype`."""

    @abstractmethod
    def silent(self) -> bool:
        """Tell whether all gradients are zero."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """What products are computed in: the gradients' own dtype, float32 or better."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Give the gradients themselves, ``Tensor[b, r, d]``."""

    @abstractmethod
    def row(self, index: int) -> Tensor:
        """Give the gradient of one sample, ``Tensor[r, d]``."""

    def pieces(self) -> "Iterator[LayerGradients]":
        """Take the samples apart in order, where several products of a few at a time cost less than each of all.

        A piece is used before the next one is asked for.
        """
        yield self

    @abstractmethod
    def dots(self, vectors: Tensor) -> Tensor:
        """Compute ``<g_i, v_k>`` of every sample and vector.

        Args:
            vectors: ``Tensor[k, r, d]``. Gradients that are held are taken to its dtype; factors keep their own.

        Returns:
            ``Tensor[b, k]``.
        """

    @abstractmethod
    def squares(self) -> Tensor:
        """Compute ``|g_i|^2`` of every sample, ``Tensor[b]``, float64."""

    @abstractmethod
    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """Compute ``sum_i g_i^T g_i``.

        Args:
            dtype: of the products; :attr:`dtype` when None.

        Returns:
            ``Tensor[d, d]``, symmetric up to rounding.
        """

    @abstractmethod
    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Compute ``sum_i w_i g_i``.

        Args:
            weights: ``Tensor[b]``. Gradients that are held are taken to its dtype; factors keep their own.

        Returns:
            ``Tensor[r, d]``.
        """

    @abstractmethod
    def weighted_sums(self, weights: Tensor) -> Tensor:
        """Compute ``sum_i w_ik g_i`` of k sets of weights, each as :meth:`weighted_sum` would up to rounding.

        Args:
            weights: ``Tensor[b, k]``.

        Returns:
            ``Tensor[k, r, d]``.
        """

    @abstractmethod
    def sum(self) -> Tensor:
        """Compute ``sum_i g_i``, ``Tensor[r, d]``, float64; of factors rounded as :attr:`dtype`."""

    @abstractmethod
    def finite(self) -> Tensor:
        """Tell of each sample whether everything that its gradient is made of is finite, ``Tensor[b]``."""


class Dense(LayerGradients):
    """Gradients that are held.

    Args:
        gradients: ``Tensor[b, r, d]``.
        scratch: memory for a few of them in float64, shared with others whose products are not taken meanwhile.
        wide: ``Tensor[b, r d]``, the same gradients in float64, where somebody has made them.
    """

    def __init__(self, gradients: Tensor, scratch: Scratch | None = None, wide: Tensor | None = None) -> None:
        self._gradients = gradients
        self._scratch = scratch or Scratch()
        self._wide = wide

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the gradients held."""
        samples, rank, columns = self._gradients.shape
        return samples, rank, columns

    @property
    def dtype(self) -> torch.dtype:
        """That of the gradients held, float32 at least."""
        return torch.promote_types(self._gradients.dtype, torch.float32)

    @property
    def device(self) -> torch.device:
        """That of the gradients held."""
        return self._gradients.device

    def scaled(self, exponent: int) -> "Dense":
        """Copy the gradients, but for the exponent 0."""
        if exponent == 0:
            return self
        return Dense(shifted(self._gradients.to(self.dtype), exponent), self._scratch)

    def silent(self) -> bool:
        """Tell whether no entry differs from zero."""
        return not bool(self._gradients.any())

    def pieces(self) -> "Iterator[Dense]":
        """Take so few samples at a time that their copy in float64 stays in the cache of a CPU."""
        if self._wide is not None or self._gradients.dtype == torch.float64:
            yield self
            return
        _, rank, columns = self.shape
        for rows in self._gradients.split(at_once(rank * columns, self._gradients.device)):
            yield Dense(rows, self._scratch, self._scratch.widened(rows.flatten(1)))

    def _doubles(self) -> Iterator[Tensor]:
        """Give the gradients in float64, a few samples at a time, ``Tensor[_, r d]``, until the next are asked for."""
        for piece in self.pieces():
            yield piece._gradients.flatten(1) if piece._wide is None else piece._wide

    def dense(self) -> Tensor:
        """Give what is held, not a copy."""
        return self._gradients

    def row(self, index: int) -> Tensor:
        """Give a view of what is held."""
        return self._gradients[index]

    def dots(self, vectors: Tensor) -> Tensor:
        """Take ``r d`` operations a sample and vector."""
        columns = vectors.flatten(1).T
        # A product with a vector reads each gradient once, which one with a matrix of one column does not.
        columns = columns[:, 0] if len(vectors) == 1 else columns
        if vectors.dtype == torch.float64:
            found = _joined([rows @ columns for rows in self._doubles()])
        else:
            found = self._gradients.flatten(1).to(vectors.dtype) @ columns
        return found.view(len(self._gradients), len(vectors))

    def squares(self) -> Tensor:
        """Take ``r d`` operations a sample; of float32 on a CPU in float32 along a row, and in float64 from there."""
        _, _, columns = self.shape
        if self._gradients.dtype != torch.float32 or columns > LONG_ROW or self._gradients.is_cuda:
            return _joined([torch.linalg.vector_norm(rows, dim=1) for rows in self._doubles()]).square()
        squares = torch.linalg.vector_norm(self._gradients, dim=2).double().square().sum(dim=1)
        odd = ~((squares >= 1 / SAFE) & (squares <= SAFE))
        if bool(odd.any()):
            squares[odd] = Dense(self._gradients[odd].double()).squares()
        return squares

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """Take ``r d^2 / 2`` operations a sample in float64 on a CPU, ``r d^2`` elsewhere."""
        rows = self._gradients.flatten(0, 1)
        if (dtype or self.dtype) != torch.float64 or rows.dtype == torch.float64:
            return symmetric_product(rows.to(dtype or self.dtype))
        total: Tensor | None = None
        for few in rows.split(max(1, GRAM_NUMBERS // rows.shape[1])):
            product = symmetric_product(self._scratch.widened(few))
            total = product if total is None else total.add_(product)
        return rows.new_zeros(rows.shape[1], rows.shape[1], dtype=torch.float64) if total is None else total

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Take ``r d`` operations a sample."""
        _, rank, columns = self.shape
        if weights.dtype != torch.float64:
            return self._few_at_a_time(weights).view(rank, columns)
        total, start = weights.new_zeros(rank * columns), 0
        for rows in self._doubles():
            total.addmv_(rows.T, weights[start : start + len(rows)])
            start += len(rows)
        return total.view(self._gradients.shape[1:])

    def weighted_sums(self, weights: Tensor) -> Tensor:
        """Take ``r d`` operations a sample and set of weights."""
        _, rank, columns = self.shape
        count = weights.shape[1]
        if count == 1:
            return self.weighted_sum(weights[:, 0])[None]
        if weights.dtype != torch.float64:
            return self._few_at_a_time(weights.T).view(count, rank, columns)
        total, start = weights.new_zeros(count, rank * columns), 0
        for rows in self._doubles():
            total.addmm_(weights[start : start + len(rows)].T, rows)
            start += len(rows)
        return total.view(count, rank, columns)

    def _few_at_a_time(self, weights: Tensor) -> Tensor:
        """Add up in float32 no more samples than that allows, one after the other on a CPU, and those sums in float64.

        Args:
            weights: ``Tensor[b]`` or ``Tensor[k, b]``.
        """
        few = max(1, weights.shape[-1]) if weights.is_cuda else IN_A_ROW
        parts = zip(weights.split(few, dim=-1), self._gradients.flatten(1).split(few), strict=True)
        sums = [weight @ rows.to(weights.dtype) for weight, rows in parts]
        return sums[0] if len(sums) == 1 else torch.stack(sums).sum(0, dtype=torch.float64)

    def sum(self) -> Tensor:
        """Take ``r d`` operations a sample."""
        parts = [rows.sum(0) for rows in self._doubles()]
        total = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
        return total.view(self._gradients.shape[1:])

    def finite(self) -> Tensor:
        """Look at every entry."""
        return torch.isfinite(self._gradients).flatten(1).all(dim=1)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True, eq=False)
class Factors(LayerGradients):
    """Gradients ``g_i = L_i^T R_i`` that are not held.

    Attributes:
        left: ``Tensor[b, t, r]``, in the dtype of the activations; a position that is padding is zero in L or R.
        right: ``Tensor[b, t, d]``.
    """

    left: Tensor
    right: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of the gradients they make."""
        return self.left.shape[0], self.left.shape[2], self.right.shape[2]

    @cached_property
    def dtype(self) -> torch.dtype:
        """The wider dtype of the two factors, float32 at least; the factors are taken to it a few samples at a time."""
        return torch.promote_types(torch.promote_types(self.left.dtype, self.right.dtype), torch.float32)

    @property
    def device(self) -> torch.device:
        """That of the factors."""
        return self.right.device

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """``(t, r, d)``."""
        return self.left.shape[1], self.left.shape[2], self.right.shape[2]

    def _pieces(self, numbers: int) -> "Iterator[Factors]":
        """Take so few samples at a time that ``numbers`` for each of them are a small scratch."""
        samples = max(1, SCRATCH // max(1, numbers))
        if samples >= len(self.left):
            yield self
            return
        for left, right in zip(self.left.split(samples), self.right.split(samples), strict=True):
            yield Factors(left, right)

    def _operands(self) -> tuple[Tensor, Tensor]:
        dtype = self.dtype
        return self.left.to(dtype), self.right.to(dtype)

    def scaled(self, exponent: int) -> "Factors":
        """Copy both factors, L with a largest entry between 1 and 2, but for the exponent 0."""
        return self._balanced(exponent) if exponent else self

    def _balanced(self, exponent: int) -> "Factors":
        left, right = self._operands()
        own = exponent_of(largest(left))
        return Factors(shifted(left, -own), shifted(right, own + exponent))

    def _exponent(self) -> int:
        """Find that of the product of the largest entries: the gradients' size, unless positions cancel."""
        return sum(exponent_of(largest(factor)) for factor in self._operands())

    def silent(self) -> bool:
        """Tell whether a factor is zero, or all their products."""
        if min(largest(factor) for factor in self._operands()) == 0:
            return True
        _, r, d = self._sizes
        return all(largest(piece.dense()) == 0 for piece in self._balanced(-self._exponent())._pieces(r * d))

    def dense(self) -> Tensor:
        """Take ``t r d`` operations a sample."""
        positions, r, d = self._sizes
        return _joined([piece._formed() for piece in self._pieces(positions * max(r, d))])

    def form(self, out: Tensor) -> None:
        """Form all gradients at once, into ``Tensor[b, r, d]`` of :attr:`dtype`."""
        left, right = self._operands()
        torch.bmm(left.mT, right, out=out)

    def _formed(self) -> Tensor:
        left, right = self._operands()
        return torch.bmm(left.mT, right)

    def row(self, index: int) -> Tensor:
        """Form the gradient of this sample alone."""
        return Factors(self.left[index : index + 1], self.right[index : index + 1]).dense()[0]

    @property
    def smaller(self) -> bool:
        """Tell whether gradients have no more numbers than the factors of several positions that they are made of."""
        positions, r, d = self._sizes
        return positions > 1 and r * d <= positions * (r + d)

    def forms(self, vectors: int) -> bool:
        """Tell whether it costs less to form the gradients, a few samples at a time, for dot products with k vectors.

        From the factors k vectors take ``k t r d`` operations a sample; from the gradient ``t r d + k r d``, and its
        ``r d`` numbers are written and read again, which costs nothing where there are no more of them than in the
        factors.
        """
        positions, _, _ = self._sizes
        return positions > 1 and (self.smaller or positions + vectors + WRITTEN < positions * vectors)

    def dots(self, vectors: Tensor) -> Tensor:
        """Compute ``<g_i, v>``, or ``sum_t <L_t, v R_t>``, whichever :meth:`forms` says; exact either way.

        Sums of a row of a gradient, or of a position, are in :attr:`dtype`, and those of rows and positions in float64.
        """
        vectors = vectors.to(self.dtype)
        form = chosen("dots", "gradients" if self.forms(len(vectors)) else "factors")
        return self._dots_of_gradients(vectors) if form == "gradients" else self._dots_of_factors(vectors)

    def _dots_of_gradients(self, vectors: Tensor) -> Tensor:
        positions, r, d = self._sizes
        rows = vectors.permute(1, 2, 0)
        found = []
        for piece in self._pieces(max(positions * max(r, d), r * d, r * len(vectors))):
            found.append(torch.bmm(piece._formed().transpose(0, 1), rows).sum(0, dtype=torch.float64))
        return _joined(found)

    def _dots_of_factors(self, vectors: Tensor) -> Tensor:
        positions, r, d = self._sizes
        # As many vectors at once as keep the intermediate result no larger than R itself.
        groups = vectors.split(max(1, d // r))
        found = []
        for piece in self._pieces(positions * max(r, d)):
            left, right = piece._operands()
            columns = []
            for group in groups:
                projected = (right @ group.flatten(0, 1).T).unflatten(2, (len(group), r))
                columns.append((projected * left.unsqueeze(2)).sum(dim=3).sum(dim=1, dtype=torch.float64))
            found.append(torch.cat(columns, dim=1))
        return _joined(found)

    def dots_at(self, vector: Tensor) -> Tensor:
        """Compute ``<L_t, v R_t>`` of every sample and position, whose sum over positions is ``<g_i, v>``.

        Args:
            vector: ``Tensor[r, d]``.

        Returns:
            ``Tensor[b, t]``, float64.
        """
        positions, r, d = self._sizes
        found = []
        for piece in self._pieces(positions * max(r, d)):
            left, right = piece._operands()
            found.append(((right @ vector.to(self.dtype).T) * left).sum(dim=2, dtype=torch.float64))
        return torch.cat(found)

    def squares(self) -> Tensor:
        """Take ``sum_st <L_s, L_t> <R_s, R_t>``, ``t^2 (r + d)`` operations a sample, or of the gradient, ``t r d``."""
        positions, r, d = self._sizes
        form = chosen("squares", "factors" if positions * (r + d) < r * d else "gradients")
        found, sound = self._squares(form)
        if not sound and not self.silent():
            exponent = self._exponent()
            found = shifted(self._balanced(-exponent)._squares(form)[0], 2 * exponent)
        return found

    def _squares(self, form: Form) -> tuple[Tensor, bool]:
        """Compute the squares, and tell whether no product that they are made of came near the ends of the dtype."""
        positions, r, d = self._sizes
        if form == "factors":
            parts = [piece._squares_by_positions() for piece in self._pieces(positions * d)]
            return torch.cat([squares for squares, _ in parts]), all(sound for _, sound in parts)
        squares = torch.cat([piece.dense().flatten(1).double().square().sum(dim=1) for piece in self._pieces(r * d)])
        return squares, _safe(squares)

    def _squares_by_positions(self) -> tuple[Tensor, bool]:
        left, right = (torch.bmm(x, x.transpose(1, 2)) for x in self._operands())
        sound = all(_safe(x.diagonal(dim1=1, dim2=2)) for x in (left, right))
        # Rounding can take what should be zero below it.
        return (left.double() * right.double()).sum(dim=(1, 2)).clamp(min=0), sound

    def gram(self, dtype: torch.dtype | None = None) -> Tensor:
        """Take ``R^T (L L^T) R``, ``t^2 (r + d) + t d^2`` operations a sample, or the gradient, ``t r d + r d^2``."""
        positions, r, d = self._sizes
        fewer = positions * positions * (r + d) + positions * d * d < positions * r * d + r * d * d
        by_positions = chosen("gram", "factors" if fewer else "gradients") == "factors"
        dtype = dtype or self.dtype
        if by_positions and exponent_needed(largest(self.left)):
            return self._balanced(0)._gram(dtype, by_positions)
        return self._gram(dtype, by_positions)

    def _gram(self, dtype: torch.dtype, by_positions: bool) -> Tensor:
        positions, r, d = self._sizes
        total = torch.zeros(d, d, dtype=dtype, device=self.right.device)
        for piece in self._pieces(min(positions, r) * d):
            if by_positions:
                left, right = piece.left.to(dtype), piece.right.to(dtype)
                mixed = torch.bmm(torch.bmm(left, left.transpose(1, 2)), right)
                total.addmm_(right.flatten(0, 1).T, mixed.flatten(0, 1))
            else:
                rows = piece.dense().flatten(0, 1).to(dtype)
                total.addmm_(rows.T, rows)
        return total

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Compute ``sum_it w_i L_it^T R_it``: the operations that the gradients take, and no memory but their sum's."""
        positions, r, d = self._sizes
        total = torch.zeros(r, d, dtype=self.dtype, device=self.right.device)
        pieces = list(self._pieces(positions * max(r, d)))
        for piece, weight in zip(pieces, weights.to(self.dtype).split(len(pieces[0].left)), strict=True):
            left, right = piece._operands()
            total.addmm_((left * weight[:, None, None]).flatten(0, 1).T, right.flatten(0, 1))
        return total

    def weighted_sums(self, weights: Tensor) -> Tensor:
        """Take the gradients or their factors for k sets of weights, whichever :meth:`forms` says of k vectors."""
        _, count = weights.shape
        if count == 1 or chosen("weighted_sums", "gradients" if self.forms(count) else "factors") == "factors":
            return torch.stack([self.weighted_sum(own) for own in weights.unbind(1)])
        positions, r, d = self._sizes
        total = torch.zeros(count, r * d, dtype=self.dtype, device=self.right.device)
        pieces = list(self._pieces(max(positions * max(r, d), r * d)))
        for piece, own in zip(pieces, weights.to(self.dtype).split(len(pieces[0].left)), strict=True):
            total.addmm_(own.T, piece._formed().flatten(1))
        return total.view(count, r, d)

    def sum(self) -> Tensor:
        """Compute ``sum_it L_it^T R_it``."""
        ones = torch.ones(len(self.left), dtype=self.dtype, device=self.left.device)
        total = self.weighted_sum(ones).double()
        if 1 / SAFE <= largest(total) <= SAFE or self.silent():
            return total
        exponent = self._exponent()
        return shifted(self._balanced(-exponent).weighted_sum(ones).double(), exponent)

    def covariances(self, mask: Tensor | None) -> tuple[Tensor, Tensor, int]:
        """Compute ``sum_it L_it^T L_it`` and ``sum_it R_it^T R_it`` over all positions but padding.

        Args:
            mask: ``Tensor[b, w]``, zero where one of the batch's w tokens is padding; of a layer that saw other
                positions than those, each as often as another, a position counts where one of the factors is not zero.

        Returns:
            ``Tensor[r, r]`` and ``Tensor[d, d]``, float64, and the number of positions.
        """
        real = self._real(mask)
        _, r, d = self._sizes
        left, right = (torch.zeros(x, x, dtype=torch.float64, device=self.device) for x in (r, d))
        few = max(1, SCRATCH // max(1, self.left.shape[1] * max(r, d)))
        for some, ours, theirs in zip(real.split(few), self.left.split(few), self.right.split(few), strict=True):
            for total, factor in ((left, ours), (right, theirs)):
                rows = factor[some].double()
                total.addmm_(rows.T, rows)
        return left, right, int(real.sum())

    def _real(self, mask: Tensor | None) -> Tensor:
        """Tell the positions that are no padding, ``Tensor[b, t]``."""
        positions = self.left.shape[1]
        if mask is None or positions == 1:
            return torch.ones(self.left.shape[:2], dtype=torch.bool, device=self.device)
        # The last token, which predicts nothing, may have been left out.
        for width in (mask.shape[1], mask.shape[1] - 1):
            if width > 0 and positions % width == 0:
                return (mask[:, :width] != 0).repeat(1, positions // width)
        return (self.left != 0).any(dim=2) | (self.right != 0).any(dim=2)

    def finite(self) -> Tensor:
        """Look at both factors; a product of finite ones can still overflow."""
        return torch.isfinite(self.left).flatten(1).all(dim=1) & torch.isfinite(self.right).flatten(1).all(dim=1)


def _safe(squares: Tensor) -> bool:
    """Tell whether numbers of these squares can be squared in float32 without leaving its range."""
    return 1 / SAFE**2 <= largest(squares) <= SAFE**2
