"""How much time of a run is left, by a clock that the test sets."""

from pathlib import Path

import pytest
from time_left import TimeLeft, read_seconds, told, write_seconds

RULES = {0: "prepare", 1: "score", 2: "score", 3: "score", 4: "page"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(left: TimeLeft, clock: Clock, jobs: list[int], seconds: float) -> list[str | None]:
    left.start(jobs)
    clock.now += seconds
    return [left.finish(job) for job in jobs]


def test_jobs_of_a_rule_take_what_those_before_took(clock: Clock) -> None:
    left = TimeLeft(RULES, {"page": 20.0}, clock)
    run(left, clock, [0], 30)
    (line,) = run(left, clock, [1], 60)
    assert left.left() == (60 + 60 + 20, 0)
    assert line is not None
    assert line.startswith("2 of 5 jobs done")
    assert "about 3 min left" in line


def test_jobs_side_by_side_share_the_time(clock: Clock) -> None:
    left = TimeLeft(dict.fromkeys(range(8), "score"), {}, clock)
    run(left, clock, [0, 1], 60)
    assert left.left() == pytest.approx((6 * 60 / 2, 0))


def test_what_a_job_has_run_for_is_not_left(clock: Clock) -> None:
    left = TimeLeft({0: "score", 1: "score"}, {"score": 100.0}, clock)
    left.start([0])
    clock.now += 40
    assert left.left() == (160, 0)
    clock.now += 400  # longer than thought
    assert left.left() == (100, 0)


def test_a_rule_of_which_nothing_is_known_is_said(clock: Clock) -> None:
    left = TimeLeft(RULES, {}, clock)
    (line,) = run(left, clock, [0], 30)
    assert line is not None
    assert "not known yet" in line
    (line,) = run(left, clock, [1], 30)
    assert line is not None
    assert "of 1 rules" in line


def test_lines_do_not_come_in_a_rush_and_none_comes_last(clock: Clock) -> None:
    left = TimeLeft(dict.fromkeys(range(20), "score"), {}, clock)
    lines = [line for number in range(20) for line in run(left, clock, [number], 3)]
    assert sum(line is not None for line in lines) == 60 // 15 - 1
    assert lines[-1] is None


def test_what_runs_took_is_kept_and_a_damaged_note_is_no_reason_to_stop(tmp_path: Path, clock: Clock) -> None:
    left = TimeLeft({0: "score"}, {"score": 10.0, "page": 5.0}, clock)
    run(left, clock, [0], 20)
    write_seconds(left.seconds(), tmp_path / "times.json")
    assert read_seconds(tmp_path / "times.json") == {"score": 15.0, "page": 5.0}
    for text in ("", "[1]", '{"score": "x"}', '{"score": null}', "{"):
        (tmp_path / "times.json").write_text(text)
        assert read_seconds(tmp_path / "times.json") == {}
    assert read_seconds(tmp_path / "no.json") == {}


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "10 s"), (61, "70 s"), (125, "3 min"), (3599, "1 h 0 min"), (5000, "1 h 24 min")]
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert told(seconds) == words
