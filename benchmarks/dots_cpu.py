"""Dot products with m queries from factors on a CPU: ours, by hand, and dattri-llm's where it can be imported.

``python -m benchmarks.dots_cpu``, in turns, in seconds of the process's own CPU time; written to
``benchmarks/results/dots_cpu.json``. dattri-llm 0.1.0 takes each query as factors of as many positions, its own form of
a query; ours and those by hand take the query's gradient.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.dots import Pairs, formed, from_factors, ours
from benchmarks.gpu.record import SEED
from benchmarks.machine import device_name
from benchmarks.scores_cpu import difference, in_turns, summary

RESULT = Path(__file__).parent / "results" / "dots_cpu.json"
SHAPES = {
    "MiniLM, 32 x 27 tokens, 24 weights": (32, 27, 8, 384, 24),
    "SmolLM2 cut to 4 layers, 8 x 128 tokens, 16 weights": (8, 128, 8, 576, 16),
}
"""Samples, positions, rank, columns and weights."""
QUERIES = (1, 2, 8, 32, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peer = _peer()
    rows: list[dict[str, Any]] = []
    for name, (samples, positions, rank, columns, weights) in SHAPES.items():
        generator = torch.Generator().manual_seed(SEED)

        def factors(
            count: int, generator: torch.Generator = generator, sizes: tuple[int, ...] = (positions, rank, columns)
        ) -> tuple[Tensor, Tensor]:
            t, r, d = sizes
            return torch.randn(count, t, r, generator=generator), torch.randn(count, t, d, generator=generator)

        pairs = [factors(samples) for _ in range(weights)]
        for queries in QUERIES:
            asked = [factors(queries) for _ in range(weights)]
            vectors = [torch.bmm(left.mT, right) for left, right in asked]
            works: dict[str, Callable[[], Any]] = {
                "formed by hand": partial(formed, pairs, vectors),
                "factors by hand": partial(from_factors, pairs, vectors),
                "ours": partial(ours, pairs, vectors),
            }
            if peer is not None:
                works["dattri-llm"] = partial(_summed, peer, pairs, asked)
            row: dict[str, Any] = {"shape": name, "queries": queries}
            row |= {work: summary(seconds) for work, seconds in in_turns(works, arguments.repeats).items()}
            for work in works.keys() - {"ours"}:
                row[f"of {work}"] = round(row["ours"]["median"] / row[work]["median"], 3)
            row["largest difference"] = difference(works["ours"](), works["formed by hand"]())
            rows.append(row)
            print(name, queries, json.dumps({key: row[key] for key in row if key.startswith("of ")}), flush=True)
    machine = device_name(torch.device("cpu"))
    about = {"machine": machine, "threads": arguments.threads, "torch": torch.__version__, "seed": SEED}
    if peer is not None:
        about["dattri-llm"] = version("dattri-llm")
    RESULT.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


def _summed(peer: Callable[..., Tensor], pairs: Pairs, asked: Pairs) -> Any:
    return sum(peer(*pair, *query, "Linear") for pair, query in zip(pairs, asked, strict=True))


def _peer() -> Callable[..., Tensor] | None:
    try:
        version("dattri-llm")
        from dattri_llm.gradient.ops.dot import cross_gram
    except (PackageNotFoundError, ImportError):
        return None
    return cross_gram


if __name__ == "__main__":
    main()
