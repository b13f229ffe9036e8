"""Whatever stands in settings, they are accepted or refused in lines that name a key; nothing else comes of it."""

import copy
import json
import re
from typing import Any

import pytest
import yaml
from experiments import GOOD, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperinf.cli.commands import STAGES
from hyperinf.cli.main import named
from hyperinf.settings.checking import SettingsError, checked

ALWAYS_THE_SAME = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = st.integers() | st.floats() | st.sampled_from(["1e400", "5e-4", "-0", "nan", 10**400, 2**63, True])
TEXTS = st.text(max_size=5) | st.sampled_from(["a\nb", "a\0b", "~x/y", "a" * 400, "{x}", "path:", "asset:\n", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.integers(), inner, max_size=3),
    max_leaves=6,
)
LINE = re.compile(r"\S.*: got .+, expected .+")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a configuration."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, part in value.items() for place in places(part, (*path, key))]
    return found


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


def are_lines(lines: list[str]) -> bool:
    """Whether each is one line that names a key."""
    return all(LINE.fullmatch(line) and len(line.splitlines()) == 1 for line in lines)


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(places(GOOD)), st.sampled_from(["set", "set", "drop", "add"]), VALUES),
    min_size=1,
    max_size=4,
)


@settings(ALWAYS_THE_SAME, max_examples=300)
@given(mutations=MUTATIONS)
def test_a_changed_experiment_is_accepted_or_refused_in_lines(mutations: list[Any]) -> None:
    lines = refusal(changed(mutations))
    assert are_lines(lines), lines


@settings(ALWAYS_THE_SAME, max_examples=60)
@given(value=VALUES)
def test_any_value_for_an_experiment_is_accepted_or_refused_in_lines(value: Any) -> None:
    lines = refusal(value)
    assert are_lines(lines), lines


def test_keys_that_are_no_text_are_refused_in_lines() -> None:
    keys = {"\ud800": 3, 3: 4, True: 5, "a\nb": 6, "Ok": 7, None: {}}
    for values in (keys, {"models": keys}, {"studies": {"llm": keys}}, {"studies": {"llm": {"scoring": keys}}}):
        lines = refusal(values)
        assert len(lines) >= len(keys)
        assert are_lines(lines), lines


@pytest.mark.parametrize("value", [float("inf"), 10**400, "1e400", "9" * 5000, -0.0, 1e300])
def test_numbers_that_no_computer_holds_are_refused_in_lines(value: Any) -> None:
    lines = refusal(changed([(("studies", "llm", "samples", "train"), "set", value)]))
    assert lines
    assert are_lines(lines), lines


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@settings(ALWAYS_THE_SAME, max_examples=40)
@given(data=st.data())
def test_any_values_for_a_stage_are_accepted_or_refused_in_lines(stage: Any, data: st.DataObject) -> None:
    model = named(stage.settings)
    keys = st.sampled_from(list(model.model_fields))
    values = data.draw(st.dictionaries(keys | TEXTS, VALUES, max_size=8))
    try:
        made = checked(model, values)
    except SettingsError as error:
        lines = str(error).split("\n")
        assert are_lines(lines), lines
    else:
        assert made == model.model_validate(json.loads(json.dumps(made.plain())))


@settings(ALWAYS_THE_SAME, max_examples=100)
@given(mutations=MUTATIONS)
def test_an_experiment_that_is_accepted_stays_itself_through_yaml(mutations: list[Any]) -> None:
    config = changed(mutations)
    if not refusal(config):
        from hyperinf.settings.experiment import checked_experiment

        made = checked_experiment(config)
        assert checked_experiment(yaml.safe_load(yaml.safe_dump(made.plain()))) == made
