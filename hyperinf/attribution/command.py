"""The command ``hyperinf score TRAIN --target FILE --model BASE``: read, score, write, and say what came of it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.environment import fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_file, sha256_file
from hyperinf.artifacts.locks import locked
from hyperinf.artifacts.records import write_record
from hyperinf.attribution.opening import Subject
from hyperinf.attribution.page import write_page
from hyperinf.attribution.samples import Samples
from hyperinf.attribution.scored import Scored
from hyperinf.attribution.summary import summary
from hyperinf.attributor import Attributor
from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource, LiveSource
from hyperinf.influence.memory import GIB, free_bytes
from hyperinf.models.encoding import Batches
from hyperinf.pipeline.opened import machine
from hyperinf.pipeline.scoring import stored
from hyperinf.selecting.reading import file_of
from hyperinf.selecting.scoring import store_for
from hyperinf.settings.scored import ScoreRows


def score_rows(settings: ScoreRows) -> None:
    """Write the scores of all training rows to OUT, with ``.html`` and ``.info.json`` beside it.

    Args:
        settings: of the command.

    Raises:
        InputError: rows, a model or weights that cannot be used; a line for each.
    """
    out = Path(settings.out)
    files = {role: [file_of(Path(path)) for path in getattr(settings, role)] for role in ("train", "target")}
    device = machine(settings)
    with _scratch(out) as scratch:
        scored = _scored(settings, files, scratch, device)
        written = _write(scored, out)
    write_page(scored, out.with_suffix(".html"))
    inputs = [path for paths in files.values() for path in paths]
    more = {
        "inputs": {str(path): sha256_file(path) for path in inputs} | _weights(settings),
        "outputs": {path.name: sha256_file(path) for path in written},
        "family": scored.subject.family,
        "layers": scored.subject.layers,
        "left_out": list(scored.left_out),
        "rows": {role: dict(getattr(scored, role).read) for role in files},
    }
    write_record(out.with_suffix(".info.json"), fingerprint(settings.deciding(), device, **more))
    print("\n".join(summary(scored, out)))


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Give a folder beside OUT that is empty, whatever a kill has left there, and gone afterwards."""
    folder = out.with_name(f".{out.name}.tmp")
    with locked(folder / ".lock"):
        for left_by_a_kill in folder.iterdir():
            if left_by_a_kill.is_dir():
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _weights(settings: ScoreRows) -> dict[str, str]:
    adapter = {} if settings.adapter is None else hashed(Path(settings.adapter), "adapter_*")
    return {
        **model_files(str(settings.model)),
        **{f"{settings.adapter}/{name}": each for name, each in adapter.items()},
    }


def _scored(settings: ScoreRows, files: dict[str, list[Path]], scratch: Path, device: str) -> Scored:
    subject = Subject(settings, scratch, device)
    if subject.described:
        print(f"{', '.join(map(str, files['train']))}: rows are put {subject.described}", flush=True)
    train, target = (subject.read(role, files[role]) for role in ("train", "target"))
    if settings.each or settings.top is not None:
        _check_fits(len(train.ids), len(target.ids))
    attributor = Attributor(subject.model, settings.method, settings.damping)
    live, queries = (
        LiveSource(
            subject.model,
            Batches(samples.encoded, settings.gradient_batch_size),
            subject.loss,
            subject.layers,
            gfim_axis=settings.gfim_axis,
        )
        for samples in (train, target)
    )
    try:
        with _kept(live, len(train.ids), settings, scratch, device) as gradients:
            attributor.fit(gradients)
            return _of(settings, subject, train, target, attributor, queries, live.left_out)
    except ValueError as error:
        raise InputError(str(error)) from error


@contextmanager
def _kept(live: LiveSource, rows: int, settings: ScoreRows, scratch: Path, device: str) -> Iterator[GradientSource]:
    """Keep gradients between the sweeps, where tokens need not be told from them."""
    store = "live" if settings.per_token else settings.store or store_for(live, rows, scratch)
    with stored(live, store, scratch, device) as gradients:
        yield gradients


def _of(
    settings: ScoreRows,
    subject: Subject,
    train: Samples,
    target: Samples,
    attributor: Attributor,
    queries: LiveSource,
    left_out: Sequence[str],
) -> Scored:
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
    each = None
    if settings.each or settings.top is not None:
        each = attributor.score_each(queries).loc[ids, list(target.ids)].to_numpy()
    tokens = _with_texts(attributor.score_tokens(queries), ids, subject) if settings.per_token else None
    return Scored(settings, subject, train, target, table, each, layers, tokens, left_out)


def _with_texts(tokens: pd.DataFrame, ids: Sequence[str], subject: Subject) -> pd.DataFrame:
    """Write each token as text, and put the samples in the order of their rows."""
    texts = {token: subject.tokenizer.decode([token]) if token >= 0 else "" for token in tokens["token"].unique()}
    tokens.insert(4, "text", tokens["token"].map(texts))
    place = tokens["sample_id"].map({name: place for place, name in enumerate(ids)})
    return tokens.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


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
    more = {"layers": scored.layers, "tokens": scored.tokens}
    tables = {out: table} | {
        out.with_suffix(f".{name}{out.suffix}"): each for name, each in more.items() if each is not None
    }
    for path, each in tables.items():
        _write_table(path, each)
    return list(tables)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(temporary, index=False)
        elif path.suffix.lower() == ".jsonl":
            table.to_json(temporary, orient="records", lines=True, force_ascii=False, double_precision=15)
        else:
            table.to_csv(temporary, index=False, sep="\t" if path.suffix.lower() == ".tsv" else ",")
