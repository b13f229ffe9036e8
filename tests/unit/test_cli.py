import argparse
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from processor_time import of_children, quickest
from scored_methods import HELD

from hyperinf.cli import build_parser, main
from hyperinf.cli.commands import GROUPS, STAGES
from hyperinf.cli.flags import settings_of
from hyperinf.cli.main import named
from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore, TensorSource
from hyperinf.influence import influence_scores
from hyperinf.settings.stages import Finetune, Score


def commands(parser, prefix=()):
    """Every command that runs something, with its parser."""
    actions = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    if not actions:
        yield prefix, parser
    for action in actions:
        for name, child in action.choices.items():
            yield from commands(child, (*prefix, name))


COMMANDS = dict(commands(build_parser()))


def of_stage(*words):
    """The parser of a stage, which a command on files may share its name with."""
    return dict(commands(build_parser([*words, "--out"])))[words]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_of_every_command_is_explained(words):
    parser = COMMANDS[words]
    assert parser.description
    for action in parser._actions:
        assert action.help, f"{words}: {action.option_strings or action.dest}"
    text = parser.format_help()
    assert "None" not in text
    assert "[]" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_help_of_a_stage_shows_what_is_required_first_and_what_it_runs_is_there(stage):
    text = of_stage(*stage.name.split()).format_help()
    groups = [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert groups[0] == "required"
    assert groups[-1] == "also"
    first = text.partition("required:\n")[2].partition("\n\n")[0]
    required = {name for name, field in named(stage.settings).model_fields.items() if field.is_required()}
    assert {line.split()[0] for line in first.splitlines() if line.startswith("  --")} == {
        f"--{name.replace('_', '-')}" for name in required
    }
    assert callable(named(stage.run))
    assert stage.then
    for following in stage.then:
        words = following.format_map(dict.fromkeys(named(stage.settings).model_fields, "x")).split(",")[0].split()
        if words[0] != "hyperinf":
            continue
        flags = of_stage(*next(each for each in (tuple(words[1:3]), tuple(words[1:2])) if each in COMMANDS))
        shown = {name for action in flags._actions for name in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= shown


def test_every_group_of_commands_is_explained():
    assert {words[0] for words in COMMANDS if len(words) == 2} == set(GROUPS)


@pytest.mark.parametrize(
    ("words", "limit"),
    [("--help", 0.3), ("prepare --help", 0.6), ("shard scores --help", 0.6), ("finetune --rank 0", 0.6)],
)
def test_help_is_quick(words, limit):
    command = [sys.executable, "-m", "hyperinf", *words.split()]
    assert quickest(lambda: of_children(lambda: subprocess.run(command, capture_output=True)), limit) < limit


@pytest.mark.parametrize("words", [["--help"], ["score", "--help"], ["score", "--damping", "0"], ["no"]], ids=" ".join)
def test_neither_help_nor_a_refusal_needs_torch_or_the_rest(words):
    heavy = "{'torch', 'pandas', 'numpy', 'transformers', 'datasets', 'matplotlib'}"
    code = f"""
import sys
from hyperinf.cli import main
try:
    main({words!r})
except SystemExit:
    pass
assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_group_without_a_command_shows_what_there_is(capsys):
    assert main(["simulate"]) == 2
    assert "convergence" in capsys.readouterr().out


def parsed(model, *words: str):
    command = next(stage.name for stage in STAGES if named(stage.settings) is model)
    every = [*command.split(), *words]
    return settings_of(build_parser(every).parse_args(every), model)


GIVEN = ("--data", "d", "--model", "path:m", "--family", "causal", "--seed", "1", "--out", "o", "--max-steps", "5")


def test_flags_win_over_a_file_and_a_file_over_defaults(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("rank: 4\ntarget_modules: [a, b]\nlearning_rate: 1e-4\nmodel: {hub: a/b}\nrslora: false\n")
    settings = parsed(Finetune, "--config", str(file), *GIVEN, "--rank", "2")
    assert (settings.rank, settings.target_modules, settings.learning_rate) == (2, ("a", "b"), 1e-4)
    assert (str(settings.model), settings.rslora, settings.dropout) == ("path:m", False, 0.0)
    assert parsed(Finetune, "--config", str(file), *GIVEN, "--rslora").rslora


def test_what_is_written_beside_a_result_does_it_again(tmp_path):
    settings = parsed(Score, "--data", "d", "--finetuned", "f", "--seed", "1", "--out", "o", "--lissa.iterations", "3")
    (tmp_path / "settings.yaml").write_text(json.dumps(settings.plain()))
    assert parsed(Score, "--config", str(tmp_path / "settings.yaml")) == settings
    assert parsed(Score, "--config", json.dumps(settings.plain()), "--damping", "1").lissa.iterations == 3


def test_null_takes_a_setting_back_to_nothing(tmp_path):
    config = json.dumps({"epochs": 3, "checkpoints": [1, 3], "max_steps": None})
    settings = parsed(Finetune, "--config", config, *GIVEN[:-2], "--checkpoints", "null")
    assert settings.checkpoints is None
    assert parsed(Finetune, "--config", config, *GIVEN, "--epochs", "null", "--checkpoints", "none").max_steps == 5


def test_a_mistake_names_the_flag_or_the_file_that_it_is_in(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("rank: 0\ndtype: int8\nmodel: {asset: no}\n")
    with pytest.raises(InputError) as refused:
        parsed(Finetune, "--config", str(file), *GIVEN[:2], *GIVEN[4:], "--dtype", "int9")
    lines = str(refused.value).splitlines()
    places = [line.partition(": got")[0] for line in lines]
    assert sorted(places) == sorted(["--dtype", f"{file}: rank", f"{file}: model.asset"])


def stores(tmp_path):
    generator = torch.Generator().manual_seed(0)
    train = {"w": torch.randn(9, 2, 5, generator=generator), "u": torch.randn(9, 1, 3, generator=generator)}
    target = {name: tensor[:2] * 0.5 for name, tensor in train.items()}
    GradientStore.write(tmp_path / "train", TensorSource(train, [f"r{index}" for index in range(9)]))
    GradientStore.write(tmp_path / "target", TensorSource(target))
    return train, target


def test_one_s_own_gradient_stores_are_scored_by_one_command(tmp_path, capsys):
    train, target = stores(tmp_path)
    paths = ["--train", str(tmp_path / "train"), "--target", str(tmp_path / "target")]
    out = tmp_path / "s.parquet"
    assert main(["score-stores", *paths, "--methods", *HELD, "--out", str(out)]) == 0
    wrote, following = capsys.readouterr().err.splitlines()
    assert wrote == f"hyperinf: wrote {out}"
    assert str(out) in following
    frame = pd.read_parquet(out)
    assert frame["sample_id"].tolist() == [f"r{index}" for index in range(9)]
    for method in HELD:
        expected = influence_scores(train, target, method=method)
        near = 1e-3 if method.endswith("_cg") else 1e-5  # where conjugate gradients end
        assert torch.allclose(torch.tensor(frame[f"influence_{method}"].to_numpy()), expected, rtol=near, atol=1e-6)


def test_all_mistakes_of_a_user_are_lines_exit_2_and_nothing_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stores(tmp_path)
    words = ["--train", "train", "--target", "target", "--methods", "guess", "--damping", "-1", "--speed", "9"]
    assert main(["score-stores", *words, "--out", "train"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("hyperinf: error: ") for line in lines)
    places = [line.split(": ")[2] for line in lines]
    assert sorted(places) == ["--damping", "--methods", "--out", "--speed"]
    assert {path.name for path in tmp_path.iterdir()} == {"train", "target"}


def test_what_is_logged_and_warned_of_is_a_line_each(capsys, monkeypatch):
    def run(_: argparse.Namespace) -> None:
        logging.getLogger("hyperinf.somewhere").warning("the file hf_abcdefgh12345678\nis odd")
        logging.getLogger("hyperinf.somewhere").info("nobody asked")
        warnings.warn_explicit("slow", UserWarning, str(Path(main.__code__.co_filename)), 1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        odd = argparse.Namespace(name="odd", help="odd", add=str, run=run)
        monkeypatch.setattr(sys.modules["hyperinf.cli.main"], "OTHERS", [odd])
        assert main(["odd"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "hyperinf: warning: the file *** is odd",
        "hyperinf: warning: slow",
    ]


def test_the_configuration_in_this_folder_is_checked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("run: [simulation]\n")
    assert main(["settings", "--check"]) == 0
    (tmp_path / "more.yaml").write_text("run: [llm]\n")
    assert main(["settings", "--check", "config.yaml", "more.yaml"]) == 2
    assert "run[0]: got 'llm'" in capsys.readouterr().err


def test_the_files_made_of_settings_are_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["settings"]) == 0
    shown = capsys.readouterr().out
    assert main(["settings", "--write"]) == 0
    assert (tmp_path / "config.yaml").read_text() == shown
