import pandas as pd
import pytest

from hyperinf.reporting.claims import (
    CONTRADICTED,
    NOT_TESTED,
    OWN_QUESTION,
    PUBLISHED_CLAIM,
    SUPPORTED,
    WITHIN_NOISE,
    claims_frame,
    ledger_sections,
)
from hyperinf.reporting.selection_claims import selection_claims
from hyperinf.reporting.selection_inputs import read_selection


@pytest.fixture
def judged(seed_folder):
    def make(by_method, study="llm", **options):
        count = len(next(iter(by_method.values())))
        runs = [seed_folder(11 + k, {name: v[k] for name, v in by_method.items()}, **options) for k in range(count)]
        return list(selection_claims(study, read_selection(study, runs)))

    return make


def about(claims, word, *settings):
    return [c for c in claims if c.statement.endswith(word) and all(s in c.setting for s in settings)]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([0.8, 0.7, 0.9], [0.6, 0.52, 0.69], SUPPORTED),
        ([0.6, 0.52, 0.69], [0.8, 0.7, 0.9], CONTRADICTED),
        ([0.8, 0.7, 0.75], [0.7, 0.8, 0.7], WITHIN_NOISE),
        ([0.8, 0.7], [0.8, 0.7], WITHIN_NOISE),
        ([0.8], [0.6], NOT_TESTED),
    ],
)
def test_the_verdict_on_a_rival_is_drawn_from_the_paired_interval(judged, ours, theirs, verdict):
    claims = judged({"hyperinf": ours, "datainf": theirs, "random": theirs})
    for rival in ("than what DataInf keeps", "than random selection"):
        assert {claim.verdict for claim in about(claims, rival)} == {verdict}


def test_a_rival_that_was_not_run_is_not_tested(judged):
    claims = about(judged({"hyperinf": [0.8, 0.7], "random": [0.5, 0.5]}), "than what LiSSA keeps")
    assert {(claim.verdict, claim.measured) for claim in claims} == {(NOT_TESTED, "not run")}


def test_only_plain_selection_at_the_shares_of_the_paper_is_a_published_claim(judged):
    claims = about(judged({"hyperinf": [0.8], "random": [0.5]}, percents=(20, 30)), "than random selection")
    origins = {(claim.setting.partition("rank 8, ")[2], claim.origin, bool(claim.source)) for claim in claims}
    assert origins == {
        ("plain selection, 20 % kept", PUBLISHED_CLAIM, True),
        ("plain selection, 30 % kept", OWN_QUESTION, False),
        ("stratified selection, 20 % kept", OWN_QUESTION, False),
        ("stratified selection, 30 % kept", OWN_QUESTION, False),
    }


def test_the_shares_of_the_paper_differ_between_the_studies(judged):
    claims = judged({"hyperinf": [0.8], "random": [0.5]}, study="vlm", percents=(5, 60))
    published = {claim.setting[-9:] for claim in claims if claim.origin == PUBLISHED_CLAIM}
    assert published == {"60 % kept"}


def test_a_setting_says_what_model_it_was(judged):
    for claim in judged({"hyperinf": [0.8], "random": [0.5]}):
        assert "smol (Smol cut to 4 layers)" in claim.setting


def test_the_whole_pool_is_compared_with_where_it_was_run(judged):
    rows = {"hyperinf": [0.58, 0.59], "random": [0.5, 0.5]}
    (claim,) = about(judged(rows, percents=(20, 100)), "than the whole pool", "stratified")
    assert claim.measured == "+3.5 points ± 6.4 (2 seeds)"  # 0.585 - 0.55; t(0.975, 1) * 0.01 / sqrt(2) / sqrt(2)
    assert claim.verdict == WITHIN_NOISE
    (absent,) = about(judged(rows, percents=(20,), task="other"), "than the whole pool", "stratified")
    assert absent.verdict == NOT_TESTED


def test_finding_corrupted_samples_is_asked_only_where_there_are_any(judged):
    rows = {"hyperinf": [0.8, 0.7], "random": [0.5, 0.5]}
    found = about(judged(rows), "corrupted samples better than own loss")
    assert [(claim.origin, claim.verdict) for claim in found] == [(OWN_QUESTION, SUPPORTED)]
    assert not [claim for claim in judged(rows, clean=False, task="other") if "corrupted" in claim.statement]


def test_the_page_ledger_states_each_claim_and_its_rule_once(judged):
    frame = claims_frame(judged({"hyperinf": [0.8, 0.7], "random": [0.5, 0.5]}))
    sections = ledger_sections(frame)
    assert sum(len(table.rows) for table, _ in sections) == len(frame)
    assert len({table.title for table, _ in sections}) == len(sections)
    assert all(table.headers == ("setting", "verdict", "measured") for table, _ in sections)


def test_whether_the_lead_is_larger_where_less_is_kept_is_a_question_of_ours(seed_folder):
    def folder(study, seed, lead):
        run = seed_folder(seed, {"hyperinf": 0.6, "random": 0.5}, study=study)
        path = run / "fraction-20/metrics.csv"
        rows = pd.read_csv(path)
        ours = (rows["method"] == "hyperinf") & (rows["metric"] == "accuracy")
        rows.loc[ours, "value"] += lead
        rows.to_csv(path, index=False)
        return run

    for study in ("vlm", "llm"):
        runs = [folder(study, 11 + k, lead) for k, lead in enumerate((0.1, 0.12, 0.14))]
        claims = list(selection_claims(study, read_selection(study, runs)))
        plain, stratified = (c for c in claims if "lead over random selection" in c.statement)
        assert (plain.origin, stratified.origin) == (OWN_QUESTION, OWN_QUESTION)
        assert plain.measured == "+12.0 points ± 5.0 (3 seeds)"  # t(0.975, 2) * 0.02 / sqrt(3)
        assert plain.verdict == SUPPORTED
        assert plain.setting.endswith("plain selection, 20 % kept against 40 %")


def test_gradients_of_parts_of_what_is_trained_are_set_against_each_other(seed_folder):
    parts = {"projector": (0.62, 0.63), "last_layer": (0.52, 0.53), "": (0.61, 0.64)}
    runs = [
        seed_folder(11 + k, {"hyperinf": value}, study="vlm", setting=f"lora-8.of-{part}" if part else "lora-8")
        for part, values in parts.items()
        for k, value in enumerate(values)
    ]
    claims = [c for c in selection_claims("vlm", read_selection("vlm", runs)) if "by gradients of" in c.statement]
    asked = {c.statement.partition("by gradients of the ")[2]: c.measured for c in claims if "plain" in c.setting}
    assert set(asked) == {
        "projector than by those of the last layer",
        "projector than by those of all that is trained",
        "last layer than by those of all that is trained",
    }
    assert asked["projector than by those of the last layer"] == "+10.0 points ± 0.0 (2 seeds)"
    assert {c.origin for c in claims} == {OWN_QUESTION}
