import math

import pytest
import torch

from hyperinf.simulation.curves import ErrorRecorder

SPENT = "all iterations spent"
REFERENCE = torch.tensor([3.0, 4.0], dtype=torch.float64)


def test_the_error_is_the_distance_to_the_reference_absolute_and_relative() -> None:
    recorder = ErrorRecorder(REFERENCE)
    recorder(1, torch.tensor([3.0, 3.0]))
    (point,) = recorder.curve(1, SPENT)
    assert (point.iteration, point.error_l2, point.error_relative, point.diverged) == (1, 1.0, 0.2, False)


def test_an_iterate_that_is_a_matrix_is_applied_to_the_vector() -> None:
    recorder = ErrorRecorder(REFERENCE, vector=torch.tensor([1.0, 2.0]))
    recorder(1, torch.tensor([[1.0, 1.0], [0.0, 4.0]]))
    assert recorder.errors == {1: 4.0}


def test_the_start_is_no_point_of_the_curve() -> None:
    recorder = ErrorRecorder(REFERENCE)
    recorder(0, torch.zeros(2))
    recorder(1, torch.tensor([3.0, 4.0]))
    assert [point.error_l2 for point in recorder.curve(1, SPENT)] == [0.0]


def test_a_method_that_stopped_keeps_its_answer_to_the_end_of_the_curve() -> None:
    recorder = ErrorRecorder(REFERENCE)
    recorder(1, torch.tensor([0.0, 4.0]))
    recorder(2, torch.tensor([3.0, 3.5]))
    assert [(point.iteration, point.error_l2) for point in recorder.curve(5, SPENT)] == [
        (1, 3.0),
        (2, 0.5),
        (3, 0.5),
        (4, 0.5),
        (5, 0.5),
    ]


def test_divergence_marks_every_point_from_the_first_iterate_ten_times_too_far() -> None:
    recorder = ErrorRecorder(REFERENCE)
    for iteration, distance in enumerate([1.0, 49.0, 51.0, 4.0], start=1):
        recorder(iteration, torch.tensor([3.0, 4.0 + distance]))
    assert [point.diverged for point in recorder.curve(4, SPENT)] == [False, False, True, True]


def test_a_curve_ends_where_the_solver_gave_up_as_diverged() -> None:
    recorder = ErrorRecorder(REFERENCE)
    for iteration, distance in enumerate([1.0, 7.0, 20.0], start=1):
        recorder(iteration, torch.tensor([3.0, 4.0 + distance]))
    points = recorder.curve(40, "diverged after 3 iterations: relative residual 1e+08")
    assert [(point.error_l2, point.diverged) for point in points] == [(1.0, False), (7.0, False), (20.0, True)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_iterate_that_is_not_finite_ends_the_curve_without_an_error(value: float) -> None:
    recorder = ErrorRecorder(REFERENCE)
    recorder(1, torch.tensor([3.0, 5.0]))
    recorder(2, torch.tensor([value, 5.0]))
    recorder(3, torch.tensor([3.0, 4.0]))
    first, last = recorder.curve(6, SPENT)
    assert (first.error_l2, first.diverged) == (1.0, False)
    assert (last.iteration, last.error_l2, last.error_relative, last.diverged) == (2, None, None, True)


def test_a_direct_result_that_is_far_off_has_not_diverged_but_one_that_is_not_finite_has() -> None:
    recorder = ErrorRecorder(REFERENCE)
    far = recorder.point(None, recorder.distance(torch.tensor([3.0, 104.0])))
    assert (far.iteration, far.error_l2, far.error_relative, far.diverged) == (None, 100.0, 20.0, False)
    assert recorder.point(None, recorder.distance(torch.tensor([math.nan, 4.0]))).diverged
