"""What a run found, on disk after every row, and how much of its time is left."""

import json
import math
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

import hyperinf
from benchmarks.gpu.timing import Work, attempted, compared, released, summary
from benchmarks.machine import device_name
from hyperinf.artifacts.files import write_text
from hyperinf.runtime.profiling import metered

SEED = 11


def header(device: torch.device, sizes: str, budget: float) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "device": device_name(device),
        "memory_gib": torch.cuda.mem_get_info(device)[1] / 2**30 if device.type == "cuda" else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "hyperinf": hyperinf.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
        "seed": SEED,
        "sizes": sizes,
        "budget_seconds": budget,
    }


def file_name(device: torch.device) -> str:
    """``gpu_<device>.json``."""
    return f"gpu_{re.sub('[^a-z0-9]+', '_', device_name(device).lower()).strip('_')}.json"


@dataclass
class Record:
    """The whole result.

    Attributes:
        path: where it is written.
        content: what is written.
    """

    path: Path
    content: dict[str, Any]

    def section(self, name: str, device: torch.device, until: float) -> "Section":
        """Begin a section, which is to end at ``until`` of ``time.monotonic``."""
        rows: list[dict[str, Any]] = []
        left_out: list[str] = []
        self.content.setdefault("sections", {})[name] = {"rows": rows, "left_out": left_out}
        return Section(self, name, device, until, rows, left_out)

    def write(self) -> None:
        """Write all that is known, in the order of its making: a row's first time is what others are compared with."""
        write_text(self.path, json.dumps(_plain(self.content), indent=1, allow_nan=False) + "\n")


@dataclass
class Section:
    """The rows of one section.

    Attributes:
        record: that they belong to.
        name: of the section.
        device: where it runs.
        until: of ``time.monotonic``, when it should end.
        rows: each ``{"what", "times", "notes"}``; the first of the times is what the others are compared with.
        left_out: what there was no time for.
    """

    record: Record
    name: str
    device: torch.device
    until: float
    rows: list[dict[str, Any]]
    left_out: list[str]
    began: float = field(default_factory=time.monotonic)

    def begins(self, what: Mapping[str, Any], needs: float = 0.0) -> bool:
        """Whether there is time for this, ``needs`` seconds; what there is none for is noted."""
        if time.monotonic() + needs <= self.until:
            return True
        self.left_out.append(_line(what))
        self.record.write()
        print(f"{self.name}: {_line(what)}: left out, no time", flush=True)
        return False

    def compare(
        self, what: Mapping[str, Any], works: Mapping[str, Work], repeats: int, slow: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """Add a row of times; see :func:`compared`."""
        return self.add(what, compared(works, self.device, repeats, self.until, slow))

    def once(self, what: Mapping[str, Any], name: str, work: Work) -> dict[str, Any]:
        """Add a row of one call's time and peak memory, where a call is long and was warmed up by others."""

        def run() -> dict[str, Any]:
            with metered(str(self.device)) as cost:
                work()
            return {**summary([cost.seconds]), "peak_mib": cost.peak_memory_mib}

        times, error = attempted(run, self.device)
        return self.add(what, {name: {"error": error} if error else times})

    def add(self, what: Mapping[str, Any], times: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Add a row, write the record and print it."""
        row = {"what": dict(what), "times": {name: dict(each) for name, each in times.items()}, "notes": {}}
        self.rows.append(row)
        self.record.write()
        print(f"{self.name}: {_line(what)}: {'; '.join(_said(name, each) for name, each in times.items())}", flush=True)
        return row

    def note(self, row: Mapping[str, Any], work: Work) -> None:
        """Add to the row what ``work`` returns, ``{name: value}``, or why it failed."""
        notes, error = attempted(work, self.device)
        row["notes"].update({"error": error} if error else notes)
        self.record.write()

    def attempt(self, what: Mapping[str, Any], work: Work) -> None:
        """Run ``work``, which adds rows; where it fails, as out of memory when a model is made, that is a row."""
        _, error = attempted(work, self.device)
        if error:
            self.add(what, {"": {"error": error}})
        released(self.device)

    def end(self) -> None:
        """Note how long it took, and say so."""
        seconds = round(time.monotonic() - self.began, 1)
        self.record.content["sections"][self.name]["seconds"] = seconds
        self.record.write()
        print(f"{self.name}: {seconds} s", flush=True)


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers that are none, such as the residual of an inverse that failed, as words."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _line(what: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in what.items())


def _said(name: str, times: Mapping[str, Any]) -> str:
    if "error" in times:
        return f"{name} {times['error']}"
    peak = "" if times["peak_mib"] is None else f" ({times['peak_mib']:.0f} MiB)"
    return f"{name} {times['median'] * 1e3:.3g} ms{peak}"
