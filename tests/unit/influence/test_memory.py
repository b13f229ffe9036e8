import weakref

import pytest
import torch
from scored_methods import HELD

from hyperinf.gradients import GradientBlock
from hyperinf.influence import influence_scores


class Watched:
    """Makes each block anew and knows which of the earlier ones are still held by somebody."""

    layers = {"a": (2, 6), "b": (1, 4)}  # noqa: RUF012

    def __init__(self, blocks, seed):
        self.blocks = blocks
        self.seed = seed
        self.held = 0
        self.sweeps = 0

    def __len__(self):
        return 5 * self.blocks

    def __iter__(self):
        self.sweeps += 1
        alive = []
        for index in range(self.blocks):
            generator = torch.Generator().manual_seed(self.seed + index)
            gradients = {name: torch.randn(5, r, d, generator=generator) for name, (r, d) in self.layers.items()}
            alive += [weakref.ref(tensor) for tensor in gradients.values()]
            losses = gradients["a"].sum((1, 2))
            yield GradientBlock.of(gradients, tuple(f"{index}/{row}" for row in range(5)), losses)
            del gradients
            self.held = max(self.held, sum(reference() is not None for reference in alive))


@pytest.mark.parametrize("method", sorted(set(HELD) - {"fim"}))
def test_no_method_but_the_exact_fisher_holds_more_than_a_block_of_gradients(method):
    train, target = Watched(12, seed=0), Watched(6, seed=100)
    assert influence_scores(train, target, method=method).shape == (60,)
    # Nor does it hold the block that it has done with while the source makes the next one.
    assert train.held == 0
    assert target.held == 0


@pytest.mark.parametrize(("method", "sweeps"), [("tracin", 1), ("hyperinf", 2), ("datainf", 3), ("lissa", 17)])
def test_a_method_sweeps_the_training_gradients_as_often_as_it_says(method, sweeps):
    train = Watched(3, seed=0)
    influence_scores(train, Watched(2, seed=9), method=method)
    assert train.sweeps == sweeps


def test_a_gfim_that_does_not_fit_is_refused_before_the_first_sweep():
    from hyperinf.influence import influence_scores

    swept = []

    class Large:
        layers = {"a.weight": (2, 3), "lm_head.weight": (4096, 400_000)}  # noqa: RUF012

        def __len__(self):
            return 1

        def __iter__(self):
            swept.append(1)
            return iter(())

    from hyperinf.influence.statistics import gradient_statistics

    with pytest.raises(ValueError, match=r"layer 'lm_head.weight': got a gradient of 4,096 x 400,000, whose .* GiB"):
        gradient_statistics(Large())
    assert not swept
    small = {"w": torch.randn(4, 2, 3)}
    assert len(influence_scores(small, small)) == 4


def test_the_smaller_axis_makes_a_small_gfim_of_a_large_layer():
    from torch import nn

    from hyperinf.gradients import LiveSource
    from hyperinf.influence.memory import gfim_bytes

    model = nn.Linear(4, 1000)
    batches = [(["a", "b"], (torch.randn(2, 4), torch.tensor([1, 2])))]
    larger, smaller = (LiveSource(model, batches, gfim_axis=axis).layers for axis in ("larger", "smaller"))
    assert larger == {"weight": (4, 1000)}
    assert smaller == {"weight": (1000, 4)}
    assert gfim_bytes(larger) == 8 * 5 * 1000**2
    assert gfim_bytes(smaller) == 8 * 5 * 4**2


def test_a_gfim_that_takes_much_is_said_before_the_first_sweep(caplog):
    from hyperinf.influence.memory import check_gfim_fits

    check_gfim_fits({"small": (8, 384)})
    assert not caplog.records
    check_gfim_fits({"large": (8, 6000)})
    assert "the GFIM of 1 layers takes 1.3 GiB with its inversion" in caplog.text
