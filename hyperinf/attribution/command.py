"""The command ``hyperinf score TRAIN --target FILE --model BASE``: read, score, write, and say what came of it."""

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_file, sha256_file
from hyperinf.artifacts.locks import locked
from hyperinf.artifacts.records import write_record
from hyperinf.attribution.opening import Subject
from hyperinf.attribution.page import write_page
from hyperinf.attribution.samples import Samples
from hyperinf.attribution.scored import Scored
from hyperinf.attribution.summary import summary
from hyperinf.attribution.tokens import TokenTable, keep_token_scores
from hyperinf.attributor import Attributor
from hyperinf.data.folders import check_out
from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, LiveSource
from hyperinf.influence import mean_gradient
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.opened import machine
from hyperinf.pipeline.scoring import GRADIENTS, chosen_store, stored
from hyperinf.runtime.memory import GIB, free_bytes
from hyperinf.selecting.opening import PICTURES
from hyperinf.selecting.reading import file_of
from hyperinf.settings.scored import ScoreRows

_STATE = (PICTURES, "train", "target", "model", "tokens", f"{GRADIENTS}-*", ".*")
_AFTER = ("method", "damping", "each", "top", "per_layer")
"""Settings of what is done with gradients once they are there."""


def score_rows(settings: ScoreRows) -> None:
    """Write the scores of all training rows to OUT, with ``.html`` and ``.info.json`` beside it.

    Goes on after a kill, from the folder ``state``, which is removed in the end.

    Args:
        settings: of the command.

    Raises:
        InputError: rows, a model or weights that cannot be used; a line for each.
    """
    out, state = Path(settings.out), Path(settings.state_folder)
    files = {role: [file_of(Path(path)) for path in getattr(settings, role)] for role in ("train", "target")}
    check_out(state, _STATE)
    device = machine(settings)
    try:
        with locked(state / ".lock"):
            for left_by_a_kill in state.glob(".*.tmp"):
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
            scored = _scored(settings, files, state, device)
            written = _write(scored, out)
            write_page(scored, out.with_suffix(".html"))
    except InputError:
        if not any(path.is_file() for path in state.glob(f"{GRADIENTS}*/**/*")):
            shutil.rmtree(state, ignore_errors=True)  # nothing was computed that is worth going on from
        raise
    inputs = [path for paths in files.values() for path in paths]
    more = {
        "inputs": {str(path): sha256_file(path) for path in inputs} | _weights(settings),
        "outputs": {path.name: sha256_file(path) for path in written},
        "family": scored.subject.family,
        "layers": scored.subject.layers,
        "left_out": list(scored.left_out),
        "report": scored.report,
        "rows": {role: dict(getattr(scored, role).read) for role in files},
    }
    write_record(out.with_suffix(".info.json"), fingerprint(settings.deciding(), device, **more))
    shutil.rmtree(state, ignore_errors=True)
    print("\n".join(summary(scored, out)))


def _weights(settings: ScoreRows) -> dict[str, str]:
    adapter = {} if settings.adapter is None else hashed(Path(settings.adapter), "adapter_*")
    return {
        **model_files(str(settings.model)),
        **{f"{settings.adapter}/{name}": each for name, each in adapter.items()},
    }


def _scored(settings: ScoreRows, files: dict[str, list[Path]], state: Path, device: str) -> Scored:
    subject = Subject(settings, state, device)
    if subject.described:
        print(f"{', '.join(map(str, files['train']))}: rows are put {subject.described}", flush=True)
    samples = {role: subject.read(role, paths) for role, paths in files.items()}
    if settings.each or settings.top is not None:
        _check_fits(len(samples["train"].ids), len(samples["target"].ids))
    given = {key: value for key, value in settings.deciding().items() if key not in _AFTER}
    template = None if settings.template is None else sha256_file(Path(settings.template))
    decided = [given, settings.gradient_batch_size, settings.per_token, template, _weights(settings)]
    try:
        with ExitStack() as stack:
            live, kept, identity = {}, {}, {}
            for role, each in samples.items():
                live[role] = LiveSource(
                    subject.model,
                    Batches(each.encoded, settings.gradient_batch_size),
                    subject.loss,
                    subject.layers,
                    gfim_axis=settings.gfim_axis,
                )
                identity[role] = digest([decided, [sha256_file(path) for path in files[role]]])
                folder = state / f"{GRADIENTS}-{role}"
                store = chosen_store(settings.store, live[role], state, settings.memory_bytes, resumed=True)
                kept[role] = stack.enter_context(stored(live[role], store, folder, device, identity[role]))
            attributor = Attributor(subject.model, settings.method, settings.damping, memory_bytes=0, scratch=state)
            attributor.fit(kept["train"])
            table, layers, by_query = _tables(settings, attributor, samples["train"], samples["target"], kept["target"])
            tokens = None
            if settings.per_token:
                method = attributor.method
                devices = method.statistics.devices
                mean = mean_gradient(kept["target"])
                product = method.precondition({name: g.to(devices.get(name, g.device)) for name, g in mean.items()})
                of_tokens = digest([identity, settings.method, settings.damping])
                keep_token_scores(state / "tokens", live["train"], product, method.statistics, of_tokens)
                tokens = TokenTable(state / "tokens", lambda token: str(subject.tokenizer.decode([token])))
    except ValueError as error:
        raise InputError(str(error)) from error
    train, target, left_out = samples["train"], samples["target"], live["train"].left_out
    report = attributor.method.report()
    return Scored(settings, subject, train, target, table, by_query, layers, tokens, left_out, report)


def _tables(
    settings: ScoreRows, attributor: Attributor, train: Samples, target: Samples, queries: GradientSource
) -> tuple[pd.DataFrame, pd.DataFrame | None, NDArray[np.float64] | None]:
    """Make the table of scores, and what each layer adds and the influence on each query where that is asked for."""
    ids = list(train.ids)
    scores = attributor.score(queries, by_layer=settings.per_layer).loc[ids]
    layers = None
    influence = scores["influence"]
    if settings.per_layer:
        layers = influence.reset_index(names="sample_id").rename_axis(columns=None)
        influence = influence.sum(axis=1)
    values = influence.to_numpy()
    rank = np.empty(len(ids), dtype=np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(1, len(ids) + 1)
    table = pd.DataFrame(
        {
            "sample_id": ids,
            "source": train.sources,
            "row": train.rows,
            "influence": values,
            "rank": rank,
            "loss": np.ravel(scores["loss"].to_numpy()),
            "grad_norm": np.ravel(scores["grad_norm"].to_numpy()),
        }
    )
    if not settings.each and settings.top is None:
        return table, layers, None
    return table, layers, attributor.score_each(queries).loc[ids, list(target.ids)].to_numpy()


def _check_fits(rows: int, queries: int) -> None:
    # The scores themselves, once more as a table, and once more as it is written.
    needed, free = 3 * 8 * rows * queries, free_bytes("cpu")
    if free is not None and needed > free:
        raise InputError(
            f"target: got {queries:,} queries for {rows:,} rows, whose scores take {needed / GIB:.1f} GiB, expected at"
            f" most the {free / GIB:.1f} GiB that are free; give fewer queries, or leave --each and --top out"
        )


def _write(scored: Scored, out: Path) -> list[Path]:
    """Write the tables."""
    table = scored.table
    if scored.settings.each:
        columns = pd.DataFrame(scored.each, columns=list(scored.target.ids))
        table = pd.concat([table, columns], axis=1)
    tables: dict[Path, Iterable[pd.DataFrame]] = {out: [table]}
    if scored.layers is not None:
        tables[out.with_suffix(f".layers{out.suffix}")] = [scored.layers]
    if scored.tokens is not None:
        tables[out.with_suffix(f".tokens{out.suffix}")] = scored.tokens.frames(scored.train.ids)
    for path, frames in tables.items():
        _write_table(path, frames)
    return list(tables)


def _write_table(path: Path, frames: Iterable[pd.DataFrame]) -> None:
    """Write a table that is given in pieces, one of which is held at a time."""
    suffix = path.suffix.lower()
    with atomic_file(path) as temporary, ExitStack() as stack:
        if suffix == ".parquet":
            writer = None
            for frame in frames:
                piece = pa.Table.from_pandas(frame, preserve_index=False)
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(temporary, piece.schema))
                writer.write_table(piece)
            return
        file = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        for number, frame in enumerate(frames):
            if suffix == ".jsonl":
                frame.to_json(file, orient="records", lines=True, force_ascii=False, double_precision=15)
            else:
                frame.to_csv(file, index=False, header=number == 0, sep="\t" if suffix == ".tsv" else ",")
