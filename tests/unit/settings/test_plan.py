"""Each job of an experiment gets its settings, as the JSON that a rule passes on and a command reads."""

import json
from collections.abc import Iterator

import pytest
from experiments import changed, overlaid

from hyperinf.cli.flags import settings_of
from hyperinf.cli.main import build_parser
from hyperinf.settings.base import Settings
from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.plan import Plan, cells


def jobs(plan: Plan) -> Iterator[tuple[str, Settings, dict[str, str]]]:
    """Command, settings and further flags of every kind of job."""
    places = {"data": "d", "finetuned": "f"}
    yield "simulate fisher", plan.fisher(), {}
    yield "simulate timing", plan.timing(), {}
    yield "simulate convergence", plan.convergence("64", "11"), {}
    for model, entry in plan.experiment.models.items():
        if entry.is_prepared:
            yield "prepare-model", plan.prepare_model(model), {}
        if entry.align:
            yield "prepare", plan.align_data(model), {}
            yield "align", plan.align(model), {"data": "d"}
    for name, study in plan.experiment.running.items():
        for task, model, setting in cells(study):
            key = {"study": name, "task": task, "model": model, "seed": 11}
            yield "prepare", plan.prepare(name, task, 11), {}
            trained = setting.partition(".of-")[0]
            yield "finetune", plan.finetune(trained=trained, **key), {"data": "d"}
            checkpoint = study.finetuning.checkpoint_names[0]
            yield "score", plan.score(setting=setting, checkpoint=checkpoint, **key), places
            yield "shard target", plan.shard_target(name, checkpoint, setting), places
            yield "shard statistics", plan.shard(name, checkpoint, setting), places
            if study.selection:
                for fraction in (*study.selection.fractions, 1.0):
                    yield "select", plan.select(setting=setting, fraction=str(fraction), **key), places
        yield "shard solve", plan.solve(name), {"target": "t", "statistics": "s"}
        yield "report study", plan.report(name), {"runs": "r"}


@pytest.mark.parametrize("names", [(), ("smoke",), ("paper", "paper_vlm")], ids=str)
def test_the_json_of_a_job_is_read_back_as_its_settings(names: tuple[str, ...]) -> None:
    plan = Plan(checked_experiment(overlaid(*names)), "results")
    seen = set()
    for command, settings, more in jobs(plan):
        text = settings.canonical()
        assert "-" not in json.loads(text).values(), "places decide nothing"
        flags = [word for name, value in {"out": "o", **more}.items() for word in (f"--{name}", value)]
        words = [*command.split(), "--config", text, *flags]
        parsed = build_parser(words).parse_args(words)
        assert settings_of(parsed, type(settings)).canonical() == text
        seen.add(command)
    assert len(seen) >= 10


def test_what_decides_a_job_is_what_its_stage_reads() -> None:
    def deciding(overlay: str) -> dict[str, str]:
        plan = Plan(checked_experiment(changed(overlay)), "results")
        key = {"study": "llm", "task": "headlines", "model": "smollm2_8", "seed": 11}
        return {
            "prepare": plan.prepare("llm", "headlines", 11).canonical(),
            "finetune": plan.finetune(trained="lora-8", **key).canonical(),
            "score": plan.score(setting="lora-8", checkpoint="last", **key).canonical(),
            "select": plan.select(setting="lora-8", fraction="0.2", **key).canonical(),
            "all": plan.select(setting="lora-8", fraction="1.0", **key).canonical(),
        }

    before = deciding("{}")

    def changes(overlay: str) -> set[str]:
        after = deciding(f"{{studies: {{llm: {overlay}}}}}")
        return {stage for stage, text in after.items() if text != before[stage]}

    assert changes("{corruption: {label_noise: 0.3}}") == {"prepare"}
    assert changes("{finetuning: {learning_rate: 0.1}}") == {"finetune"}
    assert changes("{adapter: {dropout: 0.1}}") == {"finetune"}
    assert changes("{scoring: {damping: 0.2}}") == {"score"}
    assert changes("{scoring: {methods: [hyperinf]}}") == {"score", "select"}
    assert changes("{scoring: {lissa: {iterations: 3}}}") == {"score"}
    assert changes("{scoring: {lissa_gfim: {iterations: 3}}}") == set()
    assert changes("{selection: {training: {batch_size: 4}}}") == {"select", "all"}
    assert changes("{selection: {strategies: [stratified]}}") == {"select"}
    assert changes("{selection: {fractions: [0.2, 0.9]}}") == set()
    assert changes("{runtime: {store: live, threads: 4, shards: 3}}") == set()
    assert changes("{title: Other, seeds: [11, 12, 13, 14]}") == set()


def test_other_data_of_a_task_travel_with_it() -> None:
    overlay = """
        data:
          mine: {source: 'path:tests', format: llava, template: vqa, images: tests, text_rows: true, test_from: pope}
          pope: {source: 'path:tests', format: pope, template: vqa_phrase, splits: {test: exam}}
          other: {source: 'path:tests', format: record, splits: {train: rest}}
        studies: {vlm: {tasks: [mine], corruption: {off_task: 0.1, off_task_data: other}}}
    """
    plan = Plan(checked_experiment(changed(overlay)), "results")
    prepare = plan.prepare("vlm", "mine", 11)
    assert (prepare.format, prepare.images, prepare.text_rows) == ("llava", "tests", True)
    assert prepare.test_data is not None
    assert (prepare.test_data.format, prepare.test_data.splits.test) == ("pope", "exam")
    assert prepare.off_task_data is not None
    assert prepare.off_task_data.splits.train == "rest"
    assert plan.other_data("vlm", "mine") == {"off_task": "other", "test": "pope"}
    assert plan.other_data("llm", "headlines") == {}


def test_models_come_from_where_they_were_made() -> None:
    plan = Plan(checked_experiment(changed("{}")), "out")
    assert str(plan.model_source("minilm")) == "asset:minilm"
    assert str(plan.model_source("smollm2_8")) == "path:out/models/smollm2_8"
    assert str(plan.model_source("llava_small")) == "path:out/aligned/llava_small/model"
    assert str(plan.unaligned_source("llava_small")) == "path:out/models/llava_small"
