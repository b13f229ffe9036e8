"""The settings that results were made with lie beside them when the results are whole, and at no other time."""

from pathlib import Path

import yaml
from workspaces import SMOKE, Workspace

from hyperinf.settings.experiment import checked_experiment
from hyperinf.settings.yaml_files import merged, read_yaml

BESIDE = "results/smoke/settings.yaml"
DAMPING = "studies: {llm: {scoring: {damping: 0.2}}}"


def experiment(*files: Path) -> object:
    return checked_experiment(merged(*map(read_yaml, files))).deciding()


def test_they_are_those_that_the_run_had_and_give_it_again(done: Workspace) -> None:
    beside = done.root / BESIDE
    assert experiment(beside) == experiment(done.root / "config.yaml", done.root / SMOKE)
    assert "Nothing to be done" in done.snakemake(
        "--configfile", BESIDE, "--config", "results=results/smoke", "--cores", "1"
    )


def test_a_dry_run_leaves_them_and_a_run_that_changes_something_has_its_own(done: Workspace) -> None:
    before = (done.root / BESIDE).read_text()
    done.smoke("--dry-run", overlay=DAMPING)
    assert (done.root / BESIDE).read_text() == before
    done.smoke(overlay=DAMPING)
    assert yaml.safe_load((done.root / BESIDE).read_text())["studies"]["llm"]["scoring"]["damping"] == 0.2


def test_a_run_that_fails_leaves_none_and_the_next_has_them_again(done: Workspace) -> None:
    arguments = ("--configfile", SMOKE, "overlay.yaml", "--cores", "2")
    (done.root / "overlay.yaml").write_text(DAMPING)
    done.snakemake(*arguments, check=False, STUB_FAIL="select")
    assert not (done.root / BESIDE).exists()
    done.smoke(overlay=DAMPING)
    assert (done.root / BESIDE).is_file()


def test_a_part_of_the_results_leaves_none_and_a_run_that_finds_all_done_writes_them(done: Workspace) -> None:
    target = "results/smoke/llm/headlines/smollm2_8/lora-8/seed-11/scores/last/scores.parquet"
    done.smoke(target, overlay=DAMPING)
    assert not (done.root / BESIDE).exists()
    done.smoke(overlay=DAMPING)
    (done.root / BESIDE).unlink()
    assert "Nothing to be done" in done.smoke("--dry-run", overlay=DAMPING)
    assert not (done.root / BESIDE).exists()
    assert "Nothing to be done" in done.smoke(overlay=DAMPING)
    assert (done.root / BESIDE).is_file()
