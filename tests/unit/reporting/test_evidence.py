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
    assert record["seeds"]
    assert {name: planned[name] for name in record["seeds"]} == record["seeds"]
    seeds = {str(seed) for known in record["seeds"].values() for seed in known}
    numbers = claims.loc[(claims["unit"] == "seed") & (claims["kind"] != "distance"), "values"]
    assert {pair.partition(":")[0] for text in numbers for pair in text.split()} <= seeds


def test_the_overview_of_the_readme_and_the_docs_is_made_of_the_tables():
    from evidence_page import MARKS, SHOWN_IN, overview, with_overview

    for page in SHOWN_IN:
        text = page.read_text()
        assert MARKS[0] in text
        assert with_overview(text, overview(TABLES)) == text
