"""The adapter that gradients are taken at, and the influence of every row on every target."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hyperinf.artifacts.environment import digest, hashed
from hyperinf.artifacts.files import write_parquet
from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.influence import build_methods, mean_gradient
from hyperinf.influence.queries import queries_at_once, query_vectors, score_vectors
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.scorable import check_scorable
from hyperinf.pipeline.scoring import chosen_store, stored
from hyperinf.selecting.opening import Opened, adaptation_of
from hyperinf.selecting.steps import made
from hyperinf.selecting.tokens import EncodedFile
from hyperinf.settings.methods import METHODS
from hyperinf.settings.selecting import SelectRows
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.loop import SAVE_SECONDS, train

_SEEN = 0.1
"""Share of the pool that a warm-up sees, at most: what it has learnt well tells nothing any more."""
SCORES, QUERIES = "scores.parquet", "queries.npy"


def warmed(
    settings: SelectRows,
    opened: Opened,
    pool: EncodedFile,
    tokens: str,
    state: Path,
    save_seconds: float = SAVE_SECONDS,
) -> tuple[Any, str]:
    """Warm up, if that is asked for and not done.

    Args:
        settings: of the command.
        opened: the model.
        pool: its rows.
        tokens: hash of them.
        state: folder to keep the adapter in.
        save_seconds: between two saves of the state to go on from; no result depends on it.

    Returns:
        What loads the model with the adapter that gradients are taken at, and the identity of its weights.

    Raises:
        InputError: an adapter that does not fit, or a model that no gradients can be taken of.
    """
    if settings.adapter is not None:
        from hyperinf.models.pretrained import load_pretrained

        if not (Path(settings.adapter) / "adapter_config.json").is_file():
            raise InputError(f"{settings.adapter}: got no adapter_config.json, expected an adapter in PEFT's layout")
        load = partial(load_pretrained, opened.folder, settings.adapter, settings.family, settings.dtype)
        return load, digest([opened.identity, settings.dtype, hashed(Path(settings.adapter), "adapter_*")])
    adaptation = adaptation_of(settings, opened.folder)
    fresh = digest([opened.identity, adaptation.deciding(), settings.seed, settings.dtype])
    if not settings.warmup:
        return partial(opened.family.adapted, adaptation, settings.seed), fresh
    steps = min(settings.warmup_steps, math.ceil(_SEEN * len(pool) / settings.batch_size))
    training = TrainingSettings.of(settings, max_steps=steps)
    identity = digest([fresh, training.deciding(), tokens])
    resume = state / "warm-up.safetensors"

    def make(folder: Path) -> None:
        model = opened.family.adapted(adaptation, settings.seed).to(settings_device(settings))
        check_scorable(model, pool, opened.family.loss, kinds=pool.kinds)
        train(model, pool, training, settings.seed, resume, identity, None, opened.family.loss, save_seconds)
        opened.family.save(model, str(opened.source), folder)

    made(state / "warm", identity, make)
    resume.unlink(missing_ok=True)
    return partial(opened.family.restored, adaptation, settings.seed, state / "warm"), identity


def settings_device(settings: SelectRows) -> str:
    """Name the device."""
    from hyperinf.runtime.devices import resolve_device

    return resolve_device(settings.device)


def score_pool(
    folder: Path,
    settings: SelectRows,
    opened: Opened,
    load: Callable[[], Any],
    pool: EncodedFile,
    targets: Mapping[str, EncodedFile],
    scratch: Path,
    identity: str,
) -> None:
    """Write ``scores.parquet``, a row for each of the pool: ``influence_TARGET``, ``loss``, ``grad_norm``.

    Where queries choose, ``queries.npy`` has the influence on each, ``[n, m]`` in float32.

    Args:
        folder: to write, which is there.
        settings: of the command.
        opened: the model.
        load: gives the model with the adapter.
        pool: the rows to score.
        targets: by name.
        scratch: folder of gradients between sweeps, and of matrices that do not fit into memory.
        identity: of all that decides them.

    Raises:
        InputError: gradients that no score can be taken of.
    """
    device = settings_device(settings)
    model = load().to(device).eval()
    source, *aims = (_gradients(opened, model, each, settings) for each in (pool, *targets.values()))
    options = {"damping": settings.damping}
    if "solver" in METHODS[settings.method].own_options:
        options["solver"] = "auto"  # type: ignore[assignment]
    method = build_methods({settings.method: options})[settings.method]
    store = chosen_store(settings.store, source, scratch, settings.memory_bytes, resumed=True)
    try:
        with stored(source, store, scratch, device, identity) as gradients:
            means = [mean_gradient(aim) for aim in aims]
            method.fit(gradients, scratch=scratch)
            devices = method.statistics.devices
            stacks = {
                layer: torch.stack([mean[layer].to(devices.get(layer, mean[layer].device)) for mean in means])
                for layer in means[0]
            }
            ids, parts, losses = score_vectors(method, stacks, list(targets))
            order = _order(ids, pool.ids)
            columns: dict[str, Any] = {
                f"influence_{name}": parts[""][:, place].cpu().numpy()[order] for place, name in enumerate(targets)
            }
            columns["loss"] = losses.double().cpu().numpy()[order] if losses is not None else math.nan
            columns["grad_norm"] = method.statistics.grad_norm.double().cpu().numpy()[order]
            write_parquet(folder / SCORES, columns)
            if settings.quota == "queries":
                _score_queries(folder / QUERIES, method, aims, targets, order)
    except ValueError as error:
        raise InputError(str(error)) from error


def _score_queries(
    path: Path, method: Any, aims: Sequence[LiveSource], targets: Mapping[str, EncodedFile], order: Sequence[int]
) -> None:
    """Write the influence on each query, those of the first target first, each in its order."""
    total = sum(map(len, targets.values()))
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(len(order), total))
    start = 0
    for aim, target in zip(aims, targets.values(), strict=True):
        places = {name: start + place for place, name in enumerate(target.ids)}
        most = queries_at_once(method, aim.layers, None)
        for names, vectors in query_vectors(aim, "queries", most, method.statistics.devices):
            _, parts, _ = score_vectors(method, vectors, names)
            out[:, [places[name] for name in names]] = parts[""].float().cpu().numpy()[order]
        start += len(target)
    out.flush()


def _gradients(opened: Opened, model: Any, rows: EncodedFile, settings: SelectRows) -> LiveSource:
    batches = Batches(rows, settings.gradient_batch_size, kinds=rows.kinds)
    layers = None
    if settings.adapter is None and not settings.warmup:
        # Of an adapter that has learnt nothing one factor is zero, and so are all gradients of the other.
        layers = [name for name, weight in model.named_parameters() if weight.requires_grad and "lora_A" not in name]
    return LiveSource(model, batches, opened.family.loss, layers)


def _order(ids: Sequence[str], wanted: Sequence[str]) -> list[int]:
    place = {sample: index for index, sample in enumerate(ids)}
    return [place[sample] for sample in wanted]


def read_scores(folder: Path) -> tuple[pd.DataFrame, Any]:
    """Read what :func:`score_pool` wrote: the table, and the influence on each query or None."""
    queries = folder / QUERIES
    table = pd.read_parquet(folder / SCORES)
    return table, np.load(queries, mmap_mode="r", allow_pickle=False) if queries.is_file() else None
