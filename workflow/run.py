"""Run Snakemake as a child that does not outlive its parent: ``python workflow/run.py [Snakemake's arguments]``.

``make run`` starts Snakemake through this. When make is killed in a way that it cannot pass on (``kill -9``), the
kernel ends Snakemake as well, and ``make run`` can be given again at once. Without make, plain ``snakemake`` does.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent / "lib"), str(Path(__file__).resolve().parents[1])]

from overlays import unreadable  # noqa: E402

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it ends (Linux only; elsewhere nothing happens)."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this run has ended; nothing was started")


def main() -> None:
    """Run Snakemake with this process's arguments, unless they name a configuration file that cannot be read."""
    die_with_parent()
    if lines := unreadable(sys.argv[1:]):
        print("The configuration cannot be used; nothing was started.", *lines, sep="\n", file=sys.stderr)
        sys.exit(2)
    from snakemake.cli import main as snakemake

    sys.argv[0] = "snakemake"
    snakemake(sys.argv[1:])


if __name__ == "__main__":
    main()
