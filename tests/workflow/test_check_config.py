import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_config import ConfigError, checked_config, load_schema
from conftest import ROOT, Workspace

OVERLAYS = ("smoke", "paper")


def loaded(path: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / path).read_text())


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def mistakes(overlay: str) -> tuple[str, ...]:
    """What is said of config.yaml with an overlay."""
    with pytest.raises(ConfigError) as refusal:
        checked_config(merged(loaded("config.yaml"), yaml.safe_load(overlay)), ROOT)
    return refusal.value.lines


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_default_configuration_and_the_overlays_are_accepted(name: str) -> None:
    config = loaded("config.yaml")
    checked_config(config, ROOT)
    checked_config(merged(config, loaded(f"workflow/config/{name}.yaml")), ROOT)


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        (
            "mislabel: {dampng: 0.2}",
            "mislabel.dampng: unknown key, did you mean damping?; known here: tasks, models, train, validation, test, "
            "noise_rate, ranks, seeds, epochs, report_epoch, lora, training, methods, baselines, damping, gfim_scale, "
            "solver, lissa_iterations, threads, gradients",
        ),
        (
            "on: 3",
            "True: unknown key; known here: results, cache, wheels, device, launcher, "
            "studies, simulation, models, data, questions, mislabel, llm, vlm",
        ),
        ("mislabel: {damping: -1}", "mislabel.damping: -1 stands here; expected a number above 0"),
        ("mislabel: {damping: .nan}", "mislabel.damping: NaN stands here; expected a number above 0"),
        ("mislabel: {damping: strong}", 'mislabel.damping: "strong" stands here; expected a number above 0'),
        ("mislabel: {damping: true}", "mislabel.damping: true stands here; expected a number above 0"),
        ("mislabel: {damping: }", "mislabel.damping: nothing stands here; expected a number above 0"),
        (
            "mislabel: {ranks: []}",
            "mislabel.ranks: the list is empty; expected a list of one or more values, "
            "each a whole number of at least 1",
        ),
        ("mislabel: {ranks: [8, 0]}", "mislabel.ranks[1]: 0 stands here; expected a whole number of at least 1"),
        ("mislabel: {ranks: [8.5]}", "mislabel.ranks[0]: 8.5 stands here; expected a whole number of at least 1"),
        ("mislabel: {noise_rate: 1.2}", "mislabel.noise_rate: 1.2 stands here; expected a number above 0 and below 1"),
        ("mislabel: {seeds: [11, 12, 11]}", "mislabel.seeds: 11 stands here more than once; expected each value once"),
        (
            "mislabel: {methods: [hyperinv]}",
            'mislabel.methods[0]: "hyperinv" stands here; expected one of hyperinf, gfim, datainf, datainf_gfim, '
            "lissa, lissa_gfim, tracin, fim, did you mean hyperinf?",
        ),
        (
            "mislabel: {tasks: [sarcams]}",
            "mislabel.tasks[0]: 'sarcams' stands here; expected a key of data: sarcasm, cola, sst2, mrpc, qqp, "
            "qnli, rte, wnli, did you mean sarcasm?",
        ),
        (
            "mislabel: {models: [bert]}",
            "mislabel.models[0]: 'bert' stands here; expected a key of models: minilm, roberta_large, smollm2_4, "
            "llama_2_7b, llava_small",
        ),
        (
            "mislabel: {report_epoch: 4}",
            "mislabel.report_epoch: 4 stands here; expected one of mislabel.epochs, [1, 2, 3, 5]",
        ),
        (
            "mislabel: {lora: {rslora: 'yes'}}",
            'mislabel.lora.rslora: "yes" stands here; expected true or false (this is text: without quotes; '
            "nested values given with --config are always text, use --configfile)",
        ),
        (
            "mislabel: {training: [1]}",
            "mislabel.training: [1] stands here; expected a section with keys among learning_rate, batch_size, "
            "weight_decay, warmup, max_length, dtype",
        ),
        ("device: gpu", 'device: "gpu" stands here; expected one of auto, cpu, cuda'),
        ("results: 'a/{b}'", 'results: "a/{b}" stands here; expected a folder\'s path, without braces, * and ?'),
        ("launcher: no.yaml", "launcher: 'no.yaml' stands here; expected a file, and there is none"),
        ("llm: {shards: 0}", "llm.shards: 0 stands here; expected a whole number of at least 1"),
        (
            "vlm: {shards: 4, methods: [hyperinf, fim]}",
            "vlm.methods[1]: 'fim' stands here; expected it only with vlm.shards 1, not 4",
        ),
        ("wheels: [no.whl]", "wheels[0]: 'no.whl' stands here; expected a file, and there is none"),
        (
            "data: {sarcasm: {source: {hub: a/b}}}",
            "data.sarcasm.source: asset and hub stand here; expected only one of asset, hub, path (an overlay is "
            "merged into config.yaml: there, write asset: null to drop it)",
        ),
        (
            "data: {mine: {text: t, label: l}}",
            "data.mine.source: nothing stands here; expected a section with keys among asset, hub, path",
        ),
        (
            "data: {mine: {source: {}, text: t, label: l}}",
            "data.mine.source: nothing stands here; expected one of asset, hub, path",
        ),
        (
            "data: {mine: {source: {path: no/such.csv}, text: t, label: l}}",
            "data.mine.source.path: 'no/such.csv' stands here; expected a file or folder, and there is none",
        ),
        (
            "data: {mine: {source: {hub: a/b}, text: t}}",
            "data.mine.label: nothing stands here; expected a column's name",
        ),
        (
            "data: {My Set: {source: {hub: a/b}, text: t, label: l}}",
            "data.My Set: 'My Set' is the name; expected a name of lower-case letters, digits and _, beginning with "
            "a letter",
        ),
        (
            "models: {m: {source: {hub: 'a/b/c'}}}",
            'models.m.source.hub: "a/b/c" stands here; expected a name on the hub, OWNER/NAME',
        ),
        (
            "models: {minilm: {source: {asset: minilm6}}}",
            'models.minilm.source.asset: "minilm6" stands here; expected one of minilm, smollm2, null, '
            "did you mean minilm?",
        ),
        (
            "questions: {easy_vqa: {format: easy_vqq}}",
            'questions.easy_vqa.format: "easy_vqq" stands here; expected one of headlines, logiqa, logiqa_evals, qasc, '
            "qasc_facts, hellaswag, piqa, quartz, record, easy_vqa, easy_vqa_all, easy_vqa_captions, llava, vqav2, "
            "textvqa, gqa, pope, did you mean easy_vqa?",
        ),
        (
            "questions: {easy_vqa: {images: no/such}}",
            "questions.easy_vqa.images: 'no/such' stands here; expected a folder, and there is none",
        ),
        (
            "questions: {easy_vqa: {images: config.yaml}}",
            "questions.easy_vqa.images: 'config.yaml' stands here; expected a folder, and there is none",
        ),
        (
            "questions: {easy_vqa: {images: ''}}",
            "questions.easy_vqa.images: nothing stands here; expected the path of a folder",
        ),
        (
            "questions: {easy_vqa: {test_from: easy_vqa_caption}}",
            "questions.easy_vqa.test_from: 'easy_vqa_caption' stands here; expected another key of questions: "
            "headlines, logiqa, easy_vqa_captions, qasc, hellaswag, piqa, logiqa_hub, did you mean easy_vqa_captions?",
        ),
        (
            "questions: {easy_vqa: {test_from: easy_vqa}}",
            "questions.easy_vqa.test_from: 'easy_vqa' stands here; expected another key of questions: "
            "headlines, logiqa, easy_vqa_captions, qasc, hellaswag, piqa, logiqa_hub",
        ),
        (
            "questions: {easy_vqa: {test_from: logiqa, splits: {test: test}}}",
            "questions.easy_vqa.splits.test: 'test' stands here; expected null, as test_from is 'logiqa'",
        ),
        (
            "questions: {easy_vqa: {skip_bad_images: some}}",
            'questions.easy_vqa.skip_bad_images: "some" stands here; expected true or false',
        ),
    ],
)
def test_a_mistake_is_named_with_what_stands_there_and_what_may(overlay: str, line: str) -> None:
    assert mistakes(overlay) == (line,)


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_sections() -> None:
    lines = mistakes(
        "{devise: cpu, device: gpu, simulation: {dims: [], damping: 0}, "
        "mislabel: {noise_rate: 1.2, ranks: [0], tasks: [nope], training: {dtype: int8}}}"
    )
    keys = [line.partition(":")[0] for line in lines]
    assert keys[:4] == ["devise", "device", "simulation.dims", "simulation.damping"]
    assert sorted(keys[4:]) == [
        "mislabel.noise_rate",
        "mislabel.ranks[0]",
        "mislabel.tasks[0]",
        "mislabel.training.dtype",
    ]


def test_a_number_that_a_command_line_made_text_is_refused_with_the_remedy() -> None:
    # What `--config mislabel='{damping: 0.2}'` arrives as.
    (line,) = mistakes("mislabel: {damping: '0.2'}")
    assert line.startswith('mislabel.damping: "0.2" stands here; expected a number above 0')
    assert "--configfile" in line


def test_exponents_that_yaml_takes_for_text_are_numbers() -> None:
    config = merged(loaded("config.yaml"), yaml.safe_load("mislabel: {training: {learning_rate: 5e-4}, train: 1e3}"))
    mislabel = checked_config(config, ROOT)["mislabel"]
    assert mislabel["training"]["learning_rate"] == 5e-4
    assert mislabel["train"] == 1000
    assert isinstance(mislabel["train"], int)


def test_a_source_is_replaced_in_an_overlay_by_dropping_the_other_kind(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n")
    overlay = {"data": {"sarcasm": {"source": {"asset": None, "path": "mine.csv"}}}}
    config = checked_config(merged(loaded("config.yaml"), overlay), tmp_path)
    assert config["data"]["sarcasm"]["source"] == {"asset": None, "path": "mine.csv"}


def test_a_folder_of_images_and_another_set_to_test_on_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    overlay = {"questions": {"easy_vqa": {"images": "coco", "text_rows": True, "test_from": "easy_vqa_captions"}}}
    config = checked_config(merged(loaded("config.yaml"), overlay), tmp_path)
    assert config["questions"]["easy_vqa"]["images"] == "coco"


def test_what_is_left_out_is_filled_in_as_config_yaml_has_it() -> None:
    config = loaded("config.yaml")
    shown = checked_config(config, ROOT)
    filled = checked_config({key: config[key] for key in ("models", "data", "questions")}, ROOT)
    assert filled == shown


def test_config_yaml_shows_every_key_that_there_is() -> None:
    config = loaded("config.yaml")

    def missing(schema: dict[str, Any], there: Any, path: str) -> list[str]:
        found = []
        for key, part in schema.get("properties", {}).items():
            found += [f"{path}{key}"] if key not in there else missing(part, there[key], f"{path}{key}.")
        return found

    assert missing(load_schema(), config, "") == []


def test_the_schema_names_the_methods_that_the_library_has() -> None:
    pytest.importorskip("torch")
    from hyperinf.influence import METHODS
    from hyperinf.pipeline.scoring import BASELINES, KEEPING

    parts = load_schema()["$defs"]
    assert set(parts["methods"]["items"]["enum"]) == set(METHODS)
    assert set(parts["baselines"]["items"]["enum"]) == set(BASELINES)
    assert set(parts["gradients"]["properties"]["store"]["enum"]) == set(KEEPING)


def test_the_schema_names_the_formats_templates_and_shapes_that_the_library_has() -> None:
    pytest.importorskip("torch")
    from hyperinf.data.questions import FORMATS
    from hyperinf.models.shapes import SHAPES
    from hyperinf.models.vision_shapes import VISION_SHAPES
    from hyperinf.pipeline.selection_strategies import STRATEGIES

    properties = load_schema()["properties"]
    questions = properties["questions"]["additionalProperties"]["properties"]
    assert set(questions["format"]["enum"]) == set(FORMATS)
    prompts = yaml.safe_load(Path("hyperinf/data/prompts.yaml").read_text(encoding="utf-8"))
    assert set(questions["template"]["enum"]) == set(prompts)
    shapes = properties["models"]["additionalProperties"]["properties"]["source"]["properties"]["shape"]["enum"]
    assert set(shapes) - {None} == {*SHAPES, *VISION_SHAPES}
    assert set(load_schema()["$defs"]["selection"]["properties"]["strategies"]["items"]["enum"]) == set(STRATEGIES)


def test_a_file_that_only_a_study_which_does_not_run_reads_may_be_brought_later() -> None:
    overlay = """
        questions: {mine: {source: {path: no/such.jsonl}, format: record, template: question}}
        llm: {tasks: [mine]}
        studies: %s
    """
    checked_config(merged(loaded("config.yaml"), yaml.safe_load(overlay % "[simulation]")), ROOT)
    assert mistakes(overlay % "[simulation, llm]") == (
        "questions.mine.source.path: 'no/such.jsonl' stands here; expected a file or folder, and there is none",
    )


def test_the_schema_names_only_assets_that_the_library_can_fetch() -> None:
    from hyperinf.data.registry import ASSETS

    properties = load_schema()["properties"]
    for section, kind in (("models", "model"), ("data", "data"), ("questions", "data")):
        source = properties[section]["additionalProperties"]["properties"]["source"]
        names = [name for name in source["properties"]["asset"]["enum"] if name is not None]
        assert [ASSETS[name].kind for name in names] == [kind] * len(names)


def test_snakemake_stops_at_a_mistake_before_any_job_and_without_a_traceback(fresh: Workspace) -> None:
    printed = fresh.smoke(overlay="mislabel: {ranks: [0], noise_rate: 1.2}", check=False)
    assert "mislabel.ranks[0]: 0 stands here; expected a whole number of at least 1\n" in printed
    assert "mislabel.noise_rate: 1.2 stands here; expected a number above 0 and below 1\n" in printed
    assert "Traceback" not in printed
    assert "Error in" not in printed
    assert not (fresh.root / "results").exists()


def test_a_configuration_is_checked_in_less_than_a_second() -> None:
    program = (
        "import sys, time; begin = time.monotonic(); sys.path.insert(0, 'workflow'); import yaml, check_config;"
        "check_config.checked_config(yaml.safe_load(open('config.yaml'))); print(time.monotonic() - begin)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed) < 1.0
