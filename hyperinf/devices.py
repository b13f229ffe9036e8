"""Which device and dtype a stage runs on."""

from typing import Any

from hyperinf.errors import InputError

DTYPES = ("float32", "bfloat16", "float16", "float64")


def resolve_device(name: str) -> str:
    """``"auto"`` is a GPU where there is one, else the CPU.

    Raises:
        InputError: CUDA was asked for and is not there.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device: expected one that is here, got {name!r} but torch finds no CUDA device")
    return name


def set_threads(count: int | None) -> None:
    """Threads of torch's own operations; the system's choice when None."""
    import torch

    if count is not None:
        if count < 1:
            raise InputError(f"threads: expected at least 1, got {count}")
        torch.set_num_threads(count)


def torch_dtype(name: str) -> Any:
    """The torch dtype called ``name``.

    Raises:
        InputError: an unknown name.
    """
    import torch

    if name not in DTYPES:
        raise InputError(f"dtype: expected one of {', '.join(DTYPES)}, got {name!r}")
    return getattr(torch, name)
