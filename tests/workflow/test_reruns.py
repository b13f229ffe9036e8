"""What has to be computed again after a change, and nothing else."""

import json
from collections.abc import Callable

import pytest
from conftest import Workspace

SCORING = {"mislabel_score": 1, "report_mislabel": 1, "report_page": 1}
TRAINING = {"mislabel_finetune": 1, **SCORING}
DATA = {"mislabel_data": 1, **TRAINING}
KEPT = {"selection_finetune": 2, "report_llm": 1, "report_page": 1}
SELECTION = {"selection_score": 1, **KEPT}
WARM_UP = {"selection_warmup": 1, **SELECTION}
QUESTIONS = {"selection_data": 1, **WARM_UP}
REPORTS = {"report_simulation": 1, "report_mislabel": 1, "report_llm": 1, "report_page": 1}
SIMULATION_PAGE = {"report_simulation": 1, "report_page": 1}
Edit = Callable[[str, Callable[[str], str]], None]


def test_a_second_run_finds_nothing_to_do(done: Workspace) -> None:
    assert done.would_run() == {}
    assert "Nothing to be done" in done.smoke()


def test_how_a_job_runs_reruns_nothing(finished: Workspace) -> None:
    overlay = """
        device: cpu
        cache: elsewhere
        simulation: {threads: 2}
        mislabel: {threads: 2, gradients: {store: memory, batch_size: 7}}
        llm: {threads: 2, gradients: {store: live, batch_size: 3}}
    """
    assert finished.would_run(overlay) == {}


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ("mislabel: {damping: 0.2}", SCORING),
        ("mislabel: {baselines: []}", SCORING),
        ("mislabel: {report_epoch: 1}", {"report_mislabel": 1, "report_page": 1}),
        # 8 is the rank already: as bare values the parameters would be the same set as before.
        ("mislabel: {training: {batch_size: 8}}", TRAINING),
        ("mislabel: {noise_rate: 0.3}", DATA),
        ("llm: {damping: 0.2}", {**SELECTION, "selection_finetune": 1}),
        ("llm: {finetune: {steps: 16}}", KEPT),
        ("llm: {warmup: {steps: 11}}", WARM_UP),
        ("llm: {corruption: {wrong_answers: 0.3}}", QUESTIONS),
        # One more share of the pool is its own fine-tunings, and nothing of those that are there.
        ("llm: {percent: [20, 40]}", {**KEPT, "selection_finetune": 1}),
        ("llm: {percent: [30]}", {**KEPT, "selection_finetune": 1}),
        ("simulation: {damping: 0.02}", {"simulation_convergence": 2, **SIMULATION_PAGE}),
        ("simulation: {timing: {repeats: 4}}", {"simulation_timing": 1, **SIMULATION_PAGE}),
    ],
)
def test_a_setting_reruns_what_depends_on_it(finished: Workspace, overlay: str, expected: dict[str, int]) -> None:
    assert finished.would_run(overlay) == expected


def test_another_seed_adds_its_own_jobs_and_the_reports_over_all_seeds(finished: Workspace) -> None:
    overlay = "{mislabel: {seeds: [11, 12]}, simulation: {seeds: [11, 12]}}"
    assert finished.would_run(overlay) == {**DATA, "simulation_convergence": 2, **SIMULATION_PAGE}


def test_a_changed_setting_settles_after_one_run(done: Workspace) -> None:
    overlay = "mislabel: {damping: 0.2}"
    before = len((done.root / "calls.jsonl").read_text().splitlines())
    done.smoke(overlay=overlay)
    calls = [json.loads(line)[:2] for line in (done.root / "calls.jsonl").read_text().splitlines()[before:]]
    assert calls == [["mislabel", "score"], ["report", "mislabel"], ["report", "page"]]
    assert done.would_run(overlay) == {}


def test_a_comment_or_docstring_in_the_library_reruns_nothing(done: Workspace, edit: Edit) -> None:
    edit("hyperinf/influence/methods/lissa.py", lambda text: text + "\n# A thought.\n")
    edit("hyperinf/__init__.py", lambda text: text.replace("hyperinf: influence", "Hyperinf: influence"))
    assert done.would_run() == {}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        # Not the fine-tuning on the whole pool, which needs no scores.
        ("influence/methods/lissa.py", SCORING | SELECTION | {"selection_finetune": 1}),
        ("training.py", TRAINING | WARM_UP),
        ("data/noise.py", DATA | QUESTIONS),
        ("tasks/mislabel.py", SCORING),
        ("tasks/selection/finetune.py", KEPT),
        ("reporting/style.py", REPORTS),
    ],
)
def test_an_edit_in_the_library_reruns_what_uses_it(
    done: Workspace, edit: Edit, module: str, expected: dict[str, int]
) -> None:
    edit(f"hyperinf/{module}", lambda text: text + "\n_UNUSED = 1\n")
    assert done.would_run() == expected


def test_a_table_of_published_numbers_reruns_the_reports(done: Workspace, edit: Edit) -> None:
    edit("hyperinf/reporting/published/published_runtime.csv", lambda text: text + "\n")
    assert done.would_run() == REPORTS


def test_a_file_of_the_users_own_that_changes_reruns_what_was_read_from_it(fresh: Workspace) -> None:
    overlay = """
        data: {mine: {source: {path: mine.csv}, text: text, label: label}}
        mislabel: {tasks: [mine]}
    """
    file = fresh.root / "mine.csv"
    file.write_text("text,label\n")
    fresh.smoke(overlay=overlay)
    assert fresh.would_run(overlay) == {}
    file.write_text("text,label\nhello,1\n")
    assert fresh.would_run(overlay) == DATA


def test_a_result_that_was_deleted_is_made_again(done: Workspace) -> None:
    (done.root / "results/smoke/mislabel/sarcasm/minilm/rank-8/seed-11/scores/epoch-1.parquet").unlink()
    # Snakemake does not miss a file that only finished jobs have read; asked for, it is made.
    target = "results/smoke/mislabel/sarcasm/minilm/rank-8/seed-11/scores/epoch-1.parquet"
    done.smoke(target)
    assert (done.root / target).is_file()
