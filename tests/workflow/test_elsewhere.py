"""Runs from other folders than the project's, and results in a home."""

import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import SMOKE, Workspace, environment, job_counts

# Little of the smoke experiment, which is merged over the default one.
LITTLE = "run: [mislabel]\nstudies: {mislabel: {seeds: [11]}}\n"
PAGE = "results/smoke/report.html"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"printed.txt", "__pycache__"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Workspace:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine.yaml").write_text(LITTLE)
    return Workspace(folder)


def test_an_overlay_beside_one_changes_the_default_experiment(fresh: Workspace, elsewhere: Workspace) -> None:
    before = names(fresh.root)
    snakefile = str(fresh.root / "Snakefile")
    elsewhere.snakemake("-s", snakefile, "--configfile", str(fresh.root / SMOKE), "mine.yaml", "--cores", "2")
    assert (elsewhere.root / PAGE).is_file()
    assert names(elsewhere.root) == {"mine.yaml", "results", ".snakemake", "calls.jsonl", "spans.jsonl"}
    assert names(fresh.root) == before
    again = elsewhere.snakemake("-s", snakefile, "--configfile", str(fresh.root / SMOKE), "mine.yaml", "-n")
    assert "Nothing to be done" in again


def test_a_run_in_another_folder_takes_overlays_from_where_it_is_given(fresh: Workspace, elsewhere: Workspace) -> None:
    (fresh.root / "little.yaml").write_text(LITTLE)
    before = names(fresh.root)
    fresh.snakemake("-d", str(elsewhere.root), "--configfile", SMOKE, "little.yaml", "--cores", "2")
    assert (elsewhere.root / PAGE).is_file()
    assert names(fresh.root) == before


@pytest.mark.parametrize("named", [(), ("--snakefile",), ("-s",)])
def test_the_starter_finds_its_workflow_from_anywhere(
    fresh: Workspace, elsewhere: Workspace, named: tuple[str, ...]
) -> None:
    words = [*named, str(fresh.root / "Snakefile")] if named else []
    done = subprocess.run(
        [sys.executable, fresh.root / "workflow/run.py", *words, "-n", "--cores", "1", "--configfile", "mine.yaml"],
        cwd=elsewhere.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "report_mislabel" in done.stdout + done.stderr


def test_a_configuration_of_the_folder_s_own_is_the_default_there(fresh: Workspace, elsewhere: Workspace) -> None:
    (elsewhere.root / "config.yaml").write_text("run: [simulation]\nsimulation: {dims: [8], seeds: [1]}\n")
    printed = elsewhere.snakemake("-s", str(fresh.root / "Snakefile"), "-n", "--cores", "1")
    assert "simulation_convergence" in printed
    assert "finetune" not in printed


def test_a_file_that_is_not_there_is_looked_for_below_the_folder_that_is_named(
    fresh: Workspace, elsewhere: Workspace
) -> None:
    (fresh.root / "mine.csv").write_text("text,label\n")
    (elsewhere.root / "mine.yaml").write_text(
        "run: [mislabel]\ndata: {mine: {source: {path: mine.csv}, text: text, label: label}}\n"
        "studies: {mislabel: {tasks: [mine]}}\n"
    )
    arguments = ("-s", str(fresh.root / "Snakefile"), "-n", "--cores", "1", "--configfile", "mine.yaml")
    printed = elsewhere.snakemake(*arguments, check=False)
    assert "data.mine.source.path" in printed
    assert str(elsewhere.root) in printed
    (elsewhere.root / "mine.csv").write_text("text,label\n")
    assert "finetune" in elsewhere.snakemake(*arguments)


def test_a_home_is_one_in_every_path_of_the_experiment(fresh: Workspace, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mine.csv").write_text("text,label\n")
    (home / "launcher.yaml").write_text("num_processes: 1\n")
    (fresh.root / "mine.yaml").write_text(
        f"{LITTLE}results: ~/results\ncache: ~/cache\nlauncher: ~/launcher.yaml\n"
        "data: {sarcasm: {source: {asset: null, path: ~/mine.csv}}}\n"
    )
    arguments = ("--configfile", SMOKE, "mine.yaml", "--cores", "1")
    asked = fresh.snakemake(*arguments, "-n", "--printshellcmds", "--quiet", "host", HOME=str(home))
    for path in ("results", "cache", "launcher.yaml", "mine.csv"):
        assert f"{home}/{path}" in asked
    assert "~" not in asked
    fresh.snakemake(*arguments, f"{home}/results/mislabel/sarcasm/data/seed-11/info.json", HOME=str(home), check=False)
    assert not (fresh.root / "~").exists()
    assert (home / "results").is_dir()


def test_the_snakefile_of_the_catalogue_plans_what_the_other_one_plans(pristine: Workspace) -> None:
    planned = [
        job_counts(pristine.snakemake("--snakefile", name, "--dry-run", "--configfile", SMOKE))
        for name in ("Snakefile", "workflow/Snakefile")
    ]
    assert planned[1] == {**planned[0], "everything": 1}
