import subprocess
import sys

import pandas as pd
import pytest
import torch

from hyperinf.cli import build_parser, main
from hyperinf.gradients import GradientStore, TensorSource
from hyperinf.influence import METHODS, influence_scores


def commands(parser, prefix=()):
    """Every command that runs something, with its parser."""
    actions = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    if not actions:
        yield prefix, parser
    for action in actions:
        for name, child in action.choices.items():
            yield from commands(child, (*prefix, name))


@pytest.mark.parametrize(
    ("words", "parser"),
    list(commands(build_parser())),
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_every_option_of_every_command_is_explained(words, parser):
    assert parser.description
    for action in parser._actions:
        assert action.help, f"{words}: {action.option_strings or action.dest}"
    text = parser.format_help()
    assert "None" not in text
    assert "[]" not in text


def test_help_needs_neither_torch_nor_the_rest():
    watched = "sorted({'torch', 'pandas'} & set(sys.modules))"
    code = f"import sys; from hyperinf.cli import build_parser; build_parser(); print({watched})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_group_without_a_command_shows_what_there_is(capsys):
    assert main(["simulate"]) == 2
    assert "convergence" in capsys.readouterr().out


def stores(tmp_path):
    generator = torch.Generator().manual_seed(0)
    train = {"w": torch.randn(9, 2, 5, generator=generator), "u": torch.randn(9, 1, 3, generator=generator)}
    target = {name: tensor[:2] * 0.5 for name, tensor in train.items()}
    GradientStore.write(tmp_path / "train", TensorSource(train, [f"r{index}" for index in range(9)]))
    GradientStore.write(tmp_path / "target", TensorSource(target))
    return train, target


def test_one_s_own_gradient_stores_are_scored_by_one_command(tmp_path):
    train, target = stores(tmp_path)
    paths = ["--train", str(tmp_path / "train"), "--target", str(tmp_path / "target")]
    assert main(["scores", *paths, "--methods", *METHODS, "--out", str(tmp_path / "s.parquet")]) == 0
    frame = pd.read_parquet(tmp_path / "s.parquet")
    assert frame["sample_id"].tolist() == [f"r{index}" for index in range(9)]
    for method in METHODS:
        expected = influence_scores(train, target, method=method)
        assert torch.allclose(torch.tensor(frame[f"influence_{method}"].to_numpy()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--train": "nowhere"}, "nowhere/store.json: no such file"),
        ({"--methods": "guess"}, "methods: expected some of"),
        ({"--damping": "-1"}, "damping: got -1.0, expected"),
    ],
)
def test_a_user_s_mistake_is_one_line_exit_2_and_nothing_written(tmp_path, capsys, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    stores(tmp_path)
    arguments = {"--train": "train", "--target": "target", "--out": "s.parquet", **change}
    assert main(["scores", *[word for pair in arguments.items() for word in pair]]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hyperinf: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "s.parquet").exists()
