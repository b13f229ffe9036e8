"""Stop a run again and again, in every way that a run is stopped, and see that its results are those of one left alone.

    python tests/faults/harness.py --stops 25 --seed 1 --report benchmarks/results/faults.json

One copy of the workflow runs undisturbed. Another is started, meets a fault after a random time, and is started again
until the stops are used up and a run ends by itself. Then the files that hold data, scores and tables must have the
same hashes in both. The seed decides which faults come in which order and after how many seconds; what a run was doing
at that moment depends on the machine.

A damaged file is the one fault that a run started again may refuse: it must name what is to be removed, which is then
done.
"""

import argparse
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "hyperinf")
CONFIG = ("workflow/config/smoke.yaml", "overlay.yaml")
# Seconds and memory differ from run to run, and what is made of them: costs, timings, the ledger of claims about them,
# the page and what is printed there. Settings name the folders of each copy.
MEASURED = re.compile(
    r"(^|/)(logs|benchmarks|assets|figures)/|cost|timing|lds|claims|_manifest\.json$|/settings\.yaml$|\.lock$|report\.html$"
)
# What a stopped job leaves to go on from, or to be swept away.
LEFT = re.compile(r"[./]state/|/\.gradients-")
# What the jobs of a scoring in shards pass on; it is gone when the scores are there.
SHARD = re.compile(r"^/(?!logs/|benchmarks/).*/shards-\d+/[^/]+/[^.]")
# What a finished job leaves to others, each file an input of a rule.
OUTPUT = re.compile(r"/data/(seed-\d+/)?(train|validation|test)\.parquet$|/scores\.parquet$|/metrics\.csv$")
ADVICE = re.compile(r"; remove (\S+) to have it made again")
# Seconds that a fault waits for something to spoil.
PATIENCE = 20.0
KINDS = (
    "kill_run",
    "kill_job",
    "retry_beyond_limit",
    "interrupt",
    "disk_full",
    "truncate_state",
    "flip_state",
    "truncate_shard",
    "flip_shard",
    "empty_cache",
    "flip_output",
    "second_run",
    "two_users",
    "clock_back",
)
# Stages that ask for 6000 or 8000 MB, and memory that holds no second attempt of theirs, which asks for twice as much.
LARGE = (b"align", b"finetune", b"score", b"select")
LIMIT = "mem_mb=9000"
# A second user and the group that the two share; only root can play them.
OTHER_USER, GROUP = 61_002, 61_000


@dataclass
class Workspace:
    """A copy of the workflow with results and cache of its own."""

    root: Path
    studies: Sequence[str] = ()
    results: Path = field(init=False)
    cache: Path = field(init=False)
    log: Path = field(init=False)
    said_before: int = 0
    damaged: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            copy: Callable[..., object] = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, self.root / part)
        shutil.copy2(ROOT / "tests/every_job.yaml", self.root / "overlay.yaml")
        if self.studies:
            with open(self.root / "overlay.yaml", "a", encoding="utf-8") as overlay:
                overlay.write(f"run: [{', '.join(self.studies)}]\n")
        self.results = self.root / "results" / "smoke"
        self.cache = self.root / "cache"
        self.log = self.root.with_suffix(".log")
        self.fill_cache()

    def fill_cache(self) -> None:
        """As a site's shared cache is: with what another run has fetched; without one the run fetches for itself."""
        shared = os.environ.get("HYPERINF_CACHE")
        if shared and Path(shared).is_dir():
            shutil.copytree(shared, self.cache, dirs_exist_ok=True)

    def start(self, log: Path | None = None, flags: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        if log is None:
            log = self.log
            self.said_before = log.stat().st_size if log.exists() else 0
        environment = {**os.environ, "HYPERINF_CACHE": str(self.cache), "OMP_NUM_THREADS": "1"}
        with open(log, "ab") as stream:
            return subprocess.Popen(
                [sys.executable, "workflow/run.py", "--cores", "2", *flags, "--configfile", *CONFIG],
                cwd=self.root,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """What the run that was started last has printed."""
        return self.log.read_bytes()[self.said_before :].decode(errors="replace")

    def jobs(self, stages: Sequence[bytes] = ()) -> list[int]:
        """Ids of the processes that compute: ``python -m hyperinf ...`` of this copy, of these stages or of all."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                here = (entry / "cwd").readlink() == self.root
            except OSError:
                continue
            if here and command[1:3] == [b"-m", b"hyperinf"] and (not stages or command[3] in stages):
                found.append(int(entry.name))
        return found

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file that must not depend on what happened on the way."""
        return {
            name: sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.results.rglob("*"))
            if path.is_file() and not MEASURED.search(name := path.relative_to(self.results).as_posix())
        }


def stop(run: "subprocess.Popen[bytes]", how: int = signal.SIGKILL) -> None:
    if run.poll() is None:
        os.kill(run.pid, how)
    run.wait(timeout=120)


def kill_run(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    stop(run)
    return "the run, by SIGKILL"


def kill_job(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    jobs = here.jobs()
    if not jobs:
        return "no job was running"
    os.kill(rng.choice(jobs), signal.SIGKILL)
    run.wait(timeout=300)
    return f"one of {len(jobs)} jobs, by SIGKILL"


def retry_beyond_limit(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """A job is killed, and asks for more at its second attempt than there is: it gets what there is, and runs."""
    stop(run)
    run = here.start(flags=("--retries", "1", "--resources", LIMIT))
    while run.poll() is None and not here.jobs(LARGE):
        time.sleep(0.02)
    for job in here.jobs(LARGE)[:1]:
        os.kill(job, signal.SIGKILL)
        until = time.monotonic() + 3 * PATIENCE
        while run.poll() is None and "Trying to restart" not in here.said() and time.monotonic() < until:
            time.sleep(0.05)
        retried = "Trying to restart" in here.said()
        while retried and run.poll() is None and not here.jobs(LARGE):
            time.sleep(0.02)
        assert run.poll() in (None, 0) or here.damaged, here.said()[-3000:]
        stop(run)
        return f"a job with {LIMIT}, by SIGKILL: {'tried again within it' if retried else 'it had just ended'}"
    stop(run)
    return "the run, by SIGKILL; no large job was left"


def interrupt(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    stop(run, signal.SIGINT)
    return "the run, by SIGINT"


def disk_full(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """The disk is full until the run has ended or has got along without space for a while."""
    ballast = here.results / "ballast"
    with open(ballast, "wb") as stream:
        try:
            while True:
                stream.write(bytes(2**20))
                stream.flush()
        except OSError:
            pass
    try:
        run.wait(timeout=20)
        said = "the run gave up"
    except subprocess.TimeoutExpired:
        stop(run)
        said = "the run was killed while it was full"
    ballast.unlink()
    return f"disk full: {said}"


def spoil(
    here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random, kind: re.Pattern[str], flip: bool
) -> Path | None:
    """Stop the run as soon as there is a file of the kind, and cut one of them in half or flip one of its bits."""

    def left() -> list[Path]:
        return sorted(p for p in files_below(here.results) if kind.search(f"/{p.relative_to(here.results)}"))

    until = time.monotonic() + PATIENCE
    while run.poll() is None and not left() and time.monotonic() < until:
        time.sleep(0.05)
    if run.poll() is None:
        stop(run)
        for job in here.jobs():
            os.kill(job, signal.SIGKILL)
    if not (files := left()):
        return None
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    if not flip:
        content = content[: len(content) // 2]
    elif content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return path


def files_below(folder: Path) -> list[Path]:
    """Files may come and go while this looks."""
    return [Path(root, name) for root, _, names in os.walk(folder) for name in names]


def spoil_state(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random, flip: bool) -> str:
    """A file that a stopped job has left to go on from."""
    path = spoil(here, run, rng, LEFT, flip)
    said = "a bit flipped in" if flip else "cut in half:"
    return f"{said} {path.relative_to(here.results)}" if path else "the run, by SIGKILL; it had left nothing to spoil"


def truncate_state(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    return spoil_state(here, run, rng, flip=False)


def flip_state(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    return spoil_state(here, run, rng, flip=True)


def spoil_finished(
    here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random, flip: bool, kind: re.Pattern[str] = SHARD
) -> str:
    """A finished file between two jobs: it must not be used as if it were whole."""
    path = spoil(here, run, rng, kind, flip)
    said = "a bit flipped in" if flip else "cut in half:"
    if path is None:
        return "the run, by SIGKILL; there was no finished file to spoil"
    here.damaged.add(path)
    return f"{said} {path.relative_to(here.results)}"


def truncate_shard(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    return spoil_finished(here, run, rng, flip=False)


def flip_shard(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    return spoil_finished(here, run, rng, flip=True)


def flip_output(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """In an output that a job has finished: it is refused, removed as the refusal says, and made again."""
    return spoil_finished(here, run, rng, flip=True, kind=OUTPUT)


def empty_cache(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """Under the run's feet; what another one has fetched is there again for the next start."""
    shutil.rmtree(here.cache, ignore_errors=True)
    try:
        run.wait(timeout=30)
    except subprocess.TimeoutExpired:
        stop(run)
    here.fill_cache()
    return "the cache of assets emptied"


def second_run(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str | None:
    log = here.root / "second.log"
    other = here.start(log)
    while other.poll() is None and run.poll() is None:
        time.sleep(0.02)
    if run.poll() is not None:  # the first one had nothing left to do: that is no fault
        stop(other)
        return None
    code = other.wait(timeout=120)
    said = log.read_text().splitlines()[-1:]
    log.unlink()
    assert code != 0, "a second run at once was not refused"
    assert "at work here; nothing was started" in said[0], said
    stop(run)
    return "a second run at once was refused"


def two_users(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """In the middle of the run a colleague finds an asset gone from the cache that both use, and fetches it."""
    there = [path.name for path in here.cache.iterdir() if (path / "asset.json").is_file()]
    if os.geteuid() or not shutil.which("setpriv") or not there or not (here.cache / "wheels").is_dir():
        stop(run)
        return "the run, by SIGKILL; there was nobody to share the cache with"
    for folder in (here.cache, here.cache / "wheels"):
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)
    name = rng.choice(sorted(there))
    shutil.rmtree(here.cache / name)
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    user = ["setpriv", "--reuid", str(OTHER_USER), "--regid", str(GROUP), "--clear-groups", *reads]
    fetch = [sys.executable, "-m", "hyperinf", "assets", "fetch", name, "--cache", str(here.cache)]
    done = subprocess.run([*user, *fetch], cwd=here.root, capture_output=True, text=True, umask=0o022, check=False)
    assert done.returncode == 0, done.stderr
    stop(run)
    return f"a second user fetched {name} into the cache of both; the run, by SIGKILL"


def clock_back(here: Workspace, run: "subprocess.Popen[bytes]", rng: random.Random) -> str:
    """To all that was written before, a clock set back by an hour is one that was an hour ahead."""
    stop(run)
    for job in here.jobs():
        os.kill(job, signal.SIGKILL)
    for path in here.results.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, (status.st_atime + 3600, status.st_mtime + 3600))
    return "the clock set back by an hour"


FAULTS: dict[str, Callable[[Workspace, "subprocess.Popen[bytes]", random.Random], str | None]] = {
    name: globals()[name] for name in KINDS
}


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A disk of its own for a folder, that can be filled; where none can be mounted, disks are never full."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def undisturbed(folder: Path, studies: Sequence[str]) -> tuple[dict[str, str], float]:
    """Hashes of a run that is left alone, and its seconds."""
    here = Workspace(folder, studies)
    began = time.monotonic()
    if here.start().wait() != 0:
        sys.exit(f"the undisturbed run failed:\n{here.said()[-3000:]}")
    return here.hashes(), time.monotonic() - began


def disturbed(
    folder: Path, studies: Sequence[str], stops: int, seed: int, seconds: float, wanted: Sequence[str]
) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Hashes of a run that met so many faults, and what they were."""
    rng = random.Random(seed)
    here = Workspace(folder, studies)
    met: list[dict[str, object]] = []
    with small_disk(here.results.parent, 512) as can_be_full:
        kinds = [kind for kind in wanted if can_be_full or kind != "disk_full"]
        plan = [kind for _ in range(0, stops, len(kinds)) for kind in rng.sample(kinds, len(kinds))]
        while len(met) < stops:
            kind, after = plan[len(met)], rng.uniform(4.0, max(10.0, seconds / 3))
            run = here.start()
            try:
                run.wait(timeout=after)
                what = None
            except subprocess.TimeoutExpired:
                what = FAULTS[kind](here, run, rng)
            if what is None:
                # It ended before its fault came: with an error it was not ready for, or whole.
                ended(here, run, met)
                if run.returncode == 0:
                    forget(here)
                continue
            stop(run)
            met.append({"fault": kind, "after_seconds": round(after, 1), "what": what})
            print(f"stop {len(met)} of {stops}, after {after:.1f} s: {what}", flush=True)
        while (final := here.start()).wait() != 0:
            ended(here, final, met)
        return here.hashes(), met


def ended(here: Workspace, run: "subprocess.Popen[bytes]", met: list[dict[str, object]]) -> None:
    """A run that ended by itself did so whole, or because it refused a damaged file; what it says is removed."""
    if run.returncode == 0:
        return
    said = here.said()
    named = [path for path in here.damaged if path.exists() and f"{path.relative_to(here.root)}: " in said]
    advised = [here.root / name for name in ADVICE.findall(said)]
    refused = sorted({path for path in advised or named if path.exists()})
    if not named or not refused:
        sys.exit(f"a run started again failed by itself:\n{said[-3000:]}")
    here.damaged.difference_update(named)
    for path in refused:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        met[-1]["what"] = f"{met[-1]['what']}; then refused by name and removed: {path.relative_to(here.results)}"
        print(f"refused by name, and removed: {path.relative_to(here.results)}", flush=True)


def forget(here: Workspace) -> None:
    """A finished run has nothing to stop: all but the synthetic study's numbers and the models is removed."""
    for path in here.results.iterdir():
        if path.name not in ("simulation", "models"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    here.damaged.clear()
    print("the run was whole: its results removed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of faults; by default all")
    parser.add_argument("--run", nargs="+", default=(), metavar="STUDY", help="studies; by default all")
    parser.add_argument("--report", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hyperinf-faults-") as folder:
        expected, seconds = undisturbed(Path(folder) / "alone", arguments.run)
        print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
        found, met = disturbed(
            Path(folder) / "disturbed", arguments.run, arguments.stops, arguments.seed, seconds, arguments.kinds
        )
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    for name in different:
        print(f"differs: {name}", flush=True)
    if arguments.report is not None:
        from hyperinf.artifacts.files import write_json

        record = {
            "seed": arguments.seed,
            "stops": met,
            "files_compared": len(expected),
            "different": different,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        write_json(arguments.report, record)
    print(f"{len(met)} stops, {len(expected)} files compared, {len(different)} differ", flush=True)
    sys.exit(bool(different or not expected))


if __name__ == "__main__":
    main()
