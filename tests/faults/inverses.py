"""Invert matrices of every kind that rounding makes hard, and hold each answer against exact arithmetic.

    python tests/faults/inverses.py --count 10000 --seed 1

A matrix of floating-point numbers is one of fractions: whether it is positive definite, its inverse and the residual
of what was returned are known exactly. An answer is wrong if a matrix that is not positive definite was inverted, or
an inverse said to have converged misses its tolerance (in float64 by its residual, in float32 by its relative error),
its error bound or its own symmetry; or if a matrix was refused whose inverse, rounded to the dtype, misses by a quarter
of the tolerance at most, and whose condition, its diagonal scaled to 1, leaves float64 a digit or two.
"""

import argparse
import collections
import math
import random
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hyperinf.linalg import ConvergenceError, ConvergenceWarning, InverseResult, hyperpower_inverse

Matrix = list[list[Fraction]]
KINDS = (
    *("nearly singular",) * 4,
    "rotated",
    "diagonal",
    "graded",
    "gram",
    "singular",
    "indefinite",
    "negative",
    "hilbert",
    "denormal",
    "not quite symmetric",
    "not finite",
)
SIDES = (1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5, 7)
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass
class Case:
    """A call of `hyperpower_inverse`.

    Attributes:
        a: ``Tensor[d, d]`` or ``Tensor[B, d, d]``.
        kinds: of each matrix, how it was made.
        arguments: of the call.
        demanding: whether a matrix within reach has to be inverted: no argument is an excuse.
    """

    a: Tensor
    kinds: list[str]
    arguments: dict[str, Any] = field(default_factory=dict)
    demanding: bool = True


def cases(count: int, seed: int) -> Iterator[Case]:
    """Draw calls until they hold `count` matrices."""
    left = count
    for number in range(count):
        if left <= 0:
            return
        draw = random.Random(f"{seed}/{number}")
        case = drawn(draw, batch=min(left, draw.choice([1, 1, 1, 1, 1, 2, 3])))
        left -= len(case.kinds)
        yield case


def drawn(draw: random.Random, batch: int) -> Case:
    dtype = DTYPES[draw.choice(list(DTYPES))]
    d = draw.choice(SIDES)
    kinds = [draw.choice(KINDS) for _ in range(batch)]
    matrices = [made(kind, d, dtype, draw) for kind in kinds]
    a = torch.stack(matrices) if batch > 1 else matrices[0]
    eps = torch.finfo(dtype).eps
    arguments: dict[str, Any] = {
        "method": draw.choice(["chebyshev", "chebyshev", "schulz"]),
        "order": draw.choice([2, 2, 2, 3, 4, 5, 6, 7]),
        "tol": draw.choice([1e-3, 1e-3, 1e-6, 0.99, 10 ** draw.uniform(math.log10(eps) - 1, 0)]),
        "max_iter": 300,
    }
    extra = draw.choice(["", "", "", "", "bounds", "wrong lmin", "wrong lmax", "init", "paper", "max_iter"])
    case = Case(a, kinds, arguments)
    largest = float(a.abs().amax()) if bool(torch.isfinite(a).all() & (a != 0).any()) else 1.0
    if extra == "bounds":
        arguments["lmin"] = largest * eps
        case.demanding = {"diagonal", "graded"}.isdisjoint(kinds)
    elif extra == "wrong lmin":
        arguments["lmin"] = largest * 10 ** draw.uniform(-3, 2)
        case.demanding = False
    elif extra == "wrong lmax":
        arguments["lmax"] = largest * 10 ** draw.uniform(-3, 3)
        case.demanding = False
    elif extra == "init":
        arguments["init"] = 10 ** draw.uniform(-6, 1) / largest
        case.demanding = False
    elif extra == "paper":
        arguments["init"] = "paper"
        case.demanding = False
    elif extra == "max_iter":
        arguments["max_iter"] = draw.randint(1, 8)
        case.demanding = False
    for name in ("lmin", "lmax", "init"):
        if not isinstance(arguments.get(name, ""), str) and not 0 < arguments[name] < math.inf:
            del arguments[name]
    return case


def made(kind: str, d: int, dtype: torch.dtype, draw: random.Random) -> Tensor:
    """One matrix ``Tensor[d, d]`` of a kind, in float64 rounded to `dtype`."""
    generator = torch.Generator().manual_seed(draw.randrange(2**32))
    digits = 8 if dtype == torch.float32 else 17
    rows = torch.randn(d, d, generator=generator, dtype=torch.float64)
    q, _ = torch.linalg.qr(rows)
    span = draw.uniform(0, digits)
    values = 10 ** -(span * torch.rand(d, generator=generator, dtype=torch.float64))
    if kind == "nearly singular":
        # Small whole numbers of rank 1, and a little on the diagonal: [[1, 3], [3, 9.0001]].
        whole = torch.randint(1, 10, (d,), generator=generator).double()
        a = torch.outer(whole, whole) + torch.diag(10 ** -draw.uniform(0, digits) * torch.rand(d, generator=generator))
    elif kind == "diagonal":
        a = torch.diag(values ** draw.choice([1, 2, 3]))
    elif kind == "graded":
        near = torch.eye(d, dtype=torch.float64) + 0.3 * (q + q.T) / 2
        a = near * torch.outer(values, values)
    elif kind == "gram":
        a = rows @ rows.T + 10**-span * torch.eye(d, dtype=torch.float64)
    elif kind == "singular":
        flat = torch.randint(-3, 4, (d, max(d - 1, 1)), generator=generator).double()
        a = flat @ flat.T if d > 1 else torch.zeros(1, 1)
    elif kind == "hilbert":
        index = torch.arange(d, dtype=torch.float64)
        a = 1 / (index[:, None] + index + draw.choice([1, 2, 5]))
    else:
        if kind == "indefinite":
            values[draw.randrange(d)] *= -1
        a = (q * values) @ q.T
        if kind == "negative":
            a = -a
    a = (a + a.T) / 2
    scale = 10.0 ** draw.choice([0, 0, 0, draw.uniform(-30, 30)])
    if kind == "denormal":
        scale = torch.finfo(dtype).tiny * 10 ** -draw.uniform(-2, 6)
    a = (a * scale).to(dtype)
    if kind == "not quite symmetric" and d > 1:
        a[0, 1] *= 1 + 10 ** -draw.uniform(3, digits)
    if kind == "not finite":
        i, j = draw.randrange(d), draw.randrange(d)
        a[i, j] = a[j, i] = draw.choice([math.nan, math.inf, -math.inf])
    return a


def complaints(case: Case) -> list[str]:
    """What is wrong with the answer to a case, one line each."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            result = hyperpower_inverse(case.a, on_fail="warn", **case.arguments)
    except ConvergenceError as error:
        return refused(case, str(error))
    except Exception as error:
        return [f"raised {type(error).__name__}: {str(error).splitlines()[0]}"]
    flat = case.a.reshape(-1, *case.a.shape[-2:])
    inverses = result.inverse.reshape(flat.shape)
    said = [line for a, x in zip(flat, inverses, strict=True) for line in judged(case, a, x, result)]
    if result.converged and not math.isfinite(result.error_bound):
        said.append("converged with an infinite error bound")
    if not torch.equal(result.inverse, result.inverse.mT):
        said.append("the inverse is not symmetric")
    if not result.converged and len(flat) == 1 and case.demanding and within_reach(flat[0], case.arguments["tol"]):
        said.append(f"not inverted although within reach: {result.reason}")
    return said


def refused(case: Case, message: str) -> list[str]:
    """An error before any iteration: about input that is no finite symmetric matrix, or about the arguments."""
    if "\n" in message:
        return [f"more than one line: {message!r}"]
    excused = not case.demanding or not {"not finite", "not quite symmetric"}.isdisjoint(case.kinds)
    return [] if excused else [f"refused: {message}"]


def judged(case: Case, a: Tensor, x: Tensor, result: InverseResult) -> list[str]:
    if not result.converged:
        return []
    if not bool(torch.isfinite(x).all()):
        return ["converged to what is not finite"]
    matrix, tol = exact(a), Fraction(case.arguments["tol"])
    symmetric = [[(matrix[i][j] + matrix[j][i]) / 2 for j in range(len(matrix))] for i in range(len(matrix))]
    inverse = inverted(symmetric)
    if inverse is None:
        return ["converged, but the matrix is not positive definite"]
    iterate, said = exact(x), []
    residual = squares(residual_of(matrix, iterate))
    # Rounding to float32 alone can lift the residual of the right inverse: there its relative error decides.
    if residual > tol**2 and a.dtype == torch.float64:
        said.append(f"converged, but the residual is {root(residual):.3g}, not {result.residual:.3g}")
    if matrix == symmetric:
        missed = squares(difference(iterate, inverse))
        if missed > tol**2 * squares(inverse):
            said.append(f"converged, but the relative error is {root(missed / squares(inverse)):.3g}")
        if math.isfinite(result.error_bound) and missed > Fraction(result.error_bound) ** 2 * (1 + Fraction(1, 10**9)):
            said.append(f"the error is {root(missed):.3g}, above its bound {result.error_bound:.3g}")
    return said


def within_reach(a: Tensor, tol: float) -> bool:
    """Whether `a` is positive definite and its inverse, rounded, misses by ``tol / 4`` at most.

    Of float64 that is its residual, of float32 its relative error: float64 then has the residual.
    """
    matrix = exact(a)
    if any(matrix[i][j] != matrix[j][i] for i in range(len(a)) for j in range(i)):
        return False
    inverse = inverted(matrix)
    if inverse is None:
        return False
    if any(matrix[i][i] * inverse[i][i] > Fraction(1, 50) * 2**52 for i in range(len(a))):
        return False
    largest = Fraction(torch.finfo(a.dtype).max)
    if any(abs(entry) > largest for row in inverse for entry in row):
        return False
    wide = torch.tensor([[float(entry) for entry in row] for row in inverse], dtype=torch.float64)
    if squares(residual_of(matrix, exact(wide))) * 16 > Fraction(tol) ** 2:
        return False
    missed = squares(difference(exact(wide.to(a.dtype)), inverse))
    return a.dtype == torch.float64 or missed * 16 <= Fraction(tol) ** 2 * squares(inverse)


def exact(m: Tensor) -> Matrix:
    return [[Fraction(entry) for entry in row] for row in m.double().tolist()]


def inverted(matrix: Matrix) -> Matrix | None:
    """The inverse by elimination without row exchanges; None unless every pivot is positive."""
    d = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(d))] for i, row in enumerate(matrix)]
    for k in range(d):
        pivot = rows[k][k]
        if pivot <= 0:
            return None
        rows[k] = [entry / pivot for entry in rows[k]]
        for i in range(d):
            factor = rows[i][k]
            if i != k and factor:
                rows[i] = [entry - factor * other for entry, other in zip(rows[i], rows[k], strict=True)]
    return [row[d:] for row in rows]


def residual_of(matrix: Matrix, inverse: Matrix) -> Matrix:
    d = range(len(matrix))
    return [[(i == j) - sum((matrix[i][k] * inverse[k][j] for k in d), Fraction(0)) for j in d] for i in d]


def difference(left: Matrix, right: Matrix) -> Matrix:
    return [[a - b for a, b in zip(*rows, strict=True)] for rows in zip(left, right, strict=True)]


def squares(matrix: Matrix) -> Fraction:
    return sum((entry * entry for row in matrix for entry in row), Fraction(0))


def root(value: Fraction) -> float:
    return math.sqrt(min(value, Fraction(10) ** 300))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, done = time.monotonic(), 0
    wrong: collections.Counter[str] = collections.Counter()
    for case in cases(arguments.count, arguments.seed):
        said = complaints(case)
        for line in said:
            print(f"{'; '.join(case.kinds)}: {line}\n    {case.arguments} of {case.a.tolist()}", flush=True)
        size = f"{str(case.a.dtype).removeprefix('torch.')}, d = {case.a.shape[-1]}"
        wrong[size] += bool(said)
        before, done = done, done + len(case.kinds)
        if before // 1000 < done // 1000:
            print(f"{done} matrices in {time.monotonic() - began:.0f} s", flush=True)
    for size, number in sorted(wrong.items()):
        if number:
            print(f"{size}: {number} calls answered wrongly", flush=True)
    print(f"seed {arguments.seed}: {done} matrices, {sum(wrong.values())} calls answered wrongly", flush=True)
    sys.exit(bool(sum(wrong.values()) or not done))


if __name__ == "__main__":
    main()
