"""Scoring in shards: which jobs there are, what a killed one costs, and that the number of shards reruns nothing."""

import json
from pathlib import Path

import pytest
from workspaces import SMOKE, Workspace

RUN = "results/smoke/llm/headlines/llama_tiny/lora-8/seed-11"
ONLY_LLM = "run: [llm]\n"
# LiSSA needs fifteen rounds of sums; the smoke run without it needs one, for DataInf.
THREE = ONLY_LLM + "studies: {llm: {runtime: {shards: 3}, scoring: {methods: [hyperinf, datainf, tracin]}}}"
SHARDED = {
    "shard_target": 1,
    "shard_statistics": 3,
    "shard_sums": 3,
    "shard_add": 2,
    "shard_solve": 1,
    "shard_scores": 3,
    "score": 1,
}


@pytest.fixture(scope="module")
def sharded(pristine: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the LLM study has run in three shards; tests must not change it."""
    workspace = pristine.copy(tmp_path_factory.mktemp("sharded") / "workspace")
    workspace.smoke(overlay=THREE)
    return workspace


def calls(workspace: Workspace) -> list[list[str]]:
    return [json.loads(line) for line in (workspace.root / "calls.jsonl").read_text().splitlines()]


def scoring_jobs(jobs: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in jobs.items() if name in SHARDED}


def test_each_step_has_a_job_a_shard_and_one_that_reduces(fresh: Workspace) -> None:
    assert scoring_jobs(fresh.would_run(THREE)) == SHARDED


def test_lissa_on_the_fim_is_as_many_rounds_as_it_has_products(fresh: Workspace) -> None:
    scoring = "scoring: {methods: [lissa], lissa: {iterations: 4}}"
    jobs = fresh.would_run(f"{ONLY_LLM}studies: {{llm: {{runtime: {{shards: 2}}, {scoring}}}}}")
    rounds = 5 + 4
    assert (jobs["shard_sums"], jobs["shard_add"]) == (2 * rounds, 1 + rounds)


def test_every_command_of_a_sharded_scoring_is_one_that_the_command_line_takes(sharded: Workspace) -> None:
    # The stub reads its arguments with the library's own parser; an unknown flag would have failed the run.
    given = [call for call in calls(sharded) if call[0] in ("shard", "score")]
    assert len(given) == sum(SHARDED.values())
    folder = f"{RUN}/shards-3/last"
    solve = next(call for call in given if call[:2] == ["shard", "solve"])
    assert solve[solve.index("--sums") + 1] == f"{folder}/sums-1.safetensors"
    add = next(call for call in given if call[:2] == ["shard", "add"] and "sums" in call)
    at = add.index("--parts") + 1
    assert add[at : at + 3] == [f"{folder}/sums-1-{shard}.safetensors" for shard in (1, 2, 3)]
    gather = next(call for call in given if call[0] == "score")
    at = gather.index("--parts") + 1
    assert gather[at : at + 3] == [f"{folder}/scores-{shard}.safetensors" for shard in (1, 2, 3)]
    assert gather[gather.index("--products") + 1] == f"{folder}/products.safetensors"


def test_what_shards_passed_on_is_gone_after_the_run_and_a_second_run_finds_nothing_to_do(sharded: Workspace) -> None:
    assert list((sharded.root / RUN).rglob("*.safetensors")) == [
        sharded.root / RUN / "finetuned/last/adapter_model.safetensors"
    ]
    assert sharded.would_run(THREE) == {}


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_another_number_of_shards_reruns_nothing_that_is_scored(sharded: Workspace, shards: int) -> None:
    assert sharded.would_run(THREE.replace("shards: 3", f"shards: {shards}")) == {}


def test_a_run_scored_in_one_piece_is_not_scored_again_in_shards(finished: Workspace) -> None:
    assert finished.would_run("studies: {llm: {runtime: {shards: 3}}}") == {}


def test_a_setting_that_changes_scores_reruns_them_in_the_shards_they_had(sharded: Workspace) -> None:
    overlay = THREE.replace("shards: 3", "shards: 2").replace("methods", "damping: 0.2, methods")
    assert scoring_jobs(sharded.would_run(overlay)) == SHARDED


def test_a_new_seed_is_scored_in_the_number_of_shards_that_is_set(sharded: Workspace) -> None:
    overlay = THREE.replace("runtime: {shards: 3}", "seeds: [11, 12], runtime: {shards: 2}")
    jobs = sharded.would_run(overlay)
    assert (jobs["shard_statistics"], jobs["shard_scores"]) == (2, 2)


def test_after_a_killed_shard_only_it_and_what_follows_runs_again(fresh: Workspace) -> None:
    (fresh.root / "overlay.yaml").write_text(THREE)
    common = ("--configfile", SMOKE, "overlay.yaml", "--cores", "1")
    fresh.snakemake(*common, "--until", "shard_solve")
    one = f"{RUN}/shards-3/last/scores-2.safetensors"
    failed = fresh.snakemake(*common, "--keep-going", check=False, STUB_FAIL=f"shard scores@{one}")
    assert "Error in rule shard_scores" in failed
    kept = sorted(path.name for path in (fresh.root / RUN / "shards-3/last").glob("scores-*"))
    assert kept == ["scores-1.safetensors", "scores-3.safetensors"]
    assert scoring_jobs(fresh.would_run(THREE)) == {"shard_scores": 1, "score": 1}
    before = len(calls(fresh))
    fresh.smoke(overlay=THREE)
    again = [call for call in calls(fresh)[before:] if call[0] in ("shard", "score")]
    assert [call[0] for call in again] == ["shard", "score"]
    assert again[0][1] == "scores"
    assert Path(again[0][again[0].index("--out") + 1]).name == "scores-2.safetensors"


def test_code_that_makes_shards_reruns_scores_that_were_gathered_from_them_and_no_others(
    sharded: Workspace, done: Workspace, tmp_path: Path
) -> None:
    workspace = sharded.copy(tmp_path / "sharded")
    for root in (workspace.root, done.root):
        with (root / "hyperinf/pipeline/sharding/stages.py").open("a") as file:
            file.write("_UNUSED = 1\n")
    assert scoring_jobs(workspace.would_run(THREE)) == SHARDED
    assert done.would_run() == {}
