import json

import pytest
import yaml
from tasks import write_task

from hyperinf.data.prompts import load_template, render
from hyperinf.data.samples import read_samples
from hyperinf.errors import InputError
from hyperinf.pipeline.harness import write_harness_task
from hyperinf.settings.stages import Harness

COLOURS = ["red", "deep blue", "green as grass"]


def prepare(folder, rows, template="multiple_choice"):
    path = folder / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return write_task(folder / "data", path, format="record", train=6, validation=3, test=9, template=template)


def write(data, out, task):
    write_harness_task(Harness(data=str(data), out=str(out), task=task))


@pytest.fixture
def colours(tmp_path):
    """Eighteen questions of three choices, some with a context."""
    rows = [
        {
            "id": f"q{number}",
            "context": f"Ball {number} was painted." if number % 2 else "",
            "question": f"Which colour has ball {number}?",
            "choices": COLOURS,
            "answer": COLOURS[number % 3],
        }
        for number in range(18)
    ]
    return prepare(tmp_path, rows)


def read(folder, name):
    description = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return description, [json.loads(line) for line in lines]


def test_the_harness_gets_the_prompts_and_continuations_that_we_evaluate(colours, tmp_path):
    write(colours, tmp_path / "out", "colours")
    description, rows = read(tmp_path / "out", "colours")
    template = load_template("multiple_choice")
    for row, sample in zip(rows, read_samples(colours, "test"), strict=True):
        rendered = render(template, sample)
        assert row["prompt"] == rendered.before + rendered.context + rendered.after
        joined = [description["target_delimiter"] + choice for choice in row["choices"]]
        assert joined == list(rendered.choices)
        assert row["choices"][row["right"]] == sample.true_answer
    assert description["dataset_kwargs"]["data_files"] == {"test": str(tmp_path / "out" / "colours.jsonl")}


def test_the_task_is_written_again_over_itself_and_over_nothing_else(colours, tmp_path):
    write(colours, tmp_path / "out", "colours")
    before = (tmp_path / "out" / "colours.jsonl").read_bytes()
    write(colours, tmp_path / "out", "colours")
    assert (tmp_path / "out" / "colours.jsonl").read_bytes() == before
    with pytest.raises(InputError, match="holds 'colours.jsonl'"):
        write(colours, tmp_path / "out", "other")


@pytest.mark.parametrize("task", ["two words", "a,b", "../up"])
def test_a_name_that_the_harness_would_not_take_is_refused(colours, tmp_path, task):
    with pytest.raises(InputError, match="task: got .*, expected a name of letters"):
        write(colours, tmp_path / "out", task)
    assert not (tmp_path / "out").exists()


def test_short_answers_are_refused_with_their_count(tmp_path):
    rows = [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(18)]
    data = prepare(tmp_path, rows, template="question")
    with pytest.raises(InputError, match="got 9 test samples without choices"):
        write(data, tmp_path / "out", "sums")


def test_the_harness_measures_what_we_measure(colours, request, tmp_path, monkeypatch):
    lm_eval = pytest.importorskip("lm_eval", reason="pip install 'hyperinf[lm-eval]'")
    tiny_llama = request.getfixturevalue("tiny_llama")
    from hyperinf.pipeline.selection.family import LanguageFamily
    from lm_eval.tasks import TaskManager

    from hyperinf.models.causal import load_causal

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    samples = read_samples(colours, "test")
    family = LanguageFamily(str(tiny_llama), {"own": "multiple_choice"}, 256, colours)
    own = family.evaluation(samples, batch_size=4)(load_causal(str(tiny_llama)))
    write(colours, tmp_path / "out", "colours")
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(tiny_llama), "dtype": "float32"},
        tasks=["colours"],
        task_manager=TaskManager(include_path=str(tmp_path / "out"), include_defaults=False),
        device="cpu",
        bootstrap_iters=0,
    )["results"]["colours"]
    assert own == {
        "accuracy": pytest.approx(found["acc,none"]),
        "accuracy_norm": pytest.approx(found["acc_norm,none"]),
    }
