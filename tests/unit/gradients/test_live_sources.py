"""A live source knows its samples, and sees whether every sweep gives the same ones."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hyperinf.gradients import LiveSource, TensorSource
from hyperinf.influence import influence_scores

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (12,), generator=torch.Generator().manual_seed(2))


def model():
    torch.manual_seed(0)
    return nn.Linear(5, 3)


def batches(order=range(12), ids=str):
    order = list(order)
    groups = [order[start : start + 4] for start in range(0, len(order), 4)]
    return [([ids(index) for index in group], (X[group], Y[group])) for group in groups]


class Shuffled:
    """A loader that shuffles at every sweep; ids go with their samples, or stay where they are."""

    def __init__(self, named):
        self.named, self.sweep = named, 0

    def __iter__(self):
        self.sweep += 1
        order = torch.randperm(12, generator=torch.Generator().manual_seed(self.sweep)).tolist()
        for place, (ids, batch) in enumerate(batches(order)):
            yield (ids if self.named else [f"{place}.{row}" for row in range(len(ids))]), batch


def test_a_loader_that_shuffles_its_samples_is_refused():
    with pytest.raises(ValueError, match=r"batches: got sample '\d+' at position \d+ of a later sweep, expected '\d+'"):
        list(LiveSource(model(), Shuffled(named=True)))


def test_a_loader_that_shuffles_beneath_ids_that_stay_is_refused_by_its_losses():
    source = LiveSource(model(), Shuffled(named=False))
    list(source)
    with pytest.raises(ValueError, match=r"sample '\d\.\d': got a loss of .* in a later sweep, expected .* same order"):
        list(source)
    with pytest.raises(ValueError, match="in a later sweep"):
        influence_scores(
            LiveSource(model(), Shuffled(named=False)), TensorSource.gather(LiveSource(model(), batches()))
        )


def test_a_model_that_is_trained_between_sweeps_is_refused():
    changing = model()
    source = LiveSource(changing, batches())
    list(source)
    with torch.no_grad():
        changing.weight *= 1.5
    with pytest.raises(ValueError, match="the model must not change"):
        list(source)


def test_a_sweep_with_fewer_or_more_samples_is_refused():
    parts = batches()
    source = LiveSource(model(), parts)
    dropped = parts.pop()
    with pytest.raises(ValueError, match="got 8 samples in a sweep, expected 12"):
        list(source)
    parts += [dropped, (["another"], (X[:1], Y[:1]))]
    with pytest.raises(
        ValueError, match="got sample 'another' at position 12 of a later sweep, expected no more samples"
    ):
        list(source)


def test_a_sweep_that_is_broken_off_does_not_count_as_the_first():
    source = LiveSource(model(), batches())
    next(iter(source))
    assert len([block for block in source for _ in block.sample_ids]) == 12


@pytest.mark.parametrize(
    "ids", [int, np.int64, lambda index: torch.tensor(index)], ids=["integers", "numpy's integers", "tensors"]
)
def test_integer_ids_become_plain_text(ids):
    assert LiveSource(model(), batches(ids=ids)).sample_ids == tuple(map(str, range(12)))


@pytest.mark.parametrize("kind", [torch.tensor, np.array, tuple])
def test_ids_of_a_batch_may_be_an_array(kind):
    parts = [(kind([int(name) for name in ids]), batch) for ids, batch in batches()]
    source = LiveSource(model(), parts)
    assert source.sample_ids == tuple(map(str, range(12)))
    assert [name for block in source for name in block.sample_ids] == list(source.sample_ids)


class Counted:
    """Makes its batches when it is iterated, and counts them."""

    made = 0

    def __iter__(self):
        for batch in batches():
            self.made += 1
            yield batch


class Known(Counted):
    sample_ids = tuple(map(str, range(12)))


def test_ids_that_the_batches_know_cost_no_batch():
    known = Known()
    source = LiveSource(model(), known)
    assert (len(source), known.made) == (12, 0)
    list(source)
    assert known.made == 3


def test_ids_that_they_do_not_know_are_noted_in_the_first_sweep():
    given = Counted()
    source = LiveSource(model(), given)
    assert given.made == 1  # is looked at
    for _ in source:
        pass
    assert (source.sample_ids, given.made) == (Known.sample_ids, 1 + 3)
    asked = LiveSource(model(), given)
    assert (asked.sample_ids, given.made) == (Known.sample_ids, 4 + 1 + 3)


def test_an_id_that_comes_twice_is_refused_at_the_end_of_the_first_sweep():
    class Twice:
        def __iter__(self):
            return iter([*batches(), (["3"], (X[:1], Y[:1]))])

    with pytest.raises(ValueError, match="got sample '3' more than once"):
        for _ in LiveSource(model(), Twice()):
            pass


PLAIN = DataLoader(TensorDataset(X, Y), batch_size=4)
MAPPINGS: DataLoader[Any] = DataLoader([{"x": X[row], "labels": Y[row]} for row in range(12)], batch_size=4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PLAIN, "got a Tensor in the place of sample ids, expected pairs of sample ids and their batch"),
        (MAPPINGS, "got a dict, expected pairs of sample ids and their batch"),
        ([("abc", (X[:3], Y[:3]))], "got a str in the place of sample ids"),
        ([(X[:3], Y[:3], Y[:3])], "got a tuple, expected pairs of sample ids and their batch"),
        (iter(batches()), "got an iterator, expected what can be iterated again"),
        ([], "got none, expected at least one sample"),
        (batches([0, 1, 2, 3, 1]), "got sample '1' more than once"),
    ],
    ids=[
        "a loader of pairs",
        "a loader of mappings",
        "a text",
        "three things",
        "an iterator",
        "nothing",
        "an id twice",
    ],
)
def test_what_gives_no_ids_is_refused_with_what_to_do(given, message):
    with pytest.raises(ValueError, match=message):
        LiveSource(model(), given)


def test_more_ids_than_losses_are_refused():
    with pytest.raises(ValueError, match="got 4 losses for 5 sample ids"):
        list(LiveSource(model(), [(list("abcde"), (X[:4], Y[:4]))]))


def test_a_sample_that_its_batch_changes_is_named():
    def share(model, batch):
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none") / len(batch[1])

    with pytest.raises(ValueError, match="sample '[0-3]' of a Linear: got a loss of"):
        list(LiveSource(model(), batches(), share))


def test_trainable_weights_that_are_not_taken_are_named():
    source = LiveSource(nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)), batches(), layers=["1.weight"])
    assert source.left_out == ("0.weight", "0.bias", "1.bias")
    assert source.layers == {"1.weight": (3, 4)}


def test_the_check_can_be_switched_off_in_code():
    passes = []

    def counted(model, batch):
        passes.append(len(batch[1]))
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    same = model()
    list(LiveSource(same, batches(), counted, check=False))
    assert passes == [4, 4, 4]
    passes.clear()
    list(LiveSource(same, batches(), counted))
    assert passes == [2, 3, 4, 1, 4, 4]  # the first two tell what the passes will take
    passes.clear()
    list(LiveSource(same, batches(), counted))  # another source of the same model and form
    assert passes == [2, 3, 4, 4, 4]


def test_what_surrounds_a_sweep_does_not_matter():
    expected = TensorSource.gather(LiveSource(model(), batches())).layer("weight")
    with torch.no_grad():
        blocks = list(LiveSource(model(), batches()))
    torch.testing.assert_close(torch.cat([block.gradients["weight"].dense() for block in blocks]), expected)


def test_what_is_known_of_a_model_does_not_keep_it_alive():
    def swept():
        held = model()

        def loss(_, batch):
            return nn.functional.cross_entropy(held(batch[0]), batch[1], reduction="none")

        list(LiveSource(held, batches(), loss))
        return weakref.ref(held)

    gone = swept()
    gc.collect()
    assert gone() is None
