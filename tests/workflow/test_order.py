"""The longest jobs of a run are not left to its end, where each would run alone."""

import re

from workspaces import Workspace


def test_selections_are_trained_before_detection_is_scored(finished: Workspace) -> None:
    (log,) = (finished.root / ".snakemake" / "log").glob("*.log")
    started = re.findall(r"^Job \d+: (.+)", log.read_text(), flags=re.M)
    selections = [at for at, job in enumerate(started) if job.startswith("Train ")]
    detection = [at for at, job in enumerate(started) if job.startswith("Score sarcasm")]
    assert max(selections) < max(detection)
