"""How a set of questions in the configuration reaches `hyperinf select data`."""

import json
from typing import Any

import yaml
from conftest import Workspace


def data_call(workspace: Workspace, questions: dict[str, Any], llm: dict[str, Any]) -> list[str]:
    """The words of the job that prepares the task ``mine``, which is run alone."""
    overlay = {"studies": ["llm"], "questions": questions, "llm": {"tasks": ["mine"], **llm}}
    workspace.smoke("results/smoke/llm/mine/data/seed-11/info.json", overlay=yaml.safe_dump(overlay))
    calls = [json.loads(line) for line in (workspace.root / "calls.jsonl").read_text().splitlines()]
    (call,) = [call for call in calls if call[:2] == ["select", "data"]]
    return call


def test_images_and_the_sets_that_a_task_is_tested_on_and_harmed_by_reach_the_command(fresh: Workspace) -> None:
    for name in ("mine.json", "pope.jsonl", "other.jsonl"):
        (fresh.root / name).write_text("")
    for name in ("my images", "coco"):
        (fresh.root / name).mkdir()
    call = data_call(
        fresh,
        {
            "mine": {
                "source": {"path": "mine.json"},
                "format": "llava",
                "template": "vqa_short",
                "images": "my images",
                "text_rows": True,
                "skip_bad_images": True,
                "test_from": "pope",
            },
            "pope": {
                "source": {"path": "pope.jsonl"},
                "format": "pope",
                "template": "vqa_phrase",
                "images": "coco",
                "splits": {"test": "exam"},
            },
            "other": {
                "source": {"path": "other.jsonl"},
                "format": "record",
                "template": "question",
                "splits": {"pool": "rest"},
            },
        },
        {"corruption": {"off_task": 0.1, "off_task_data": "other"}},
    )
    assert {
        *("--source=path:mine.json", "--format=llava", "--images=my images", "--text-rows", "--skip-bad-images"),
        *("--test-source=path:pope.jsonl", "--test-format=pope", "--test-template=vqa_phrase", "--test-images=coco"),
        *("--test-split=exam", "--off-task-source=path:other.jsonl", "--off-task-split=rest"),
    } <= set(call)
    assert not {word for word in call if word.startswith(("--split-test", "--off-task-images", "--test-text-rows"))}


def test_a_job_waits_for_a_folder_of_questions_without_its_images(fresh: Workspace) -> None:
    (fresh.root / "mine" / "images").mkdir(parents=True)
    for name in ("train.jsonl", "test.jsonl", "images/1.png", "images/2.JPEG"):
        (fresh.root / "mine" / name).write_text("")
    data_call(fresh, {"mine": {"source": {"path": "mine"}, "format": "record", "template": "vqa"}}, {})
    target, overlay = "results/smoke/llm/mine/data/seed-11/info.json", (fresh.root / "overlay.yaml").read_text()
    (fresh.root / "mine" / "images" / "1.png").write_text("new")
    assert "Nothing to be done" in fresh.smoke("--dry-run", target, overlay=overlay)
    (fresh.root / "mine" / "train.jsonl").write_text("new\n")
    assert "selection_data" in fresh.smoke("--dry-run", target, overlay=overlay)
