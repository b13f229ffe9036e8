"""A real Slurm of one node on this machine: munged, slurmctld, slurmd. Two GPUs that are none, no accounting.

Slurm reads its configuration from ``/etc/slurm``, as its job steps lose the variables that would name another folder.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parent import die_with_parent

ETC = Path("/etc/slurm")
OURS = "# Written by the tests of hyperinf, and removed when they end.\n"
DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS, GPUS, MEMORY_MB = 2, 2, 64000
MUNGE = Path("/run/munge")


def reason_against() -> str:
    """Why no Slurm can be started here, in a line; empty when one can."""
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    missing = [name for name in (*DAEMONS, "sbatch", "srun", "squeue", "scancel", "scontrol") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not found (Debian: apt-get install --no-install-recommends slurm-wlm munge)"
    present = ETC / "slurm.conf"
    if present.exists() and not present.read_text().startswith(OURS):
        return f"this machine has a Slurm of its own ({present})"
    return ""


@contextmanager
def one_node_slurm(folder: Path) -> Iterator[None]:
    """A Slurm that is up; it, its jobs and its files are gone afterwards.

    Args:
        folder: a new folder for its state and logs.
    """
    running: list[subprocess.Popen[bytes]] = []
    with _alone(), _ended_by_sigterm_as_by_ctrl_c():
        try:
            _write_configuration(folder)
            if not _works("munge", "--no-input"):
                shutil.chown(_made(MUNGE), "munge", "munge")
                running.append(_daemon(folder, "munged", "--foreground", "--force", user="munge"))
                _wait(folder, "munged", lambda: _works("munge", "--no-input"))
            running.append(_daemon(folder, "slurmctld", "-D"))
            _wait(folder, "slurmctld", lambda: _works("scontrol", "ping"))
            running.append(_daemon(folder, "slurmd", "-D"))
            _wait(folder, "slurmd", lambda: "idle" in _printed("sinfo", "--noheader", "--format=%T"))
            yield
        finally:
            _end_jobs()
            for daemon in reversed(running):
                _stop(daemon)
            _remove_configuration()


@contextmanager
def _alone() -> Iterator[None]:
    """Two test runs on one machine take turns: there is one /etc/slurm."""
    with (Path(tempfile.gettempdir()) / "hyperinf-test-slurm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _ended_by_sigterm_as_by_ctrl_c() -> Iterator[None]:
    """Else nothing would be tidied up; what a SIGKILL leaves ends by itself, or is replaced by the next test run."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_configuration(folder: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    controller, node = _free_ports(2)
    state, spool = _made(folder / "state"), _made(folder / "spool")
    settings = f"""
        ClusterName=hyperinf
        SlurmctldHost={host}(127.0.0.1)
        SlurmUser=root
        SlurmctldPort={controller}
        SlurmdPort={node}
        AuthType=auth/munge
        AuthInfo=cred_expire=10
        StateSaveLocation={state}
        SlurmdSpoolDir={spool}
        SlurmctldPidFile={folder}/slurmctld.pid
        SlurmdPidFile={folder}/slurmd.pid
        SlurmctldLogFile={folder}/slurmctld.log
        SlurmdLogFile={folder}/slurmd.log
        ProctrackType=proctrack/linuxproc
        TaskPlugin=task/none
        SwitchType=switch/none
        MpiDefault=none
        SelectType=select/cons_tres
        SelectTypeParameters=CR_CPU_Memory
        SchedulerParameters=batch_sched_delay=0,sched_interval=2
        AccountingStorageType=accounting_storage/none
        JobAcctGatherType=jobacct_gather/none
        MinJobAge=600
        KillWait=2
        ReturnToService=2
        SlurmdParameters=config_overrides
        GresTypes=gpu
        NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN
        PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
        PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
    """
    files = {
        "slurm.conf": "".join(line.strip() + "\n" for line in settings.strip().splitlines()),
        "gres.conf": "AutoDetect=off\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n",
        "cgroup.conf": "CgroupAutomount=no\n",
    }
    for name, text in files.items():
        (_made(ETC) / name).write_text(OURS + text)


def _remove_configuration() -> None:
    for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
        file = ETC / name
        if file.exists() and file.read_text().startswith(OURS):
            file.unlink()


def _daemon(folder: Path, *command: str, user: str | None = None) -> subprocess.Popen[bytes]:
    """A daemon that ends with this process, and does not get the Ctrl-C that is meant for it."""
    with (folder / f"{command[0]}.out").open("wb") as printed:
        return subprocess.Popen(
            command,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def _end_jobs() -> None:
    if _works("scancel", "--full", "--signal=KILL", "--user=root"):
        _works("scancel", "--user=root")
        until = time.monotonic() + 120
        while _printed("squeue", "--noheader") and time.monotonic() < until:
            time.sleep(0.2)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(15)
    daemon.kill()
    daemon.wait()


def _wait(folder: Path, daemon: str, ready: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            logs = [folder / f"{daemon}.out", folder / f"{daemon}.log"]
            said = "".join(log.read_text(errors="replace")[-2000:] for log in logs if log.exists())
            raise RuntimeError(f"{daemon} did not come up in {seconds:.0f} s; it said:\n{said}")
        time.sleep(0.2)


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
