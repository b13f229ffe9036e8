"""What passes will take is foretold before any number is taken, and refused where it is more than is free."""

import sys
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from tiny_models import tiny_config

import hyperinf.gradients.foretold as module
from hyperinf import Attributor
from hyperinf.gradients import LiveSource
from hyperinf.gradients.losses import default_loss
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.plans import run_pass
from hyperinf.gradients.weights import adapted_layers
from hyperinf.influence import gradient_statistics
from hyperinf.models.encoding import Batches
from hyperinf.runtime import memory
from hyperinf.runtime.footprint import Footprint, changes_of_many, peak_of

KINDS = {
    "bert": "AutoModelForSequenceClassification",
    "gpt2": "AutoModelForCausalLM",
    "llama": "AutoModelForCausalLM",
    "mixtral": "AutoModelForCausalLM",
    "bart": "AutoModelForSequenceClassification",
}


def built(kind, auto):
    import transformers

    torch.manual_seed(0)
    return getattr(transformers, auto).from_config(tiny_config(kind)).eval()


def batch_of(samples, tokens, auto, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 60, (samples, tokens), generator=generator)
    ids[:, -1] = 2  # what bart asks for
    labels = ids.clone() if "Causal" in auto else torch.randint(0, 2, (samples,), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def named(batch, start=0):
    return [str(start + row) for row in range(len(batch["labels"]))], batch


def counted(model, batch):
    layers = [layer for layer in adapted_layers(model, None, "larger") if layer.uses]
    with differentiable(model, layers), Footprint() as footprint:
        run_pass(model, batch, default_loss, layers)
    return footprint.peak


@pytest.mark.parametrize(("kind", "auto"), KINDS.items())
def test_what_a_whole_batch_takes_is_known_from_a_few_of_its_samples(kind, auto):
    model, batch = built(kind, auto), batch_of(16, 24, auto)
    passes = LiveSource(model, [named(batch)]).foretold()
    assert (passes.samples, passes.width) == (16, 24)
    # Which experts a token goes to is not known; everything else is.
    assert passes.bytes == pytest.approx(counted(model, batch), rel=0.25 if kind == "mixtral" else 0.02)
    assert passes.held("cuda", 5) < passes.held("cuda", 6) < passes.held("cuda") == passes.bytes


def test_counting_sees_what_is_made_and_let_go_and_nothing_else():
    before = torch.zeros(1000)
    with Footprint() as footprint:
        view = before.view(10, 100)
        made = view + 1  # 4,000 bytes
        also = made.T  # a view
        twice = made * 2  # as many
        del made, also, twice
        rest = torch.ones(3)
    assert footprint.peak == 8000
    assert sum(footprint.changes) == rest.nbytes


def test_what_autograd_keeps_counts_as_long_as_it_does():
    x = torch.ones(1000, requires_grad=True)
    with Footprint() as footprint:
        y = x.exp()
        z = y.sin().cos()
        del y
        kept = sum(footprint.changes)
        del z
    assert kept == 12_000
    assert sum(footprint.changes) == 0


def test_the_peak_of_many_may_be_in_another_place_than_that_of_few():
    few, one_more = [100, -100, 10, 40, -50], [100, -100, 10, 60, -70]  # one fixed tensor, then 20 for each
    assert peak_of(changes_of_many(few, one_more, 2, 3)) == 100
    assert peak_of(changes_of_many(few, one_more, 2, 10)) == 10 + 10 * 20
    assert peak_of(changes_of_many([5, 1, -6], [7], 2, 4)) == 6 + 2 * 1
    assert peak_of(changes_of_many([5, -5], [6, 6], 2, 4)) == 5 + 2 * 7
    assert peak_of(changes_of_many([], [], 2, 4)) == 0


def test_an_allocator_holds_more_for_tensors_that_are_not_mapped_anyway(monkeypatch):
    passes = module.Foretold(10, 1, lambda count: [count * 2.0**20, 2.0**30, -(2.0**30)])
    assert passes.held("cuda") == passes.bytes == 10 * 2**20 + 2**30
    assert passes.held("cpu") == 17.5 * 2**20 + 2**30
    assert passes.most(4 * 2**20 + 2**30, "cpu") == 2
    monkeypatch.setattr(memory, "_mapped", True)
    assert passes.held("cpu") == passes.bytes


class Rows:
    """Texts of ever more tokens."""

    def __init__(self, lengths):
        self.lengths, self.ids = lengths, [f"row {place}" for place in range(len(lengths))]
        self.collated = []

    def collate(self, indices):
        self.collated.append(len(indices))
        return batch_of(len(indices), max(self.lengths[index] for index in indices), "AutoModelForCausalLM")


def swept(source):
    for _ in source:  # a list would ask for its length, which makes every batch
        pass


@contextmanager
def free(bytes_):
    """So much is free, and no more is held than tensors take."""
    with patch.object(module, "free_bytes", lambda device: bytes_), patch.object(memory, "_mapped", True):
        yield


def test_the_widest_batch_which_is_the_last_one_is_refused_before_the_first_is_run():
    model, rows = built("llama", "AutoModelForCausalLM"), Rows([4] * 8 + [32] * 8)
    source = LiveSource(model, Batches(rows, 8))
    needed, half = source.foretold().held("cuda"), source.foretold().held("cuda", 4)
    assert rows.collated == [8]  # of the widest batch alone
    with free(needed - 1), pytest.raises(ValueError, match=r"got 8 samples of 32 tokens, .* at most 7 at a time"):
        next(iter(source))
    with free(half), pytest.raises(ValueError, match="at most 4 at a time"):
        next(iter(source))
    with free(10), pytest.raises(ValueError, match=r"take shorter samples \(max_length\)"):
        next(iter(source))
    with free(half):
        assert len(list(LiveSource(model, Batches(rows, 4)))) == 4


def test_what_is_made_as_it_is_asked_for_is_tried_as_it_comes_and_made_once():
    class Loader:
        made = 0

        def __iter__(self):
            for place, tokens in enumerate((4, 4, 8, 32)):
                self.made += 1
                yield named(batch_of(8, tokens, "AutoModelForCausalLM"), 8 * place)

    model, loader = built("llama", "AutoModelForCausalLM"), Loader()
    source = LiveSource(model, loader)
    loader.made = 0
    assert source.foretold() is None
    swept(source)
    assert loader.made == 4
    needed = source.foretold().bytes
    assert source.foretold().width == 32
    source, loader.made = LiveSource(model, loader), 0
    with free(needed - 1), pytest.raises(ValueError, match="got 8 samples of 32 tokens"):
        swept(source)
    assert loader.made == 4
    with free(needed):
        swept(source)


def test_the_gfim_counts_beside_the_passes():
    model, batch = built("bert", "AutoModelForSequenceClassification"), batch_of(8, 8, "")
    source = LiveSource(model, [named(batch)])
    with free(source.foretold().bytes + 1):
        gradient_statistics(source, gfim=False)
        with pytest.raises(ValueError, match="and the GFIM with its inversion takes 0.0"):
            gradient_statistics(source)


def test_where_memory_is_short_large_tensors_are_mapped_before_anything_is_refused(monkeypatch, caplog):
    model, batch = built("bert", "AutoModelForSequenceClassification"), batch_of(8, 8, "")
    source = LiveSource(model, [named(batch)])
    tight, told = source.foretold().bytes, []
    monkeypatch.setattr(memory, "_mapped", False)
    room = [2 * tight]
    monkeypatch.setattr(module, "free_bytes", lambda device: room[0])

    def mapped():
        monkeypatch.setattr(memory, "_mapped", True)
        told.append(1)
        return True

    monkeypatch.setattr(module, "map_large_tensors", mapped)
    next(iter(source))
    assert not told
    source, room[0] = LiveSource(model, [named(batch)]), tight
    next(iter(source))
    assert told
    assert "memory is short" in caplog.text


def test_what_a_card_has_no_room_for_at_all_is_told_too(monkeypatch):
    model, batch = built("bert", "AutoModelForSequenceClassification"), batch_of(8, 8, "")

    def full(*args, **kw):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(module, "run_pass", full)
    with pytest.raises(ValueError, match="got samples of 8 tokens, expected 2 of them to fit"):
        next(iter(LiveSource(model, [named(batch)])))


def test_what_an_earlier_sweep_has_left_with_the_allocator_counts_as_free(monkeypatch):
    model, batch = built("bert", "AutoModelForSequenceClassification"), batch_of(8, 8, "")
    source = LiveSource(model, [named(batch)])
    room = [100]
    monkeypatch.setattr(module, "free_bytes", lambda device: room[0])
    monkeypatch.setattr(module, "give_back", lambda: room.insert(0, 2**30))
    next(iter(source))


def test_an_attributor_s_user_is_told_too_and_a_later_sweep_is_not_checked_again():
    model, batch = built("bert", "AutoModelForSequenceClassification"), batch_of(8, 8, "")
    attributor = Attributor(model, "tracin")
    with free(100), pytest.raises(ValueError, match="batches: got 8 samples of 8 tokens"):
        attributor.fit([named(batch)])
    attributor.fit([named(batch)])
    with free(100):
        assert len(list(attributor._train.source)) == 1


def test_nothing_is_foretold_of_what_cannot_be_cut_or_is_hardly_more_than_is_tried():
    model = built("bert", "AutoModelForSequenceClassification")
    assert LiveSource(model, [named(batch_of(3, 8, ""))]).foretold() is None
    strange = {**batch_of(8, 8, ""), "more": torch.zeros(5)}

    def loss(model, batch):
        return default_loss(model, {key: value for key, value in batch.items() if key != "more"})

    assert LiveSource(model, [(list("abcdefgh"), strange)], loss).foretold() is None


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is told")
def test_mapped_tensors_leave_nothing_behind():
    """In a process of its own, as it holds for the rest of it."""
    import subprocess

    program = """
import torch
from hyperinf.runtime.memory import held_for, map_large_tensors
assert held_for(100, "cpu") > 100 and held_for(100, "cuda") == 100 and held_for(2**26, "cpu") == 2**26
assert map_large_tensors() and map_large_tensors() and held_for(100, "cpu") == 100

def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

before = resident()
some = [torch.ones(2**19) for _ in range(50)]
kept = [torch.ones(100) for _ in range(50)]
grown = resident()
del some
assert grown - before > 90_000 and resident() - before < 20_000, (before, grown, resident())
"""
    subprocess.run([sys.executable, "-c", program], check=True)
