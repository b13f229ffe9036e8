import shutil

import numpy as np
import pandas as pd
import pytest
from stage_runs import finetuned, scored, selected, table

import hyperinf.pipeline.select as module
import hyperinf.pipeline.subset_training as trainings
from hyperinf.artifacts.records import read_record
from hyperinf.data.samples import read_samples
from hyperinf.errors import InputError
from hyperinf.gradients.losses import default_loss
from hyperinf.pipeline.tables import METRIC_COLUMNS

HOW = {"max_steps": 5, "batch_size": 4, "learning_rate": 5e-3}
METHODS = ("hyperinf", "gfim", "tracin")
COUNTED = {"kept", "clean_fraction", "largest_answer_fraction", "steps", "accuracy"}


def keep(run, out, fraction=0.2, scores=None, **change):
    """Train on what is kept; saves its state after every step."""
    given = {**HOW, "methods": METHODS, "strategies": ("plain", "stratified"), "fraction": fraction, **change}
    return selected(out, run.data, run.finetuned, scores or run.scores, save_seconds=0.0, **given)


def test_every_method_and_random_are_trained_on_a_selection_of_the_asked_size(run, tmp_path):
    metrics = table(keep(run, tmp_path / "kept"))
    assert metrics.columns.tolist() == list(METRIC_COLUMNS)
    assert set(metrics["method"]) == {*METHODS, "random"}
    assert set(metrics["strategy"]) == {"plain", "stratified"}
    assert set(metrics["family"]) == {run.family}
    names = COUNTED if run.family == "classifier" else {*COUNTED, "accuracy_norm"}
    assert set(metrics["metric"]) == names
    size = len(read_samples(run.data, "train")) // 5
    assert (metrics.loc[metrics["metric"] == "kept", "value"] == size).all()
    assert len(metrics) == 4 * 2 * len(names)
    assert not (tmp_path / "kept.state").exists()


def test_the_samples_of_smallest_influence_are_kept_and_the_clean_ones_counted(run, tmp_path):
    metrics = table(keep(run, tmp_path / "kept", methods=("tracin",), strategies=("plain",)))
    scores = pd.read_parquet(run.scores / "scores.parquet").set_index("sample_id")["influence_tracin"]
    chosen = pd.read_parquet(tmp_path / "kept" / "selection.parquet").query("method == 'tracin'")["sample_id"]
    assert set(chosen) == set(scores.nsmallest(len(scores) // 5).index)
    train = {each.sample_id: each for each in read_samples(run.data, "train")}
    row = metrics.query("method == 'tracin' and metric == 'clean_fraction'")
    assert row["value"].item() == pytest.approx(np.mean([not train[sample].corruption for sample in chosen]))


def test_training_on_all_samples_comes_with_the_references(run, tmp_path):
    metrics = table(keep(run, tmp_path / "full", fraction=1))
    references = metrics[metrics["fraction"] == 0]
    assert set(references["method"]) == {"base", "finetuned", "majority"}
    at_one = metrics[metrics["fraction"] == 1]
    assert set(at_one["method"]) == {"full", "clean"}
    full, clean = (at_one[at_one["method"] == name].set_index("metric")["value"] for name in ("full", "clean"))
    harmed = {"classifier": 0.2, "causal": 0.4}[run.family]
    assert full["clean_fraction"] == pytest.approx(1 - harmed)
    assert clean["clean_fraction"] == 1
    assert clean["kept"] == full["kept"] - round(harmed * full["kept"])
    answers = pd.Series([each.true_answer for each in read_samples(run.data, "test")])
    majority = references.query("method == 'majority' and metric == 'accuracy'")["value"].item()
    assert majority == pytest.approx(answers.value_counts(normalize=True).max())
    own = read_record(run.finetuned / "info.json")["accuracies"][run.checkpoints[-1]]["test"]["accuracy"]
    assert references.query("method == 'finetuned' and metric == 'accuracy'")["value"].item() == own


def test_a_classifier_trained_on_the_samples_that_hyperinf_keeps_tells_the_classes(run_of, tmp_path):
    change = {"methods": ("hyperinf",), "strategies": ("stratified",), "max_steps": 40}
    metrics = table(keep(run_of("classifier"), tmp_path / "kept", 0.5, **change)).set_index(["method", "metric"])
    assert metrics.loc[("hyperinf", "clean_fraction"), "value"] > metrics.loc[("random", "clean_fraction"), "value"]
    assert metrics.loc[("hyperinf", "accuracy"), "value"] > 0.8


def test_each_selection_starts_from_the_same_fresh_adapter_whatever_was_trained_before(run, tmp_path):
    together, alone = (
        table(keep(run, tmp_path / name, methods=methods, strategies=("plain",))).query("method == 'tracin'")
        for name, methods in (("together", METHODS), ("alone", ("tracin",)))
    )
    pd.testing.assert_frame_equal(together.reset_index(drop=True), alone.reset_index(drop=True))


def test_equal_selections_are_trained_on_once(run_of, tmp_path, monkeypatch):
    trained, original = [], trainings.train

    def counting(model, samples, *arguments):
        trained.append(samples.ids)
        return original(model, samples, *arguments)

    monkeypatch.setattr(trainings, "train", counting)
    # HyperINF by Schulz and the GFIM by Cholesky agree to rounding, so they keep the same samples.
    keep(run_of("causal"), tmp_path / "kept", methods=("hyperinf", "gfim"), strategies=("plain",))
    assert len(trained) == 2


def test_a_run_killed_between_or_within_trainings_ends_in_the_same_files(run, tmp_path, monkeypatch):
    keep(run, tmp_path / "whole")
    original, calls = trainings.train, []

    def killed(model, samples, settings, seed, state, name, on_epoch, loss_fn, save_seconds):
        calls.append(0)
        here, taken = len(calls), []

        def dying(*arguments):
            taken.append(0)
            if here == 3 and len(taken) == 4:
                raise KeyboardInterrupt
            return (loss_fn or default_loss)(*arguments)

        return original(model, samples, settings, seed, state, name, on_epoch, dying, save_seconds)

    with monkeypatch.context() as patch:
        patch.setattr(trainings, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            keep(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    keep(run, tmp_path / "again")
    for name in ("metrics.csv", "selection.parquet", "info.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_adapters_trained_side_by_side_come_to_what_each_comes_to_alone_and_go_on_after_a_kill(
    run_of, tmp_path, monkeypatch
):
    run, original, taken = run_of("causal"), trainings.train_subsets, []
    alone, together = (table(keep(run, tmp_path / f"at-{n}", at_once=n)) for n in (1, 3))
    keys = ["method", "strategy", "metric"]
    found, expected = (each.set_index(keys)["value"].sort_index() for each in (alone, together))
    np.testing.assert_allclose(found, expected, atol=0.05)  # an accuracy can differ by a sample of the test set

    def dying(model, samples, parts, settings, seed, state, name, loss_fn, save_seconds):
        def lossy(*arguments):
            taken.append(0)
            if len(taken) == 4:
                raise KeyboardInterrupt
            return (loss_fn or default_loss)(*arguments)

        return original(model, samples, parts, settings, seed, state, name, lossy, save_seconds)

    with monkeypatch.context() as patch:
        patch.setattr(trainings, "train_subsets", dying)
        with pytest.raises(KeyboardInterrupt):
            keep(run, tmp_path / "again", at_once=3)
    keep(run, tmp_path / "again", at_once=3)
    for name in ("metrics.csv", "selection.parquet", "info.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "at-3" / name).read_bytes()


def test_trainings_in_several_orders_are_averaged(run_of, tmp_path):
    run = run_of("causal")
    keys = ["method", "strategy", "metric"]
    one, other, both = (
        table(keep(run, tmp_path / name, methods=("tracin",), strategies=("plain",), **how)).set_index(keys)["value"]
        for name, how in (("one", {}), ("other", {"seed": 1 + 2**31}), ("both", {"orders": 2}))
    )
    metrics = ("accuracy", "accuracy_norm", "steps", "kept")
    for metric in metrics:
        place = ("tracin", "plain", metric)
        assert both[place] == pytest.approx((one[place] + other[place]) / 2)


def test_the_last_layer_can_be_trained_instead_of_an_adapter(run_of, tmp_path):
    run = run_of("causal")
    other = finetuned(tmp_path / "finetuned", run.data, run.model, "causal", trained="last_layer", **HOW)
    scores = scored(tmp_path / "scores", run.data, other, methods=METHODS)
    out = selected(tmp_path / "kept", run.data, other, scores, fraction=0.2, methods=METHODS, **HOW)
    assert set(table(out)["setting"]) == {"last_layer"}
    with pytest.raises(InputError, match=r"scores\.parquet: got scores of another model"):
        keep(run, tmp_path / "mixed", scores=scores)
    assert not (tmp_path / "mixed").exists()


def test_methods_without_scores_and_scores_of_other_samples_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="got no scores by 'fim'"):
        keep(run, tmp_path / "kept", methods=("fim",))
    (tmp_path / "scores").mkdir()
    own = pd.read_parquet(run.scores / "scores.parquet").iloc[1:]
    own.to_parquet(tmp_path / "scores" / "scores.parquet")
    with pytest.raises(InputError, match="scores of other samples"):
        keep(run, tmp_path / "kept", scores=tmp_path / "scores")
    with pytest.raises(InputError, match="^scores: got none"):
        selected(tmp_path / "kept", run.data, run.finetuned, None, fraction=0.5, **HOW)


def test_scores_of_another_tool_select_as_well(run_of, tmp_path):
    """They come without a record."""
    run = run_of("causal")
    ids = [each.sample_id for each in read_samples(run.data, "train")]
    (tmp_path / "own").mkdir()
    own = pd.DataFrame({"sample_id": ids, "influence_hyperinf": np.arange(len(ids), dtype=float)})
    own.to_parquet(tmp_path / "own" / "scores.parquet")
    out = keep(run, tmp_path / "kept", scores=tmp_path / "own", methods=("hyperinf",), strategies=("plain",))
    assert pd.read_parquet(out / "selection.parquet").query("method == 'hyperinf'")["sample_id"].tolist() == ids[:6]


@pytest.mark.parametrize("content", [None, b"", b"sample_id,influence_hyperinf"], ids=["missing", "empty", "text"])
def test_a_file_that_holds_no_scores_is_refused_by_its_name(run_of, tmp_path, content):
    (tmp_path / "scores").mkdir()
    if content is not None:
        (tmp_path / "scores" / "scores.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"scores\.parquet: ") as error:
        keep(run_of("causal"), tmp_path / "kept", scores=tmp_path / "scores")
    assert "\n" not in str(error.value)


def test_a_fraction_of_less_than_one_sample_is_refused(run_of, tmp_path):
    with pytest.raises(InputError, match="^fraction: .*one sample"):
        keep(run_of("causal"), tmp_path / "kept", 0.01)


@pytest.mark.parametrize("content", [b'{"metrics": {"accuracy": 0.9}, "sha256": "0"}', b"\xe2{}", b"[]"], ids=str)
def test_a_damaged_result_of_a_run_that_was_killed_is_taken_again(run_of, tmp_path, monkeypatch, content):
    change = {"methods": ("tracin",), "strategies": ("plain",)}
    expected = table(keep(run_of("causal"), tmp_path / "whole", **change))
    monkeypatch.setattr(module, "discard", lambda state: None)
    keep(run_of("causal"), tmp_path / "kept", **change)
    for done in (tmp_path / "kept.state").glob("*.json"):
        done.write_bytes(content)
    shutil.rmtree(tmp_path / "kept")
    pd.testing.assert_frame_equal(table(keep(run_of("causal"), tmp_path / "kept", **change)), expected)
