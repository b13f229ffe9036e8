"""What commands say in the end: what they came to, and what may follow (of stages see ``test_cli``)."""

from pathlib import Path

import pandas as pd
import pytest

from hyperinf.cli.main import main
from hyperinf.cli.outcome import outcome


def test_what_a_stage_came_to_is_said_by_method_and_by_rows(tmp_path: Path) -> None:
    rows = [
        ("hyperinf", "", "", "roc_auc", 0.75),
        ("hyperinf", "", "", "roc_auc", 0.25),
        ("tracin", "", "", "roc_auc", 0.5),
        ("hyperinf", "", "", "curve_auc", 0.1),
        ("hyperinf", "stratified", "0.2", "accuracy", 0.9),
        ("model", "", "", "accuracy", None),
    ]
    columns = ["method", "strategy", "fraction", "metric", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metrics.csv", index=False)
    pd.DataFrame({"sample_id": range(1234)}).to_parquet(tmp_path / "train.parquet")
    said = list(outcome(tmp_path))
    assert said == [
        "rows: train 1,234",
        "roc_auc: hyperinf 0.500, tracin 0.500",
        "accuracy: hyperinf stratified 0.2 0.900",
    ]
    assert not list(outcome(tmp_path / "metrics.csv"))


@pytest.mark.parametrize("words", [["assets", "list"], ["settings"], ["settings", "--check"]], ids=" ".join)
def test_other_commands_say_it_too_and_not_among_what_they_print(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "next: " in printed.err
    assert "next: " not in printed.out
