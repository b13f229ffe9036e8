"""The partitions of a Slurm cluster: those that the profile names, with the limits that Slurm itself knows."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from math import inf
from pathlib import Path
from typing import Any

import yaml
from slurm_jobs import SlurmError, slurm

from hyperinf.errors import InputError

# What `sinfo` says of a partition's node, and the limit of the executor's file that it is.
_COLUMNS = {"%l": "max_runtime", "%m": "max_mem_mb", "%c": "max_threads"}


def read_partitions(file: Path) -> list[Any]:
    """Read the file of partitions; a limit is the lower one of the file's and of Slurm's.

    Args:
        file: of the executor, ``slurm-partition-config``.

    Returns:
        ``Partition`` of the executor, in the order of the file.

    Raises:
        InputError: the file is none of partitions.
    """
    from snakemake.exceptions import WorkflowError
    from snakemake_executor_plugin_slurm.partitions import PartitionLimits, read_partition_file

    try:
        partitions: list[Any] = read_partition_file(file)
    except (AttributeError, KeyError, TypeError, ValueError, WorkflowError) as error:
        named = re.search(r"unexpected keyword argument ('\w+')", str(error))
        got = f"a limit {named[1]}" if named else " ".join(str(error).split())
        expected = f"partitions and their limits: {', '.join(each.name for each in fields(PartitionLimits))}"
        raise InputError(f"{file}: got {got}, expected {expected}") from None
    known = _known_to_slurm()
    for each in partitions:
        for name, limit in known.get(each.name, {}).items():
            setattr(each.limits, name, min(getattr(each.limits, name), limit))
    return partitions


def unknown(partitions: Sequence[Any], file: Path) -> Iterator[str]:
    """Write a line for each partition that Slurm does not have."""
    known = _known_to_slurm()
    for each in partitions:
        if known and each.name not in known and each.partition_cluster is None:
            yield f"{file}: partitions: got {each.name!r}, expected one of {', '.join(sorted(known))}"


def write_partitions(partitions: Sequence[Any], file: Path) -> None:
    """Write partitions with all their limits, for the executor, which chooses by them."""
    made = {
        each.name: {
            **{name: value for name, value in asdict(each.limits).items() if value not in (inf, None)},
            **({"cluster": each.partition_cluster} if each.partition_cluster else {}),
        }
        for each in partitions
    }
    file.write_text(yaml.safe_dump({"partitions": made}), encoding="utf-8")


def described(partition: Any) -> str:
    """Write what a partition gives, on one line."""
    found = asdict(partition.limits).items()
    limits = {name: value for name, value in found if not isinstance(value, bool) and value not in (inf, None)}
    return f"{partition.name} ({', '.join(f'{name} {value:g}' for name, value in limits.items())})"


def _known_to_slurm() -> dict[str, dict[str, float]]:
    """Limits by partition, of the largest node of each; none where Slurm does not answer."""
    found: dict[str, dict[str, float]] = {}
    with suppress(SlurmError):
        for line in slurm("sinfo", "--noheader", "--Node", f"--format=%R|{'|'.join(_COLUMNS)}").splitlines():
            name, *values = line.split("|")
            limits = found.setdefault(name, {})
            for key, value in zip(_COLUMNS.values(), values, strict=True):
                limits[key] = max(limits.get(key, 0), _number(value.strip()))
    return found


def _number(value: str) -> float:
    """MB, CPUs, or minutes of ``days-hours:minutes:seconds``; what is not understood, such as infinite, is no limit."""
    days, _, clock = value.rpartition("-")
    try:
        if ":" not in clock:
            return float(value.rstrip("+"))
        seconds = 0
        for part in clock.split(":"):
            seconds = 60 * seconds + int(part)
        return int(days or 0) * 24 * 60 + seconds / 60
    except ValueError:
        return inf
