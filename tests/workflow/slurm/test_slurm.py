"""The workflow on a real Slurm: what is submitted, how, and what happens when jobs or the run itself are killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from workspaces import ROOT, SMOKE, Workspace, environment, job_counts, new_workspace

sys.path.insert(0, str(Path(__file__).parent))
from one_node import CPUS, one_node_slurm, reason_against

pytestmark = pytest.mark.slurm
PROFILE = ["--workflow-profile", "profiles/slurm", "--configfile", SMOKE, "overlay.yaml", "--cores", str(CPUS)]
# Jobs are looked at within 3 s, and 13 s after that, which most of them need; once more after another 23 s.
IMPATIENT = ["--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"]
FINETUNE = "mislabel/sarcasm/minilm/lora-8/seed-11"
KILLED, FAILING = FINETUNE.replace("11", "12"), FINETUNE.replace("11", "13")
# A fine-tuning asks for 6000 MB and 240 minutes, a second attempt would for twice as much.
LIMITED = "partitions: {cpu: {max_gpu: 0}, gpu: {max_gpu: 1, max_mem_mb: 9000, max_runtime: 300}}"
# Whatever Slurm treats apart is in them: a measurement, and groups.
STUDIES = ("simulation", "mislabel", "llm")
THREE_SEEDS_ON_GPUS = "{device: cuda, run: [mislabel], studies: {mislabel: {seeds: [11, 12, 13]}}}"


# Enough that the fine-tuning can be stopped between two of them.
EPOCHS = 20


def real() -> str:
    """Three studies of the smoke experiment, as small as they can be, with the real commands."""
    overlay = yaml.safe_load((ROOT / "tests/every_job.yaml").read_text())
    overlay |= {"device": "cpu", "run": [*STUDIES]}
    overlay["studies"]["mislabel"] |= {
        "finetuning": {"epochs": EPOCHS, "checkpoints": [1, EPOCHS]},
        "detection": {"report_epoch": EPOCHS},
    }
    # Jobs that wait for each other, and are the same to Slurm.
    overlay["studies"]["llm"]["runtime"] = {"shards": 1}
    return yaml.safe_dump(overlay)


@dataclass(frozen=True)
class Job:
    """A job as Slurm keeps it for ten minutes after its end."""

    id: str
    rule: str
    wildcards: str
    state: str
    partition: str
    cpus: int
    memory_mb: int
    limit: str
    account: str
    gpus: str
    submitted: str
    ended: str
    restarts: int


@dataclass(frozen=True)
class Run:
    """Snakemake with the Slurm profile, and what it prints."""

    process: subprocess.Popen[bytes]
    file: Path

    @property
    def printed(self) -> str:
        return self.file.read_text()

    @property
    def jobs(self) -> list[Job]:
        """What it has submitted."""
        name = re.search(r"SLURM run ID: (\S+)", self.printed)
        return jobs_named(name[1]) if name else []

    def finish(self, seconds: float = 1800) -> str:
        self.process.wait(seconds)
        return self.printed


def jobs_named(name: str) -> list[Job]:
    """In the order in which they were submitted."""
    command = ["scontrol", "show", "job", "--oneliner"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    shown = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]
    jobs = [
        Job(
            id=job["JobId"],
            rule=job["Comment"].partition("_wildcards")[0].removeprefix("rule_"),
            wildcards=job["Comment"].partition("_wildcards_")[2],
            state=job["JobState"],
            partition=job["Partition"],
            cpus=int(job["NumCPUs"]),
            memory_mb=int(job["MinMemoryNode"].removesuffix("M")),
            limit=job["TimeLimit"],
            account=job["Account"],
            gpus=job.get("TresPerJob", ""),
            submitted=job["SubmitTime"],
            ended=job["EndTime"],
            restarts=int(job["Restarts"]),
        )
        for job in shown
        if job.get("JobName") == name
    ]
    return sorted(jobs, key=lambda job: int(job.id))


def of_rule(jobs: list[Job], rule: str, study: str = "") -> list[Job]:
    return [job for job in jobs if job.rule.startswith(rule) and job.wildcards.startswith(study)]


def wait_until(condition: Callable[[], object], run: Run, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain\n{run.printed}"
        assert run.process.poll() is None, f"the run has ended\n{run.printed}"
        time.sleep(0.1)


@contextmanager
def started(
    workspace: Workspace,
    overlay: str,
    *arguments: str,
    program: str = "-m snakemake",
    **variables: str,
) -> Iterator[Run]:
    (workspace.root / "overlay.yaml").write_text(overlay)
    file = workspace.root / f"printed-{time.monotonic_ns()}.txt"
    with file.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *program.split(), *PROFILE, *IMPATIENT, *arguments],
            cwd=workspace.root,
            env={**environment(), **variables},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Run(process, file)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the executor plugin of Slurm is not installed")
    if reason := reason_against():
        assert "HYPERINF_TEST_SLURM" not in os.environ, f"these tests must run here: {reason}"
        pytest.skip(f"no Slurm can be started here: {reason}")
    with one_node_slurm(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="module")
def failed(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with stubs: of three fine-tunings one is killed at its first attempt, and one refuses its input."""
    workspace = new_workspace(tmp_path_factory.mktemp("failed"))
    (workspace.root / "profiles/slurm/partitions.yaml").write_text(LIMITED)
    told = {
        "STUB_KILL_ONCE": f"finetune@{KILLED}",
        "STUB_FAIL": f"finetune@{FAILING}",
    }
    with started(workspace, THREE_SEEDS_ON_GPUS, "--until", "finetune", **told) as run:
        run.finish()
    return run


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the real commands."""
    workspace = new_workspace(tmp_path_factory.mktemp("real"))
    shutil.copy2(ROOT / "hyperinf" / "__main__.py", workspace.root / "hyperinf" / "__main__.py")
    return workspace


@pytest.fixture(scope="module")
def cache() -> dict[str, str]:
    return {"HYPERINF_CACHE": os.environ.get("HYPERINF_CACHE", str(ROOT / "results" / "assets"))}


@pytest.fixture(scope="module")
def killed(slurm: None, workspace: Workspace, cache: dict[str, str]) -> tuple[Run, list[Job]]:
    """The smoke run, killed while its fine-tuning ran again after having been cancelled; its jobs at that moment."""
    log = workspace.root / "results/smoke/logs" / FINETUNE / "finetune.log"
    with started(workspace, real(), **cache) as run:
        wait_until(log.exists, run)
        (first,) = of_rule(run.jobs, "finetune", "mislabel")
        subprocess.run(["scancel", first.id], check=True)
        wait_until(lambda: [job.state for job in of_rule(run.jobs, "finetune", "mislabel")][1:] == ["RUNNING"], run)
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        return run, run.jobs


@pytest.fixture(scope="module")
def preempted() -> list[float]:
    """When Slurm took the node from the fine-tuning of ``resumed``, by the clock of the file system."""
    return []


@pytest.fixture(scope="module")
def resumed(killed: tuple[Run, list[Job]], workspace: Workspace, cache: dict[str, str], preempted: list[float]) -> Run:
    """The run after the one that was killed, started as `make run` does; its fine-tuning is preempted in the middle."""
    state, began = workspace.root / "results/smoke" / FINETUNE / "finetuned.state/resume.safetensors", time.time()
    with started(workspace, real(), program="workflow/run.py", **cache) as run:
        wait_until(lambda: state.exists() and state.stat().st_mtime > began, run)
        (job,) = of_rule(run.jobs, "finetune", "mislabel")
        preempted.append(state.stat().st_mtime)
        # What Slurm does to a job that a partition of higher priority preempts with PreemptMode=REQUEUE.
        subprocess.run(["scontrol", "requeue", job.id], check=True)
        run.finish()
    return run


def test_jobs_go_to_the_partition_that_has_what_they_ask_for(failed: Run) -> None:
    tuning, data = of_rule(failed.jobs, "finetune"), of_rule(failed.jobs, "data")
    assert {(job.partition, job.gpus) for job in data} == {("cpu", "")}
    assert {(job.partition, job.gpus) for job in tuning} == {("gpu", "gres:gpu:1")}


def test_short_jobs_are_one_submission_of_no_more_cpus_than_allowed(failed: Run) -> None:
    (group,) = of_rule(failed.jobs, "data")
    assert (group.state, group.cpus) == ("COMPLETED", CPUS)
    assert job_counts(failed.printed)["prepare"] == 3


def test_what_was_killed_is_submitted_again_and_what_refused_its_input_is_not(failed: Run) -> None:
    tuning = of_rule(failed.jobs, "finetune")
    ends = {job.wildcards: [each.state for each in tuning if each.wildcards == job.wildcards] for job in tuning}
    assert sorted(ends.values()) == [["COMPLETED"], ["FAILED"], ["FAILED", "COMPLETED"]]
    made = sorted((failed.file.parent / "results/smoke/mislabel/sarcasm/minilm/lora-8").glob("*/finetuned"))
    assert [folder.parent.name for folder in made] == ["seed-11", "seed-12"]


def test_another_attempt_asks_for_more_within_its_partition(failed: Run) -> None:
    asked = [(job.memory_mb, job.limit, job.partition) for job in of_rule(failed.jobs, "finetune")]
    assert asked == [(6000, "04:00:00", "gpu")] * 3 + [(9000, "05:00:00", "gpu")]


def test_no_account_is_named_where_the_profile_names_none(failed: Run) -> None:
    assert {job.account for job in failed.jobs} == {"(null)"}


def test_a_run_of_failures_ends_with_what_they_said_in_few_lines(failed: Run) -> None:
    assert failed.process.returncode == 1
    _, said = failed.printed.split(f"failed: finetune, results/smoke/logs/{FAILING}/finetune.log\n")
    assert "hyperinf: error: the stub was told to fail" in said
    assert len(said.splitlines()) < 10
    assert failed.printed.count("the stub was told to fail") == 1
    logs = Path(failed.file.parent, ".snakemake/slurm_logs/rule_finetune")
    (log,) = (job for job in of_rule(failed.jobs, "finetune", "mislabel") if "13" in job.wildcards)
    (file,) = logs.rglob(f"{log.id}.log")
    assert f"/{log.id}.log" in failed.printed
    assert "Error in rule finetune" in file.read_text()


REFUSED = {
    "more than a partition has": (
        LIMITED.replace("9000", "5000"),
        "",
        ["rule finetune", "mem_mb 6000", "max_mem_mb 5000"],
    ),
    "a partition that is not there": (LIMITED.replace(" gpu:", " gpus:"), "", ["partitions", "'gpus'", "cpu, gpu"]),
    "a limit that is none": (LIMITED.replace("max_mem_mb", "max_mem"), "", ["partitions.yaml", "max_mem"]),
    "an account called none": (LIMITED, "slurm_account=none", ["slurm_account", "'none'"]),
    "a group that is too large": (
        LIMITED.replace("{max_gpu: 0}", "{max_gpu: 0, max_mem_mb: 3000}").replace("9000", "3500"),
        "",
        ["group", "3000"],
    ),
    "a GPU by its number": (LIMITED, "", ["device", "'cuda:1'", "cuda"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_slurm_cannot_run_is_refused_before_the_first_job(slurm: None, tmp_path: Path, name: str) -> None:
    partitions, account, parts = REFUSED[name]
    workspace = new_workspace(tmp_path / "workspace")
    (workspace.root / "profiles/slurm/partitions.yaml").write_text(partitions)
    overlay = THREE_SEEDS_ON_GPUS.replace("cuda", "'cuda:1'") if "number" in name else THREE_SEEDS_ON_GPUS
    flags = ["--default-resources", account] if account else []
    with started(workspace, overlay, "--until", "finetune", *flags) as run:
        run.finish()
    assert run.process.returncode == 2, run.printed
    assert run.jobs == []
    lines = run.printed.partition("nothing was started.\n")[2].splitlines()
    assert any(all(part in line for part in parts) for line in lines), run.printed
    assert not (workspace.root / "calls.jsonl").exists()


def test_a_job_that_is_cancelled_comes_back_and_asks_for_more(killed: tuple[Run, list[Job]]) -> None:
    run, jobs = killed
    first, second = of_rule(jobs, "finetune", "mislabel")
    assert (first.state, first.memory_mb) == ("CANCELLED", 6000)
    assert (second.state, second.memory_mb) == ("RUNNING", 12000)
    assert f"SLURM-job '{first.id}' failed, SLURM status is: 'CANCELLED'" in run.printed


def test_what_a_killed_run_left_in_slurm_is_cancelled_before_anything_is_submitted(
    killed: tuple[Run, list[Job]], resumed: Run
) -> None:
    run, jobs = killed
    left = {job.id for job in jobs if job.state in ("RUNNING", "PENDING")}
    ended = [job for job in run.jobs if job.id in left]
    # A short one may end by itself before the next run begins; a fine-tuning does not.
    assert {job.state for job in ended} <= {"CANCELLED", "COMPLETED"}
    assert {job.state for job in of_rule(ended, "finetune", "mislabel")} == {"CANCELLED"}
    assert max(job.ended for job in ended) <= min(job.submitted for job in resumed.jobs)


def test_a_resumed_run_finishes_and_computes_nothing_again(
    killed: tuple[Run, list[Job]], resumed: Run, workspace: Workspace
) -> None:
    assert resumed.process.returncode == 0, resumed.printed
    finished = Counter(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", killed[0].printed, re.M))
    assert {"asset_record", "prepare"} <= set(finished)
    assert not Counter(job_counts(resumed.printed)) + finished - Counter(job_counts(killed[0].printed))
    assert len(of_rule(resumed.jobs, "finetune", "mislabel")) == 1


def test_a_job_that_slurm_preempts_in_mid_training_goes_on_where_it_was(
    resumed: Run, workspace: Workspace, preempted: list[float]
) -> None:
    (job,) = of_rule(resumed.jobs, "finetune", "mislabel")
    assert (job.state, job.restarts) == ("COMPLETED", 1)
    made = workspace.root / "results/smoke" / FINETUNE / "finetuned"
    first, last = ((made / f"epoch-{n}/adapter_model.safetensors").stat().st_mtime for n in (1, EPOCHS))
    assert first <= preempted[0] < last


def test_every_study_of_the_run_has_gone_through_slurm(
    killed: tuple[Run, list[Job]], resumed: Run, workspace: Workspace
) -> None:
    results = workspace.root / "results/smoke"
    assert (results / "report.html").is_file()
    for study in STUDIES:
        assert (results / f"tables/claims_{study}.csv").stat().st_size > 0
    names = {job.rule for job in [*killed[1], *resumed.jobs] if job.state == "COMPLETED"}
    groups = "".join(name for name in names if name.startswith(("data_", "reports_")))
    rules = set(job_counts(killed[0].printed))
    assert {rule for rule in rules if rule in names or rule in groups} == rules - {"asset_record"}
