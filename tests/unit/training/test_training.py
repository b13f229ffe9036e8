import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from hyperinf.errors import InputError
from hyperinf.gradients.losses import default_loss
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import epoch_batches, train
from hyperinf.training.schedule import schedule


class Points:
    """Thirteen points of three classes."""

    def __init__(self, scale=1.0):
        generator = torch.Generator().manual_seed(1)
        self.x = scale * torch.randn(13, 4, generator=generator)
        self.y = torch.randint(0, 3, (13,), generator=generator)
        self.ids = tuple(map(str, range(13)))
        self.lengths = (1,) * 13

    def collate(self, indices):
        rows = torch.tensor(list(indices))
        return {"input": self.x[rows], "labels": self.y[rows]}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(4, 8).requires_grad_(False)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(8, 3)

    def forward(self, input):
        return self.head(self.drop(torch.tanh(self.frozen(input))))


SETTINGS = TrainingSettings(epochs=4, batch_size=4, learning_rate=0.05)
SEED = 3


def run(model, state, settings=SETTINGS, fingerprint="a", loss_fn=None, seed=SEED):
    """Train and save the state after every step; gives the log and the epochs that were told of."""
    seen: list[int] = []
    logs = train(model, Points(), settings, seed, state, fingerprint, seen.append, loss_fn, save_seconds=0.0)
    return logs, seen


@pytest.mark.parametrize("kill_at", [0, 1, 5, 8, 11, 15])
def test_a_run_killed_at_any_step_ends_in_the_weights_and_log_of_an_undisturbed_one(tmp_path, kill_at, monkeypatch):
    monkeypatch.setattr("hyperinf.training.loop.check_step_fits", lambda *step: None)  # its passes are no steps
    undisturbed = Net()
    logs, _ = run(undisturbed, tmp_path / "a")

    steps = iter(range(1000))

    def dies(model, batch):
        if next(steps) == kill_at:
            raise KeyboardInterrupt
        return default_loss(model, batch)

    with pytest.raises(KeyboardInterrupt):
        run(Net(), tmp_path / "b", loss_fn=dies)
    resumed = Net()
    counted = []

    def counts(model, batch):
        counted.append(1)
        return default_loss(model, batch)

    logs_resumed, epochs = run(resumed, tmp_path / "b", loss_fn=counts)
    assert len(counted) == 16 - kill_at
    assert logs_resumed == logs
    assert epochs[-1] == 4
    for name, value in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_state_of_other_settings_or_a_broken_one_is_not_resumed_from(tmp_path):
    fresh = Net()
    run(fresh, tmp_path / "a")
    (tmp_path / "b").write_bytes(b"\x00" * 50)
    for state, fingerprint in ((tmp_path / "a", "other"), (tmp_path / "b", "a")):
        again = Net()
        _, epochs = run(again, state, fingerprint=fingerprint)
        assert epochs == [1, 2, 3, 4]
        assert torch.equal(again.head.weight, fresh.head.weight)


def test_an_epoch_sees_every_sample_once_in_batches_of_like_length_and_no_two_epochs_alike():
    lengths = [int(x) for x in torch.randint(3, 40, (203,), generator=torch.Generator().manual_seed(0))]
    first, again, second = (list(epoch_batches(lengths, 8, 5, epoch)) for epoch in (0, 0, 1))
    assert first == again != second
    assert sorted(i for batch in first for i in batch) == list(range(203))
    assert [len(batch) for batch in first] == [8] * 25 + [3]
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in first]
    assert sum(spread) / len(spread) < 5
    starts = [lengths[batch[0]] for batch in first]
    assert starts != sorted(starts)


def test_only_what_can_be_trained_moves_and_the_loss_falls(tmp_path):
    model = Net()
    before = model.frozen.weight.clone()
    logs, epochs = run(model, tmp_path / "a")
    assert torch.equal(model.frozen.weight, before)
    assert epochs == [1, 2, 3, 4]
    assert [log.step for log in logs] == [4, 8, 12, 16]
    assert logs[-1].loss < logs[0].loss


def test_the_first_step_is_adamw_written_out(tmp_path):
    model = Net()
    model.drop.p = 0.0
    settings = TrainingSettings(epochs=1, batch_size=13, learning_rate=0.01, weight_decay=0.1, warmup_ratio=0.0)
    points = Points()
    weight, bias = model.head.weight.detach().clone(), model.head.bias.detach().clone()
    loss = nn.functional.cross_entropy(model(points.x), points.y)
    grad_weight, grad_bias = torch.autograd.grad(loss, [model.head.weight, model.head.bias])
    run(model, tmp_path / "a", settings)
    # After one step the bias-corrected moments are g and g^2.
    expected = weight * (1 - 0.01 * 0.1) - 0.01 * grad_weight / (grad_weight.abs() + 1e-8)
    assert torch.allclose(model.head.weight, expected, atol=1e-6)
    assert torch.allclose(model.head.bias, bias - 0.01 * grad_bias / (grad_bias.abs() + 1e-8), atol=1e-6)


def test_the_rate_rises_over_the_warm_up_and_falls_linearly_to_nothing():
    factors = [schedule(step, 100, 0.06) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 7)
    assert factors[6] == 1.0
    assert max(factors) == 1.0
    assert factors[53] == pytest.approx(0.5)
    assert factors[100] == 0.0
    assert all(b - a == pytest.approx(-1 / 94) for a, b in pairwise(factors[6:]))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path):
    with pytest.raises(InputError, match="nan at step 0"):
        run(Net(), tmp_path / "a", loss_fn=lambda m, b: m(b["input"]).sum(1) * math.nan)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"epochs": 1, "batch_size": 0}, "batch_size"),
        ({"epochs": 1, "warmup_ratio": 1.0}, "warmup_ratio"),
        ({"epochs": 1, "max_steps": 1}, "max_steps.*expected one of the two"),
        ({}, "expected one of the two"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, name):
    with pytest.raises(ValueError, match=name):
        TrainingSettings(**settings)


@pytest.mark.parametrize("spoil", ["flipped", "truncated", "foreign"])
def test_a_state_that_is_damaged_or_foreign_means_starting_again(tmp_path, spoil):
    undisturbed = Net()
    run(undisturbed, tmp_path / "a")
    started = Net()
    run(started, tmp_path / "b", seed=9)
    content = bytearray((tmp_path / ("b" if spoil == "foreign" else "a")).read_bytes())
    if spoil == "flipped":
        content[-3] ^= 1  # in a tensor, whose header stays whole
    (tmp_path / "state").write_bytes(content[:-7] if spoil == "truncated" else content)
    again = Net()
    run(again, tmp_path / "state", fingerprint="b" if spoil == "foreign" else "a")
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, undisturbed.state_dict()[name])
