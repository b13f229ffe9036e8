import json
import math

import pandas as pd
import pytest

from hyperinf.reporting.claims import OWN_QUESTION, PUBLISHED_CLAIM, claims_frame
from hyperinf.reporting.cost_claims import cost_claims
from hyperinf.reporting.detection_claims import detection_claims, fidelity_claims, part_claims
from hyperinf.reporting.fisher_claims import distance_claims
from hyperinf.reporting.ledger import claim_table
from hyperinf.reporting.selection_claims import selection_claims
from hyperinf.reporting.study_inputs import read_study
from hyperinf.reporting.verdicts import CONTRADICTED, DEGENERATE, NO_DIFFERENCE, NOT_TESTED, SUPPORTED, UNDECIDED

PAIRS = [
    ([0.8, 0.7, 0.9], [0.6, 0.52, 0.69], SUPPORTED),
    ([0.6, 0.52, 0.69], [0.8, 0.7, 0.9], CONTRADICTED),
    ([0.8, 0.7, 0.75], [0.7, 0.8, 0.7], UNDECIDED),
    ([0.8, 0.7, 0.75], [0.8, 0.701, 0.75], NO_DIFFERENCE),
    ([0.8, 0.7, 0.75], [0.8, 0.7, 0.75], DEGENERATE),
    ([0.8], [0.6], NOT_TESTED),
]
CLASSIFIER = {"family": "classifier"}


def study_claims(read):
    return [*detection_claims(read), *fidelity_claims(read), *cost_claims(read), *selection_claims(read)]


@pytest.fixture
def judged(study):
    def make(*arguments, **options):
        return study_claims(study(*arguments, **options))

    return make


def about(claims, words, *settings):
    return [c for c in claims if words in c.statement and all(s in c.setting for s in settings)]


@pytest.mark.parametrize(("ours", "theirs", "verdict"), PAIRS)
def test_the_verdict_on_finding_is_drawn_from_the_paired_interval(judged, ours, theirs, verdict):
    claims = judged(found={"hyperinf": ours, "datainf": theirs}, shape=CLASSIFIER)
    for words in ("than DataInf at 20 %", "than DataInf at 40 %"):
        assert [claim.decision.verdict for claim in about(claims, words)] == [verdict]


@pytest.mark.parametrize(("ours", "theirs", "verdict"), PAIRS)
def test_the_verdict_on_selecting_is_drawn_from_the_paired_interval(judged, ours, theirs, verdict):
    claims = judged({"hyperinf": ours, "datainf": theirs, "random": theirs})
    for words in ("more accurate model than what DataInf keeps", "more accurate model than random selection"):
        assert {claim.decision.verdict for claim in about(claims, words)} == {verdict}


def test_a_rival_that_was_not_run_is_not_tested(judged):
    claims = judged({"hyperinf": [0.8, 0.7], "random": [0.5, 0.5]}, {"hyperinf": [0.8, 0.7]})
    rivals = [*about(claims, "than what LiSSA keeps"), *about(claims, "than TracIN at")]
    assert {(claim.decision.verdict, claim.row["measured"]) for claim in rivals} == {(NOT_TESTED, "not run")}


def test_published_numbers_of_finding_are_a_classifiers(judged):
    values = {"hyperinf": [0.8], "datainf": [0.7], "loss": [0.7]}
    claims = judged(found=values, shape=CLASSIFIER)
    (at_20,) = about(claims, "HyperINF finds more flipped labels than DataInf at 20 %")
    assert (at_20.origin, at_20.published) == (PUBLISHED_CLAIM, "+21.3 points")  # 44.89 - 23.56
    assert {claim.origin for claim in about(claims, "than own loss")} == {OWN_QUESTION}
    assert len(about(claims, "takes less time")) == 3
    others = judged(found=values)
    assert {claim.origin for claim in others} == {OWN_QUESTION}
    assert {claim.published for claim in others} == {""}


@pytest.mark.parametrize(
    ("family", "published"), [("causal", {"20 %"}), ("vision", {"20 %", "60 %"}), ("classifier", set())]
)
def test_only_plain_selection_at_the_fractions_of_the_paper_is_a_published_claim(judged, family, published):
    rows = {"hyperinf": [0.8], "random": [0.5]}
    claims = about(judged(rows, fractions=(0.2, 0.3, 0.6), shape={"family": family}), "than random selection")
    found = {claim.setting.split(", ")[-1].removesuffix(" kept") for claim in claims if claim.source}
    assert found == published
    assert not [claim for claim in claims if claim.source and "stratified" in claim.setting]


def test_a_setting_says_what_model_it_was(judged):
    for claim in judged({"hyperinf": [0.8], "random": [0.5]}, {"hyperinf": [0.8]}):
        assert "headlines, smol (Smol cut to 4 layers), LoRA rank 8" in claim.setting


def test_training_on_all_samples_is_compared_with_where_it_was_run(judged):
    rows = {"hyperinf": [0.58, 0.59], "random": [0.5, 0.5]}
    (claim,) = about(
        judged(rows, fractions=(0.2, 1.0)), "more accurate model than the whole training set", "stratified"
    )
    assert (
        claim.row["measured"] == "+3.5 points ± 6.4 (2 seeds)"
    )  # 0.585 - 0.55; t(0.975, 1) * 0.01 / sqrt(2) / sqrt(2)
    assert claim.decision.verdict == UNDECIDED


def test_training_on_all_samples_is_not_tested_where_it_was_not_run(judged):
    claims = judged({"hyperinf": [0.58, 0.59]}, fractions=(0.2,))
    assert {claim.decision.verdict for claim in about(claims, "than the whole training set")} == {NOT_TESTED}


def test_whether_the_lead_is_larger_where_less_is_kept_is_a_question_of_ours(run_folder, shape, tmp_path):
    runs = [run_folder(11 + k, {"hyperinf": 0.6, "random": 0.5}) for k in range(3)]
    for run, lead in zip(runs, (0.1, 0.12, 0.14), strict=True):
        path = run / "fraction-0.2/metrics.csv"
        rows = pd.read_csv(path)
        rows.loc[(rows["method"] == "hyperinf") & (rows["metric"] == "accuracy"), "value"] += lead
        rows.to_csv(path, index=False)
    claims = study_claims(read_study(shape(detection=False), runs, tmp_path))
    plain, stratified = about(claims, "lead over random selection")
    assert {plain.origin, stratified.origin} == {OWN_QUESTION}
    assert plain.row["measured"] == "+12.0 points ± 5.0 (3 seeds)"  # t(0.975, 2) * 0.02 / sqrt(3)
    assert plain.decision.verdict == SUPPORTED
    assert plain.setting.endswith("plain selection, 20 % kept against 40 %")


def test_gradients_of_parts_of_what_is_trained_are_set_against_each_other(run_folder, shape, tmp_path):
    parts = {"lora-8.of-projector": (0.62, 0.63), "lora-8.of-last_layer": (0.52, 0.53), "lora-8": (0.61, 0.64)}
    runs = [
        run_folder(11 + k, {"hyperinf": value}, names={"setting": setting})
        for setting, values in parts.items()
        for k, value in enumerate(values)
    ]
    read = read_study(shape(detection=False, settings=list(parts)), runs, tmp_path)
    claims = about(study_claims(read), "by gradients of the")
    asked = {
        c.statement.partition("by gradients of the ")[2]: c.row["measured"] for c in claims if "plain" in c.setting
    }
    assert set(asked) == {
        "projector than by those of the last layer",
        "projector than by those of all that is trained",
        "last layer than by those of all that is trained",
    }
    assert asked["projector than by those of the last layer"] == "+10.0 points ± 0.0 (2 seeds)"


def test_hyperinf_is_charged_for_the_gfim_in_the_order_of_times(judged):
    # HyperINF 1.1 + 1.0 s for the GFIM, DataInf 2.1 s: level but for rounding
    (claim,) = about(judged(found={"hyperinf": [0.8] * 3}, shape=CLASSIFIER), "HyperINF takes less time than DataInf")
    assert claim.row["measured"].startswith("1 times")
    assert claim.decision.verdict == NO_DIFFERENCE


def test_the_table_of_a_claim_has_its_settings_and_a_column_of_what_was_published_where_something_was(judged):
    frame = claims_frame(judged({"hyperinf": [0.8, 0.7], "random": [0.5, 0.5]}))
    own = frame[frame["statement"] == frame["statement"].iloc[0]]
    plain, known = claim_table(own), claim_table(own.assign(published="+1 points"))
    assert plain.headers == ("setting", "verdict", "measured")
    assert [row[0] for row in plain.rows] == own["setting"].tolist()
    assert known.headers == (*plain.headers, "published")


def test_the_epochs_of_a_training_are_one_setting(run_folder, shape, tmp_path):
    runs = [
        run_folder(11 + k, found={"hyperinf": 0.8, "datainf": 0.7}, checkpoints=("epoch-1", "epoch-2"))
        for k in range(3)
    ]
    for run, (first, second) in zip(runs, ((0.1, 0.0), (0.12, 0.0), (0.16, 0.0)), strict=True):
        path = run / "detection/metrics.csv"
        rows = pd.read_csv(path)
        for checkpoint, more in (("epoch-1", first), ("epoch-2", second)):
            own = (rows["method"] == "hyperinf") & (rows["checkpoint"] == checkpoint)
            rows.loc[own, "value"] += more
        rows.to_csv(path, index=False)
    study = shape(family="classifier", fractions=(), checkpoints=("epoch-1", "epoch-2"))
    (claim,) = about(study_claims(read_study(study, runs, tmp_path)), "more flipped labels than DataInf at 20 %")
    assert claim.values == pytest.approx({11: 0.15, 12: 0.16, 13: 0.18})
    assert claim.setting.endswith("mean over epochs 1, 2")


def test_ranking_within_an_observed_answer_and_nearness_to_the_fim_are_judged_where_they_are_known(
    run_folder, shape, tmp_path
):
    runs = [run_folder(11 + k, found={"hyperinf": 0.8, "datainf": 0.7, "lissa": 0.8}) for k in range(3)]
    read = read_study(shape(fractions=()), runs, tmp_path)
    assert not about(study_claims(read), "among samples of the same observed answer")
    assert not about(study_claims(read), "nearer to the exact FIM")
    for k, run in enumerate(runs):
        path = run / "detection/metrics.csv"
        rows = pd.read_csv(path)
        own = rows[rows["metric"] == "roc_auc"]
        near = own.assign(
            metric="fim_correlation", value=own["method"].map({"hyperinf": 0.9, "datainf": -0.2 + k / 50, "lissa": 0.9})
        )
        pd.concat([rows, own.assign(metric="roc_auc_within"), near]).to_csv(path, index=False)
    claims = study_claims(read_study(shape(fractions=()), runs, tmp_path))
    assert len(about(claims, "among samples of the same observed answer")) == 3
    nearer = {claim.statement: claim.decision.verdict for claim in about(claims, "nearer to the exact FIM")}
    assert nearer == {
        "HyperINF's scores are nearer to the exact FIM's than DataInf's are": SUPPORTED,
        "HyperINF's scores are nearer to the exact FIM's than LiSSA's are": DEGENERATE,
        "HyperINF's scores are nearer to the exact FIM's than TracIN's are": NOT_TESTED,
    }


def test_a_rival_that_selects_worse_than_chance_degrades(judged):
    claims = judged({"hyperinf": [0.8] * 3, "datainf": [0.4, 0.41, 0.42], "random": [0.6, 0.6, 0.61]})
    for words in ("what DataInf keeps trains a less accurate model than random", "than the whole training set"):
        found = about(claims, words, "plain")
        assert found
        assert {claim.decision.verdict for claim in found if "DataInf" in claim.statement} == {SUPPORTED}


def test_a_cost_that_does_not_depend_on_the_rank_is_supported_and_one_that_does_contradicted(
    run_folder, shape, tmp_path
):
    settings = ("lora-8", "lora-16")
    runs = [
        run_folder(11 + k, found={"hyperinf": 0.8}, names={"setting": setting, "family": "classifier"})
        for setting in settings
        for k in range(3)
    ]
    for k, run in enumerate(runs[3:]):
        path = run / "scores/last/cost.csv"
        rows = pd.read_csv(path)
        rows.loc[rows["stage"] == "of which GFIM", "seconds"] *= 2 + k / 10
        rows.loc[rows["stage"] == "precondition", "peak_memory_mib"] *= 3 + k / 10
        rows.to_csv(path, index=False)
    read = read_study(shape(family="classifier", fractions=(), settings=list(settings)), runs, tmp_path)
    found = {claim.statement: claim for claim in about(study_claims(read), "at every rank")}
    assert found["the sum of the GFIM takes the same time at every rank"].decision.verdict == CONTRADICTED
    assert found["HyperINF's inverse takes the same time at every rank"].decision.verdict == DEGENERATE
    assert found["HyperINF's inverse takes the same memory at every rank"].decision.verdict == CONTRADICTED
    assert {claim.setting for claim in found.values()} == {"headlines, smol, rank 16 against 8"}


def test_memory_is_a_methods_own_and_the_statistics_are_charged_to_hyperinf(run_folder, shape, tmp_path):
    runs = [run_folder(11 + k, found={"hyperinf": 0.8}, names={"family": "classifier"}) for k in range(2)]
    peaks = {
        ("shared", "statistics"): 80.0, ("hyperinf", "precondition"): 4.0, ("datainf", "precondition"): 40.0,
        ("lissa", "precondition"): 160.0, ("tracin", "precondition"): 0.0,
    }  # fmt: skip
    for run in runs:
        path = run / "scores/last/cost.csv"
        rows = pd.read_csv(path)
        known = {name: rows[rows["method"] == name].iloc[:1] for name in ("shared", "hyperinf")}
        parts = [
            known["shared" if method == "shared" else "hyperinf"].assign(
                method=method, stage=stage, peak_memory_mib=peak
            )
            for (method, stage), peak in peaks.items()
        ]
        pd.concat(parts).to_csv(path, index=False)
    read = read_study(shape(family="classifier", fractions=()), runs, tmp_path)
    found = {claim.statement.partition(" (")[0]: claim for claim in about(study_claims(read), "less memory")}
    ratios = {name: [round(math.exp(value), 6) for value in claim.values.values()] for name, claim in found.items()}
    assert ratios == {
        "HyperINF takes less memory than DataInf": [0.5, 0.5],
        "HyperINF takes less memory than LiSSA": [2.0, 2.0],
        "TracIN takes less memory than HyperINF": [80.0, 80.0],
    }


def test_a_claim_on_memory_needs_a_system_that_tells_it(run_folder, shape, tmp_path):
    runs = [run_folder(11 + k, found={"hyperinf": 0.8}, names={"family": "classifier"}) for k in range(2)]
    for run in runs:
        path = run / "scores/last/cost.csv"
        pd.read_csv(path).assign(peak_memory_mib="").to_csv(path, index=False)
    read = read_study(shape(family="classifier", fractions=()), runs, tmp_path)
    assert not about(study_claims(read), "memory")


@pytest.mark.parametrize(("distance", "verdict"), [(0.05, SUPPORTED), (0.2, UNDECIDED), (0.7, CONTRADICTED)])
def test_the_distance_of_gfim_and_fim_is_the_mean_of_layers_and_the_largest_of_seeds(
    run_folder, shape, tmp_path, distance, verdict
):
    runs = [run_folder(11 + k, found={"hyperinf": 0.8}, names={"family": "classifier"}) for k in range(2)]
    for run, shift in zip(runs, (0.0, -0.01), strict=True):
        path = run / "scores/last/info.json"
        told = json.loads(path.read_text())
        layers = {"a": distance + shift + 0.01, "b": distance + shift - 0.01}
        told["reports"] = {"fim": {"gfim_distance": layers}, "tracin": {}}
        path.write_text(json.dumps(told))
    (claim,) = distance_claims(read_study(shape(family="classifier", fractions=()), runs, tmp_path))
    assert claim.decision.verdict == verdict
    assert claim.values == pytest.approx({11: distance, 12: distance - 0.01})
    assert claim.origin == PUBLISHED_CLAIM


def test_gradients_of_one_part_are_held_against_those_of_another(run_folder, shape, tmp_path):
    settings = ("lora_projector-8.of-last_layer", "lora_projector-8.of-projector")
    runs = [
        run_folder(11 + k, found={"hyperinf": value + k / 100, "tracin": 0.5}, names={"setting": setting})
        for setting, value in zip(settings, (0.6, 0.8), strict=True)
        for k in range(2)
    ]
    (claim,) = part_claims(read_study(shape(fractions=(), settings=list(settings)), runs, tmp_path))
    assert claim.statement.endswith("higher by gradients of the projector than by those of the last layer")
    assert claim.values == pytest.approx({11: 0.2, 12: 0.2})
    assert claim.origin == OWN_QUESTION
