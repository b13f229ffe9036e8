"""Tables of stages are those that pandas writes, to the byte."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hyperinf.pipeline.tables import write_table

COLUMNS: dict[str, list[Any]] = {
    "whole numbers": [1, -2, 30],
    "whole numbers and gaps": [1, None, 3],
    "numbers": [0.1, 1e-17, 12345678901234.5],
    "numbers and whole ones": [1, 0.5, 3],
    "no numbers": [1.5, math.nan, math.inf],
    "of numpy": [np.float64(0.1), np.float64(2), np.float64(1) / 3],
    "switches": [True, False, True],
    "words": ["a", "b, c", 'say "d"'],
    "words and gaps": ["a", None, "line\nline"],
    "words and numbers": ["a", 1, 0.5],
    "nothing": [None, None, None],
}


@pytest.mark.parametrize("chosen", [list(COLUMNS), *([name] for name in COLUMNS)])
def test_a_table(tmp_path, chosen):
    rows = [{name: COLUMNS[name][row] for name in chosen} for row in range(3)]
    write_table(tmp_path / "a.csv", rows, tuple(chosen))
    assert (tmp_path / "a.csv").read_text() == pd.DataFrame(rows, columns=chosen).to_csv(index=False)


def test_rows_without_a_column_and_no_rows(tmp_path):
    rows = [{"a": 1, "b": 2.5, "more": 1}, {"a": 2}]
    write_table(tmp_path / "a.csv", iter(rows), ("a", "b", "c"))
    assert (tmp_path / "a.csv").read_text() == "a,b,c\n1,2.5,\n2,,\n"
    write_table(tmp_path / "a.csv", [], ("a", "b"))
    assert (tmp_path / "a.csv").read_text() == "a,b\n"
