"""Adapters trained side by side are those trained one after the other."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import write_tiny
from torch import nn
from transformers import AutoModelForSequenceClassification

from hyperinf.errors import InputError
from hyperinf.models.trainable import restore, trained_weights
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import epoch_batches, train
from hyperinf.training.side_by_side import (
    can_stack,
    drops_out,
    losses_side_by_side,
    part_batches,
    steps_on_part,
    train_side_by_side,
    train_subsets,
)

SETTINGS = TrainingSettings(epochs=3, batch_size=4, learning_rate=0.02)
PARTS = [list(range(0, 14)), list(range(6, 20)), [*range(0, 7), *range(13, 20)]]


class Texts:
    """Twenty texts of different lengths, of two classes."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.lengths = tuple(3 + index % 5 for index in range(20))
        self.rows = [torch.randint(5, 20, (length,), generator=generator) for length in self.lengths]
        self.ids = tuple(map(str, range(20)))
        self.kinds = (False,) * 20

    def collate(self, indices):
        rows = [self.rows[index] for index in indices]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        return {"input_ids": padded, "attention_mask": mask, "labels": torch.tensor([index % 2 for index in indices])}


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A classifier with an adapter and a head in double precision, without dropout."""
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    folder = write_tiny(tmp_path_factory.mktemp("bert"), "bert", **dropout)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).double()
    lora = LoraConfig(r=2, target_modules=["query", "value"], task_type="SEQ_CLS")
    return get_peft_model(model, lora).double()


def losses(model, copies):
    return losses_side_by_side(model, copies, Texts(), None, 8)


def trained(model, parts, settings=SETTINGS, seed=5):
    return train_side_by_side(model, Texts(), parts, settings, seed, None, losses)


def test_side_by_side_they_end_in_the_losses_of_one_by_one(adapted):
    start = trained_weights(adapted)
    assert can_stack(adapted, Texts())
    together = trained(adapted, PARTS)
    alone = torch.cat([trained(adapted, [part]) for part in PARTS])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    assert (together[0] - together[1]).abs().max() > 1e-3
    assert all(torch.equal(start[name], weight) for name, weight in trained_weights(adapted).items())


def test_on_all_samples_it_is_the_training_of_the_loop(adapted, tmp_path):
    found = trained(adapted, [range(20)])[0]
    start = trained_weights(adapted)
    train(adapted, Texts(), SETTINGS, 5, tmp_path / "state", "")
    expected = losses(adapted, 1)[0]
    restore(adapted, start)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


class Part(Texts):
    """Some of the texts, by themselves."""

    def __init__(self, part):
        super().__init__()
        self.rows = [self.rows[index] for index in part]
        self.lengths = tuple(self.lengths[index] for index in part)
        self.ids = tuple(self.ids[index] for index in part)
        self.labels = torch.tensor([index % 2 for index in part])

    def collate(self, indices):
        return {**super().collate(indices), "labels": self.labels[list(indices)]}


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.model_copy(update={"epochs": None, "max_steps": 7})])
def test_subsets_trained_together_have_the_weights_of_the_loop_on_each(adapted, tmp_path, settings):
    start = trained_weights(adapted)
    together = train_subsets(adapted, Texts(), PARTS, settings, 5, tmp_path / "state", "")
    assert all(torch.equal(start[name], weight) for name, weight in trained_weights(adapted).items())
    for number, (part, found) in enumerate(zip(PARTS, together, strict=True)):
        train(adapted, Part(part), settings, 5, tmp_path / f"state-{number}", "")
        for name, weight in trained_weights(adapted).items():
            torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-9)
        restore(adapted, start)


def test_a_model_that_drops_out_is_told(adapted, tmp_path):
    assert not drops_out(adapted)
    assert drops_out(AutoModelForSequenceClassification.from_pretrained(write_tiny(tmp_path, "bert")))
    assert drops_out(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)))


def test_the_same_again_gives_the_same_bits_and_another_order_others(adapted):
    first = trained(adapted, PARTS)
    assert torch.equal(first, trained(adapted, PARTS))
    assert not torch.equal(first, trained(adapted, PARTS, seed=6))


@pytest.mark.parametrize("epoch", [0, 3])
def test_batches_of_all_samples_are_those_of_the_loop(epoch):
    lengths = [1 + index * 7 % 11 for index in range(230)]
    assert part_batches(lengths, range(230), 2, 9, epoch) == list(epoch_batches(lengths, 2, 9, epoch))


def test_a_part_keeps_the_order_of_the_whole():
    lengths = [1] * 40  # none is sorted past another
    whole = [index for batch in part_batches(lengths, range(40), 40, 1, 0) for index in batch]
    part = range(10, 30)
    kept = [index for batch in part_batches(lengths, part, 40, 1, 0) for index in batch]
    assert kept == [index for index in whole if index in part]


def test_parts_are_passed_over_as_often_as_the_whole():
    assert steps_on_part(TrainingSettings(epochs=3, batch_size=4), 20, 10) == 9
    assert steps_on_part(TrainingSettings(max_steps=40, batch_size=4), 20, 10) == 20
    assert steps_on_part(TrainingSettings(max_steps=1, batch_size=4), 20, 1) == 1


def test_what_cannot_stand_side_by_side_is_told_and_trained_alone():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.head = nn.Embedding(30, 4), nn.LayerNorm(4), nn.Linear(4, 2)

        def forward(self, input_ids, attention_mask):
            return self.head(self.norm(self.embed(input_ids)).mean(dim=1))

    torch.manual_seed(0)
    model = Normed()
    assert not can_stack(model, Texts())
    model.requires_grad_(False)
    with pytest.raises(InputError, match="model"):
        trained(model, [PARTS[0]])
    model.head.requires_grad_(True)
    assert can_stack(model, Texts())
    mixed = Texts()
    mixed.kinds = (True, *mixed.kinds[1:])
    assert not can_stack(model, mixed)
    tied = Normed()
    tied.requires_grad_(False)
    tied.other = tied.head
    tied.head.requires_grad_(True)
    assert not can_stack(tied, Texts())


def test_a_loss_that_diverges_is_refused(adapted):
    with pytest.raises(InputError, match="learning_rate"):
        trained(adapted, PARTS, TrainingSettings(epochs=3, batch_size=4, learning_rate=1e200))
