"""What an attempt asks for where partitions have limits, and which failures are worth another."""

from types import SimpleNamespace

import pytest
from asking import Asking, fits
from failures import ended_by_itself, last_words
from partitions import _number as number
from partitions import described

partitions = pytest.importorskip("snakemake_executor_plugin_slurm.partitions")


def partition(name: str, **limits: float) -> object:
    return partitions.Partition(name=name, limits=partitions.PartitionLimits(**limits))


CPU = partition("cpu")
GPU = partition("gpu", max_gpu=1, max_mem_mb=9000, max_runtime=300)
SHORT = partition("short", max_gpu=1, max_mem_mb=90000, max_runtime=250)


@pytest.mark.parametrize(
    ("there", "gpu", "attempt", "asked"),
    [
        ([], 1, 3, (18000, 720)),
        ([CPU, GPU], 0, 3, (18000, 720)),
        ([CPU, GPU], 1, 1, (6000, 240)),
        ([CPU, GPU], 1, 2, (9000, 300)),
        ([CPU, GPU], 1, 3, (9000, 300)),
        # Of two, the one that gives more of both.
        ([GPU, SHORT], 1, 2, (9000, 300)),
        ([SHORT], 1, 2, (12000, 250)),
    ],
)
def test_an_attempt_grows_within_one_partition(
    there: list[object], gpu: int, attempt: int, asked: tuple[int, int]
) -> None:
    asking = Asking()
    asking.partitions = there
    amounts = asking(mem_mb=6000, runtime=lambda wildcards: wildcards.minutes, gpu=gpu)
    wildcards = SimpleNamespace(minutes=240)
    found = tuple(amounts[name](wildcards, attempt=attempt, threads=1) for name in ("mem_mb", "runtime"))
    assert found == asked
    if there:
        assert fits({"mem_mb": found[0], "runtime": found[1], "gpu": gpu}, 1, there)


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("30:00", 30), ("1:00:00", 60), ("2-00:00:00", 2880), ("2-12:30:00", 3630), ("infinite", float("inf"))],
)
def test_times_are_read_as_slurm_writes_them(written: str, minutes: float) -> None:
    assert number(written) == minutes


def test_memory_of_unlike_nodes_is_a_number() -> None:
    assert number("64000+") == 64000


def test_a_partition_is_described_by_all_its_limits() -> None:
    assert described(GPU) == "gpu (max_runtime 300, max_mem_mb 9000, max_gpu 1)"


TRACEBACK = "Traceback (most recent call last):\n  File 'x'\n"
ENDS = {
    "killed": ("", False),
    "killed in the middle": ("hyperinf: warning: two samples are long\n 40%|####", False),
    "refused": ("hyperinf: error: mine.csv: got 3 fields, expected 2\n", True),
    "refused for want of memory": (
        "hyperinf: error: batch_size: got 64 samples, whose passes take 7.1 GiB, expected at most the 5.8 GiB that are"
        " free; take at most 52 at a time (batch_size)\n",
        False,
    ),
    "a defect": (f"{TRACEBACK}KeyError: 'x'\n", True),
    "too little memory": (f"{TRACEBACK}numpy.core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB\n", False),
    "a process of it killed": (f"{TRACEBACK}exitcode: -9\ntraceback : Signal 9 (SIGKILL) received by PID 7\n", False),
    "all processes refused": (f"hyperinf: error: a: got b\n{TRACEBACK}ChildFailedError: exitcode : 2\n", True),
    "interrupted": ("hyperinf: interrupted\n", False),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_says_why_it_ended_is_not_tried_again(name: str) -> None:
    log, final = ENDS[name]
    assert ended_by_itself(log) is final


def test_last_words_are_the_refusals_or_else_the_end() -> None:
    assert last_words("a\nhyperinf: error: x\nb\n") == ["hyperinf: error: x"]
    assert last_words("\n".join(map(str, range(100)))) == ["94", "95", "96", "97", "98", "99"]
    assert len(last_words("x" * 10_000)[0]) == 300
