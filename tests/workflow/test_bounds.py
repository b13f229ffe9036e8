"""What keeps jobs apart holds whatever flags are given: a measurement alone, a GPU for each job, so many cores."""

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from workspaces import SMOKE, Workspace

# Which resources are given decides nothing about what runs alone: the list on the command line replaces the profile's.
FLAGS = {
    "profile": [],
    "more GPUs": ["--resources", "gpu=2"],
    "other resources": ["--resources", "mem_mb=64000"],
    "jobs": ["-j", "3"],
    "no profile": ["--workflow-profile", "none"],
}
SIX = "{run: [simulation], simulation: {dims: [8, 16], seeds: [1, 2, 3], timing: {threads: 1}}}"
THREE = "{run: [mislabel], device: cuda, studies: {mislabel: {seeds: [11, 12, 13]}}}"


def spans(workspace: Workspace, *words: str) -> list[tuple[float, float, str]]:
    """Begin, end and GPUs of the commands with these words, in the order in which they ended."""
    begun: dict[str, list[tuple[float, str]]] = {}
    found = []
    for line in (workspace.root / "spans.jsonl").read_text().splitlines():
        event, when, argv, gpus = json.loads(line)
        if set(words) <= set(argv):
            if event == "begins":
                begun.setdefault(gpus, []).append((when, gpus))
            elif begun.get(gpus):
                found.append((begun[gpus].pop()[0], when, gpus))
    return found


def overlap(one: tuple[float, float, str], other: tuple[float, float, str]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_measurement_runs_alone_whatever_resources_are_given(fresh: Workspace, flags: list[str]) -> None:
    slow = json.dumps({"convergence": 0.3, "timing": 0.6})
    cores = [] if "-j" in flags else ["--cores", "3"]
    (fresh.root / "overlay.yaml").write_text(SIX)
    until = ["--until", "simulation_convergence", "simulation_timing"]
    fresh.snakemake("--configfile", SMOKE, "overlay.yaml", *cores, *flags, *until, STUB_SLEEP=slow)
    (timing,) = spans(fresh, "timing")
    others = spans(fresh, "convergence")
    assert len(others) == 6
    assert not any(overlap(timing, other) for other in others)


def with_gpus(workspace: Workspace, count: int) -> dict[str, Any]:
    """A machine with so many GPUs, as far as it can be told without one."""
    tools = workspace.root / "tools"
    tools.mkdir()
    lines = "\n".join(f"GPU {index}: Some card (UUID: GPU-{index})" for index in range(count))
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    (tools / "nvidia-smi").chmod(0o755)
    counted = workspace.root / "workflow/lib/gpus.py"
    counted.write_text(counted.read_text().replace("import torch; print(torch.cuda.device_count())", f"print({count})"))
    return {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tools)}


@pytest.mark.parametrize("flags", [["gpu=2"], ["gpu=3"], ["mem_mb=64000"]], ids=lambda flags: flags[0])
def test_each_job_has_a_gpu_of_its_own(fresh: Workspace, flags: list[str]) -> None:
    machine = with_gpus(fresh, 2)
    (fresh.root / "overlay.yaml").write_text(THREE)
    fresh.snakemake(
        "--configfile", SMOKE, "overlay.yaml", "--cores", "3", "--resources", *flags, "--until", "finetune",
        STUB_SLEEP=json.dumps({"finetune": 1}), **machine,
    )  # fmt: skip
    tunings = spans(fresh, "finetune")
    assert len(tunings) == 3
    assert {gpus for _, _, gpus in tunings} == {"0", "1"}
    assert any(overlap(one, other) for one, other in combinations(tunings, 2))
    assert not any(one[2] == other[2] and overlap(one, other) for one, other in combinations(tunings, 2))


def test_processes_that_are_launched_together_have_a_gpu_each(fresh: Workspace) -> None:
    launcher = yaml.safe_load((fresh.root / "profiles/accelerate/ddp.yaml").read_text())
    (fresh.root / "two.yaml").write_text(yaml.safe_dump({**launcher, "num_processes": 2}))
    machine = with_gpus(fresh, 2)
    accelerate = Path(machine["TMPDIR"], "accelerate")
    accelerate.write_text('#!/bin/sh\nwhile [ "$1" != -m ]; do shift; done\nexec python "$@"\n')
    accelerate.chmod(0o755)
    common = fresh.root / "workflow/rules/common.smk"
    before = "str(Path(sys.executable).parent), os.environ"
    common.write_text(common.read_text().replace(before, f"{str(accelerate.parent)!r}, {before}"))
    (fresh.root / "overlay.yaml").write_text("{run: [mislabel], device: cuda, launcher: two.yaml}")
    fresh.snakemake("--configfile", SMOKE, "overlay.yaml", "--cores", "2", "--until", "finetune", **machine)
    ((_, _, gpus),) = spans(fresh, "finetune")
    assert gpus == "0,1"


REFUSED_GPUS = {
    "none": (0, "{device: cuda}", [], ["device", "'cuda'", "auto or cpu"]),
    "a number beyond": (2, "{device: 'cuda:2'}", [], ["device", "'cuda:2'", "below 2"]),
    "one for several": (2, "{device: 'cuda:1'}", ["--resources", "gpu=2"], ["device", "'cuda:1'", "gpu=2"]),
    "too few": (2, "{device: cuda, launcher: profiles/accelerate/ddp.yaml}", [], ["launcher", "4", "2"]),
}


@pytest.mark.parametrize("case", REFUSED_GPUS.values(), ids=REFUSED_GPUS)
def test_a_gpu_that_is_not_there_is_refused_before_the_first_job(
    fresh: Workspace, case: tuple[int, str, list[str], list[str]]
) -> None:
    count, overlay, flags, parts = case
    machine = with_gpus(fresh, count)
    (fresh.root / "overlay.yaml").write_text(overlay)
    arguments = ["--configfile", SMOKE, "overlay.yaml", "--cores", "2", *flags]
    printed = fresh.snakemake(*arguments, check=False, **machine)
    line = printed.splitlines()[-1]
    assert all(part in line for part in parts), printed
    assert not (fresh.root / "calls.jsonl").exists()
    # What runs elsewhere may be looked at here.
    assert "finetune" in fresh.snakemake("--dry-run", *arguments, **machine)
    # What the refusal advises.
    (fresh.root / "overlay.yaml").write_text("{device: auto}" if count == 0 else "{device: cuda}")
    fresh.snakemake(*arguments, "--until", "simulation_fisher", "simulation_convergence", **machine)


@pytest.mark.parametrize(
    ("flags", "cores"), [(["-j", "3"], 3), (["-j", "3", "--cores", "1"], 1), (["--cores", "4"], 4)]
)
def test_j_is_the_number_of_cores(fresh: Workspace, flags: list[str], cores: int) -> None:
    printed = fresh.snakemake("--configfile", SMOKE, *flags, "--until", "simulation_fisher")
    assert f"Provided cores: {cores}" in printed
    assert "(Rule: simulation_fisher)" in printed


RETRIED = ["--retries", "2", "--resources", "mem_mb=7000", "--until", "finetune"]


def test_what_was_killed_is_tried_again_within_its_limit(fresh: Workspace) -> None:
    printed = fresh.snakemake("--configfile", SMOKE, "--cores", "2", *RETRIED, STUB_KILL_ONCE="finetune")
    assert printed.count("Trying to restart job") == 1
    calls = [json.loads(line)[0] for line in (fresh.root / "calls.jsonl").read_text().splitlines()]
    assert calls.count("finetune") == 5


def test_what_refused_its_input_is_not_tried_again_and_says_so_in_few_lines(fresh: Workspace) -> None:
    printed = fresh.snakemake(
        "--configfile", SMOKE, "--cores", "2", "--keep-going", *RETRIED, check=False, STUB_FAIL="finetune"
    )
    assert "Trying to restart job" not in printed
    calls = [json.loads(line)[0] for line in (fresh.root / "calls.jsonl").read_text().splitlines()]
    assert calls.count("finetune") == 4
    last = printed.partition("failed: finetune, ")[2]
    assert last.count("hyperinf: error: the stub was told to fail") == 4
    assert len(last.splitlines()) < 14
