"""Write the locks: ``make lock``, or ``make lock ARGS=--upgrade`` for the newest of everything.

Every Python that the project takes is resolved by itself. What is the same for all of them, which it mostly is, stands
once; a line that is not for all has a marker. torch, and what only its CUDA build brings, stand in a file of their own:
which build is installed is chosen at ``make setup TORCH=...``.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES, TORCH = ROOT / "requirements.lock", ROOT / "requirements-cu130.lock"
PYTHONS = ("3.11", "3.12", "3.13")
EXTRAS = ("all", "dev")
PLATFORM = "x86_64-manylinux_2_28"
ONLY_SOURCE = ("connection-pool",)
"""Has no wheel at all: one module of Python, built where it is installed."""
OF_TORCH = re.compile(r"(torch|triton|nvidia-.+|cuda-.+)==")
_HEADS = {
    PACKAGES: """\
# Every package of the environment that the results were made in, but torch, with the hashes of its files.
# Python {pythons}. Written by `make lock`; `make setup` installs exactly these.
""",
    TORCH: """\
# torch as the package index has it for Linux (CUDA 13.0), and what only that build needs, with the hashes of the files.
# Python {pythons}. Written by `make lock`. `make setup TORCH=cu130` takes these; every other TORCH has this release.
""",
}


def main(arguments: list[str]) -> None:
    """Resolve for every Python, and write both files.

    Args:
        arguments: further ones of ``uv pip compile``.
    """
    found: dict[str, list[str]] = {}
    for python in PYTHONS:
        for entry in resolved(python, arguments):
            found.setdefault(entry, []).append(python)
    entries = sorted(marked(entry, pythons) for entry, pythons in found.items())
    for file, of_torch in ((PACKAGES, False), (TORCH, True)):
        chosen = [entry for entry in entries if bool(OF_TORCH.match(entry)) == of_torch]
        file.write_text("\n".join([_HEADS[file].format(pythons=", ".join(PYTHONS)) + chosen[0], *chosen[1:], ""]))
        print(f"{file.name}: {len(chosen)} packages")


def resolved(python: str, arguments: list[str]) -> list[str]:
    """Resolve the project for one Python; each entry is a package, its release and hashes."""
    pins = [
        pin
        for lock in (PACKAGES, TORCH)
        if lock.exists()
        for pin in re.findall(r"^\S+==[^\s;]+", lock.read_text(), re.M)
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "lock.txt")
        # uv leaves what already stands in its output as it is, unless it is told to upgrade.
        out.write_text("\n".join(pins))
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--python-version", python]
        command += [word for extra in EXTRAS for word in ("--extra", extra)]
        command += ["--python-platform", PLATFORM, "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        command += ["--only-binary", ":all:", *(word for name in ONLY_SOURCE for word in ("--no-binary", name))]
        subprocess.run([*command, "--output-file", str(out), *arguments], cwd=ROOT, check=True)
        return re.split(r"\n(?=\S)", out.read_text().strip())


def marked(entry: str, pythons: list[str]) -> str:
    """Mark an entry that is not for every Python."""
    if len(pythons) == len(PYTHONS):
        return entry
    marker = " or ".join(f"python_version == '{python}'" for python in pythons)
    first, *rest = entry.split("\n")
    return "\n".join([first.removesuffix(" \\") + f" ; {marker} \\", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
