"""The command ``hyperinf select POOL --target DEV``: read, warm up, score, keep, and say what came of it."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hyperinf.artifacts.environment import digest, fingerprint
from hyperinf.artifacts.files import sha256_file, write_parquet
from hyperinf.artifacts.locks import locked
from hyperinf.artifacts.records import write_record
from hyperinf.data.folders import check_out
from hyperinf.errors import InputError
from hyperinf.pipeline.opened import machine, warn_of_limit
from hyperinf.pipeline.scoring import GRADIENTS
from hyperinf.selecting.duplicates import groups
from hyperinf.selecting.evaluating import evaluate_kept
from hyperinf.selecting.keeping import best_of_groups, in_turns, number_kept, quarters, standardised
from hyperinf.selecting.opening import PICTURES, Opened, open_model
from hyperinf.selecting.originals import write_originals
from hyperinf.selecting.page import write_page
from hyperinf.selecting.preparing import Rows, prepare_rows
from hyperinf.selecting.reading import file_of, names_of
from hyperinf.selecting.scoring import read_scores, score_pool, settings_device, warmed
from hyperinf.selecting.selected import Selected
from hyperinf.selecting.steps import made
from hyperinf.selecting.summary import summary
from hyperinf.selecting.tokens import TOKENS, EncodedFile
from hyperinf.settings.selecting import SelectRows
from hyperinf.settings.training import EncodingSettings
from hyperinf.training.loop import SAVE_SECONDS

_QUICK = {".lock", PICTURES, "pool", "target", "test"}
_STEPS = ("pool", "target", "test", "warm-up.safetensors", "warm", "scores", "model", "evaluation")
_STATE = (PICTURES, *_STEPS, f"{GRADIENTS}*", ".*")


def select_rows(settings: SelectRows, save_seconds: float = SAVE_SECONDS) -> None:
    """Write the rows that are kept, ``OUT.scores.parquet`` of all, ``OUT.html`` and ``OUT.info.json``.

    Goes on after a kill, and chooses again by other rules without scoring again, from the folder ``state``.

    Args:
        settings: of the command.
        save_seconds: between two saves of a training's state; no result depends on it.

    Raises:
        InputError: rows, a model or a template that cannot be used; a line for each.
    """
    out, state = Path(settings.out), Path(settings.state_folder)
    files = {name: [file_of(Path(path)) for path in getattr(settings, name)] for name in ("pool", "target", "test")}
    check_out(state, _STATE)
    machine(settings)
    try:
        with locked(state / ".lock"):
            for left_by_a_kill in state.glob(".*.tmp"):
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
            selected = _selected(settings, files, state, save_seconds)
            _write(selected, out, files["pool"])
    except InputError:
        if {each.name for each in state.iterdir()} <= _QUICK:
            shutil.rmtree(state)  # nothing was computed that is worth going on from
        raise
    write_page(selected, out.with_suffix(".html"))
    print("\n".join(summary(selected, out)))


def _selected(settings: SelectRows, files: Mapping[str, Sequence[Path]], state: Path, save_seconds: float) -> Selected:
    """Take every step that is not done yet."""
    opened = open_model(settings, state)
    warn_of_limit(opened.family, EncodingSettings(max_length=settings.max_length))
    print(f"{', '.join(map(str, files['pool']))}: rows are put {opened.described}", flush=True)
    sets = {name: _rows(settings, opened, state, name, paths) for name, paths in files.items() if paths}
    number_kept(settings.keep, len(sets["pool"]))
    _strata(settings, sets["pool"])
    pool, targets, tests = _roles(settings, opened, sets)
    hashes = {name: _tokens_hash(each) for name, each in sets.items()}
    load, weights = warmed(settings, opened, pool, hashes["pool"], state, save_seconds)
    aims = {name: each.ids for name, each in targets.items()}
    decided = [weights, settings.method, settings.damping, settings.quota == "queries", hashes, aims]
    of_pool = digest([weights, hashes["pool"], settings.gradient_batch_size])
    made(
        state / "scores",
        digest(decided),
        lambda folder: score_pool(folder, settings, opened, load, pool, targets, state, of_pool),
    )
    shutil.rmtree(state / GRADIENTS, ignore_errors=True)
    selected = _chosen(settings, opened, sets["pool"], tuple(targets), *read_scores(state / "scores"))
    if settings.evaluate:
        kept = np.flatnonzero(selected.kept).tolist()
        evaluated = state / "evaluation"
        selected.helped.extend(
            evaluate_kept(settings, opened, pool, tests, kept, digest(hashes), evaluated, save_seconds)
        )
    return selected


def _rows(settings: SelectRows, opened: Opened, state: Path, name: str, files: Sequence[Path]) -> Rows:
    """Prepare the rows of files, if that is not done."""
    how = ["images", "encoding", "skip_bad_rows", "stratified"]
    given = {key: getattr(settings, key) for key in how} | {"files": [str(path) for path in files]}
    identity = digest([opened.identity, given, [sha256_file(path) for path in files]])
    names = names_of(files)
    made(state / name, identity, lambda folder: prepare_rows(folder, files, names, settings, opened, state / PICTURES))
    return Rows.read(state / name)


def _roles(
    settings: SelectRows, opened: Opened, sets: Mapping[str, Rows]
) -> tuple[EncodedFile, dict[str, EncodedFile], dict[str, EncodedFile]]:
    """Open the pool, the targets that choose, and those that are held out to see whether it helped."""
    encoded = {name: rows.encoded(opened.pad, opened.images) for name, rows in sets.items()}
    targets = _by_file(sets["target"], encoded["target"])
    if not settings.evaluate:
        return encoded["pool"], targets, {}
    if "test" in sets:
        return encoded["pool"], targets, _by_file(sets["test"], encoded["test"])
    few = [name for name, rows in targets.items() if len(rows) < 2]
    if few:
        raise InputError(f"{few[0]}: got 1 row, expected at least 2 to hold half of them out, or --test FILE")
    odd, even = ({name: rows.subset(range(start, len(rows), 2)) for name, rows in targets.items()} for start in (0, 1))
    return encoded["pool"], odd, even


def _by_file(rows: Rows, encoded: EncodedFile) -> dict[str, EncodedFile]:
    sources = rows.table["source"].to_numpy()
    return {
        Path(name).stem if len({Path(each).stem for each in rows.about["names"]}) == len(rows.about["names"]) else name:
        encoded.subset(np.flatnonzero(sources == number).tolist())
        for number, name in enumerate(rows.about["names"])
    }  # fmt: skip


def _tokens_hash(rows: Rows) -> str:
    return digest([sha256_file(rows.folder / TOKENS), rows.table["start"].tolist(), rows.table["picture"].tolist()])


def _chosen(
    settings: SelectRows, opened: Opened, pool: Rows, targets: tuple[str, ...], table: pd.DataFrame, queries: Any
) -> Selected:
    """Choose the rows, and describe each."""
    influence = table[[f"influence_{name}" for name in targets]].to_numpy()
    combined = standardised(influence).mean(axis=1)
    columns = {"targets": influence, "none": combined[:, None], "queries": queries}[settings.quota]
    allowed = np.ones(len(pool), dtype=bool)
    if settings.diverse:
        allowed = best_of_groups(groups(pool.signatures()), combined)
    strata = _strata(settings, pool)
    order = in_turns(columns, number_kept(settings.keep, len(pool)), allowed, strata)
    kept = np.zeros(len(pool), dtype=bool)
    kept[order] = True
    rank = np.empty(len(pool), dtype=np.int64)
    rank[np.lexsort((np.arange(len(pool)), combined))] = np.arange(1, len(pool) + 1)
    about = {
        "sample_id": pool.ids,
        "source": pool.sources,
        "row": pool.table["row"],
        "kept": kept,
        "rank": rank,
        "influence": combined,
        **{name: table[name] for name in table},
        **{name: pool.table[name] for name in ("tokens", "answer_tokens", "cut")},
        **({} if strata is None else {"stratum": strata}),
    }
    duplicates = groups(pool.signatures(), np.flatnonzero(kept).tolist())
    return Selected(settings, opened, pool, targets, pd.DataFrame(about), kept, duplicates, int((~allowed).sum()))


def _strata(settings: SelectRows, pool: Rows) -> list[str] | None:
    """Name the stratum of each row.

    Raises:
        InputError: no row has the column.
    """
    name = settings.stratified
    if name is None:
        return None
    own: list[str] = pool.table["stratum"].tolist()
    if any(own):
        return own
    if name == "source":
        return [str(each) for each in pool.sources]
    if name == "length":
        return quarters(pool.table["tokens"].to_numpy())
    raise InputError(f"stratified: got {name!r}, which no row has, expected a column of the pool, source or length")


def _write(selected: Selected, out: Path, files: Sequence[Path]) -> None:
    """Write the kept rows, the scores, and what they were made with."""
    table, settings = selected.pool.table, selected.settings
    sources = table["source"].to_numpy()
    numbers = table["row"].to_numpy()
    chosen = [(path, set(numbers[selected.kept & (sources == place)].tolist())) for place, path in enumerate(files)]
    write_originals(out, chosen, settings.encoding)
    scores = out.with_suffix(".scores.parquet")
    write_parquet(scores, selected.scores.to_dict("series"))
    more = {
        "inputs": {str(path): sha256_file(path) for path in files},
        "outputs": {each.name: sha256_file(each) for each in (out, scores)},
        "rows": selected.pool.about,
        "kept_by_source": dict(Counter(map(str, selected.pool.sources[selected.kept]))),
        "length_bias": selected.bias,
        "dropped_duplicates": selected.dropped,
        "helped": [{"target": each.target, **each.losses, "right": each.right} for each in selected.helped],
    }
    write_record(out.with_suffix(".info.json"), fingerprint(settings.deciding(), settings_device(settings), **more))
