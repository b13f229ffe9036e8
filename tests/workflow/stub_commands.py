"""Stands in for ``python -m hyperinf`` in the workflow's tests: writes what a command promises, at once."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from hyperinf.cli import build_parser
from hyperinf.reporting.manifest import expected_outputs


def main() -> None:
    argv = sys.argv[1:]
    parsed = build_parser().parse_args(argv)
    with Path("calls.jsonl").open("a") as calls:
        calls.write(json.dumps(argv) + "\n")
    command = " ".join(word for word in argv[:2])
    if command == os.environ.get("STUB_HANG"):
        Path("hanging.pid").write_text(str(os.getpid()))
        time.sleep(600)
    time.sleep(
        sum(float(seconds) for word, seconds in json.loads(os.environ.get("STUB_SLEEP", "{}")).items() if word in argv)
    )
    if command == os.environ.get("STUB_FAIL") or os.environ.get("STUB_FAIL_ON") in argv:
        sys.exit("hyperinf: error: the stub was told to fail")
    for file in outputs(command, parsed):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{len(parsed.parts) or 1}\n" if file.name == "shards" else f"{command}\n")


def outputs(command: str, parsed: argparse.Namespace) -> list[Path]:
    options = vars(parsed)
    if command == "assets fetch":
        return [options["record"]]
    out = Path(options["out"])
    if command.startswith(("select shard-", "shards ")):
        return [out]
    if command == "select align":
        return [out / "config.json"]
    if command in ("simulate convergence", "simulate timing", "report page"):
        tables = [out.parent / file for file in expected_outputs("page")] if command == "report page" else []
        return [out, *tables]
    if command == "simulate fisher":
        return [out / name for name in ("fim.npy", "gfim.npy", "summary.csv")]
    if command == "mislabel data":
        return [out / name for name in ("train.parquet", "validation.parquet", "test.parquet", "info.json")]
    if command == "mislabel finetune":
        kept = [out / f"epoch-{epoch}" / "adapter_model.safetensors" for epoch in options["epochs"]]
        return [*kept, out / "training.csv", out / "info.json"]
    if command == "mislabel score":
        kept = sorted(Path(options["adapter"]).glob("epoch-*"))
        scores = [out / f"{epoch.name}.parquet" for epoch in kept]
        return [*scores, *(out / name for name in ("metrics.csv", "curves.csv", "cost.csv", "info.json"))]
    if command in ("model prepare", "select align"):
        return [out / "config.json"]
    if command == "select data":
        return [out / name for name in ("pool.parquet", "validation.parquet", "test.parquet", "info.json")]
    if command == "select warmup":
        return [out / "adapter_model.safetensors", out / "info.json"]
    if command == "select score":
        return [out / name for name in ("scores.parquet", "metrics.csv", "cost.csv", "info.json", "shards")]
    if command == "select finetune":
        return [out / name for name in ("metrics.csv", "selection.parquet", "info.json")]
    if command == "report selection":
        cells = {run.parts[-4:-1] for run in options["runs"]}
        shown = options["methods"] if options["data"] else ()
        names = expected_outputs("selection", study=options["study"], cells=cells, methods=shown)
        return [out / file for file in names]
    if command == "report simulation":
        return [out / file for file in expected_outputs("simulation")]
    assert command == "report mislabel", command
    pairs = {(run.parts[-5], run.parts[-4]) for run in options["runs"]}
    return [out / file for file in expected_outputs("mislabel", pairs=pairs)]


if __name__ == "__main__":
    main()
