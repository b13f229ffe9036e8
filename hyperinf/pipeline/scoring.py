"""What every scoring run shares: its options, where gradients are kept between sweeps, columns of scores, costs."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, GradientStore, LiveSource, TensorSource
from hyperinf.influence import METHODS, ScoreTable, build_methods, score_methods
from hyperinf.runtime.profiling import Cost, metered

BASELINES = ("loss", "grad_norm", "random")
KEEPING = ("disk", "memory", "live")


@dataclass(frozen=True)
class ScoringOptions:
    """Which scores to take, and how.

    Attributes:
        methods: names in ``METHODS``.
        baselines: of ``loss``, ``grad_norm``, ``random``.
        damping: delta of ``lambda[l] = delta * mean(g**2)``.
        gfim_scale: ``sum`` or ``mean``.
        solver: of ``hyperinf``: ``schulz``, ``cholesky`` or ``auto``.
        lissa_iterations: of ``lissa`` and ``lissa_gfim``.
    """

    methods: tuple[str, ...] = ("hyperinf",)
    baselines: tuple[str, ...] = BASELINES
    damping: float = 0.1
    gfim_scale: str = "sum"
    solver: str = "schulz"
    lissa_iterations: int = 10

    def __post_init__(self) -> None:
        for key, values, known in (("methods", self.methods, METHODS), ("baselines", self.baselines, BASELINES)):
            for value in values:
                if value not in known:
                    raise InputError(f"{key}: expected some of {', '.join(known)}, got {value!r}")
        try:
            build_methods(self.own, **self.common)
        except ValueError as error:
            raise InputError(str(error)) from None

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """``{method: the options that are its own}``."""
        lissa = {"iterations": self.lissa_iterations}
        return {name: dict(lissa) if name.startswith("lissa") else {} for name in self.methods}

    @property
    def common(self) -> dict[str, Any]:
        """The options that all methods know."""
        return {"damping": self.damping, "gfim_scale": self.gfim_scale, "solver": self.solver}


@dataclass(frozen=True)
class Scored:
    """Scores of one set of samples, and what they took.

    Attributes:
        table: what ``score_methods`` returned.
        columns: ``influence_<method>`` and ``baseline_<name>``, each ``[n]`` in the order that was asked for.
        costs: by ``(method or "shared", stage)``.
        weights: see :func:`weights_of`; nothing where scores were taken in shards.
    """

    table: ScoreTable
    columns: dict[str, Any]
    costs: Mapping[tuple[str, str], Cost]
    weights: dict[str, list[str]] = field(default_factory=dict)


def score_live(
    train: LiveSource,
    target: LiveSource,
    sample_ids: Sequence[str],
    options: ScoringOptions,
    seed: int,
    keeping: str,
    scratch: Path,
    device: str,
) -> Scored:
    """Score the training samples of a model on its target samples.

    Args:
        train: gradients of the samples to score.
        target: gradients of the samples whose loss is the target.
        sample_ids: the order that the columns get; the sources may have another.
        options: see :class:`ScoringOptions`.
        seed: of the random baseline.
        keeping: where the training gradients are kept between sweeps: on ``disk`` (below ``scratch``, removed
            afterwards), in ``memory``, or nowhere (``live``: extracted again for every sweep).
        scratch: folder.
        device: where the gradients are.

    Raises:
        InputError: another ``keeping``, or gradients that no score can be taken of (not finite).
    """
    if keeping not in KEEPING:
        raise InputError(f"gradients: expected one of {', '.join(KEEPING)}, got {keeping!r}")
    with contextlib.ExitStack() as stack:
        with metered(device) as extraction:
            source = stack.enter_context(_kept(train, keeping, scratch, device))
        try:
            table = score_methods(source, target, options.own, device=device, **options.common)
        except ValueError as error:
            raise InputError(str(error)) from error
    costs = {("shared", "gradients"): extraction if keeping != "live" else Cost(0.0, None), **table.costs}
    return Scored(table, score_columns(table, sample_ids, options.baselines, seed), costs, weights_of(train))


def weights_of(source: LiveSource) -> dict[str, list[str]]:
    """Name, for a record, the trained weights that are in no score, and those taken one sample at a time."""
    found = {"left_out": source.left_out, "one_sample_at_a_time": source.one_at_a_time}
    return {key: list(names) for key, names in found.items() if names}


def cost_rows(key: Mapping[str, Any], costs: Mapping[tuple[str, str], Cost]) -> list[dict[str, Any]]:
    """One row of a cost table for each method and stage."""
    return [
        {**key, "method": method, "stage": stage, "seconds": cost.seconds, "peak_memory_mib": cost.peak_memory_mib}
        for (method, stage), cost in costs.items()
    ]


def method_of(column: str) -> str:
    """``influence_hyperinf`` is ``hyperinf``, ``baseline_loss`` is ``loss``."""
    return column.split("_", 1)[1]


@contextlib.contextmanager
def _kept(live: LiveSource, keeping: str, scratch: Path, device: str) -> Iterator[GradientSource]:
    if keeping == "live":
        yield live
    elif keeping == "memory":
        yield TensorSource.gather(live)
    else:
        scratch.mkdir(parents=True, exist_ok=True)
        for left_by_a_kill in scratch.glob(".gradients-*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".gradients-", dir=scratch) as folder:
            GradientStore.write(Path(folder) / "store", live)
            yield GradientStore(Path(folder) / "store", device=device)


def score_columns(table: ScoreTable, sample_ids: Sequence[str], baselines: Sequence[str], seed: int) -> dict[str, Any]:
    """``influence_<method>`` and ``baseline_<name>``, each ``[n]`` in the order of ``sample_ids``."""
    place = {sample: index for index, sample in enumerate(table.sample_ids)}
    order = [place[sample] for sample in sample_ids]
    columns = {f"influence_{name}": values.cpu().numpy()[order] for name, values in table.influence.items()}
    cheap: dict[str, Any] = {"grad_norm": table.grad_norm.cpu().double().numpy()[order]}
    if table.losses is not None:
        cheap["loss"] = table.losses.cpu().double().numpy()[order]
    cheap["random"] = np.random.default_rng([seed, 0]).random(len(order))
    return columns | {f"baseline_{name}": cheap[name] for name in baselines}
