"""What is said of an experiment that cannot be used: every mistake at once, ``WHERE: got X, expected Y``."""

from pathlib import Path

import pytest
from experiments import OVERLAYS, changed, overlaid, refusal

from hyperinf.settings.checking import SettingsError, checked
from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.stages import Prepare, Score


@pytest.mark.parametrize("names", [(), *OVERLAYS], ids=lambda names: " ".join(names) or "default")
def test_the_default_experiment_and_the_overlays_are_accepted(names: tuple[str, ...]) -> None:
    # What the published grid reads has to be brought.
    assert refusal(overlaid(*names), None) == []


@pytest.mark.parametrize(
    ("overlay", "where", "got", "expected"),
    [
        # keys
        ("studies: {llm: {dampng: 1}}", "studies.llm.dampng", "an unknown key", "one of title, family"),
        ("studies: {llm: {scoring: {dampng: 1}}}", "studies.llm.scoring.dampng", "an unknown key", "mean damping?"),
        ("models: {minilm: {source: {hbu: a/b}}}", "models.minilm.source.hbu", "an unknown key", "mean hub?"),
        ("on: 3", "True", "an unknown key", "results"),
        ("data: {My Set: {source: hub:a/b, text: t, label: l}}", "data.My Set", '"My Set" as a name', "lower-case"),
        ("studies: {tables: {family: causal, title: t, tasks: [cola], models: [minilm]}}", "studies.tables",
         "'tables' as a name", "none of simulation"),
        # numbers
        ("studies: {llm: {scoring: {damping: -1}}}", "studies.llm.scoring.damping", "-1", "a number above 0"),
        ("studies: {llm: {scoring: {damping: .nan}}}", "studies.llm.scoring.damping", "NaN", "a number above 0"),
        ("studies: {llm: {scoring: {damping: strong}}}", "studies.llm.scoring.damping", '"strong"', "a number above 0"),
        ("studies: {llm: {scoring: {damping: true}}}", "studies.llm.scoring.damping", '"true"', "a number above 0"),
        ("studies: {llm: {scoring: {damping: }}}", "studies.llm.scoring.damping", "nothing", "a number above 0"),
        ("studies: {llm: {scoring: {hyperinf: {tol: 1}}}}", "studies.llm.scoring.hyperinf.tol", "1", "below 1"),
        ("studies: {llm: {adapter: {ranks: [8, 0]}}}", "studies.llm.adapter.ranks[1]", "0",
            "a whole number of at least 1"),
        ("studies: {llm: {adapter: {ranks: [8.5]}}}", "studies.llm.adapter.ranks[0]", "8.5", "a whole number"),
        ("studies: {llm: {adapter: {ranks: [true]}}}", "studies.llm.adapter.ranks[0]", '"true"', "a whole number"),
        ("studies: {llm: {adapter: {ranks: []}}}", "studies.llm.adapter.ranks", "an empty list", "one or more"),
        ("studies: {llm: {adapter: {ranks: 8}}}", "studies.llm.adapter.ranks", "8", "a list"),
        ("studies: {llm: {seeds: [11, 12, 11]}}", "studies.llm.seeds", "11 more than once", "each value once"),
        ("studies: {llm: {samples: {train: 99999999999999999999}}}", "studies.llm.samples.train", "999", "below 2^63"),
        ("studies: {llm: {selection: {fractions: [0.2, 1]}}}", "studies.llm.selection.fractions[1]", "1", "below 1"),
        # names
        ("studies: {llm: {scoring: {methods: [hyperinv]}}}", "studies.llm.scoring.methods[0]", '"hyperinv"',
         "mean hyperinf?"),
        ("studies: {llm: {family: visoin}}", "studies.llm.family", '"visoin"', "mean vision?"),
        ("data: {cola: {format: labeled}}", "data.cola.format", '"labeled"', "mean labelled?"),
        ("models: {minilm: {source: {asset: minilm6}}}", "models.minilm.source.asset", '"minilm6"', "mean minilm?"),
        ("models: {m: {source: {hub: a/b/c}}}", "models.m.source.hub", '"a/b/c"', "OWNER/NAME"),
        ("models: {m: {source: somewhere}}", "models.m.source", "'somewhere'", "path:NAME"),
        ("models: {m: {source: 'hub:a/b/c'}}", "models.m.source.hub", '"a/b/c"', "OWNER/NAME"),
        ("device: gpu", "device", '"gpu"', "auto, cpu, cuda"),
        ("results: 'a/{b}'", "results", '"a/{b}"', "without braces"),
        ("cache: \"a\\0b\"", "cache", '"a', "path"),
        # switches and sections
        ("studies: {llm: {adapter: {rslora: 'yes'}}}", "studies.llm.adapter.rslora", '"yes"', "true or false"),
        ("studies: {llm: {adapter: {rslora: 1}}}", "studies.llm.adapter.rslora", "1", "true or false"),
        ("studies: {llm: {finetuning: [1]}}", "studies.llm.finetuning", "[1]", "a section with keys among"),
        ("studies: {llm: {selection: 3}}", "studies.llm.selection", "3", "a section with keys among fractions"),
        ("studies: {llm: {samples: }}", "studies.llm.samples", "nothing", "a section with keys among train"),
        # what has to be given
        ("data: {mine: {text: t, label: l}}", "data.mine.source", "nothing", "source of the data"),
        ("data: {mine: {source: {}, text: t, label: l}}", "data.mine.source", "none", "hub:NAME"),
        ("data: {mine: {source: hub:a/b, text: t}}", "data.mine.label", "nothing", "column of the class"),
        ("studies: {mine: {family: causal, tasks: [cola], models: [minilm]}}", "studies.mine.title", "nothing", "name"),
        # what does not fit
        ("data: {sarcasm: {source: {hub: a/b}}}", "data.sarcasm.source", "asset and hub", "asset: null"),
        ("data: {cola: {pair: label}}", "data.cola.label", "'label'", "another column than that of pair"),
        ("data: {headlines: {label: x}}", "data.headlines.label", "'x'", "none"),
        ("data: {sarcasm: {subset: x}}", "data.sarcasm.subset", "'x'", "none"),
        ("data: {sarcasm: {revision: x}}", "data.sarcasm.revision", "'x'", "none"),
        ("studies: {llm: {finetuning: {epochs: 3}}}", "studies.llm.finetuning.max_steps", "40 beside 3",
            "one of the two"),
        ("studies: {llm: {finetuning: {max_steps: null}}}", "studies.llm.finetuning.max_steps", "neither", "one of"),
        ("studies: {llm: {finetuning: {checkpoints: [1]}}}", "studies.llm.finetuning.checkpoints", "[1]", "epochs"),
        ("studies: {mislabel: {finetuning: {checkpoints: [1]}}}", "studies.mislabel.finetuning.checkpoints", "[1]",
         "epoch 5"),
        ("studies: {mislabel: {detection: {report_epoch: 4}}}", "studies.mislabel.detection.report_epoch", "4",
            "epoch-3"),
        ("studies: {mislabel: {adapter: {trained: [lora, projector]}}}", "studies.mislabel.adapter.trained[1]",
         "'projector'", "lora"),
        ("studies: {mislabel: {runtime: {shards: 4}}}", "studies.mislabel.runtime.shards", "4", "'fim'"),
        (
            "studies: {llm: {scoring: {gfim_dtype: float32}, runtime: {shards: 2}}}",
            "studies.llm.scoring.gfim_dtype",
            "'float32'",
            "auto with runtime.shards of 2",
        ),
        ("studies: {llm: {corruption: {off_task: 0.7}}}", "studies.llm.corruption.off_task", "0.7", "at most 0.6"),
        ("studies: {llm: {corruption: {off_task: 0.1}}}", "studies.llm.corruption.off_task_data", "nothing",
            "key of data"),
        # names that stand elsewhere
        ("run: [simulation, mislable]", "run[1]", "'mislable'", "mean mislabel?"),
        ("studies: {llm: {tasks: [headline]}}", "studies.llm.tasks[0]", "'headline'", "mean headlines?"),
        ("studies: {llm: {models: [bert]}}", "studies.llm.models[0]", "'bert'", "minilm, roberta_large"),
        ("studies: {llm: {corruption: {off_task: 0.1, off_task_data: qask}}}", "studies.llm.corruption.off_task_data",
         "'qask'", "mean qasc?"),
        ("models: {llava_small: {align: {data: nowhere}}}", "models.llava_small.align.data", "'nowhere'",
            "key of data"),
        ("data: {cola: {test_from: cola}}", "data.cola.test_from", "'cola'", "another key of data: sarcasm, sst2"),
        ("data: {cola: {test_from: sst2, splits: {test: x}}}", "data.cola.splits.test", "'x'", "null"),
        # files that must be there
        ("launcher: no.yaml", "launcher", "'no.yaml'", "a file, and there is none"),
        ("wheels: [no.whl]", "wheels[0]", "'no.whl'", "a file, and there is none"),
        ("data: {headlines: {source: {asset: null, path: no.jsonl}}}", "data.headlines.source.path", "'no.jsonl'",
            "there is none"),
        ("data: {headlines: {source: 'path:~nobody-of-this-name/no.jsonl'}}", "data.headlines.source.path", "'~nobody",
            "no home is known"),
        ("data: {easy_vqa: {images: config.yaml}}", "data.easy_vqa.images", "'config.yaml'", "a folder, and"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key_what_stands_there_and_what_may(
    overlay: str, where: str, got: str, expected: str
) -> None:
    (line,) = refusal(changed(overlay))
    assert line.startswith(f"{where}: got {got}"), line
    assert expected in line.partition(", expected ")[2], line


def test_all_mistakes_are_told_at_once_in_the_order_of_the_sections_of_those_too_that_are_right_elsewhere() -> None:
    lines = refusal(
        changed(
            "{devise: cpu, device: gpu, simulation: {dims: [], damping: 0}, run: [llm, lmm], "
            "studies: {llm: {tasks: [nope], adapter: {ranks: [0]}}, mislabel: {models: [nope]}}}"
        )
    )
    keys = [line.partition(":")[0] for line in lines]
    assert sorted(keys) == sorted(set(keys))
    assert keys[0] == "devise"
    assert set(keys) == {
        *("devise", "device", "run[1]", "simulation.dims", "simulation.damping", "studies.llm.tasks[0]"),
        *("studies.llm.adapter.ranks[0]", "studies.mislabel.models[0]"),
    }
    sections = [key.partition(".")[0].partition("[")[0] for key in keys]
    assert sections == sorted(sections, key=sections.index)


def test_a_file_that_only_a_study_which_does_not_run_reads_may_be_brought_later() -> None:
    overlay = """
        data: {mine: {source: 'path:no/such.jsonl', format: record}}
        studies: {llm: {tasks: [mine]}}
        run: %s
    """
    assert refusal(changed(overlay % "[simulation]")) == []
    (line,) = refusal(changed(overlay % "[simulation, llm]"))
    assert line.startswith("data.mine.source.path")


def test_exponents_that_yaml_takes_for_text_are_numbers() -> None:
    overlay = "studies: {mislabel: {finetuning: {learning_rate: 5e-4}, samples: {train: 1e3}}}"
    study = checked_experiment(changed(overlay)).studies["mislabel"]
    assert study.finetuning.learning_rate == 5e-4
    assert study.samples.train == 1000
    assert isinstance(study.samples.train, int)


def test_a_source_is_text_or_a_section_and_another_is_dropped_by_null(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n")
    for source in ("path:mine.csv", "{asset: null, path: mine.csv}"):
        experiment = checked_experiment(changed(f"data: {{sarcasm: {{source: {source}}}}}"), tmp_path)
        assert str(experiment.data["sarcasm"].source) == "path:mine.csv"


def test_what_is_left_out_is_as_config_yaml_has_it() -> None:
    shown = changed("{}")
    named = {key: shown[key] for key in ("models", "data", "studies", "run")}
    assert checked_experiment(named) == checked_experiment(shown)


def test_equal_mistakes_in_the_settings_of_a_stage_are_told_alike() -> None:
    with pytest.raises(SettingsError) as refused:
        checked(Score, {"damping": -1, "methods": ["guess"], "hyperinf": {"tol": 2}, "data": "a", "seed": True})
    places = {mistake.place for mistake in refused.value.mistakes}
    assert places == {
        *(("damping",), ("methods", 0), ("hyperinf", "tol"), ("seed",)),
        *(("finetuned",), ("out",)),
    }


def test_what_does_not_fit_is_told_of_every_class_that_a_stage_is_made_of() -> None:
    values = {"source": "path:a.csv", "text": "t", "label": "t", "seed": 1, "out": "o"}
    with pytest.raises(SettingsError) as refused:
        checked(Prepare, values)
    assert refused.value.mistakes[0].place == ("label",)
    with pytest.raises(SettingsError) as refused:
        checked(Prepare, {**values, "label": "l", "label_noise": 0.6, "off_task": 0.6})
    assert refused.value.mistakes[0].place == ("off_task",)
