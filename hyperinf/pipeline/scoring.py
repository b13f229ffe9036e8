"""Scores of one set of samples: where gradients are between sweeps, columns of scores, costs."""

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
from hyperinf.gradients.foretold import held_bytes
from hyperinf.influence import ScoreTable, score_methods
from hyperinf.influence.forms import forms_asked
from hyperinf.runtime.memory import free_bytes
from hyperinf.runtime.profiling import Cost, metered
from hyperinf.settings.methods import MethodOptions
from hyperinf.settings.runtime import Store
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings

GRADIENTS = "gradients"
"""Folder of those that are gone on from after a kill."""
DISK_BYTES = 20 * 2**30
"""That gradients take of a disk at most, where nobody has asked for it."""


@dataclass(frozen=True)
class Scored:
    """Scores, and what they took.

    Attributes:
        table: what ``score_methods`` returned.
        columns: ``influence_<score>`` and ``baseline_<name>``, each ``[n]`` in the order that was asked for.
        costs: by ``(method or "shared", stage)``.
        weights: see :func:`weights_of`; nothing where scores were taken in shards.
    """

    table: ScoreTable
    columns: dict[str, Any]
    costs: Mapping[tuple[str, str], Cost]
    weights: dict[str, list[str]] = field(default_factory=dict)


def method_options(settings: ScoringSettings) -> dict[str, MethodOptions]:
    """Give the options of each method by its name."""
    return {name: settings.options(name) for name in settings.built}


def score_table(
    train: GradientSource,
    target: GradientSource,
    settings: ScoringSettings,
    device: str = "cpu",
    scratch: Path | None = None,
) -> ScoreTable:
    """Score by all methods.

    Args:
        train: gradients of the samples to score.
        target: gradients of the samples whose loss is the target.
        settings: which scores, and how.
        device: where the gradients are.
        scratch: folder for a GFIM that does not fit into memory.

    Raises:
        InputError: gradients that no score can be taken of.
    """
    try:
        forms = forms_asked(settings.methods)
        return score_methods(train, target, method_options(settings), device=device, forms=forms, scratch=scratch)
    except ValueError as error:
        raise InputError(str(error)) from error


def score_live(
    train: LiveSource,
    target: LiveSource,
    sample_ids: Sequence[str],
    settings: ScoringSettings,
    seed: int,
    store: Store,
    scratch: Path,
    device: str,
) -> Scored:
    """Score the training samples of a model on its target samples.

    Args:
        train: gradients of the samples to score.
        target: gradients of the samples whose loss is the target.
        sample_ids: the order that the columns get; the sources may have another.
        settings: which scores, and how.
        seed: of the random baseline.
        store: where the training gradients are between sweeps: on ``disk`` (below ``scratch``, removed afterwards), in
            ``memory``, or nowhere (``live``: extracted again for every sweep); ``auto``: see :func:`chosen_store`.
        scratch: folder.
        device: where the gradients are.

    Raises:
        InputError: gradients that no score can be taken of (not finite).
    """
    store = chosen_store(store, train, scratch)
    with contextlib.ExitStack() as stack:
        with metered(device) as extraction:
            source = stack.enter_context(stored(train, store, scratch, device))
        table = score_table(source, target, settings, device, scratch)
    costs = {("shared", "gradients"): extraction if store != "live" else Cost(0.0, None), **table.costs}
    return Scored(table, score_columns(table, sample_ids, settings, seed), costs, weights_of(train))


def weights_of(source: LiveSource) -> dict[str, list[str]]:
    """Name, for a record, the trained weights that are in no score, and those taken one sample at a time."""
    found = {"left_out": source.left_out, "one_sample_at_a_time": source.one_at_a_time}
    return {key: list(names) for key, names in found.items() if names}


def chosen_store(
    store: Store, live: LiveSource, scratch: Path, memory_bytes: int | None = None, resumed: bool = False
) -> Store:
    """Choose where gradients are kept where that is ``auto``, and say so; give another ``store`` back.

    Where they fit nowhere, what the frozen part of the model gives is kept in memory, as far as it fits.

    Args:
        store: what was asked for.
        live: the gradients.
        scratch: folder of those on the disk.
        memory_bytes: that those in memory may take; half of what is free when None.
        resumed: whether a run that was killed goes on from the disk, which is then taken before memory.
    """
    if store != "auto":
        return store
    scratch.mkdir(parents=True, exist_ok=True)
    needed = 4 * len(live.sample_ids) * sum(r * d for r, d in live.layers.values())
    if memory_bytes is None:
        memory_bytes = max(0, (free_bytes(live.device) or 0) - held_bytes(live.foretold(), live.device)) // 2
    rooms: dict[Store, int] = {"memory": memory_bytes, "disk": min(DISK_BYTES, shutil.disk_usage(scratch).free // 2)}
    order: tuple[Store, ...] = ("disk", "memory") if resumed else ("memory", "disk")
    chosen: Store = next((place for place in order if needed <= rooms[place]), "live")
    where = {"memory": "kept in memory", "disk": "kept on the disk", "live": "taken again at every sweep"}[chosen]
    print(f"gradients, {needed / 2**20:,.1f} MiB in float32, are {where}", flush=True)
    if chosen == "live":
        live.keep_frozen(memory_bytes)
    return chosen


@contextlib.contextmanager
def stored(
    live: LiveSource, store: Store, scratch: Path, device: str, identity: str | None = None
) -> Iterator[GradientSource]:
    """Give gradients from where they are kept between sweeps: see :func:`score_live`.

    Args:
        live: the gradients.
        store: where they are kept; ``auto`` is chosen as of a run that begins anew after a kill.
        scratch: folder.
        device: where they are put.
        identity: of all that decides them: what a kill leaves on the disk is gone on from; the caller
            removes it.
    """
    store = chosen_store(store, live, scratch)
    if store == "live":
        yield live
    elif store == "memory":
        yield TensorSource.gather(live)
    elif identity is not None:
        GradientStore.write(scratch / GRADIENTS, live, {"identity": identity}, go_on=True)
        yield GradientStore(scratch / GRADIENTS, device=device)
    else:
        scratch.mkdir(parents=True, exist_ok=True)
        for left_by_a_kill in scratch.glob(".gradients-*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".gradients-", dir=scratch) as folder:
            GradientStore.write(Path(folder) / "store", live)
            kept = GradientStore(Path(folder) / "store", device=device)
            kept.origin = live
            yield kept


def score_columns(table: ScoreTable, sample_ids: Sequence[str], settings: ScoringSettings, seed: int) -> dict[str, Any]:
    """Make ``influence_<score>``, and ``baseline_<name>`` that come with the gradients, in the order of ``sample_ids``.

    Args:
        table: the scores.
        sample_ids: n ids.
        settings: which of them.
        seed: of the random baseline.
    """
    place = {sample: index for index, sample in enumerate(table.sample_ids)}
    order = [place[sample] for sample in sample_ids]
    names = [name for name in settings.methods if not ScoreName.of(name).pool]
    columns = {f"influence_{name}": table.influence[name].cpu().numpy()[order] for name in names}
    cheap: dict[str, Any] = {"grad_norm": table.grad_norm.cpu().double().numpy()[order]}
    if table.losses is not None:
        cheap["loss"] = table.losses.cpu().double().numpy()[order]
    cheap["random"] = np.random.default_rng([seed, 0]).random(len(order))
    return columns | {f"baseline_{name}": cheap[name] for name in settings.baselines if name in cheap}
