"""The commands on a file of one's own, in processes that are killed and started again."""

import json

import pytest
from killable import killed_once_there
from stage_runs import same_files

from hyperinf.cli import main
from hyperinf.data.samples import SPLITS, read_samples

LETTERS = "abc"
REST = "\nQuestion: Which letter?\nAnswer: a"  # a token is a byte
MAX_LENGTH = 80


@pytest.fixture(scope="module")
def own(tmp_path_factory, tiny_llama):
    """A prepared task of 46 questions, whose contexts have 19 to 64 characters, trained on and scored."""
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
    sizes = ["--train", "24", "--validation", "8", "--test", "12", "--label-noise", "0.25"]
    source = ["--source", f"path:{folder / 'own.jsonl'}", "--format", "record"]
    assert main(["prepare", *source, *sizes, "--seed", "2", "--out", str(folder / "data")]) == 0
    assert main(finetune(folder, tiny_llama, folder / "finetuned")) == 0
    methods = ["--methods", "hyperinf", "--hyperinf.solver", "cholesky"]
    assert main(["score", *inputs(folder), *methods, "--out", str(folder / "scores")]) == 0
    assert main(select(folder, folder / "selected")) == 0
    return folder


def finetune(folder, model, out):
    how = ["--rank", "2", "--target-modules", "q_proj", "v_proj", "--max-steps", "90", "--batch-size", "4"]
    return [
        *("finetune", "--data", str(folder / "data"), "--model", f"path:{model}", "--family", "causal"),
        *(*how, "--max-length", str(MAX_LENGTH), "--threads", "1", "--seed", "1", "--out", str(out)),
    ]


def inputs(folder):
    names = ["--task", "own", "--model-name", "tiny", "--seed", "1", "--threads", "1"]
    return ["--data", str(folder / "data"), "--finetuned", str(folder / "finetuned"), *names]


def select(folder, out):
    kept = ["--scores", str(folder / "scores" / "scores.parquet"), "--fraction", "0.5", "--strategies", "plain"]
    return ["select", *inputs(folder), *kept, "--max-steps", "90", "--batch-size", "4", "--out", str(out)]


@pytest.mark.parametrize(("stage", "pattern"), [("finetuned", "resume.safetensors"), ("selected", "*.json")])
def test_a_stage_that_was_killed_goes_on_and_ends_in_the_same_bytes(own, tiny_llama, tmp_path, stage, pattern):
    whole, again = own / stage, tmp_path / "again"
    command = finetune(own, tiny_llama, again) if stage == "finetuned" else select(own, again)
    state = tmp_path / "again.state"
    assert killed_once_there((state, pattern), main, command)
    assert not again.exists()
    assert main(command) == 0
    same_files(whole, again)
    assert not (tmp_path / "again.state").exists()


def test_samples_that_are_too_long_are_counted_in_every_split(own):
    stages = ("finetuned", "scores", "selected")
    found = [json.loads((own / stage / "info.json").read_text())["truncated"] for stage in stages]
    expected = {
        split: sum(len(f"{each.context}{REST}") > MAX_LENGTH for each in read_samples(own / "data", split))
        for split in SPLITS
    }
    assert found[0] == expected == {**found[1], **found[2]}
    assert min(expected.values()) > 0
