"""Which device and dtype a stage runs on."""

import os
import re
from typing import Any

from hyperinf.errors import InputError
from hyperinf.runtime.process import launched, local_index

DTYPES = ("float32", "bfloat16", "float16", "float64")
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def resolve_device(name: str) -> str:
    """``"auto"`` is a GPU where there is one, else the CPU; of several processes on a machine each has its own GPU.

    Raises:
        InputError: another name than ``auto``, ``cpu``, ``cuda`` and ``cuda:N``, or a GPU that is not there.
    """
    import torch

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device: expected one that is here, got {name!r} but torch finds no CUDA device")
    if int(name.partition(":")[2] or 0) >= max(1, torch.cuda.device_count()):
        raise InputError(f"device: expected a number below {torch.cuda.device_count()}, got {name!r}")
    return f"cuda:{local_index()}" if name == "cuda" and launched() else name


def set_threads(count: int | None) -> None:
    """Threads of torch's own operations and of numpy's and scipy's BLAS; the system's choice when None.

    A BLAS that is loaded later, as scipy's is, takes its number from the environment.
    """
    import torch
    from threadpoolctl import threadpool_limits

    if count is not None:
        if count < 1:
            raise InputError(f"threads: expected at least 1, got {count}")
        torch.set_num_threads(count)
        os.environ.update(dict.fromkeys(_BLAS_VARIABLES, str(count)))
        threadpool_limits(count, user_api="blas")


def torch_dtype(name: str) -> Any:
    """The torch dtype called ``name``.

    Raises:
        InputError: an unknown name.
    """
    import torch

    if name not in DTYPES:
        raise InputError(f"dtype: expected one of {', '.join(DTYPES)}, got {name!r}")
    return getattr(torch, name)
