"""Each thing that can be added, added to a copy of the project as the docs say, in as many files as promised."""

import json
import re

import pytest
import torch
from project_copy import Copy, promised

from hyperinf.gradients import GradientStore, TensorSource


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


@pytest.fixture
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    generator = torch.Generator().manual_seed(0)
    for name, count in (("train", 12), ("target", 4)):
        gradients = {"layer": torch.randn(count, 2, 5, generator=generator)}
        GradientStore.write(folder / name, TensorSource(gradients))
    return ["--train", folder / "train", "--target", folder / "target"]


def influence(copy: Copy, stores: list, *flags: object, method: str = "hyperinf") -> list[float]:
    import pandas as pd

    copy.run("score-stores", *stores, "--methods", method, *flags, "--out", copy.folder / "scores.parquet")
    return pd.read_parquet(copy.folder / "scores.parquet")[f"influence_{method}"].tolist()


def test_an_option_of_a_method(copy, stores):
    before = influence(copy, stores)
    copy.replace(
        "hyperinf/settings/methods.py",
        "class HyperInfOptions(MethodOptions):\n",
        'class HyperInfOptions(MethodOptions):\n    times: int = setting(1, ge=1, help="factor on the scores")\n',
    )
    file = "hyperinf/influence/methods/hyperinf.py"
    text = (copy.folder / file).read_text()
    start = text.index("    def precondition(self")
    end = text.index("return self._restored(", start)
    copy.replace(file, text[start:end], text[start:end].rstrip() + "\n        times = self.options.times\n        ")
    text = (copy.folder / file).read_text()
    line = text[text.index("return self._restored(", start) :].split("\n", 1)[0]
    scaled = (
        line.replace("return ", "products = ")
        + "\n        return {name: times * each for name, each in products.items()}"
    )
    copy.replace(
        file, text[start : text.index(line, start) + len(line)], text[start : text.index(line, start)] + scaled
    )
    assert len(copy.touched) == promised("an option of a method")
    assert influence(copy, stores) == before
    assert influence(copy, stores, "--hyperinf.times", 2) == [2 * each for each in before]
    assert "--hyperinf.times" in copy.run("score", "--data", "run/data", "--help")
    overlay = copy.folder / "overlay.yaml"
    overlay.write_text("studies: {mislabel: {scoring: {hyperinf: {times: 3}}}}")
    copy.run("settings", "--check", "config.yaml", overlay)


def test_an_influence_method(copy, stores):
    tracin = influence(copy, stores, method="tracin")
    copy.follow("An influence method")
    assert len(copy.touched) == promised("an influence method")
    assert influence(copy, stores, method="negated") == [-each for each in tracin]
    assert "negated TracIN" in copy.python("from hyperinf.reporting.labels import *; print(method_label('negated'))")


def test_a_baseline(copy, tiny_bert, word_task):
    import pandas as pd

    copy.follow("A baseline")
    assert len(copy.touched) == promised("a baseline")
    model = ["--model", f"path:{tiny_bert}", "--family", "classifier", "--rank", 2, "--epochs", 1, "--seed", 1]
    made = copy.folder / "finetuned"
    copy.run("finetune", "--data", word_task, *model, "--out", made)
    how = ["--methods", "tracin", "--baselines", "words", "random", "--seed", 1, "--out", copy.folder / "scores"]
    copy.run("score", "--data", word_task, "--finetuned", made, *how)
    frame = pd.read_parquet(copy.folder / "scores/scores.parquet")
    assert list(frame)[-2:] == ["baseline_words", "baseline_random"]
    assert frame["baseline_words"].min() > 1


def test_a_family_of_models(copy, tiny_bert, word_task):
    copy.follow("A family of models")
    assert len(copy.touched) == promised("a family of models")
    made = copy.folder / "finetuned"
    model = ["--model", f"path:{tiny_bert}", "--family", "shouting", "--rank", 2, "--epochs", 1, "--seed", 1]
    copy.run("finetune", "--data", word_task, *model, "--out", made)
    copy.run("score", "--data", word_task, "--finetuned", made, "--methods", "tracin", "--seed", 1, "--out", "scores")
    assert json.loads((copy.folder / "scores/info.json").read_text())["run"]["family"] == "shouting"


def test_a_form_of_data(copy):
    copy.follow("A form of data")
    assert len(copy.touched) == promised("a form of data")
    rows = [json.dumps({"riddle": f"What is {n}?", "solution": str(n)}) for n in range(20)]
    (copy.folder / "mine.jsonl").write_text("\n".join(rows))
    sizes = ["--train", 10, "--validation", 4, "--test", 4, "--seed", 1]
    copy.run("prepare", "--source", "path:mine.jsonl", "--format", "riddles", *sizes, "--out", "data")
    assert json.loads((copy.folder / "data/info.json").read_text())["format"] == "riddles"


def test_a_study(copy):
    copy.follow("A task")
    assert len(copy.touched) == promised("a study, a model, a data set")
    planned = copy.run("--dry-run", "--cores", 1, "--configfile", "overlay.yaml", module="snakemake")
    for rule in ("prepare", "finetune", "score", "detect", "report_noisy_headlines", "report_page"):
        assert re.search(rf"^{rule} +\d+$", planned, re.MULTILINE)
    assert not re.search(r"^select +\d+$", planned, re.MULTILINE)
