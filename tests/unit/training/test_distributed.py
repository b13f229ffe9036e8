"""Fine-tuning in two processes that accelerate launch starts, on the CPU, against one process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from launched import train
from safetensors.torch import load_file
from tiny_models import write_tiny

from hyperinf.cli import main
from hyperinf.pipeline.prepare import prepare
from hyperinf.runtime.distributed import _sharded_apart
from hyperinf.settings.stages import Prepare

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


KINDS = ["ddp", "fsdp"]


def launch(kind, *command):
    """Start two processes as the example of a configuration says, but for their number."""
    arguments = ["--config_file", ROOT / f"profiles/accelerate/{kind}.yaml", "--num_processes", 2, *command]
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{HERE}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    rows = [
        {"id": f"q{index}", "question": f"{index}: {'ab'[index % 2] * 5}?", "choices": ["a", "b"], "answer": letter}
        for index, letter in enumerate("abbabaabababbaabab")
    ]
    (folder / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {"format": "record", "template": "question", "train": 9, "validation": 2, "test": 7, "seed": 1}
    prepare(Prepare(source=f"path:{folder / 'letters.jsonl'}", **task, out=str(folder / "prepared")))
    return folder / "prepared"


@pytest.fixture(scope="module")
def calm_bert(tiny_bert, tmp_path_factory):
    """Without dropout, whose draws are a process's own."""
    folder = tmp_path_factory.mktemp("models") / "calm-bert"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def commands(letters, words, llama, bert, out):
    """A fine-tuning in steps, a training afresh after it, and a fine-tuning that keeps weights by the epoch."""
    shared = ["--batch-size", "4", "--learning-rate", "5e-3", "--seed", "1", "--device", "cpu", "--threads", "1"]
    causal = ["--model", f"path:{llama}", "--family", "causal", "--target-modules", "q_proj", "v_proj"]
    classifier = ["--model", f"path:{bert}", "--family", "classifier", "--rank", "2", "--max-length", "32"]
    steps, epochs = ["--max-steps", "3"], ["--epochs", "2", "--checkpoints", "1", "2"]
    return [
        ["finetune", "--data", letters, *causal, *steps, *shared, "--out", out / "steps"],
        [
            "select",
            "--data",
            letters,
            "--finetuned",
            out / "steps",
            "--fraction=1",
            *steps,
            *shared,
            "--out",
            out / "kept",
        ],
        ["finetune", "--data", words, *classifier, *epochs, *shared, "--out", out / "epochs"],
    ]


@pytest.fixture(scope="module")
def alone(letters, word_task, tiny_llama, calm_bert, tmp_path_factory):
    """What one process writes."""
    folder = tmp_path_factory.mktemp("alone")
    train(folder / "net")
    for command in commands(letters, word_task, tiny_llama, calm_bert, folder):
        assert main([*map(str, command)]) == 0
    return folder


@pytest.fixture(scope="module", params=KINDS)
def together(request, letters, word_task, tiny_llama, calm_bert, tmp_path_factory):
    """The same by two, and how they held the weights."""
    folder = tmp_path_factory.mktemp(request.param)
    given = commands(letters, word_task, tiny_llama, calm_bert, folder)
    done = launch(request.param, HERE / "launched.py", folder, *("\t".join(map(str, each)) for each in given))
    assert done.returncode == 0, done.stderr
    held = json.loads((folder / "held-0.json").read_text())
    assert held == {"ddp": ["Parameter"], "fsdp": ["DTensor"]}[request.param]
    return folder


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def flat(value):
    return [item for each in value for item in flat(each)] if isinstance(value, list) else [value]


def test_two_processes_that_were_killed_once_end_where_one_does(alone, together):
    """Sixteen steps, the last batch of an epoch of one sample; the state was saved after the sixth."""
    expected, found = (json.loads((folder / "net/result-0.json").read_text()) for folder in (alone, together))
    assert (expected["steps"], found["steps"]) == (16 + 2, 10)  # two tell one process alone what a step will take
    assert found["epochs"] == [2, 3, 4]
    for name, weight in expected["weights"].items():
        assert flat(found["weights"][name]) == pytest.approx(flat(weight), rel=1e-5, abs=1e-6), name
    losses = [log["loss"] for log in expected["logs"]]
    assert [log["loss"] for log in found["logs"]] == pytest.approx(losses, rel=1e-5)


def test_only_the_first_process_writes_and_nothing_temporary_is_left(alone, together):
    assert files(together / "net") == ["result-0.json", "state"]
    for folder in ("steps", "kept", "epochs"):
        assert files(together / folder) == files(alone / folder)
    assert {path.name for path in together.iterdir()} == {"net", "steps", "kept", "epochs", "held-0.json"}


@pytest.mark.parametrize("adapter", ["steps/last", "epochs/epoch-1", "epochs/epoch-2"])
def test_the_commands_that_fine_tune_write_the_weights_of_one_process(alone, together, adapter):
    expected, found = (load_file(folder / adapter / "adapter_model.safetensors") for folder in (alone, together))
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        error = (found[name] - weight).norm() / weight.norm().clamp(min=1e-3)
        assert error < 1e-3, name


def test_the_tables_of_two_processes_are_those_of_one(alone, together):
    for name in ("kept/metrics.csv", "epochs/training.csv", "steps/training.csv"):
        expected, found = (pd.read_csv(folder / name) for folder in (alone, together))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "auto"),
    [
        ("bert", "SequenceClassification"),
        ("roberta", "SequenceClassification"),
        ("gpt2", "CausalLM"),
        ("opt", "CausalLM"),
    ],
)
def test_layers_are_sharded_apart_but_for_what_holds_the_embeddings(tmp_path, kind, auto):
    import transformers

    folder = write_tiny(tmp_path, kind, getattr(transformers, f"AutoModelFor{auto}"))
    model = getattr(transformers, f"AutoModelFor{auto}").from_pretrained(folder)
    names = _sharded_apart(model)
    layers = [module for module in model.modules() if type(module).__name__ in names]
    assert len(layers) >= model.config.num_hidden_layers
    assert not any(inner is model.get_input_embeddings() for layer in layers for inner in layer.modules())
    assert set(names) <= set(model._no_split_modules)
