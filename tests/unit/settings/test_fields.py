"""How settings are declared: each explained, bounded and marked, whatever is made of it."""

import json
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, get_args

import pydantic
import pytest

from hyperinf.cli.commands import STAGES
from hyperinf.cli.flags import leaves
from hyperinf.cli.main import named
from hyperinf.settings.base import Settings, explained, kind_of, mark
from hyperinf.settings.experiment import ExperimentSettings
from hyperinf.settings.methods import BASELINES, METHODS, MethodOptions
from hyperinf.settings.registers import DATA_ASSETS, FAMILIES, FORMATS, MODEL_ASSETS, SHAPES, templates
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.settings.stages import Finetune, Prepare, Score
from hyperinf.settings.training import FinetuningSettings, TrainingSettings


def sections(model: type[Settings]) -> Iterator[type[Settings]]:
    """A section and all that are in it."""
    yield model
    for field in model.model_fields.values():
        for each in (kind_of(field.annotation), *map(kind_of, get_args(kind_of(field.annotation)))):
            if isinstance(each, type) and issubclass(each, Settings):
                yield from sections(each)


MODELS: set[type[Settings]] = {
    model for root in (ExperimentSettings, *(named(each.settings) for each in STAGES)) for model in sections(root)
}
FIELDS = [(model, name, field) for model in MODELS for name, field in model.model_fields.items()]


@pytest.mark.parametrize("model", sorted(MODELS, key=attrgetter("__name__")), ids=lambda model: model.__name__)
def test_every_setting_says_in_a_line_what_it_is(model: type[Settings]) -> None:
    assert model.__doc__
    for name, field in model.model_fields.items():
        text = explained(field)
        assert len(text) > len("so many"), name
        assert text == " ".join(text.split()), name
        assert not text.startswith(("of ", "the ")), f"{name}: {text}"
        assert not text.endswith("."), f"{name}: {text}"


def test_names_of_settings_in_an_explanation_are_names_of_settings() -> None:
    known = {name for _, name, _ in FIELDS}
    quoted = {word for _, _, field in FIELDS for word in explained(field).split("`")[1::2]}
    assert quoted
    assert quoted <= known


def test_no_check_of_a_class_is_hidden_by_another_of_the_same_name() -> None:
    for model in MODELS:
        own = model.__pydantic_decorators__.model_validators
        for base in model.__mro__:
            if issubclass(base, Settings) and base.__name__ in (each.__name__ for each in MODELS | {base}):
                for name, check in base.__pydantic_decorators__.model_validators.items():
                    inherited = getattr(check.func, "__func__", check.func)
                    used = getattr(own[name].func, "__func__", own[name].func)
                    assert used is inherited or base.as_text, f"{model.__name__} hides {name} of {base.__name__}"


def test_a_switch_is_true_or_false_and_a_number_neither() -> None:
    for model, name, field in FIELDS:
        if kind_of(field.annotation) is bool:
            with pytest.raises(pydantic.ValidationError, match=rf"(?s)\b{name}\n.*boolean"):
                model.model_validate({name: 1})
        elif kind_of(field.annotation) in (int, float):
            with pytest.raises(pydantic.ValidationError, match=rf"(?m)^{name}$"):
                model.model_validate({name: True})


def test_what_decides_is_what_is_not_marked_as_runtime() -> None:
    settings = Score(data="d", finetuned="f", seed=1, out="o", threads=3, store="live", lissa={"iterations": 3})
    runtime = {name for name, field in Score.model_fields.items() if mark(field, "runtime")}
    assert {"out", "data", "threads", "store", "gradient_batch_size", "cache"} <= runtime
    assert not runtime & set(json.loads(settings.canonical()))
    again = {**settings.plain(), "threads": 1, "store": "disk", "out": "elsewhere"}
    assert Score.model_validate(again).canonical() == settings.canonical()
    assert Score.model_validate({**again, "damping": 0.2}).canonical() != settings.canonical()


def test_options_of_methods_that_are_not_taken_decide_nothing() -> None:
    given = ScoringSettings(methods=["hyperinf"], lissa={"iterations": 3})
    assert given.canonical() == ScoringSettings(methods=["hyperinf"]).canonical()
    assert given.canonical() != ScoringSettings(methods=["hyperinf"], hyperinf={"tol": 1e-4}).canonical()


def test_every_option_of_a_method_is_a_setting_and_reaches_it() -> None:
    for name, spec in METHODS.items():
        own = {option: field.default for option, field in spec.options.model_fields.items()}
        own = {option: value for option, value in own.items() if option not in MethodOptions.model_fields}
        changed: dict[str, Any] = {key: "auto" if isinstance(value, str) else value * 0.5 for key, value in own.items()}
        changed = {key: max(1, int(value)) if isinstance(own[key], int) else value for key, value in changed.items()}
        settings = ScoringSettings.model_validate({"damping": 0.3, **({name: changed} if own else {})})
        assert settings.options(name) == spec.options.model_validate({"damping": 0.3, **changed})
    assert ScoringSettings().options("tracin") == MethodOptions()


def test_a_section_is_made_of_others_and_of_what_wins() -> None:
    training = TrainingSettings(epochs=3, learning_rate=0.1)
    assert FinetuningSettings.of(training, dtype="bfloat16").learning_rate == 0.1
    assert TrainingSettings.of(training, epochs=None, max_steps=5).max_steps == 5
    with pytest.raises(pydantic.ValidationError):
        training.epochs = 4


def test_what_a_stage_writes_is_marked_with_its_kind() -> None:
    for stage in STAGES:
        written = {name: mark(field, "writes") for name, field in named(stage.settings).model_fields.items()}
        assert written["out"] in ("file", "folder"), stage.name
        assert {name for name, kind in written.items() if kind} <= {"out", "state"}


def test_flags_are_every_setting_once() -> None:
    for stage in STAGES:
        places = [place for place, _ in leaves(named(stage.settings))]
        assert len(places) == len(set(places))
    assert ("off_task_data", "splits", "test") in dict(leaves(Prepare))
    assert ("source",) in dict(leaves(Prepare))


def test_names_of_registers_are_those_that_the_library_has() -> None:
    from hyperinf.data.formats.form import known_format
    from hyperinf.data.prompts import load_template
    from hyperinf.data.registry import ASSETS
    from hyperinf.models.shapes import new_model

    assert {name: ASSETS[name].kind for name in (*MODEL_ASSETS, *DATA_ASSETS)} == {
        **dict.fromkeys(MODEL_ASSETS, "model"),
        **dict.fromkeys(DATA_ASSETS, "data"),
    }
    assert all(named(spec.implementation).__name__ for spec in FAMILIES.values())
    assert all(known_format(name).columns is not None for name in FORMATS)
    assert all(load_template(name) for name in templates())
    assert all(named(spec.implementation).__name__ for spec in METHODS.values())
    assert all(named(spec.implementation).__name__ for spec in BASELINES.values() if spec.implementation)
    assert new_model(SHAPES[0], 0)


def test_a_fine_tuning_names_its_checkpoints() -> None:
    settings = {"data": "d", "model": "path:m", "family": "classifier", "seed": 1, "out": "o"}
    assert Finetune(**settings, max_steps=3).checkpoint_names == ("last",)
    assert Finetune(**settings, epochs=3).checkpoint_names == ("epoch-3",)
    assert Finetune(**settings, epochs=3, checkpoints=[3, 1]).checkpoint_names == ("epoch-1", "epoch-3")
    assert Finetune(**settings, epochs=3, state="s").state_folder == "s"
    assert Finetune(**settings, epochs=3).state_folder == "o.state"
