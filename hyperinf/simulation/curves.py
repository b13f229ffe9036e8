"""What is recorded of a run: its error at every iteration, and from where on it diverged."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

# x = 0 has a relative error of 1; an iterate ten times further from the solution than that is on its way out.
DIVERGED_ABOVE = 10.0


@dataclass(frozen=True)
class CurvePoint:
    """The error after one iteration.

    Attributes:
        iteration: counted from 1; None for a direct method, which has but one result.
        error_l2: ``||A^-1 v - x_t||_2``; None where x_t is not finite.
        error_relative: the same divided by ``||A^-1 v||_2``.
        diverged: whether this iterate, or one before it, is not finite or has a relative error above 10. A direct
            method may be that wrong without diverging; for it only a result that is not finite counts.
    """

    iteration: int | None
    error_l2: float | None
    error_relative: float | None
    diverged: bool


@dataclass
class ErrorRecorder:
    """A callback ``(iteration, x_t)`` that keeps errors, never iterates.

    Attributes:
        reference: ``A^-1 v``, ``Tensor[d]``, float64.
        vector: v, ``Tensor[d]``, given where the iterates are matrices ``X_t`` standing for ``x_t = X_t v``.
        errors: ``||A^-1 v - x_t||_2`` by iteration.
    """

    reference: Tensor
    vector: Tensor | None = None
    errors: dict[int, float] = field(default_factory=dict)

    def __call__(self, iteration: int, iterate: Tensor) -> None:
        """Record the error of ``iterate``; a start, iteration 0, may be given but is not part of the curve."""
        self.errors[iteration] = self.distance(iterate if self.vector is None else iterate @ self.vector)

    def distance(self, solution: Tensor) -> float:
        """``||A^-1 v - x||_2`` in float64; infinite or NaN where x is."""
        return float(torch.linalg.vector_norm(self.reference - solution.double().reshape(self.reference.shape)))

    def curve(self, iterations: int, reason: str) -> list[CurvePoint]:
        """The points 1 to ``iterations``, fewer only where the run diverged.

        A method that stopped before (converged, or at the floor of its arithmetic) keeps its answer, so its last
        error is carried on: the curve says what a user of ``iterations`` steps holds. A curve that diverged ends
        with the first iterate that is not finite, without an error, or where the solver gave up.

        Args:
            iterations: how many the study asked for.
            reason: the solver's own word for why it stopped; one that begins with "diverged" is believed.
        """
        given_up = reason.startswith("diverged")
        last = max(self.errors, default=1) if given_up else iterations
        points: list[CurvePoint] = []
        error = math.nan
        for iteration in range(1, last + 1):
            error = self.errors.get(iteration, error)
            point = self.point(iteration, error)
            far = point.error_relative is None or point.error_relative > DIVERGED_ABOVE
            ended = given_up and iteration == last
            points.append(replace(point, diverged=far or ended or (bool(points) and points[-1].diverged)))
            if point.error_l2 is None:
                break
        return points

    def point(self, iteration: int | None, error: float) -> CurvePoint:
        """The point for ``error`` as such, whatever the course of the run."""
        if not math.isfinite(error):
            return CurvePoint(iteration, None, None, diverged=True)
        return CurvePoint(iteration, error, error / float(torch.linalg.vector_norm(self.reference)), diverged=False)
