"""Where gradients are kept between sweeps follows from what they take and what there is room for."""

from types import SimpleNamespace

import pytest

from hyperinf.pipeline import scoring

ROWS = SimpleNamespace(sample_ids=range(100), layers={"a": (2, 5), "b": (1, 15)}, device="cpu", foretold=lambda: None)
NEEDED = 4 * 100 * 25


@pytest.mark.parametrize(
    ("free_memory", "free_disk", "resumed", "chosen"),
    [
        (2 * NEEDED, 2 * NEEDED, False, "memory"),
        (2 * NEEDED, 2 * NEEDED, True, "disk"),
        (2 * NEEDED - 2, 2 * NEEDED, False, "disk"),
        (2 * NEEDED, 2 * NEEDED - 2, True, "memory"),
        (2 * NEEDED - 2, 2 * NEEDED - 2, False, "live"),
        (None, 0, True, "live"),
    ],
)
def test_gradients_are_kept_where_they_take_at_most_half(
    free_memory, free_disk, resumed, chosen, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(scoring, "free_bytes", lambda device: free_memory)
    monkeypatch.setattr(scoring.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free_disk))
    assert scoring.chosen_store("auto", ROWS, tmp_path, resumed=resumed) == chosen
    said = capsys.readouterr().out
    assert {"memory": "in memory", "disk": "on the disk", "live": "again"}[chosen] in said
    for store in ("disk", "memory", "live"):
        assert scoring.chosen_store(store, ROWS, tmp_path) == store
    assert capsys.readouterr().out == ""


def test_what_the_passes_take_is_left_to_them(tmp_path, monkeypatch):
    passes = SimpleNamespace(held=lambda device: 1000)
    rows = SimpleNamespace(**{**vars(ROWS), "foretold": lambda: passes})
    for free_memory, chosen in ((2 * NEEDED + 1000, "memory"), (2 * NEEDED + 998, "disk")):
        monkeypatch.setattr(scoring, "free_bytes", lambda device, free=free_memory: free)
        assert scoring.chosen_store("auto", rows, tmp_path) == chosen


@pytest.mark.parametrize(("memory_bytes", "chosen"), [(NEEDED, "memory"), (NEEDED - 1, "live")])
def test_a_stated_budget_goes_before_what_is_free(memory_bytes, chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "DISK_BYTES", 0)
    assert scoring.chosen_store("auto", ROWS, tmp_path, memory_bytes) == chosen
