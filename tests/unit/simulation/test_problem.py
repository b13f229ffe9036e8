import numpy as np
import pytest
import torch

from hyperinf.simulation.problem import SyntheticProblem


def draw_all(problem: SyntheticProblem) -> torch.Tensor:
    return torch.cat(list(problem.sample_chunks()))


def test_the_matrix_is_the_damped_mean_of_outer_products_added_one_by_one() -> None:
    problem = SyntheticProblem(dim=7, samples=23, damping=0.01, seed=5, chunk_rows=4)
    expected = 0.01 * np.eye(7)
    for sample in draw_all(problem).double().numpy():
        expected += np.outer(sample, sample) / 23
    matrix = problem.matrix()
    assert matrix.dtype == torch.float32
    np.testing.assert_allclose(matrix.numpy(), expected, rtol=0, atol=2e-6)
    assert torch.equal(matrix, matrix.T)


@pytest.mark.parametrize("chunk_rows", [1, 3, 7, 100])
def test_the_chunk_size_changes_no_draw_and_the_matrix_only_by_rounding(chunk_rows: int) -> None:
    whole = SyntheticProblem(dim=13, samples=50, damping=0.01, seed=2)
    chunked = SyntheticProblem(dim=13, samples=50, damping=0.01, seed=2, chunk_rows=chunk_rows)
    assert all(len(chunk) <= chunk_rows for chunk in chunked.sample_chunks())
    assert torch.equal(draw_all(chunked), draw_all(whole))
    torch.testing.assert_close(chunked.matrix(), whole.matrix(), rtol=0, atol=1e-6)


def test_the_samples_are_the_same_at_every_sweep_and_differ_between_seeds_and_cells_of_the_grid() -> None:
    base = SyntheticProblem(dim=6, samples=9, damping=0.01, seed=1)
    others = [
        SyntheticProblem(dim=6, samples=9, damping=0.01, seed=2),
        SyntheticProblem(dim=6, samples=10, damping=0.01, seed=1),
    ]
    assert torch.equal(draw_all(base), draw_all(base))
    assert torch.equal(base.vector(), base.vector())
    for other in others:
        assert not torch.equal(draw_all(base)[0], draw_all(other)[0])
        assert not torch.equal(base.vector(), other.vector())


def test_samples_and_vector_are_standard_normal_and_unrelated() -> None:
    problem = SyntheticProblem(dim=64, samples=4000, damping=0.01, seed=3)
    draws = draw_all(problem)
    # 256,000 draws: the mean's standard error is 0.002 and the variance's 0.0028.
    assert abs(float(draws.mean())) < 0.01
    assert abs(float(draws.var()) - 1) < 0.015
    assert abs(float((draws**4).mean()) - 3) < 0.15
    correlation = float(draws[0] @ problem.vector()) / 64
    assert abs(correlation) < 5 / 64**0.5
    assert float(problem.vector().abs().max()) < 5
