import pytest
import torch

from hyperinf.linalg import hyperpower_inverse
from hyperinf.linalg.precision import full_precision


@pytest.mark.parametrize("setting", ["highest", "high", "medium"])
def test_products_are_exact_inside_and_the_setting_is_put_back(setting):
    before = torch.get_float32_matmul_precision()
    inside = []
    try:
        torch.set_float32_matmul_precision(setting)
        tf32 = torch.backends.cuda.matmul.allow_tf32
        hyperpower_inverse(
            2 * torch.eye(3) + 0.1,
            callback=lambda k, x: inside.append(torch.backends.cuda.matmul.fp32_precision),
        )
        assert set(inside) <= {"ieee"}
        assert inside
        assert torch.get_float32_matmul_precision() == setting
        assert torch.backends.cuda.matmul.allow_tf32 == tf32
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_setting_is_put_back_when_the_body_raises():
    before = torch.get_float32_matmul_precision()
    with pytest.raises(KeyError), full_precision(torch.device("cpu")):
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


def test_autocast_around_the_call_does_not_reach_its_products():
    a = torch.diag(torch.linspace(1, 9, 12)) + 0.1
    plain = hyperpower_inverse(a)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = hyperpower_inverse(a)
        assert (a @ a).dtype == torch.bfloat16
    assert torch.equal(result.inverse, plain.inverse)
