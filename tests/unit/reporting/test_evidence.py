"""What is committed of the evidence run: its verdicts follow from its numbers, its pages from its tables."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from recomputing import recomputed

from hyperinf.reporting.rule import rule_hash, rule_text

ROOT = Path(__file__).parents[3]
TABLES = ROOT / "docs/evidence/tables"
sys.path.insert(0, str(ROOT / "website"))


@pytest.fixture(scope="module")
def claims():
    return pd.read_csv(TABLES / "claims.csv", keep_default_na=False)


def test_every_verdict_follows_from_the_numbers_of_the_seeds_by_the_committed_rule(claims):
    primary = pd.read_csv(TABLES / "claims_primary.csv", keep_default_na=False)
    found = {(row["origin"], row["statement"]): row["verdict"] for _, row in primary.iterrows()}
    assert found == recomputed(claims, yaml.safe_load(rule_text()))


def test_the_record_names_the_rule_and_the_seeds_of_every_claim(claims):
    record = yaml.safe_load((ROOT / "docs/evidence/record.json").read_text())
    assert record["rule_sha256"] == rule_hash()
    overlay = yaml.safe_load((ROOT / "workflow/config/evidence.yaml").read_text())
    planned = {name: study["seeds"] for name, study in overlay["studies"].items()}
    planned["simulation"] = overlay["simulation"]["seeds"]
    seeds = {name: study["seeds"] for name, study in record["studies"].items()}
    assert seeds
    assert {name: planned[name] for name in seeds} == seeds
    known = {str(seed) for each in seeds.values() for seed in each}
    numbers = claims.loc[(claims["unit"] == "seed") & (claims["kind"] != "distance"), "values"]
    assert {pair.partition(":")[0] for text in numbers for pair in text.split()} <= known


def test_the_overview_of_the_readme_and_the_docs_is_made_of_the_tables():
    from evidence_page import MARKS, SHOWN_IN, overview, with_overview

    for page in SHOWN_IN:
        text = page.read_text()
        assert MARKS[0] in text
        assert with_overview(text, overview(TABLES)) == text


def test_a_file_belongs_to_the_study_with_the_longest_name_that_fits():
    from evidence_page import _study_of

    studies = ("vlm", "vlm_parts", "llm")
    names = ("vlm_cost.csv", "vlm_parts_cost.csv", "vlm.csv", "claims_llm.csv", "claims.csv", "claims_primary.csv")
    assert [_study_of(name, studies) for name in names] == ["vlm", "vlm_parts", "vlm", "llm", None, None]


def test_a_study_that_stays_keeps_its_settings():
    from evidence_page import with_settings_of

    def settings(seeds, model):
        shared = {"models": {"tiny": model}, "data": {}, "run": ["vlm"]}
        return {**shared, "simulation": {"seeds": seeds}, "studies": {"vlm": {"seeds": seeds}, "llm": {"seeds": seeds}}}

    old, new = settings([11], "a"), settings([11, 12], "a")
    whole = with_settings_of(old, new, ["vlm"], ["simulation", "vlm", "llm"])
    assert whole["run"] == ["simulation", "vlm", "llm"]
    assert whole["studies"] == {"vlm": {"seeds": [11]}, "llm": {"seeds": [11, 12]}}
    assert whole["simulation"] == {"seeds": [11, 12]}
    assert with_settings_of(old, new, ["simulation"], [])["simulation"] == {"seeds": [11]}
    with pytest.raises(SystemExit, match="^models: got another tiny than that of the evidence there is"):
        with_settings_of(old, settings([11], "b"), ["vlm"], [])


def test_the_section_of_a_study_is_what_stands_between_its_marks():
    from evidence_page import OUT, _section

    page = (OUT / "index.md").read_text()
    record = yaml.safe_load((OUT / "record.json").read_text())
    for study in record["studies"]:
        section = _section(page, study)
        assert section.startswith("## ")
        assert section.count("\n## ") == 0
        assert "<!--" not in section
    with pytest.raises(SystemExit, match="got no section of nothing"):
        _section(page, "nothing")
