"""Which process of how many this is, where ``accelerate launch`` started several of one command.

The first one writes; what the others write is dropped (:mod:`hyperinf.artifacts.files`), so that a command
need not know.
"""

import os


def launched() -> bool:
    """Whether processes work together, or weights are to be sharded."""
    started = "ACCELERATE_MIXED_PRECISION" in os.environ
    return started and (_number("WORLD_SIZE", 1) > 1 or os.environ.get("ACCELERATE_USE_FSDP") == "true")


def is_main() -> bool:
    """Whether this process writes files: one that is alone, or the first of several."""
    return not launched() or _number("RANK", 0) == 0


def local_index() -> int:
    """Which of this machine's processes it is, and so which of its GPUs it has."""
    return _number("LOCAL_RANK", 0) if launched() else 0


def wait_for_all() -> None:
    """Return when all processes have come here; at once if there is one."""
    if launched():
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
