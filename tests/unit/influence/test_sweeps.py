"""Every sweep gives the samples of the first one, in its order; a source whose blocks do not fit is refused."""

import pytest
import torch
from scored_methods import HELD

from hyperinf.gradients import GradientBlock, GradientSource, GradientStore, TensorSource
from hyperinf.influence import influence_scores, score_methods

N = 9


def gradients(samples=N, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "a": torch.randn(samples, 2, 5, generator=generator, dtype=torch.float64),
        "b": torch.randn(samples, 1, 3, generator=generator, dtype=torch.float64),
    }


class Reordered(GradientSource):
    """Gives the samples in the order that ``order(sweep)`` names."""

    layers = {"a": (2, 5), "b": (1, 3)}  # noqa: RUF012

    @property
    def sample_ids(self):
        raise NotImplementedError

    def __init__(self, tensors, order):
        self.tensors, self.order, self.sweep = tensors, order, 0

    def __len__(self):
        return N

    def __iter__(self):
        order = self.order(self.sweep)
        self.sweep += 1
        for rows in torch.tensor(order, dtype=torch.long).split(4):
            ids = tuple(f"s{row}" for row in rows.tolist())
            yield GradientBlock.of({name: tensor[rows] for name, tensor in self.tensors.items()}, ids, rows.double())


def shuffled_from(first):
    return lambda sweep: list(range(N)) if sweep < first else [0, 2, 1, *range(3, N)]


@pytest.mark.parametrize("method", HELD)
def test_a_source_that_shuffles_is_refused_in_one_line_whatever_the_method_and_the_sweep(method):
    target = gradients(3, seed=1)
    counting = Reordered(gradients(), shuffled_from(10**6))
    expected = influence_scores(gradients(), target, method=method)
    assert torch.allclose(influence_scores(counting, target, method=method), expected, rtol=1e-5)
    sweeps = counting.sweep
    assert sweeps >= (1 if method == "tracin" else 2)
    for first in range(1, sweeps):
        with pytest.raises(
            ValueError, match=r"(train|gradients): got sample 's2' at position 1 of a later sweep, expected 's1'"
        ):
            influence_scores(Reordered(gradients(), shuffled_from(first)), target, method=method)


def test_the_table_carries_the_ids_and_losses_of_the_first_sweep():
    order = [4, 1, 0, 8, 7, 2, 3, 6, 5]
    table = score_methods(Reordered(gradients(), lambda _: order), gradients(3, seed=1), ["tracin", "gfim"])
    assert table.sample_ids == tuple(f"s{row}" for row in order)
    assert table.losses.tolist() == order
    straight = influence_scores(gradients(), gradients(3, seed=1), method="gfim")
    assert torch.allclose(table.influence["gfim"], straight[order])


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (list(range(N - 1)), r"train: got 8 samples in a later sweep, expected 9 \(next 's8'\)"),
        ([], r"train: got 0 samples in a later sweep, expected 9"),
        ([*range(N - 1), 0], r"train: got sample 's0' at position 8 of a later sweep, expected 's8'"),
    ],
)
def test_a_later_sweep_of_other_samples_is_refused(later, message):
    source = Reordered(gradients(), lambda sweep: later if sweep else list(range(N)))
    with pytest.raises(ValueError, match=message):
        influence_scores(source, gradients(3, seed=1), method="gfim")


def test_a_later_sweep_of_more_samples_is_refused():
    source = Reordered(gradients(), lambda sweep: list(range(N if sweep else N - 2)))
    with pytest.raises(ValueError, match="got sample 's7' at position 7 of a later sweep, expected no more"):
        influence_scores(source, gradients(3, seed=1), method="gfim")


class Blocks(GradientSource):
    layers = Reordered.layers
    sample_ids = Reordered.sample_ids

    def __init__(self, *blocks):
        self.blocks = blocks

    def __len__(self):
        return sum(len(block) for block in self.blocks)

    def __iter__(self):
        return iter(self.blocks)


def block(ids, losses=None, **changed):
    return GradientBlock.of({**gradients(len(ids)), **changed}, ids, losses)


WRONG = [
    ([block(("x", "y")), block(("z", "x"))], "got sample 'x' twice"),
    ([block(("x", "x"))], "got sample 'x' twice"),
    ([block(("x", "y"), a=torch.ones(3, 2, 5))], r"layer 'a' of shape \[3, 2, 5\] in a block of 2 sample ids"),
    ([block(("x", "y"), b=torch.ones(2, 3, 1))], r"layer 'b' of shape \[2, 3, 1\].*expected \[2, 1, 3\]"),
    ([GradientBlock.of({"a": torch.ones(1, 2, 5)}, ("x",))], "no gradients for layer 'b'"),
    ([GradientBlock(gradients(1), ("x",))], "a Tensor for layer 'a', expected LayerGradients"),
    ([block(("x", "y"), torch.ones(3))], r"got losses of shape \[3\] in a block of 2 sample ids"),
    ([block(("x", "y"), torch.ones(()))], r"got losses of shape \[\] in a block of 2 sample ids"),
    ([block(("x",), torch.ones(1)), block(("y",))], "from sample 'y' on no losses, expected losses of all"),
]


@pytest.mark.parametrize(("blocks", "message"), WRONG)
def test_blocks_that_do_not_fit_are_refused_wherever_they_are_swept(blocks, message, tmp_path):
    source = Blocks(*blocks)
    with pytest.raises(ValueError, match=f"train: .*{message}" if "^" not in message else message):
        influence_scores(source, gradients(3, seed=1))
    with pytest.raises(ValueError, match=f"target: .*{message}"):
        influence_scores(gradients(), source)
    with pytest.raises(ValueError, match=f"gradients: .*{message}"):
        TensorSource.gather(source)
    with pytest.raises(ValueError, match=f"gradients: .*{message}"):
        GradientStore.write(tmp_path / "store", source)
    assert list(tmp_path.iterdir()) == []


def test_ids_that_are_no_strings_become_clean_ones():
    tensors = gradients(3)
    for ids in (torch.tensor([3, 1, 2]), torch.tensor([3, 1, 2]).numpy(), list(torch.tensor([3, 1, 2])), [3, 1, 2]):
        assert next(iter(TensorSource(tensors, ids))).sample_ids == ("3", "1", "2")
        source = Blocks(GradientBlock.of(tensors, ids))
        assert score_methods(source, gradients(2, seed=1), ["tracin"]).sample_ids == ("3", "1", "2")


def test_layers_in_dtypes_of_their_own_score_as_their_values():
    train, target = gradients(), gradients(3, seed=1)
    mixed = {"a": train["a"].half(), "b": train["b"].bfloat16()}
    for method in HELD:
        expected = influence_scores({name: value.double() for name, value in mixed.items()}, target, method=method)
        near = 1e-2 if method.endswith("_cg") else 1e-4  # where conjugate gradients end
        assert torch.allclose(influence_scores(mixed, target, method=method), expected, rtol=near), method


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(2, 1, 4, dtype=torch.complex64), "got torch.complex64"),
        (torch.zeros(2, 1, 4, dtype=torch.int32), "got torch.int32"),
        (torch.zeros(2, 1, 4, device="meta"), "got .*meta, expected a dense"),
        (torch.zeros(2, 1, 4).to_sparse(), "got .*sparse.*, expected a dense"),
        ([[[1.0]]], "got <class 'list'>"),
    ],
)
def test_tensors_that_no_score_can_be_taken_of_are_refused(tensor, message):
    with pytest.raises(ValueError, match=f"gradients of 'w': {message}"):
        TensorSource({"w": tensor})
