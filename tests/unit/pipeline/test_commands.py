"""The commands of data selection on a file of one's own, in processes that are killed and started again."""

import json
import subprocess
import sys
import time

import pytest

from hyperinf.cli import main
from hyperinf.data.questions import SPLITS, read_questions

LETTERS = "abc"
REST = "\nQuestion: Which letter?\nAnswer: a"  # a token is a byte
MAX_LENGTH = 80


@pytest.fixture(scope="module")
def own(tmp_path_factory, tiny_llama):
    """A prepared task of 46 questions, whose contexts have 19 to 64 characters, warmed up on and scored."""
    folder = tmp_path_factory.mktemp("own")
    rows = [
        {
            "context": f"{number}: " + "-" * number + LETTERS[number % 3] * 5,
            "question": "Which letter?",
            "choices": list(LETTERS),
            "answer": LETTERS[number % 3],
        }
        for number in range(10, 56)
    ]
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sizes = ["--pool", "24", "--validation", "8", "--test", "12"]
    source = ["--source", f"path:{folder / 'own.jsonl'}", "--format", "record", "--wrong-answers", "0.25"]
    assert main(["select", "data", *source, *sizes, "--seed", "2", "--out", str(folder / "data")]) == 0
    assert main(warmup(folder, tiny_llama, folder / "warmup")) == 0
    methods = ["--methods", "hyperinf", "--solver", "cholesky"]
    assert main(["select", "score", *inputs(folder), *methods, "--out", str(folder / "scores")]) == 0
    return folder


def warmup(folder, model, out):
    settings = ["--rank", "2", "--steps", "90", "--batch-size", "4", "--max-length", str(MAX_LENGTH), "--threads", "1"]
    return [
        *("select", "warmup", "--data", str(folder / "data"), "--model", f"path:{model}"),
        *(*settings, "--seed", "1", "--out", str(out)),
    ]


def inputs(folder):
    names = ["--task", "own", "--model-name", "tiny", "--seed", "1", "--threads", "1"]
    return ["--data", str(folder / "data"), "--weights", str(folder / "warmup"), *names]


def finetune(folder, out):
    scores = ["--scores", str(folder / "scores" / "scores.parquet"), "--percent", "50"]
    settings = ["--strategies", "plain", "--steps", "90", "--batch-size", "4"]
    return ["select", "finetune", *inputs(folder), *scores, *settings, "--out", str(out)]


def kill_when(command, path, pattern):
    """Run a command in a process of its own and kill it, as ``kill -9`` does, when such a file is there."""
    process = subprocess.Popen([sys.executable, "-m", "hyperinf", *command], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while not any(path.glob(pattern)) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -9, "the command had ended before it could be killed"


def same_files(one, other):
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_warm_up_that_was_killed_goes_on_and_ends_in_the_same_bytes(own, tiny_llama, tmp_path):
    command = warmup(own, tiny_llama, tmp_path / "warmup")
    kill_when(command, tmp_path / "warmup.state", "resume.safetensors")
    assert not (tmp_path / "warmup").exists()
    assert main(command) == 0
    same_files(own / "warmup", tmp_path / "warmup")
    assert not (tmp_path / "warmup.state").exists()


def test_fine_tunings_that_were_killed_go_on_and_end_in_the_same_bytes(own, tmp_path):
    assert main(finetune(own, tmp_path / "whole")) == 0
    command = finetune(own, tmp_path / "again")
    kill_when(command, tmp_path / "again.state", "*.json")
    assert not (tmp_path / "again").exists()
    assert main(command) == 0
    same_files(tmp_path / "whole", tmp_path / "again")
    assert not (tmp_path / "again.state").exists()


def test_samples_that_are_too_long_are_counted_in_every_split(own, tmp_path):
    assert main(finetune(own, tmp_path / "kept")) == 0
    found = {
        **json.loads((own / "scores" / "info.json").read_text())["truncated"],
        **json.loads((tmp_path / "kept" / "info.json").read_text())["truncated"],
    }
    expected = {
        split: sum(len(f"{each.context}{REST}") > MAX_LENGTH for each in read_questions(own / "data", split))
        for split in SPLITS
    }
    assert found == expected
    assert min(expected.values()) > 0
    assert json.loads((own / "warmup" / "info.json").read_text())["truncated"] == expected["pool"]
