"""A run that is finished, or changed, settles; which change reruns what is in test_incremental.py."""

import json

from workspaces import Workspace


def test_a_second_run_finds_nothing_to_do(done: Workspace) -> None:
    assert done.would_run() == {}
    assert "Nothing to be done" in done.smoke()


def test_a_changed_setting_settles_after_one_run(done: Workspace) -> None:
    overlay = "studies: {mislabel: {scoring: {damping: 0.2}}}"
    before = len((done.root / "calls.jsonl").read_text().splitlines())
    done.smoke(overlay=overlay)
    calls = [json.loads(line) for line in (done.root / "calls.jsonl").read_text().splitlines()[before:]]
    assert [call[0] for call in calls] == ["score", "score", "detect", "report", "report"]
    assert done.would_run(overlay) == {}


def test_a_result_that_was_deleted_is_made_again(done: Workspace) -> None:
    target = "results/smoke/mislabel/sarcasm/minilm/lora-8/seed-11/scores/epoch-1/scores.parquet"
    (done.root / target).unlink()
    # Snakemake does not miss a file that only finished jobs have read; asked for, it is made.
    done.smoke(target)
    assert (done.root / target).is_file()
