"""What the loop is kept for beside transformers' Trainer: see the top of ``hyperinf/training/loop.py``."""

from pathlib import Path

import pytest
import torch
from test_training import SETTINGS, Net, Points
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import train

STEPS, KILLED_AT = 12, 7
CONFIG = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
PICKLES = {".pt", ".pth", ".bin"}


class KilledError(Exception):
    """Stands for a kill."""


def trained_by_trainer(out: Path, resumed: Path | None = None) -> tuple[dict[str, torch.Tensor], Path]:
    """The weights at the end, and the state that was saved on the way."""
    generator = torch.Generator().manual_seed(0)
    samples = [
        {"input_ids": torch.randint(0, 50, (8,), generator=generator), "labels": torch.tensor(index % 2)}
        for index in range(40)
    ]
    torch.manual_seed(1)
    model = BertForSequenceClassification(CONFIG)
    arguments = TrainingArguments(
        str(out),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        save_steps=KILLED_AT,
        seed=3,
        report_to=[],
        use_cpu=True,
        learning_rate=1e-2,
        disable_tqdm=True,
    )
    Trainer(model, arguments, train_dataset=samples).train(resume_from_checkpoint=resumed and str(resumed))
    return {name: weight.clone() for name, weight in model.state_dict().items()}, out / f"checkpoint-{KILLED_AT}"


def flip_a_bit(file: Path) -> None:
    """As a disk does, in the last number of the file that is not all zeros."""
    content = bytearray(file.read_bytes())
    place = max(index for index, byte in enumerate(content) if byte)
    content[place] ^= 0x10
    file.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    return trained_by_trainer(tmp_path_factory.mktemp("trainer") / "whole")


def test_the_trainer_goes_on_with_other_weights_where_a_bit_was_flipped(trainer, tmp_path):
    whole, state = trainer
    again, _ = trained_by_trainer(tmp_path / "again", state)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    flip_a_bit(state / "model.safetensors")
    damaged, _ = trained_by_trainer(tmp_path / "damaged", state)
    assert not all(torch.equal(whole[name], damaged[name]) for name in whole)


def test_the_trainers_state_is_made_of_pickles(trainer):
    assert {file.suffix for file in trainer[1].iterdir()} & PICKLES


def test_the_loop_starts_again_where_a_bit_was_flipped(tmp_path):
    settings, seed = TrainingSettings.of(SETTINGS), 3

    def run(state: Path, killed_after: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        net = Net()

        def kill(epoch: int) -> None:
            if epoch == killed_after:
                raise KilledError

        train(net, Points(), settings, seed, state, "run", kill, save_seconds=0.0)
        return {name: weight.clone() for name, weight in net.state_dict().items()}

    whole = run(tmp_path / "whole.safetensors")
    state = tmp_path / "state.safetensors"
    with pytest.raises(KilledError):
        run(state, killed_after=2)
    flip_a_bit(state)
    again = run(state)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
