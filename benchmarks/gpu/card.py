"""What the card does at its best: matrix products of every precision, and a copy."""

from functools import partial

import torch

from benchmarks.gpu.models import tf32
from benchmarks.gpu.record import SEED, Section

SIZES = {"tiny": 64, "full": 8192}
PRECISIONS = {
    "float64": (torch.float64, False),
    "float32": (torch.float32, False),
    "TF32": (torch.float32, True),
    "bfloat16": (torch.bfloat16, False),
}


def measure(section: Section, sizes: str) -> None:
    """Time ``[d, d] x [d, d]`` in every precision, and a copy of as many numbers."""
    d = SIZES[sizes]
    for name, (dtype, in_tf32) in PRECISIONS.items():
        what = {"d": d, "precision": name}
        if section.begins(what):
            section.attempt(what, partial(_product, section, what, dtype, in_tf32))


def _product(section: Section, what: dict, dtype: torch.dtype, in_tf32: bool) -> None:
    generator = torch.Generator(section.device).manual_seed(SEED)
    a, b = (torch.randn(what["d"], what["d"], generator=generator, device=section.device) for _ in range(2))
    a, b = a.to(dtype), b.to(dtype)
    with tf32(in_tf32):
        row = section.compare(what, {"product": lambda: a @ b, "copy": a.clone}, repeats=10)
    for name, work, unit in (("product", 2 * what["d"] ** 3 / 1e12, "TFLOP/s"), ("copy", 2 * a.nbytes / 1e9, "GB/s")):
        if "median" in row["times"][name]:
            row["notes"][unit] = round(work / row["times"][name]["median"], 1)
