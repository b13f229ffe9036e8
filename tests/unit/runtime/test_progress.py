import io
import re
import sys
import time

import pytest

from hyperinf.runtime import progress
from hyperinf.runtime.progress import at_work, track, waiting


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


def test_a_log_gets_a_line_every_eight_seconds_and_no_carriage_return(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert len(list(track(steps(400, 0.25), 400, "fine-tuning", "batches"))) == 400
    lines = sys.stderr.getvalue()
    assert "\r" not in lines
    assert 11 <= lines.count("\n") <= 12
    first = re.match(r"fine-tuning: (\d+) of 400 batches, (\S+) batches/s, (\d\d):(\d\d) left\n", lines)
    done, rate, minutes, seconds = map(float, first.groups())
    assert rate == pytest.approx(4, rel=0.1)
    assert 60 * minutes + seconds == pytest.approx((400 - done) / 4, abs=2)


def test_without_a_total_there_is_no_time_left(steps, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    list(track(steps(30, 1.0), None, "reading", "rows"))
    assert re.match(r"reading: \d+ rows, \S+ rows/s, 00:(08|09) so far\n", sys.stderr.getvalue())
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


@pytest.fixture
def impatient(monkeypatch):
    """Silence is as long as it may be after a fifth of a second."""
    for name in ("_SILENCE_IN_LOG", "_SILENCE_ON_TERMINAL"):
        monkeypatch.setattr(progress, name, 0.2)


def test_an_item_that_takes_long_is_not_passed_in_silence(impatient, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for step in track(range(4), 4, "fitting", "parts"):
        time.sleep(1.2 if step == 2 else 0)
    assert re.match(r"fitting: 2 of 4 parts, \S+ parts/s, 00:0\d left\n", sys.stderr.getvalue())


def test_of_nested_loops_the_inner_one_tells(impatient, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for _ in track(range(1), 1, "outside", "parts"):
        for _ in track(range(1), 1, "inside", "rows"):
            time.sleep(0.8)
    assert set(re.findall(r"^\w+", sys.stderr.getvalue(), re.MULTILINE)) == {"inside"}


def test_what_cannot_be_looked_into_tells_the_time_left(impatient, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with waiting("reducing", 60):
        time.sleep(0.8)
    assert re.match(r"reducing: 00:0\d so far, about (00:5\d|01:00) left\n", sys.stderr.getvalue())


def test_a_terminal_is_clean_after_what_took_long(impatient, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with waiting("reducing", 60):
        time.sleep(0.8)
    assert "reducing" in sys.stderr.getvalue()
    assert sys.stderr.getvalue().rpartition("\r")[2].strip() == ""


def test_a_command_tells_that_it_is_at_work_while_no_loop_does(impatient, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with at_work("hyperinf mislabeled"):
        time.sleep(1.5)
        silent = sys.stderr.getvalue()
        list(track(range(2), 2, "reading", "rows"))
    assert re.match(r"hyperinf mislabeled: 00:0\d so far\n", silent)
    told = sys.stderr.getvalue()
    time.sleep(1.5)
    assert sys.stderr.getvalue() == told


def test_short_loops_that_say_nothing_do_not_prolong_the_silence(impatient, monkeypatch):
    monkeypatch.setattr(progress, "_SILENCE_IN_LOG", 1.0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    began = time.monotonic()
    with at_work("hyperinf mislabeled"):
        while not sys.stderr.getvalue() and time.monotonic() - began < 5:
            list(track(range(2), 2, "reading", "rows"))
            time.sleep(0.1)
    assert time.monotonic() - began < 3
