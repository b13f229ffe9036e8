"""``hyperinf validate TRAIN``: a sentence a method on one's own rows."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_models import write_tiny

import hyperinf.pipeline.retrain as module
from hyperinf.cli.main import main
from hyperinf.validating.sentence import verdict

NUMBERS = (
    "--subsets",
    "4",
    "--again",
    "3",
    "--epochs",
    "2",
    "--rank",
    "2",
    "--learning-rate",
    "0.01",
    "--device",
    "cpu",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Tables of two classes of words in two folders, questions, and tiny models."""
    folder, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(0)
    words = [f"w{n}" for n in range(40)]

    def rows(count):
        labels = rng.integers(0, 2, count)
        texts = [" ".join(rng.choice(words[20 * label : 20 * label + 20], 5)) for label in labels]
        return pd.DataFrame({"text": texts, "label": np.array(["no", "yes"])[labels]})

    (folder / "dev").mkdir()
    rows(24).to_csv(folder / "train.csv", index=False)
    rows(8).to_csv(folder / "dev" / "train.csv", index=False)
    lines = [{"question": f"what is {n} and {word}?", "answer": "ab"[n % 2]} for n, word in enumerate(words)]
    (folder / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_tiny(folder / "bert", "bert")
    return folder


def run(world, tmp_path, *more, train="train.csv"):
    columns = ("--text", "text", "--label", "label") if train.endswith("csv") else ()
    given = (str(world / train), *columns, "--out", str(tmp_path / "out"), *NUMBERS, *more)
    return main(["validate", *given])


@pytest.mark.parametrize("target", [True, False], ids=["target", "no target"])
def test_a_sentence_a_method_is_printed_and_written(world, tmp_path, capsys, target):
    more = ("--target", str(world / "dev" / "train.csv")) if target else ("--queries", "6")
    assert run(world, tmp_path, "--model", str(world / "bert"), "--methods", "datainf", "tracin", *more) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / "out" / "verdict.txt").read_text()
    assert text in printed
    assert [line.count(name) for line, name in zip(text.splitlines(), ("DataInf", "TracIN"), strict=True)] == [1, 1]
    found = pd.read_csv(tmp_path / "out" / "lds.csv")
    assert set(found["subsets"]) == {4, 3}
    assert not (tmp_path / "out.state").exists()


def test_a_killed_command_goes_on_with_the_stage_that_it_was_at(world, tmp_path, monkeypatch, capsys):
    more = ("--model", str(world / "bert"), "--methods", "tracin", "--queries", "6")
    assert run(world, tmp_path / "whole", *more) == 0
    original, calls = module.train_side_by_side, []

    def dying(*arguments):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_side_by_side", dying)
        assert run(world, tmp_path / "again", *more) != 0
    trained = tmp_path / "again" / "out.state" / "finetuned" / "info.json"
    made = trained.stat().st_mtime_ns
    monkeypatch.setattr("hyperinf.validating.command.discard", lambda state: None)
    assert run(world, tmp_path / "again", *more) == 0
    assert trained.stat().st_mtime_ns == made
    first, second = (pd.read_csv(tmp_path / name / "out" / "lds.csv") for name in ("whole", "again"))
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))


def test_questions_go_to_a_language_model(world, tmp_path, tiny_llama, capsys):
    more = ("--model", str(tiny_llama), "--methods", "tracin", "--rows", "20", "--queries", "6")
    assert run(world, tmp_path, *more, train="asked.jsonl") == 0
    assert "TracIN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--target", "{world}/train.csv"), "target"),
        (("--target", "{world}/none.csv"), "none.csv"),
        (("--label", "text"), "label"),
        (("--label", "nothing"), "train.csv"),
        (("--methods", "nothing"), "methods"),
        (("--subsets", "1"), "subsets"),
        (("--model", "{world}/none"), "none"),
        (("--target-modules", "nothing"), "target_modules"),
    ],
)
def test_what_cannot_be_used_is_named_in_a_line(world, tmp_path, capsys, change, named):
    change = [each.format(world=world) for each in change]
    more = () if change[0] == "--model" else ("--model", str(world / "bert"))
    assert run(world, tmp_path, *more, *change) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert named in said
    assert not list(tmp_path.iterdir())


def test_a_row_that_cannot_be_read_is_named_by_its_own_file(world, tmp_path, capsys):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"text,label\na,yes\n\xff,no\n")
    assert run(world, tmp_path, "--model", str(world / "bert"), "--target", str(bad)) == 2
    said = capsys.readouterr().err
    assert str(bad) in said
    assert "out.state" not in said


def test_rows_without_columns_need_a_language_model_to_be_named(world, tmp_path, capsys):
    assert run(world, tmp_path, train="asked.jsonl") == 2
    assert "model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.5, 0.4, 0.6, 0.6), "may be trusted here"),
        ((0.5, 0.4, 0.6, float("nan")), "may be trusted here"),
        ((0.2, 0.1, 0.3, 0.6), "with care"),
        ((0.2, -0.1, 0.5, 0.6), "may not be trusted"),
        ((0.5, 0.4, 0.6, 0.05), "Nothing can be told"),
        ((float("nan"), float("nan"), float("nan"), 0.5), "Nothing can be told"),
    ],
)
def test_the_sentence_says_what_the_numbers_say(numbers, said):
    sentence = verdict("hyperinf", *numbers)
    assert said in sentence
    assert "HyperINF" in sentence
    assert sentence.count(".") - sentence.count("0.") == 1
