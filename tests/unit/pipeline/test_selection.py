import json
import shutil

import numpy as np
import pandas as pd
import pytest

import hyperinf.pipeline.selection.finetune as finetune_module
from hyperinf.artifacts.records import read_record, write_record
from hyperinf.data.questions import QuestionTaskConfig, prepare_questions, read_questions
from hyperinf.data.sources import parse_source
from hyperinf.errors import InputError
from hyperinf.models.lora import LoraSettings
from hyperinf.pipeline.scoring import ScoringOptions
from hyperinf.pipeline.selection.finetune import KeepConfig, run_kept
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths
from hyperinf.pipeline.selection.run import SelectionKey
from hyperinf.pipeline.selection.score import PoolScoreConfig, run_pool_scores
from hyperinf.pipeline.selection.warmup import WarmupConfig, run_warmup
from hyperinf.training.loop import TrainingSettings

KEY = SelectionKey("letters", "tiny", 1)
METHODS = ("hyperinf", "gfim", "tracin")
TRAINING = TrainingSettings(steps=5, batch_size=4, learning_rate=5e-3, seed=1, save_seconds=0.0)
LORA = LoraSettings(rank=2, targets=("q_proj", "v_proj"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Which letter is repeated? 40 % of the pool's answers are wrong."""
    folder = tmp_path_factory.mktemp("letters")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(60):
        letter = "ab"[rng.integers(2)]
        rows.append({"id": f"q{index}", "question": f"{index}: {letter * 5}?", "choices": ["a", "b"], "answer": letter})
    (folder / "letters.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    prepare_questions(
        QuestionTaskConfig(
            source=parse_source(f"path:{folder / 'letters.jsonl'}"),
            format="record",
            template="question",
            pool=30,
            validation=10,
            test=20,
            seed=1,
            wrong_answers=0.4,
        ),
        folder / "prepared",
    )
    return folder / "prepared"


def warm_up(data, model, out, lora=LORA):
    dense = () if lora else ("last_layer",)
    config = WarmupConfig(ModelConfig(f"path:{model}", lora, 1, dense), TRAINING)
    run_warmup(config, RunPaths(data), out.with_name(out.name + ".state"), out)
    return out


@pytest.fixture(scope="module")
def run(data, tiny_llama, tmp_path_factory):
    """Warmed-up weights and scores."""
    folder = tmp_path_factory.mktemp("run")
    warm_up(data, tiny_llama, folder / "warmup")
    score(data, folder / "warmup", folder / "scores")
    return folder


def score(data, warmup, out, **change):
    config = PoolScoreConfig(KEY, ScoringOptions(methods=METHODS))
    run_pool_scores(config, RunPaths(data), warmup, out, **change)


def keep(data, run, out, percent=20, methods=METHODS, strategies=("plain", "stratified")):
    config = KeepConfig(KEY, percent, TRAINING, strategies, methods)
    scores = run / "scores" / "scores.parquet"
    run_kept(config, RunPaths(data), run / "warmup", scores, out.with_name(out.name + ".state"), out)
    return pd.read_csv(out / "metrics.csv")


def test_every_method_and_random_are_trained_on_a_selection_of_the_asked_size(data, run, tmp_path):
    metrics = keep(data, run, tmp_path / "kept")
    assert set(metrics["method"]) == {*METHODS, "random"}
    assert set(metrics["strategy"]) == {"plain", "stratified"}
    assert set(metrics["metric"]) == {
        "accuracy",
        "accuracy_norm",
        "clean_share",
        "kept",
        "largest_answer_share",
        "steps",
    }
    assert (metrics.loc[metrics["metric"] == "kept", "value"] == 6).all()
    assert len(metrics) == 4 * 2 * 6
    assert not (tmp_path / "kept.state").exists()


def test_the_selection_holds_the_samples_of_smallest_influence_and_the_clean_share_counts_them(data, run, tmp_path):
    metrics = keep(data, run, tmp_path / "kept", methods=("tracin",), strategies=("plain",))
    scores = pd.read_parquet(run / "scores" / "scores.parquet").set_index("sample_id")
    chosen = pd.read_parquet(tmp_path / "kept" / "selection.parquet").query("method == 'tracin'")["sample_id"]
    assert set(chosen) == set(scores["influence_tracin"].nsmallest(6).index)
    pool = {question.sample_id: question for question in read_questions(data, "pool")}
    clean = np.mean([pool[sample].answer == pool[sample].true_answer for sample in chosen])
    row = metrics.query("method == 'tracin' and metric == 'clean_share'")
    assert row["value"].item() == pytest.approx(clean)


def test_training_on_the_whole_pool_comes_with_the_references(data, run, tmp_path):
    metrics = keep(data, run, tmp_path / "full", percent=100)
    references = metrics[metrics["fraction"] == 0]
    assert set(references["method"]) == {"base", "warmup", "majority"}
    full = metrics[metrics["fraction"] == 1]
    assert set(full["method"]) == {"full"}
    assert full.query("metric == 'clean_share'")["value"].item() == pytest.approx(0.6)
    answers = [question.true_answer for question in read_questions(data, "test")]
    majority = max(answers.count("a"), answers.count("b")) / len(answers)
    assert references.query("method == 'majority'")["value"].item() == pytest.approx(majority)


def test_each_selection_starts_from_the_same_fresh_adapter_whatever_was_trained_before(data, run, tmp_path):
    together = keep(data, run, tmp_path / "together", strategies=("plain",))
    alone = keep(data, run, tmp_path / "alone", methods=("tracin",), strategies=("plain",))
    pd.testing.assert_frame_equal(
        together[together["method"] == "tracin"].reset_index(drop=True),
        alone[alone["method"] == "tracin"].reset_index(drop=True),
    )


def test_equal_selections_are_trained_on_once(data, run, tmp_path, monkeypatch):
    trained = []

    def counting(model, samples, *arguments, **options):
        trained.append(samples.ids)
        return original(model, samples, *arguments, **options)

    original = finetune_module.finetune
    monkeypatch.setattr(finetune_module, "finetune", counting)
    # HyperINF by Schulz and the GFIM by Cholesky agree to rounding, so they keep the same samples.
    keep(data, run, tmp_path / "kept", methods=("hyperinf", "gfim"), strategies=("plain",))
    assert len(trained) == 2


def test_a_run_killed_between_or_within_fine_tunings_ends_in_the_same_files(data, run, tmp_path, monkeypatch):
    keep(data, run, tmp_path / "whole")
    original = finetune_module.finetune
    calls = []

    def killed(model, samples, *arguments, loss_fn):
        calls.append(0)
        here = len(calls)
        batches = []

        def dying(model, batch):
            batches.append(0)
            if here == 3 and len(batches) == 4:
                raise KeyboardInterrupt
            return loss_fn(model, batch)

        return original(model, samples, *arguments, loss_fn=dying)

    monkeypatch.setattr(finetune_module, "finetune", killed)
    with pytest.raises(KeyboardInterrupt):
        keep(data, run, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    monkeypatch.setattr(finetune_module, "finetune", original)
    keep(data, run, tmp_path / "again")
    for name in ("metrics.csv", "selection.parquet", "info.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_warm_up_started_again_writes_the_same_bytes(data, tiny_llama, run, tmp_path):
    warm_up(data, tiny_llama, tmp_path / "warmup")
    for path in sorted((run / "warmup").iterdir()):
        assert (tmp_path / "warmup" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("change", [{"keeping": "live"}, {"keeping": "memory"}, {"batch_size": 3}], ids=str)
def test_scores_depend_neither_on_where_gradients_are_kept_nor_on_the_batch(data, run, tmp_path, change):
    score(data, run / "warmup", tmp_path, **change)
    expected = pd.read_parquet(run / "scores" / "scores.parquet")
    found = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(found["sample_id"]) == list(expected["sample_id"])
    for column in [f"influence_{method}" for method in METHODS]:
        scale = expected[column].abs().max()
        np.testing.assert_allclose(found[column] / scale, expected[column] / scale, atol=2e-5)


def test_the_last_layer_can_be_trained_instead_of_an_adapter(data, tiny_llama, tmp_path):
    warm_up(data, tiny_llama, tmp_path / "warmup", lora=None)
    score(data, tmp_path / "warmup", tmp_path / "scores")
    metrics = keep(data, tmp_path, tmp_path / "kept", strategies=("stratified",))
    assert set(metrics["setting"]) == {"last_layer"}


def test_scores_of_another_setting_are_refused(data, tiny_llama, run, tmp_path):
    warm_up(data, tiny_llama, tmp_path / "warmup", lora=None)
    shutil.copytree(run / "scores", tmp_path / "scores")
    with pytest.raises(InputError, match=r"scores\.parquet: was scored with another model or setting than that of"):
        keep(data, tmp_path, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_weights_of_other_data_are_refused(data, run, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    record = read_record(tmp_path / "data" / "info.json")
    write_record(tmp_path / "data" / "info.json", {**record, "content_sha256": "0" * 64})
    with pytest.raises(InputError, match="was trained on other data than"):
        score(tmp_path / "data", run / "warmup", tmp_path / "scores")


def test_scores_of_another_pool_and_methods_without_scores_are_refused(data, run, tmp_path):
    with pytest.raises(InputError, match="no scores by 'fim'"):
        keep(data, run, tmp_path / "kept", methods=("fim",))
    table = pd.read_parquet(run / "scores" / "scores.parquet").iloc[1:]
    shutil.copytree(run / "warmup", tmp_path / "warmup")
    (tmp_path / "scores").mkdir()
    table.to_parquet(tmp_path / "scores" / "scores.parquet")
    with pytest.raises(InputError, match="holds scores of other samples than the pool"):
        keep(data, tmp_path, tmp_path / "kept")


@pytest.mark.parametrize("content", [None, b"", b"sample_id,influence_hyperinf"], ids=["missing", "empty", "text"])
def test_a_file_that_holds_no_scores_is_refused_by_its_name(data, run, tmp_path, content):
    (tmp_path / "scores").mkdir()
    shutil.copytree(run / "warmup", tmp_path / "warmup")
    if content is not None:
        (tmp_path / "scores" / "scores.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"scores\.parquet: no(t a whole Parquet| such) file") as error:
        keep(data, tmp_path, tmp_path / "kept")
    assert "\n" not in str(error.value)


def test_a_share_of_less_than_one_sample_is_refused(data, run, tmp_path):
    with pytest.raises(InputError, match=r"fraction: 0.01 of a pool of 30 is less than one sample"):
        keep(data, run, tmp_path / "kept", percent=1)


@pytest.mark.parametrize("content", [b'{"metrics": {"accuracy": 0.9}, "sha256": "0"}', b"\xe2{}", b"[]"], ids=str)
def test_a_damaged_result_of_a_run_that_was_killed_is_taken_again(data, run, tmp_path, monkeypatch, content):
    expected = keep(data, run, tmp_path / "whole", methods=("tracin",), strategies=("plain",))
    monkeypatch.setattr(finetune_module, "discard", lambda state: None)
    keep(data, run, tmp_path / "kept", methods=("tracin",), strategies=("plain",))
    for done in (tmp_path / "kept.state").glob("*.json"):
        done.write_bytes(content)
    again = keep(data, run, tmp_path / "kept", methods=("tracin",), strategies=("plain",))
    pd.testing.assert_frame_equal(again, expected)
