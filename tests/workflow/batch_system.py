"""Plays a batch system on this machine, PBS Pro, SGE or LSF: it is called with the name of one of their commands.

It takes the flags that the command takes, and no others, runs the job at once, and answers in the real one's words.
With ``$BATCH_KILLS`` it kills the first job whose script names that rule, as a node does that has no memory left.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(os.environ["BATCH_STATE"])


def qsub(words: list[str]) -> None:
    """Of PBS Pro, or, where it is asked for a number alone, of SGE."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    sge = "-terse" in words
    for flag in ("-terse", "-cwd") if sge else ():
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("-V", action="store_true", required=True)
    parser.add_argument("-l", action="append", required=True)
    for flag in ("-q", "-N", "-j"):
        parser.add_argument(flag)
    if sge:
        parser.add_argument("-pe", nargs=2)
    parser.add_argument("script")
    asked = parser.parse_args(words)
    number = submit(asked.script, vars(asked))
    print(number if sge else f"{number}.server")


def bsub(words: list[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("-n", "-M", "-W"):
        parser.add_argument(flag, type=int, required=True)
    parser.add_argument("-gpu")
    parser.add_argument("script")
    asked = parser.parse_args(words)
    print(f"Job <{submit(asked.script, vars(asked))}> is submitted to default queue <normal>.")


def submit(script: str, asked: dict[str, object]) -> int:
    """Start a job, with a process that waits for its end and writes down what came of it."""
    STATE.mkdir(exist_ok=True)
    number = len(list(STATE.glob("*.asked"))) + 1
    (STATE / f"{number}.asked").write_text(json.dumps(asked))
    subprocess.Popen(
        [sys.executable, __file__, "wait", str(number), script],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return number


def wait(number: str, script: str) -> None:
    job = subprocess.Popen(["sh", script], start_new_session=True)
    (STATE / f"{number}.process").write_text(str(job.pid))
    rule, killed = os.environ.get("BATCH_KILLS"), STATE / "killed"
    if rule and f"'{rule}:" in Path(script).read_text() and not killed.exists():
        killed.touch()
        time.sleep(0.5)
        os.killpg(job.pid, signal.SIGKILL)
    (STATE / f"{number}.ended").write_text(str(job.wait()))


def ended(number: str) -> int | None:
    file = STATE / f"{number.partition('.')[0]}.ended"
    return int(file.read_text() or 1) if file.is_file() else None


def qstat(words: list[str]) -> None:
    """``qstat -x -f ID`` of PBS Pro, ``qstat -j ID`` of SGE, which forgets a job at its end."""
    status = ended(words[-1])
    if words[0] == "-j":
        sys.exit(0 if status is None else "Following jobs do not exist")
    print(f"Job Id: {words[-1]}\n    job_state = {'R' if status is None else 'F'}")
    if status is not None:
        print(f"    Exit_status = {status if status >= 0 else 256 - status}")


def qacct(words: list[str]) -> None:
    status = ended(words[-1])
    if status is None:
        sys.exit("error: job id not found")
    print(f"jobnumber    {words[-1]}\nexit_status  {abs(status)}")


def bjobs(words: list[str]) -> None:
    status = ended(words[-1])
    print("RUN" if status is None else "EXIT" if status else "DONE")


def qdel(words: list[str]) -> None:
    for number in words:
        os.killpg(int((STATE / f"{number.partition('.')[0]}.process").read_text()), signal.SIGKILL)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "wait":
        wait(*arguments)
    else:
        globals()[command](arguments)
