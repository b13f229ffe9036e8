import pytest
import torch

from hyperinf.gradients import Dense, Factors, GradientBlock
from hyperinf.runtime.choice import counted, forced, told

# (samples, positions, r, d): more positions than ranks and fewer, one position, none, more ranks than columns.
SIZES = [(5, 9, 3, 7), (4, 2, 8, 11), (3, 6, 6, 6), (4, 1, 3, 5), (2, 0, 3, 4), (3, 2, 9, 4), (2, 40, 1, 6)]


def drawn(samples, positions, r, d, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1000 * positions + 10 * r + d)
    left = torch.randn(samples, positions, r, generator=generator, dtype=torch.float64)
    right = torch.randn(samples, positions, d, generator=generator, dtype=torch.float64)
    vectors = torch.randn(6, r, d, generator=generator, dtype=torch.float64)
    weights = torch.randn(samples, generator=generator, dtype=torch.float64)
    return left.to(dtype), right.to(dtype), vectors, weights


def loop_of_outer_products(left, right):
    """The slow way: each sample's gradient in float64, one position at a time."""
    samples, positions, r = left.shape
    gradients = torch.zeros(samples, r, right.shape[2], dtype=torch.float64)
    for i in range(samples):
        for t in range(positions):
            gradients[i] += torch.outer(left[i, t].double(), right[i, t].double())
    return gradients


def by_definition(gradients, vectors, weights):
    samples = range(len(gradients))
    return {
        "dots": torch.tensor([[float((gradients[i] * v).sum()) for v in vectors] for i in samples]).double(),
        "squares": torch.stack([(gradients[i] ** 2).sum() for i in samples]),
        "gram": sum(gradients[i].T @ gradients[i] for i in samples),
        "weighted_sum": sum(weights[i] * gradients[i] for i in samples),
        "weighted_sums": torch.stack([k * sum(weights[i] ** k * gradients[i] for i in samples) for k in (1, 2, 3)]),
        "sum": sum(gradients[i] for i in samples),
        "dense": gradients,
    }


def contracted(gradients, vectors, weights):
    return {
        "dots": gradients.dots(vectors),
        "squares": gradients.squares(),
        "gram": gradients.gram(),
        "weighted_sum": gradients.weighted_sum(weights),
        "weighted_sums": gradients.weighted_sums(torch.stack([k * weights**k for k in (1, 2, 3)], dim=1)),
        "sum": gradients.sum(),
        "dense": gradients.dense(),
    }


def assert_close(actual, expected, tolerance):
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        error = float((actual[name].double() - value).abs().max())
        assert error <= tolerance * max(1.0, float(value.abs().max())), (name, error)


@pytest.mark.parametrize("scratch", [1, 50, 2**22])
@pytest.mark.parametrize("sizes", SIZES)
def test_both_forms_equal_the_definition_however_little_is_held_at_a_time(sizes, scratch, monkeypatch):
    monkeypatch.setattr("hyperinf.gradients.contractions.SCRATCH", scratch)
    left, right, vectors, weights = drawn(*sizes)
    gradients = loop_of_outer_products(left, right)
    expected = by_definition(gradients, vectors, weights)
    expected["dots"] = torch.einsum("ird,krd->ik", gradients, vectors)
    assert_close(contracted(Factors(left, right), vectors, weights), expected, 1e-12)
    assert_close(contracted(Dense(gradients), vectors, weights), expected, 1e-12)


@pytest.mark.parametrize("form", ["factors", "gradients"])
@pytest.mark.parametrize("scratch", [1, 2**22])
@pytest.mark.parametrize("sizes", SIZES)
def test_every_operation_is_exact_in_a_form_that_is_forced(sizes, scratch, form, monkeypatch):
    monkeypatch.setattr("hyperinf.gradients.contractions.SCRATCH", scratch)
    left, right, vectors, weights = drawn(*sizes)
    gradients = loop_of_outer_products(left, right)
    expected = by_definition(gradients, vectors, weights)
    expected["dots"] = torch.einsum("ird,krd->ik", gradients, vectors)
    with forced(form), counted() as counts:
        assert_close(contracted(Factors(left, right), vectors, weights), expected, 1e-12)
    assert counts == {(operation, form): 1 for operation in ("dots", "gram", "squares", "weighted_sums")}


def test_the_form_that_takes_fewer_operations_is_chosen_and_counted():
    long, short = (Factors(*drawn(2, positions, 4, 30)[:2]) for positions in (200, 2))
    with counted() as counts:
        for factors, vectors in ((long, 1), (long, 50), (short, 1)):
            factors.dots(torch.ones(vectors, 4, 30, dtype=torch.float64))
            factors.gram()
    assert told(counts) == "dots factors 1, dots gradients 2, gram factors 1, gram gradients 2"


def test_what_is_counted_within_a_count_is_of_both():
    factors = Factors(*drawn(2, 3, 4, 30)[:2])
    with counted() as outer:
        factors.gram()
        with counted() as inner:
            factors.gram()
    assert sum(inner.values()) == 1
    assert sum(outer.values()) == 2


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("form", ["factors", "gradients"])
def test_a_forced_form_keeps_numbers_that_squares_would_lose(form, size):
    left, right, *_ = drawn(3, 6, 2, 5, dtype=torch.float32)
    with forced(form):
        squares = Factors(left * size, right / size).squares()
        gram = Factors(left * size, right / size).gram()
    gradients = loop_of_outer_products(left, right)
    assert torch.allclose(squares, (gradients**2).sum(dim=(1, 2)), rtol=1e-5)
    assert torch.allclose(gram.double(), (gradients.mT @ gradients).sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-5)])
@pytest.mark.parametrize("sizes", SIZES)
def test_products_of_low_precision_factors_are_taken_in_float32(sizes, dtype, tolerance):
    samples, positions, r, d = sizes
    left, right, vectors, weights = drawn(samples, positions, r, d, dtype)
    expected = by_definition(loop_of_outer_products(left, right), vectors, weights)
    factors = Factors(left, right)
    actual = contracted(factors, vectors, weights)
    assert factors.dtype == actual["dense"].dtype == actual["gram"].dtype == torch.float32
    assert factors.left.dtype == dtype
    assert_close(actual, expected, tolerance)


def test_a_gram_matrix_can_be_asked_for_in_float64():
    for sizes in SIZES:
        left, right, vectors, weights = drawn(*sizes, dtype=torch.float32)
        gradients = loop_of_outer_products(left, right)
        expected = by_definition(gradients, vectors, weights)["gram"]
        assert torch.allclose(Factors(left, right).gram(torch.float64), expected, rtol=1e-5, atol=1e-5)
        assert torch.allclose(Dense(gradients.float()).gram(torch.float64), expected, rtol=1e-5, atol=1e-5)
        assert Dense(gradients.float()).gram(torch.float64).dtype == torch.float64


def test_padding_on_either_side_of_a_sample_adds_nothing():
    left, right, vectors, weights = drawn(4, 5, 3, 7)
    padded = [torch.cat([x, torch.zeros_like(x)[:, :3]], dim=1) for x in (left, right)]
    stale = padded[0].clone()
    stale[:, 5:] = 3.0  # the input at padding is anything; the gradient of the output there is zero
    expected = contracted(Factors(left, right), vectors, weights)
    assert_close(contracted(Factors(stale, padded[1]), vectors, weights), expected, 1e-12)


def test_positions_that_cancel_have_no_negative_square():
    left, right, *_ = drawn(3, 2, 40, 50, dtype=torch.float32)
    cancelling = Factors(torch.cat([left, left], dim=1), torch.cat([right, -right], dim=1))
    assert (cancelling.squares() >= 0).all()
    assert (cancelling.squares() < 1e-3).all()


def test_the_samples_that_are_not_finite_are_told():
    left, right, *_ = drawn(4, 3, 2, 5)
    left[1, 0, 0], right[3, 2, 4] = float("nan"), float("inf")
    assert Factors(left, right).finite().tolist() == [True, False, True, False]
    assert Dense(loop_of_outer_products(left, right)).finite().tolist() == [True, False, True, False]


def test_a_large_layer_of_few_positions_is_never_formed_and_a_narrow_one_only_for_its_gram_matrix(monkeypatch):
    formed = []
    dense = Factors.dense

    def watched(self):
        formed.append(self.left.shape[1:] + self.right.shape[2:])
        return dense(self)

    monkeypatch.setattr(Factors, "dense", watched)
    for sizes in ((3, 4, 60, 70), (3, 30, 2, 70)):
        left, right, vectors, weights = drawn(*sizes)
        factors = Factors(left, right)
        factors.dots(vectors)
        factors.sum()
        factors.weighted_sum(weights)
        assert formed == []
        factors.squares()
        factors.gram()
        assert set(formed) == ({(30, 2, 70)} if sizes[1] == 30 else set())
        formed.clear()


@pytest.mark.parametrize("scratch", [1, 2**22])
def test_many_vectors_have_the_products_of_few(scratch, monkeypatch):
    monkeypatch.setattr("hyperinf.gradients.contractions.SCRATCH", scratch)
    left, right, *_ = drawn(5, 7, 3, 11)
    vectors = torch.randn(40, 3, 11, dtype=torch.float64)
    expected = torch.einsum("btr,btd,krd->bk", left, right, vectors)
    factors = Factors(left, right)
    assert torch.allclose(factors.dots(vectors), expected, rtol=1e-12)
    assert torch.allclose(torch.cat([factors.dots(few) for few in vectors.split(8)], dim=1), expected, rtol=1e-12)


def test_a_block_hides_which_form_it_has_and_forms_a_gradient_when_it_is_asked_for():
    left, right, *_ = drawn(4, 3, 2, 5)
    gradients = loop_of_outer_products(left, right)
    ids = ("a", "b", "c", "d")
    factored = GradientBlock({"w": Factors(left, right)}, ids)
    dense = GradientBlock.of({"w": gradients}, ids)
    assert list(factored.gradients) == list(dense.gradients) == ["w"]
    assert len(factored) == len(dense) == 4
    assert torch.allclose(factored.gradients["w"].dense(), dense.gradients["w"].dense())
    assert torch.allclose(factored.gradients["w"].row(2), dense.gradients["w"].row(2))
    assert torch.allclose(factored.gradients["w"].gram(), dense.gradients["w"].gram())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_held_gradients_taken_a_few_at_a_time_give_what_all_at_once_give(dtype, monkeypatch):
    monkeypatch.setattr("hyperinf.gradients.scratch.NUMBERS", 50)
    monkeypatch.setattr("hyperinf.gradients.contractions.GRAM_NUMBERS", 30)
    torch.manual_seed(0)
    g = torch.randn(11, 3, 7).to(dtype)
    g[4], g[5] = 0, (g[5].float() * 1e-30).to(dtype)
    wide, held = g.double(), Dense(g)
    vectors, weights = torch.randn(2, 3, 7, dtype=torch.float64), torch.randn(11, dtype=torch.float64)
    for some in (vectors, vectors[:1]):
        assert torch.allclose(held.dots(some), torch.einsum("brd,krd->bk", wide, some), rtol=1e-12)
    assert torch.allclose(held.squares(), wide.square().sum((1, 2)), rtol=1e-6, atol=0)
    assert torch.allclose(held.weighted_sum(weights), torch.einsum("b,brd->rd", weights, wide), rtol=1e-12)
    sets = torch.randn(11, 4, dtype=torch.float64)
    assert torch.allclose(held.weighted_sums(sets), torch.einsum("bk,brd->krd", sets, wide), rtol=1e-12)
    assert torch.equal(held.weighted_sums(sets[:, 2:3])[0], held.weighted_sum(sets[:, 2]))
    assert torch.allclose(held.gram(torch.float64), torch.einsum("bri,brj->ij", wide, wide), rtol=1e-12)
    assert torch.allclose(held.sum(), wide.sum(0), rtol=1e-12)
    assert [len(piece.dense()) for piece in held.pieces()] == ([11] if dtype == torch.float64 else [2] * 5 + [1])
