"""A job that reads a folder of the user's own waits for what is in it."""

import yaml
from workspaces import Workspace


def test_a_job_waits_for_a_folder_of_questions_without_its_images(fresh: Workspace) -> None:
    (fresh.root / "mine" / "images").mkdir(parents=True)
    for name in ("train.jsonl", "test.jsonl", "images/1.png", "images/2.JPEG"):
        (fresh.root / "mine" / name).write_text("")
    data = {"mine": {"source": {"path": "mine"}, "format": "record", "template": "vqa"}}
    overlay = yaml.safe_dump({"run": ["llm"], "data": data, "studies": {"llm": {"tasks": ["mine"]}}})
    target = "results/smoke/llm/mine/data/seed-11/info.json"
    fresh.smoke(target, overlay=overlay)
    (fresh.root / "mine" / "images" / "1.png").write_text("new")
    assert "Nothing to be done" in fresh.smoke("--dry-run", target, overlay=overlay)
    (fresh.root / "mine" / "train.jsonl").write_text("new\n")
    assert "prepare" in fresh.smoke("--dry-run", target, overlay=overlay)
