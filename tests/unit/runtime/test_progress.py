import io
import re
import sys

import pytest

from hyperinf.runtime.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def steps(monkeypatch):
    """Makes a loop of so many steps of so many seconds each, by a clock of its own."""
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])

    def loop(count, seconds):
        for step in range(count):
            now[0] += seconds
            yield step

    return loop


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_quick_loop_is_silent(steps, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    assert list(track(steps(20, 0.1), 20, "scoring", "batches")) == list(range(20))
    assert sys.stderr.getvalue() == ""


def test_a_log_gets_a_line_every_ten_seconds_and_no_carriage_return(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert len(list(track(steps(400, 0.25), 400, "fine-tuning", "batches"))) == 400
    lines = sys.stderr.getvalue()
    assert "\r" not in lines
    assert 9 <= lines.count("\n") <= 10
    first = re.match(r"fine-tuning: (\d+) of 400 batches, (\S+) batches/s, (\d\d):(\d\d) left\n", lines)
    done, rate, minutes, seconds = map(float, first.groups())
    assert rate == pytest.approx(4, rel=0.1)
    assert 60 * minutes + seconds == pytest.approx((400 - done) / 4, abs=2)


def test_without_a_total_there_is_no_time_left(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    list(track(steps(30, 1.0), None, "reading", "rows"))
    assert re.match(r"reading: \d+ rows, \S+ rows/s, 00:1\d so far\n", sys.stderr.getvalue())
    assert "left" not in sys.stderr.getvalue()


def test_more_items_than_were_announced_are_no_fault(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert len(list(track(steps(60, 1.0), 5, "scoring", "batches"))) == 60


def test_a_terminal_has_one_line_that_vanishes(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    list(track(steps(100, 0.25), 100, "scoring", "batches"))
    shown = sys.stderr.getvalue()
    assert "\n" not in shown
    assert "of 100 batches" in shown
    assert shown.rpartition("\r")[2].strip() == ""


def test_only_the_first_of_several_processes_writes(steps, monkeypatch):
    for name, value in {"ACCELERATE_MIXED_PRECISION": "no", "WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert len(list(track(steps(100, 1.0), 100, "scoring", "batches"))) == 100
    assert sys.stderr.getvalue() == ""
