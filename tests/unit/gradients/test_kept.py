"""What is kept of a live source's first sweep is what later sweeps would take, where it fits."""

import gc

import pytest
import torch
from peak_memory import PeakMemory

from hyperinf.gradients import Dense, Factors, LiveSource
from hyperinf.gradients.kept import KeptSource
from hyperinf.influence import influence_scores, score_methods


class Sequences(torch.nn.Module):
    """One weight that sees five positions, whose gradients are smaller than their factors, and one that sees one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(3, 6, bias=False)
        self.forwards = 0

    def forward(self, x):
        self.forwards += 1
        return self.second(self.first(x).tanh().mean(1))


def loss(model, batch):
    return model(batch).square().sum(1)


def sources(memory_bytes):
    model = Sequences()
    batches = [([str(start + row) for row in range(4)], torch.randn(4, 5, 4)) for start in range(0, 12, 4)]
    live = LiveSource(model, batches, loss, check=False)
    return model, live, KeptSource(live, memory_bytes)


ALL = 12 * 4 * (4 * 3 + (3 + 6))
"""Bytes of twelve samples: gradients of the one weight and factors of the other."""


@pytest.mark.parametrize(("memory_bytes", "kept"), [(0, False), (ALL - 1, False), (ALL, True), (2**30, True)])
def test_later_sweeps_run_the_first_batch_alone_where_all_is_kept(memory_bytes, kept):
    model, live, source = sources(memory_bytes)
    expected = list(live)
    for sweep in range(3):
        before = model.forwards
        blocks = list(source)
        assert model.forwards - before == (1 if kept and sweep else 3)
        for block, other in zip(blocks, expected, strict=True):
            assert block.sample_ids == other.sample_ids
            assert torch.equal(block.losses, other.losses)
            for layer, gradients in block.gradients.items():
                assert torch.allclose(gradients.dense(), other.gradients[layer].dense(), atol=1e-7)
    forms = {layer: type(each) for layer, each in blocks[0].gradients.items()}
    assert forms == {"first.weight": Dense if kept else Factors, "second.weight": Factors}
    assert (source.origin is live) == kept


def test_two_samples_tell_whether_the_model_has_changed_where_a_sample_was_seen_to_have_a_loss_of_its_own():
    _, live, _ = sources(0)
    rows = []

    def counting(model, x):
        rows.append(len(x))
        return loss(model, x)

    checked = LiveSource(live.model, live.batches, counting)
    checked.check_unchanged()
    assert rows == []  # there is nothing to compare with
    list(checked)
    rows.clear()
    checked.check_unchanged()
    assert rows == [2]


def test_other_samples_are_told():
    _, live, source = sources(2**30)
    list(source)
    for wrong, message in (([(["9"], torch.randn(1, 5, 4))], "sample '9' at position 0"), ([], "got 0 samples")):
        live.batches[:] = wrong
        with pytest.raises(ValueError, match=message):
            list(source)


def test_a_sweep_over_what_is_kept_leaves_no_copies_of_it_in_float64():
    _, _, source = sources(2**30)
    list(source)
    vectors = {layer: torch.ones(2, *shape, dtype=torch.float64) for layer, shape in source.layers.items()}
    with PeakMemory() as memory:
        before = memory.now
        for block in source:
            for layer, gradients in block.gradients.items():
                gradients.dots(vectors[layer])
            del block, gradients
    assert memory.peak > 4 * 4 * 3 * 8  # a copy of a block of the weight whose gradients are held
    assert memory.now == before


def test_gradients_that_do_not_fit_into_memory_lie_in_a_folder_that_goes_with_them(tmp_path):
    model, live, _ = sources(0)
    expected = list(live)
    source = KeptSource(live, ALL - 1, tmp_path / "scratch")
    for sweep in range(3):
        before = model.forwards
        blocks = list(source)
        assert model.forwards - before == (1 if sweep else 3)
        joined = {layer: torch.cat([block.gradients[layer].dense() for block in blocks]) for layer in source.layers}
        for layer, gradients in joined.items():
            wanted = torch.cat([block.gradients[layer].dense() for block in expected])
            assert torch.allclose(gradients, wanted, atol=1e-7)
    assert source.origin is live
    assert source.held_bytes == 0
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    with torch.no_grad():
        model.first.weight += 1
    with pytest.raises(ValueError, match="the model must not change"):
        list(source)
    del source, blocks
    gc.collect()
    assert not list((tmp_path / "scratch").iterdir())


def test_gradients_that_fit_into_memory_are_not_put_on_the_disk(tmp_path):
    _, live, _ = sources(0)
    source = KeptSource(live, 4 * 12 * (4 * 3 + 3 * 6), tmp_path / "scratch")
    list(source)
    assert source.held_bytes > 0
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("method", ["datainf", "hyperinf", "ekfac"])
def test_scores_from_the_disk_are_those_of_the_live_source(method, tmp_path):
    _, live, _ = sources(0)
    expected = influence_scores(live, live, method)
    found = influence_scores(KeptSource(live, 0, tmp_path), live, method)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_sweep_that_ends_early_keeps_nothing():
    model, _, source = sources(2**30)
    next(iter(source))
    before = model.forwards
    assert len(list(source)) == 3
    assert model.forwards - before == 3


@pytest.mark.parametrize("method", ["tracin", "datainf", "lissa", "hyperinf", "fim", "kfac", "ekfac"])
def test_scores_are_those_of_the_live_source(method):
    _, live, source = sources(2**30)
    expected = influence_scores(live, live, method)
    assert torch.allclose(influence_scores(source, live, method), expected, rtol=1e-5, atol=1e-7)


def test_a_model_that_changes_is_told():
    model, _, source = sources(2**30)
    list(source)
    with torch.no_grad():
        model.first.weight += 1
    with pytest.raises(ValueError, match="the model must not change"):
        score_methods(source, source, ["tracin"])
