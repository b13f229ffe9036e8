"""The scheduler's looks at what could run do not become more with every job that has ended."""

import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import ROOT, environment

SNAKEFILE = """
rule all:
    input: expand("quick-{number}", number=range(12)), expand("slow-{number}", number=range(3))
rule quick:
    output: touch("quick-{number}")
    priority: 1
rule slow:
    output: touch("slow-{number}")
    shell: "sleep 3"
"""

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from looks import one_look_at_a_time
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler
if sys.argv[2] == "one":
    one_look_at_a_time()
looks, schedule = [], JobScheduler.job_selector
def counted(self, jobs):
    looks.append(1)
    return schedule(self, jobs)
JobScheduler.job_selector = counted
try:
    main(["--cores", "1", "--quiet", "all"])
finally:
    print(len(looks))
"""


@pytest.mark.parametrize("patched", ["one", "many"])
def test_there_is_one_look_a_second_however_many_jobs_have_ended(patched: str, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "workflow" / "lib"), patched]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    looks = int(done.stdout.split()[-1])
    assert (tmp_path / "slow-2").exists(), done.stderr
    if patched == "one":
        assert looks <= 16 + 16 + 15  # one for each job's start and end, and one a second
    else:
        assert looks > 60, "this Snakemake needs no help: looks.py can go"
