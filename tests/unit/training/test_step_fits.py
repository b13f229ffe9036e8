"""A training whose widest step cannot fit is refused before the first one, and nothing else is changed by looking."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest
import torch
from tiny_models import tiny_config
from torch import nn

import hyperinf.gradients.foretold as passes
from hyperinf.errors import InputError
from hyperinf.gradients.losses import default_loss
from hyperinf.runtime import memory
from hyperinf.runtime.footprint import Footprint
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.foretold import check_step_fits
from hyperinf.training.loop import train
from hyperinf.training.side_by_side import train_side_by_side, train_subsets

SETTINGS = TrainingSettings(epochs=1, batch_size=16, learning_rate=0.01)


class Texts:
    """Short texts and a long one."""

    def __init__(self, count=32):
        self.lengths = [4] * (count - 1) + [24]
        self.ids, self.kinds = [str(index) for index in range(count)], (False,) * count

    def collate(self, indices):
        ids = torch.full((len(indices), max(self.lengths[index] for index in indices)), 7)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.zeros(len(indices)).long()}


class Linear(nn.Module):
    """A linear layer of 4,000 weights, which :func:`train_subsets` can stack."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2000, 2)

    def forward(self, batch):
        rows = torch.zeros(*batch["input_ids"].shape, 2000)
        return self.layer(rows).mean(1)


def loss_of(model, batch):
    return nn.functional.cross_entropy(model(batch), batch["labels"], reduction="none")


def built():
    import transformers

    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(tiny_config("bert")).train()


@contextmanager
def free(bytes_):
    """So much is free, and no more is held than tensors take."""
    with patch.object(passes, "free_bytes", lambda device: bytes_), patch.object(memory, "_mapped", True):
        yield


def needed(model, texts, batch_size):
    """Count a step of so many of the longest text, with the moments that AdamW keeps."""
    batch = texts.collate([31] * batch_size)
    with Footprint() as footprint:
        default_loss(model, batch).mean().backward()
        peak = footprint.peak
    model.zero_grad(set_to_none=True)
    return peak + 2 * sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)


def test_what_a_step_needs_is_what_it_takes_with_gradients_and_moments(tmp_path):
    model, texts = built(), Texts()
    whole, half = needed(model, texts, 16), needed(model, texts, 8)
    with free(whole):
        check_step_fits(model, texts, 16, default_loss)
    with (
        free(whole - 1),
        pytest.raises(InputError, match=r"^batch_size: got 16 samples of 24 tokens, .* at most 15 at"),
    ):
        check_step_fits(model, texts, 16, default_loss)
    with (
        free(half),
        pytest.raises(InputError, match=r"AdamW's moments take 0\.0, .*take at most 8 at a time \(batch_s"),
    ):
        train(model, texts, SETTINGS, 0, tmp_path / "state", "")
    assert not list(tmp_path.iterdir())
    with free(half):
        train(model, texts, SETTINGS.model_copy(update={"batch_size": 8}), 0, tmp_path / "state", "")
    with free(10), pytest.raises(InputError, match="take shorter samples"):
        check_step_fits(model, texts, 16, default_loss)


def test_looking_changes_no_weight_gradient_buffer_or_draw():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.layer = nn.BatchNorm1d(24), nn.Linear(24, 2)

        def forward(self, batch):
            noise = torch.nn.functional.dropout(batch["input_ids"].float(), 0.5, self.training)
            return self.layer(self.norm(noise))

    model = Normed().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_step_fits(model, Texts(), 16, loss_of)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert model.training


@pytest.mark.parametrize("how", [train_subsets, train_side_by_side])
def test_adapters_side_by_side_count_all_of_them(how, tmp_path):
    model, texts = Linear(), Texts()
    parts = [list(range(start, start + 16)) for start in (0, 8, 16)]
    rest = (tmp_path / "state", "", loss_of) if how is train_subsets else (loss_of, lambda model, copies: copies)
    how(model, texts, parts, SETTINGS, 0, *rest)
    # Three adapters' rows are as wide as the longest text, which the last of them alone has.
    rows = 3 * 16 * 24 * 2000 * 4
    with free(rows // 2), pytest.raises(InputError, match=r"at a time \(batch_size, or fewer adapters at_once\)"):
        how(model, texts, parts, SETTINGS, 0, *rest)
    with free(2 * rows):
        how(model, texts, parts, SETTINGS, 0, *rest)
    assert type(model.layer) is nn.Linear


def test_what_does_not_run_is_told_where_it_is_trained(tmp_path):
    def wrong(model, batch):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        train(built(), Texts(), SETTINGS, 0, tmp_path / "state", "", loss_fn=wrong)


def test_a_card_without_room_for_a_few_samples_is_told_so():
    def full(model, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    with pytest.raises(InputError, match=r"^batch_size: got samples of 24 tokens, expected 2 of them to fit"):
        check_step_fits(built(), Texts(), 16, full)
