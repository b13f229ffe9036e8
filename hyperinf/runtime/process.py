"""Which process of how many this is, where ``accelerate launch`` started several of one command.

The first one writes; what the others write is dropped (:mod:`hyperinf.artifacts.files`), so that a command
need not know.
"""

import os


def launched() -> bool:
    """Whether processes work together, or weights are to be sharded."""
    by_accelerate = "ACCELERATE_MIXED_PRECISION" in os.environ
    return by_accelerate and (started() > 1 or os.environ.get("ACCELERATE_USE_FSDP") == "true")


def started() -> int:
    """How many processes there are, this one among them."""
    return _number("WORLD_SIZE", 1)


def is_main() -> bool:
    """Whether this process writes files: one that is alone, or the first of several."""
    return not launched() or _number("RANK", 0) == 0


def local_index() -> int:
    """Which of this machine's processes it is, and so which of its GPUs it has."""
    return _number("LOCAL_RANK", 0) if launched() else 0


def on_cpus() -> bool:
    """Whether the processes compute on CPUs: as accelerate was told, or where nothing else is there."""
    import torch
    from accelerate.utils import parse_flag_from_env

    return bool(parse_flag_from_env("ACCELERATE_USE_CPU")) or not torch.accelerator.is_available()


def wait_for_all() -> None:
    """Return when all processes have come here; at once if there is one."""
    if launched():
        from accelerate import PartialState

        # Made without being told of CPUs, accelerate's state would have each process take itself for alone.
        PartialState(cpu=on_cpus()).wait_for_everyone()


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
