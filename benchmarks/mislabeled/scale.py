"""What ``hyperinf mislabeled`` costs at 1,000, 10,000 and 100,000 rows: CPU seconds, minutes, peak resident memory.

    python benchmarks/mislabeled/scale.py FOLDER [ROWS ...]

after ``tables.py``; appends lines to ``FOLDER/scale.jsonl``. Rows are the headlines and the tweets, 46,322 different
texts of five classes; for more of them, the same again with one word left out, the second time another one.
"""

import json
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from tables import READERS, Rows, drawn


def many(folder: Path, rows: int) -> Rows:
    """Make so many rows."""
    draw = random.Random(7)
    real = [row for name in ("headlines", "tweets") for row in drawn(READERS[name](folder / "packages"), 10**6, 7)]
    draw.shuffle(real)
    found = dict(real[:rows])
    while len(found) < rows:
        for text, label in real:
            words = text.split()
            del words[draw.randrange(len(words))]
            if words and len(found) < rows:
                found.setdefault(" ".join(words), label)
    return list(found.items())


def main(folder: Path, sizes: list[int]) -> None:
    """Run the command once for each size, and note the longest time without a word."""
    for size in sizes:
        file, out = folder / f"scale-{size}.csv", folder / f"scale-{size}.suspects"
        pd.DataFrame(many(folder, size), columns=["text", "label"]).to_csv(file, index=False)
        command = [sys.executable, "-m", "hyperinf", "mislabeled", str(file), "--text", "text", "--label", "label"]
        command += ["--out", str(out), "--threads", "1", "--model", str(folder / "model")]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        peak = {"VmHWM": 0, "RssAnon": 0}
        watching = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
        watching.start()
        silence, at = 0.0, began
        with (folder / f"scale-{size}.log").open("w") as log:
            for line in process.stderr:
                now = time.monotonic()
                silence, at = max(silence, now - at), now
                log.write(f"{now - began:7.1f} {line}")
                log.flush()
        if process.wait():
            raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        row = {
            "rows": size,
            "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
            "minutes": round((time.monotonic() - began) / 60, 2),
            "peak_mib": peak["VmHWM"] // 1024,
            "peak_mib_without_mapped_files": peak["RssAnon"] // 1024,
            "longest_silence_seconds": round(max(silence, time.monotonic() - at), 1),
        }
        print(json.dumps(row), flush=True)
        with (folder / "scale.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def _watch(process: int, peak: dict[str, int]) -> None:
    status = Path(f"/proc/{process}/status")
    while status.exists():
        for line in status.read_text().splitlines():
            name, _, value = line.partition(":")
            if name in peak:
                peak[name] = max(peak[name], int(value.split()[0]))
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(each) for each in sys.argv[2:]] or [1_000, 10_000, 100_000])
