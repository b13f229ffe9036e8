"""The files that are made of the settings are in step with them, and agree with each other."""

import json
import re

import jsonschema
import pytest
import yaml
from experiments import GOOD, OVERLAYS, ROOT, changed, refusal

from hyperinf.settings.default_experiment import default_experiment
from hyperinf.settings.documents import config_text, out_of_step, page_text, schema_text
from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.yaml_files import read_yaml

SCHEMA = json.loads(schema_text())


def test_the_files_are_what_the_settings_make_of_them() -> None:
    assert out_of_step(ROOT) == [], "`hyperinf settings --write` brings them in step"


def test_config_yaml_is_the_default_experiment() -> None:
    assert checked_experiment(yaml.safe_load(config_text())) == default_experiment()


@pytest.mark.parametrize("name", ["config.yaml", *(f"workflow/config/{each[-1]}.yaml" for each in OVERLAYS)])
def test_an_editor_finds_no_mistake_in_the_configurations(name: str) -> None:
    first = (ROOT / name).read_text().partition("\n")[0]
    schema = (
        (ROOT / name).parent / first.partition("$schema=")[2]
        if name != "config.yaml"
        else ROOT / first.partition("=")[2]
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(read_yaml(ROOT / name), json.loads(schema.read_text()))


@pytest.mark.parametrize(
    "overlay",
    [
        "devise: cpu",
        "studies: {llm: {scoring: {damping: 0}}}",
        "studies: {llm: {scoring: {lissa: {iteration: 1}}}}",
        "studies: {llm: {scoring: {methods: [hyperinv]}}}",
        "studies: {Big: {}}",
        "models: {minilm: {source: minilm}}",
        "data: {cola: {format: labeled}}",
        "run: []",
    ],
)
def test_an_editor_finds_what_the_check_finds(overlay: str) -> None:
    assert refusal(changed(overlay))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(overlay), SCHEMA)


def test_an_editor_takes_what_the_check_takes() -> None:
    overlay = (
        "{models: {minilm: {source: 'path:tests'}}, studies: {llm: {detection: null, selection: null}}, cache: null}"
    )
    assert refusal(changed(overlay)) == []
    jsonschema.validate(yaml.safe_load(overlay), SCHEMA)


def test_sections_are_called_by_their_place_and_never_by_a_class() -> None:
    page = page_text()
    titles = re.findall(r"^## `(.+)`$", page, re.M)
    assert titles[0] == "config.yaml"
    assert {"models.NAME.align", "studies.NAME.scoring.lissa_gfim", "simulation.fisher", "data.NAME.source"} <= set(
        titles
    )
    assert len(titles) == len(set(titles))
    assert set(titles) - {"config.yaml"} == set(SCHEMA["$defs"])
    for text in (page, schema_text()):
        assert not re.search(r"\b[A-Z][a-z]+(Settings|Entry|Source|Options|Section|Adapter|Names)\b", text)


def test_the_page_has_every_key_of_config_yaml_with_a_word_on_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", page_text(), re.M)
    assert all(what and values for _, what, values, _ in rows)
    shown = {name for name, *_ in rows}

    def keys(section: dict[str, object]) -> set[str]:
        found = set(section)
        for value in section.values():
            found |= keys(value) if isinstance(value, dict) else set()
        return found

    named = {*GOOD["models"], *GOOD["data"], *GOOD["studies"]}
    assert keys(GOOD) - named - shown == set()


def test_config_yaml_explains_every_key_once() -> None:
    notes = re.findall(r"# (.+)", config_text())
    assert len([note for note in notes if note.startswith("peak learning rate of AdamW")]) == 1
    assert any(note.endswith("(r)") for note in notes)
    assert max(map(len, config_text().splitlines())) <= 130


def test_the_page_of_methods_has_a_line_for_every_method_form_pool_and_baseline():
    from hyperinf.settings.methods import BASELINES, METHODS
    from hyperinf.settings.scores import FORMS, POOLS

    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in (*METHODS, *BASELINES, *(f"_{form}" for form in FORMS)):
        assert f"\n| `{name}` |" in page, name
    assert all(f"`_{name}`" in page for name in POOLS)
