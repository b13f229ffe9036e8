"""Stands in for ``python -m hyperinf`` in the workflow's tests: writes what a command promises, at once."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hyperinf.cli.commands import STAGES
from hyperinf.cli.flags import settings_of
from hyperinf.cli.main import build_parser, named
from hyperinf.cli.main import main as command_line
from hyperinf.reporting.manifest import expected, expected_page, expected_simulation
from hyperinf.runtime.gpus import take_for
from hyperinf.settings.stages import Finetune

SPLITS = ("train.parquet", "validation.parquet", "test.parquet")
RECORD = ("info.json", "settings.yaml")
# What a stage writes into the folder `out`; of those that are not here, `out` is the file itself.
FOLDERS: dict[str, tuple[str, ...]] = {
    "prepare": (*SPLITS, *RECORD),
    "prepare-model": ("config.json", *RECORD),
    "align": ("config.json", *RECORD),
    "score": ("scores.parquet", "cost.csv", "shards", *RECORD),
    "detect": ("metrics.csv", "curves.csv", *RECORD),
    "select": ("metrics.csv", "selection.parquet", *RECORD),
    "retrain": ("subsets.parquet", "losses.parquet", *RECORD),
    "validate": ("metrics.csv", "lds.csv", *RECORD),
    "simulate fisher": ("fim.npy", "gfim.npy", "summary.csv"),
}


def main() -> None:
    argv = sys.argv[1:]
    # As the command line does: a flag or a value that it would refuse fails the run.
    parsed = build_parser(argv).parse_args(argv)
    if argv[0] == "settings":
        sys.exit(command_line(argv))
    command = next((stage.name for stage in STAGES if argv[: len(stage.name.split())] == stage.name.split()), "")
    settings = settings_of(parsed, named(next(s.settings for s in STAGES if s.name == command))) if command else None
    command = command or " ".join(argv[:2])
    if settings is not None and "device" in type(settings).model_fields:
        take_for(settings.device)
    with Path("calls.jsonl").open("a") as calls:
        calls.write(json.dumps(argv) + "\n")
    note("begins", argv)
    if meant("STUB_HANG", command, argv):
        Path("hanging.pid").write_text(str(os.getpid()))
        time.sleep(600)
    time.sleep(
        sum(float(seconds) for word, seconds in json.loads(os.environ.get("STUB_SLEEP", "{}")).items() if word in argv)
    )
    if meant("STUB_KILL_ONCE", command, argv) and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if meant("STUB_FAIL", command, argv):
        sys.exit("hyperinf: error: the stub was told to fail")
    for file in [parsed.record] if settings is None else outputs(command, settings):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{len(settings.parts) or 1}\n" if file.name == "shards" else f"{command}\n")
    note("ends", argv)


def note(event: str, argv: list[str]) -> None:
    """Write down when a command begins or ends, and on which GPUs."""
    with Path("spans.jsonl").open("a") as spans:
        spans.write(json.dumps([event, time.time(), argv[:2], os.environ.get("CUDA_VISIBLE_DEVICES", "")]) + "\n")


def meant(variable: str, command: str, argv: list[str]) -> bool:
    """Say whether a variable names this call: its command, or ``COMMAND@PART``, a part of what stands behind it."""
    name, _, part = os.environ.get(variable, "").partition("@")
    return name == command and part in " ".join(argv)


def outputs(command: str, settings: Any) -> list[Path]:
    out = Path(settings.out)
    if isinstance(settings, Finetune):
        kept = [f"{name}/adapter_model.safetensors" for name in settings.checkpoint_names]
        return [out / name for name in (*kept, "training.csv", *RECORD)]
    if command == "report page":
        return [out, *(out.parent / file for entry in expected_page() for file in entry.files)]
    if command.startswith("report "):
        entries = expected_simulation() if command == "report simulation" else expected(settings)
        return [out / file for entry in entries for file in entry.files]
    return [out / name for name in FOLDERS[command]] if command in FOLDERS else [out]


if __name__ == "__main__":
    main()
