import pytest
import torch

from hyperinf.linalg import datainf_inverse
from hyperinf.linalg.solvers import datainf


@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize("at_once", [1, 4, 1024])
def test_it_is_the_mean_of_explicit_inverses_however_the_samples_are_streamed(monkeypatch, at_once, columns):
    monkeypatch.setattr(datainf, "_SAMPLES_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(11, 6, generator=generator, dtype=torch.float64)
    b = torch.randn((6,) if columns is None else (6, columns), generator=generator, dtype=torch.float64)
    identity = torch.eye(6, dtype=torch.float64)
    expected = sum(torch.linalg.inv(torch.outer(s, s) + 0.3 * identity) for s in samples) / 11 @ b
    torch.testing.assert_close(datainf_inverse(samples, b, 0.3), expected, rtol=1e-10, atol=1e-12)


def test_of_one_sample_it_is_the_inverse_itself():
    s, b = torch.tensor([[1.0, 2.0, -1.0]]).double(), torch.tensor([3.0, 0.0, 1.0]).double()
    expected = torch.linalg.solve(s.T @ s + 0.1 * torch.eye(3, dtype=torch.float64), b)
    torch.testing.assert_close(datainf_inverse(s, b, 0.1), expected)


def test_float32_stays_float32():
    assert datainf_inverse(torch.ones(4, 3), torch.ones(3), 0.1).dtype == torch.float32


@pytest.mark.parametrize(
    ("samples", "b", "damping", "message"),
    [
        (torch.ones(0, 3), torch.ones(3), 0.1, "samples must have shape"),
        (torch.ones(3), torch.ones(3), 0.1, "samples must have shape"),
        (torch.ones(4, 3), torch.ones(4), 0.1, "b must have shape"),
        (torch.ones(4, 3), torch.ones(3), 0.0, "damping must be a finite number > 0"),
        (torch.ones(4, 3), torch.ones(3), float("nan"), "damping must be a finite number > 0"),
        (torch.full((4, 3), float("nan")), torch.ones(3), 0.1, "samples hold NaN"),
        (torch.ones(4, 3), torch.full((3,), float("inf")), 0.1, "b holds NaN or infinite"),
    ],
)
def test_what_cannot_be_used_is_refused(samples, b, damping, message):
    with pytest.raises(ValueError, match=message):
        datainf_inverse(samples, b, damping)
