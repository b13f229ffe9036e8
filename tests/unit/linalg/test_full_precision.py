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


@pytest.fixture
def switches():
    """Both kinds of switch, as they are before a test and after it."""
    matmul, mkldnn = torch.backends.cuda.matmul, vars(torch.backends)["mkldnn"]
    yield matmul
    torch.set_float32_matmul_precision("highest")
    for backend in (matmul, mkldnn.matmul):
        backend.fp32_precision = "none"


def read(matmul):
    try:
        return matmul.fp32_precision, matmul.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        return matmul.fp32_precision, "contradict one another"


@pytest.mark.parametrize(
    "switch",
    [
        lambda matmul: setattr(matmul, "allow_tf32", True),
        lambda matmul: setattr(matmul, "allow_tf32", False),
        lambda matmul: setattr(matmul, "fp32_precision", "tf32"),
        lambda matmul: setattr(matmul, "fp32_precision", "ieee"),
        lambda matmul: torch.set_float32_matmul_precision("medium"),
    ],
    ids=["older on", "older off", "newer on", "newer off", "by torch"],
)
def test_both_kinds_of_switch_can_be_read_inside_and_are_put_back(switches, switch):
    switch(switches)
    before, inside = read(switches), []
    hyperpower_inverse(2 * torch.eye(3) + 0.1, callback=lambda k, x: inside.append(read(switches)))
    if len(before) == 3:
        assert set(inside) == {("ieee", False, "highest")}
    assert {each[0] for each in inside} == {"ieee"}
    assert read(switches) == before


@pytest.mark.parametrize("on", [True, False])
def test_what_a_product_rounds_to_is_known_whichever_switch_was_set(switches, on):
    from hyperinf.gradients.rounding import takes_tf32

    switches.allow_tf32 = on
    assert takes_tf32() == on
    switches.fp32_precision = "ieee" if on else "tf32"
    assert takes_tf32() != on


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
