"""Whatever stands in a configuration, it is accepted or refused with lines; nothing else comes of it."""

import copy
from typing import Any

import pytest
import yaml
from check_config import ConfigError, checked_config
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
NUMBERS = st.integers() | st.floats() | st.sampled_from(["1e400", "5e-4", "-0", "nan"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a configuration."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, part in value.items() for place in places(part, (*path, key))]
    return found


PLACES = places(GOOD)


def changed(mutations: list[tuple[tuple[Any, ...], str, Any]]) -> dict[str, Any]:
    """The default configuration with values replaced, keys dropped and keys added."""
    config = copy.deepcopy(GOOD)
    for (*path, last), how, value in mutations:
        section: Any = config
        for key in path:
            section = section.get(key) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            continue
        if how == "drop":
            section.pop(last, None)
        elif how == "add":
            section[f"{last}_"] = value
        else:
            section[last] = value
    return config


def is_accepted_or_refused_in_lines(config: Any) -> None:
    assert all(line and "\n" not in line for line in refusal(config))


def refusal(config: Any) -> tuple[str, ...]:
    """The lines; none if it is accepted."""
    try:
        checked_config(config, ROOT)
    except ConfigError as error:
        return error.lines or ("",)
    return ()


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "set", "drop", "add"]), VALUES), min_size=1, max_size=4
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(mutations=MUTATIONS)
def test_a_changed_configuration_is_accepted_or_refused_in_lines(mutations: list[Any]) -> None:
    is_accepted_or_refused_in_lines(changed(mutations))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(value=VALUES)
def test_any_value_for_a_configuration_is_refused_in_lines(value: Any) -> None:
    is_accepted_or_refused_in_lines(value)


@pytest.mark.parametrize("value", [float("inf"), 10**400, "1e400", -0.0])
def test_numbers_that_no_computer_holds_are_refused_in_lines(value: Any) -> None:
    is_accepted_or_refused_in_lines(changed([(("mislabel", "train"), "set", value)]))
