"""Every row of docs/compatibility.md, and the page itself."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from adapters import METHODS
from architectures import ARCHITECTURES
from refusals import REFUSALS, line
from refusals import rendered as rendered_refusals
from table import Outcome, outcome, rendered
from through_commands import through_commands

DOCS = Path(__file__).parents[2] / "docs"
ROWS: dict[str, Any] = {**{row.name: row for row in ARCHITECTURES}, **{row.name: row for row in METHODS}}


@functools.cache
def found(name: str) -> Outcome:
    return outcome(ROWS[name])


@pytest.mark.parametrize("name", ROWS)
def test_gradients_are_autograd_s_or_refused_in_one_line(name):
    result = found(name)
    assert result.exact is not False
    if result.exact is None:
        assert "\n" not in result.refusal
        assert "expected" in result.refusal
    else:
        assert result.layers > 0


@pytest.mark.parametrize("name", [row.name for row in ARCHITECTURES if row.targets])
def test_a_folder_with_a_model_is_scored_or_refused_before_it_is_trained(name):
    said = through_commands(ROWS[name])
    assert said in ("library", "`classifier`", "`causal`") or "refuses it before training" in said
    assert "\n" not in said


def test_the_page_says_what_was_found():
    assert len(ROWS) >= 60
    expected = rendered({name: found(name) for name in ROWS}, {name: through_commands(ROWS[name]) for name in ROWS})
    found_page = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    assert found_page == expected, "make it again: python tests/compatibility/table.py > docs/compatibility.md"


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.what)
def test_what_cannot_be_done_is_refused_in_one_line(refusal):
    assert len(line(refusal).split()) > 3


def test_the_page_of_refusals_says_what_is_said():
    found_page = (DOCS / "refusals.md").read_text(encoding="utf-8")
    assert found_page == rendered_refusals(), "make it again: python tests/compatibility/refusals.py > docs/refusals.md"


@pytest.mark.parametrize("refusal", [each for each in REFUSALS if each.follow], ids=lambda refusal: refusal.what)
def test_what_is_to_be_done_instead_is_taken(refusal):
    torch.manual_seed(0)
    refusal.follow()


def test_only_what_takes_gigabytes_is_advised_without_being_done():
    assert [each.what for each in REFUSALS if each.follow is None] == ["a GFIM larger than the memory"]
