"""Every classifier of the table through fine-tuning and scoring, as the commands run them."""

from dataclasses import replace

import pytest
from architectures import ARCHITECTURES
from folders import write_base
from through_commands import sentences, through_commands

from hyperinf.files import read_json
from hyperinf.models.lora import LoraSettings
from hyperinf.training import TrainingSettings

CLASSIFIERS = {row.name: row for row in ARCHITECTURES if row.task == "classify"}


@pytest.fixture(scope="module")
def data():
    return sentences()


@pytest.mark.parametrize("name", [row.name for row in ARCHITECTURES if row.targets])
def test_a_folder_with_a_model_is_scored_or_refused_before_it_is_trained(name):
    row = next(row for row in ARCHITECTURES if row.name == name)
    said = through_commands(row)
    assert said in ("library", "`mislabel`", "`select`") or "refuses it before training" in said
    assert "\n" not in said


def finetuned(row, data, folder, max_length=20):
    from hyperinf.tasks.finetune import FinetuneConfig, run_finetune

    lora = LoraSettings(2, row.targets)
    training = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-2)
    config = FinetuneConfig(data, f"path:{folder / 'model'}", lora, training, (1,), max_length=max_length)
    run_finetune(config, folder / "state", folder / "adapter", "cpu")
    return folder / "adapter"


def losses_of(data, adapter):
    """The losses that scoring sees, by sample."""
    from hyperinf.tasks.checkpoints import Checkpoints

    opened = Checkpoints.opened(data, adapter, adapter, (), "cpu")
    model = opened.model(1)
    source = opened.gradients(model, "train", 8)
    return {name: float(loss) for block in source for name, loss in zip(block.sample_ids, block.losses, strict=True)}


@pytest.mark.parametrize("name", ["BERT", "RoBERTa", "GPT-2 as a classifier", "OPT as a classifier"])
def test_texts_longer_than_the_model_reads_are_cut_there_with_one_warning(name, data, tmp_path, caplog):
    row = CLASSIFIERS[name]
    key = "n_positions" if row.kind == "gpt2" else "max_position_embeddings"
    small = replace(row, sizes={**row.sizes, key: 7})
    write_base(small, tmp_path / "model")
    adapter = finetuned(small, data, tmp_path, max_length=50)
    info = read_json(adapter / "info.json")
    assert info["max_length"] == (6 if row.kind == "roberta" else 7)
    assert info["truncated"]["train"] > 0
    said = [record.getMessage() for record in caplog.records if "are cut at their end" in record.getMessage()]
    assert len(said) == 1
    assert f"{info['truncated']['train']} of 20 in train" in said[0]
    assert losses_of(data, adapter)
