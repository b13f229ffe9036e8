"""Any family of models with any task: nothing in a stage knows what kind of model or of data it has."""

import numpy as np
import pandas as pd
import pytest
from stage_runs import detected, finetuned, questions, scored, selected, table

from hyperinf.data.samples import SPLITS, read_samples
from hyperinf.errors import InputError
from hyperinf.models.families import Task, open_family
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.training import EncodingSettings

MODELS = {"classifier": "tiny_bert", "causal": "tiny_llama"}
# Enough for each model to tell wrong labels.
HOW = {"max_steps": 60, "batch_size": 16, "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def word_questions(word_task, tmp_path_factory):
    """The sentences of ``word_task`` as questions whose choices are common, drawn and harmed in the same way."""
    samples = [each for split in SPLITS for each in read_samples(word_task, split)]
    rows = [{"question": each.context, "choices": list(each.choices), "answer": each.true_answer} for each in samples]
    sizes = {"train": 60, "validation": 20, "test": 40}
    return questions(tmp_path_factory.mktemp("questions") / "prepared", rows, **sizes, label_noise=0.2)


@pytest.fixture(
    scope="module", params=[(family, data) for data in ("word_task", "word_questions") for family in MODELS]
)
def whole_run(request, tmp_path_factory):
    """All stages of a family on a task; gives the family, the data and the folder of the run."""
    family, name = request.param
    data, model = request.getfixturevalue(name), request.getfixturevalue(MODELS[family])
    folder = tmp_path_factory.mktemp(f"{family}-{name}")
    run = finetuned(folder / "finetuned", data, model, family, **HOW)
    scores = scored(folder / "scores", data, run, methods=("hyperinf", "datainf"))
    detected(folder / "detection", run, scores)
    kept = {"fraction": 0.5, "methods": ("hyperinf", "datainf"), "strategies": ("plain",)}
    selected(folder / "kept", data, run, scores, **{**HOW, "max_steps": 20}, **kept)
    return family, data, folder


def test_wrong_labels_are_found(whole_run):
    family, _, folder = whole_run
    metrics = table(folder / "detection")
    assert set(metrics["family"]) == {family}
    assert metrics.query("method == 'hyperinf' and metric == 'roc_auc'")["value"].item() > 0.7


def test_what_is_selected_has_fewer_wrong_labels(whole_run):
    family, _, folder = whole_run
    metrics = table(folder / "kept")
    assert set(metrics["family"]) == {family}
    clean = metrics.query("metric == 'clean_fraction'").set_index("method")["value"]
    assert clean["hyperinf"] > max(0.8, clean["random"])
    assert metrics.query("metric == 'accuracy'")["value"].between(0, 1).all()


def test_one_schema_of_columns(whole_run):
    _, data, folder = whole_run
    assert table(folder / "kept").columns.tolist() == table(folder / "detection").columns.tolist()
    scores = pd.read_parquet(folder / "scores" / "scores.parquet")
    assert scores["sample_id"].tolist() == [each.sample_id for each in read_samples(data, "train")]
    methods = [f"influence_{name}" for name in ("hyperinf", "datainf")]
    baselines = [f"baseline_{name}" for name in ("loss", "grad_norm", "random")]
    assert scores.columns.tolist() == ["sample_id", "answer", "true_answer", "corruption", *methods, *baselines]
    assert np.isfinite(scores[methods + baselines].to_numpy()).all()


def test_a_classifier_of_questions_without_common_choices_is_refused(tiny_bert, tmp_path):
    rows = [{"question": f"w{i}", "choices": [f"w{i}", f"w{i + 1}"], "answer": f"w{i}"} for i in range(20)]
    data = questions(tmp_path / "data", rows, train=10, validation=4, test=4)
    with pytest.raises(InputError, match="without classes in common"):
        finetuned(tmp_path / "out", data, tiny_bert, "classifier", max_steps=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_another_family_is_refused_before_its_weights_are_read(family, tiny_bert, tiny_llava, tmp_path):
    wrong = tiny_bert if family != "classifier" else tiny_llava
    task = Task(tmp_path, labels=("low", "high"))
    with pytest.raises(InputError, match=f"^{wrong}") as caught:
        open_family(family, str(wrong), task, EncodingSettings())
    assert "\n" not in str(caught.value)
