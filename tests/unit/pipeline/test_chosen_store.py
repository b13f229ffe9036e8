"""Where gradients are kept between sweeps follows from what they take and what there is room for."""

from types import SimpleNamespace

import pytest

from hyperinf.pipeline import scoring

NEEDED = 4 * 100 * 25


class Rows:
    """Gradients of a hundred samples; notes what the frozen part of their model may take."""

    sample_ids = range(100)
    layers = {"a": (2, 5), "b": (1, 15)}  # noqa: RUF012 - read only
    device = "cpu"

    def __init__(self, passes=None):
        self.passes, self.frozen = passes, []

    def foretold(self):
        return self.passes

    def keep_frozen(self, memory_bytes):
        self.frozen.append(memory_bytes)


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
    rows = Rows()
    assert scoring.chosen_store("auto", rows, tmp_path, resumed=resumed) == chosen
    assert rows.frozen == ([(free_memory or 0) // 2] if chosen == "live" else [])
    rows.frozen.clear()
    said = capsys.readouterr().out
    assert {"memory": "in memory", "disk": "on the disk", "live": "again"}[chosen] in said
    for store in ("disk", "memory", "live"):
        assert scoring.chosen_store(store, rows, tmp_path) == store
    assert rows.frozen == []
    assert capsys.readouterr().out == ""


def test_what_the_passes_take_is_left_to_them(tmp_path, monkeypatch):
    passes = SimpleNamespace(held=lambda device: 1000)
    rows = Rows(passes)
    for free_memory, chosen in ((2 * NEEDED + 1000, "memory"), (2 * NEEDED + 998, "disk")):
        monkeypatch.setattr(scoring, "free_bytes", lambda device, free=free_memory: free)
        assert scoring.chosen_store("auto", rows, tmp_path) == chosen


@pytest.mark.parametrize(("memory_bytes", "chosen"), [(NEEDED, "memory"), (NEEDED - 1, "live")])
def test_a_stated_budget_goes_before_what_is_free(memory_bytes, chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "DISK_BYTES", 0)
    rows = Rows()
    assert scoring.chosen_store("auto", rows, tmp_path, memory_bytes) == chosen
    assert rows.frozen == ([memory_bytes] if chosen == "live" else [])
