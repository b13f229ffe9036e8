"""Stands in for ``python -m hyperinf`` in the workflow's tests: writes what a command promises, at once.

What it promises is asked of the library's own parser, which is most of the time that this takes: the answer is kept in
the folder ``$STUB_KNOWN`` for the next call with the same arguments and the same library.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from hyperinf.runtime.gpus import take_for

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
    if argv[0] == "settings":
        from hyperinf.cli.main import main as command_line

        sys.exit(command_line(argv))
    kept = Path(os.environ["STUB_KNOWN"], asked_by(argv)) if "STUB_KNOWN" in os.environ else None
    if kept is not None and kept.is_file():
        promised = json.loads(kept.read_text())
    else:
        promised = promise(argv)
        if kept is not None:
            kept.parent.mkdir(exist_ok=True)
            whole = kept.with_name(f"{os.getpid()}.{kept.name}")
            whole.write_text(json.dumps(promised))
            whole.replace(kept)
    take_for(promised["device"])
    command = promised["command"]
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
    for name in promised["files"]:
        file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{promised['shards']}\n" if file.name == "shards" else f"{command}\n")
    note("ends", argv)


def asked_by(argv: list[str]) -> str:
    """Name a call by its words and by the state of the library's sources."""
    root = Path(__file__).parent
    sources = [
        (entry.path.removeprefix(str(root)), entry.stat().st_mtime_ns, entry.stat().st_size)
        for folder, _, _ in os.walk(root)
        for entry in os.scandir(folder)
        if entry.name.endswith(".py")
    ]
    return hashlib.sha256(json.dumps([argv, sorted(sources)]).encode()).hexdigest()


def promise(argv: list[str]) -> dict[str, Any]:
    """What a command is called and writes, and where it runs; one that the command line would refuse ends here."""
    from hyperinf.cli.commands import STAGES
    from hyperinf.cli.flags import settings_of
    from hyperinf.cli.main import build_parser, named

    parsed = build_parser(argv).parse_args(argv)
    command = next((stage.name for stage in STAGES if argv[: len(stage.name.split())] == stage.name.split()), "")
    if not command:
        return {"command": " ".join(argv[:2]), "device": "cpu", "shards": 1, "files": [str(parsed.record)]}
    settings = settings_of(parsed, named(next(stage.settings for stage in STAGES if stage.name == command)))
    return {
        "command": command,
        "device": getattr(settings, "device", "cpu"),
        "shards": len(getattr(settings, "parts", ())) or 1,
        "files": [str(file) for file in outputs(command, settings)],
    }


def note(event: str, argv: list[str]) -> None:
    """Write down when a command begins or ends, and on which GPUs."""
    with Path("spans.jsonl").open("a") as spans:
        spans.write(json.dumps([event, time.time(), argv[:2], os.environ.get("CUDA_VISIBLE_DEVICES", "")]) + "\n")


def meant(variable: str, command: str, argv: list[str]) -> bool:
    """Say whether a variable names this call: its command, or ``COMMAND@PART``, a part of what stands behind it."""
    name, _, part = os.environ.get(variable, "").partition("@")
    return name == command and part in " ".join(argv)


def outputs(command: str, settings: Any) -> list[Path]:
    from hyperinf.reporting.manifest import expected, expected_page, expected_simulation

    out = Path(settings.out)
    if command == "finetune":
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
