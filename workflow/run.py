"""Run Snakemake as a child that does not outlive its parent: ``python workflow/run.py [Snakemake's arguments]``.

``make run`` starts Snakemake through this. When make is killed in a way that it cannot pass on (``kill -9``), the
kernel ends Snakemake as well, and ``make run`` can be given again at once. Without make, plain ``snakemake`` does.
A report is one of the last run, whatever its configuration was.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent / "lib"), str(Path(__file__).resolve().parents[1])]

from last_run import with_configuration  # noqa: E402
from overlays import unreadable  # noqa: E402
from parent import die_with_parent  # noqa: E402
from places import unwritable  # noqa: E402


def main() -> None:
    """Run Snakemake with this process's arguments, unless they name a configuration file that cannot be read."""
    die_with_parent()
    arguments = with_configuration(sys.argv[1:])
    if lines := unreadable(arguments):
        print("The configuration cannot be used; nothing was started.", *lines, sep="\n", file=sys.stderr)
        sys.exit(2)
    if lines := unwritable():
        print(*lines, sep="\n", file=sys.stderr)
        sys.exit(2)
    from snakemake.cli import main as snakemake

    # From a folder without one, ours; one that is named wins.
    ours = (
        [] if Path("Snakefile").is_file() else ["--snakefile", str(Path(__file__).resolve().parents[1] / "Snakefile")]
    )
    sys.argv = ["snakemake", *ours, *arguments]
    snakemake(sys.argv[1:])


if __name__ == "__main__":
    main()
