"""What the time of scores goes to: the kernels that take longest and how many there are, by method.

``python -m benchmarks.gpu.profile``; on a machine without a GPU it tells the operations of the CPU.
"""

import argparse
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.by_hand import BY_HAND, Score
from benchmarks.gpu.record import SEED
from benchmarks.gpu.scores import OURS, SIZES, drawn, ours
from hyperinf.runtime.devices import resolve_device
from hyperinf.simulation.clock import timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=list(OURS), default=["TracIN", "DataInf", "LiSSA"])
    parser.add_argument("--columns", type=int, default=384)
    parser.add_argument("--sizes", choices=list(SIZES), default="full")
    parser.add_argument("--rows", type=int, default=12, help="kernels that are shown")
    arguments = parser.parse_args()
    device, size = torch.device(resolve_device("auto")), SIZES[arguments.sizes]
    train = drawn(size, size.samples, arguments.columns, device, SEED)
    target = drawn(size, size.targets, arguments.columns, device, SEED + 1)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    for method in arguments.methods:
        works: dict[str, Score] = {"by hand": BY_HAND[method], "ours": partial(ours, method)}
        for name, work in works.items():
            for _ in range(2):
                work(train, target)
            seconds = min(timed(partial(work, train, target), device)[1] for _ in range(5))
            with profile(activities=activities) as found:
                timed(partial(work, train, target), device)
            events = found.key_averages()
            waits = sum(each.count for each in events if each.key in ("aten::item", "cudaStreamSynchronize"))
            launches = sum(each.count for each in events if each.key.startswith(("cudaLaunchKernel", "cuLaunchKernel")))
            print(f"\n{method}, {name}: {seconds * 1e3:.3g} ms, {launches} kernels, {waits} waits")
            by = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
            print(events.table(sort_by=by, row_limit=arguments.rows, max_name_column_width=60))
            if device.type == "cuda":
                print(events.table(sort_by="self_cpu_time_total", row_limit=arguments.rows, max_name_column_width=60))


if __name__ == "__main__":
    main()
