"""Scores of tokens on the disk: taken a part of the samples at a time, gone on from after a kill, read by sample."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperinf.artifacts.files import atomic_file, read_json, write_json
from hyperinf.gradients import LiveSource
from hyperinf.influence.statistics import GradientStatistics
from hyperinf.influence.tokens import ANSWER, INPUT, REST, TokenScores, token_frame, token_scores

_PARTS = (INPUT, ANSWER, REST)
_COLUMNS = np.dtype([("part", "i1"), ("position", "<i4"), ("token", "<i4"), ("influence", "<f8")])
_SAMPLES, _AT_ONCE = 256, 1024
_ROWS, _INDEX = "{:05d}.npy", "{:05d}.json"


def keep_token_scores(
    folder: Path, source: LiveSource, product: Mapping[str, Any], statistics: GradientStatistics, identity: str
) -> None:
    """Score the tokens of all samples in one sweep, in files of some hundred samples; go on after the last whole one.

    Args:
        folder: of the files.
        source: the training samples.
        product: ``{layer: hvp}``; used up.
        statistics: of the same samples.
        identity: of all that decides the scores; files of another one are removed.
    """
    mark = folder / "identity.json"
    if not mark.is_file() or read_json(mark) != identity:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(mark, identity)
    number = done = 0
    while (index := folder / _INDEX.format(number)).is_file():
        done += len(read_json(index)["ids"])
        number += 1
    if done == len(source):
        return
    rest = source.after(done)
    left = replace(statistics, sample_ids=rest.sample_ids)
    held: list[TokenScores] = []
    for scores in token_scores(rest, dict(product), left):
        held.append(scores)
        done += len(scores.sample_ids)
        if sum(len(each.sample_ids) for each in held) >= _SAMPLES or done == len(source):
            _write(folder, number, held)
            number, held = number + 1, []


def _write(folder: Path, number: int, held: Sequence[TokenScores]) -> None:
    frame = pd.concat([token_frame(each) for each in held], ignore_index=True)
    rows = np.empty(len(frame), dtype=_COLUMNS)
    frame["part"] = frame["part"].map(_PARTS.index)
    for name in _COLUMNS.names or ():
        rows[name] = frame[name]
    ids = [name for each in held for name in each.sample_ids]
    counts = frame["sample_id"].value_counts().reindex(ids, fill_value=0).tolist()
    with atomic_file(folder / _ROWS.format(number)) as temporary, temporary.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    write_json(folder / _INDEX.format(number), {"ids": ids, "counts": counts})


class TokenTable:
    """What :func:`keep_token_scores` wrote, by sample.

    Args:
        folder: of the files.
        decode: writes a token as text.
    """

    def __init__(self, folder: Path, decode: Callable[[int], str]) -> None:
        self._decode = decode
        self._texts: dict[int, str] = {}
        self._files: list[NDArray[Any]] = []
        self._places: dict[str, tuple[int, int, int]] = {}
        while (index := folder / _INDEX.format(len(self._files))).is_file():
            about, start = read_json(index), 0
            for name, count in zip(about["ids"], about["counts"], strict=True):
                self._places[name] = len(self._files), start, start + count
                start += count
            rows = folder / _ROWS.format(len(self._files))
            self._files.append(np.load(rows, mmap_mode="r", allow_pickle=False))

    def of(self, samples: Sequence[str]) -> pd.DataFrame:
        """Give the tokens of some samples, with ``sample_id``, ``part``, ``position``, ``text`` and ``influence``."""
        places = [self._places[name] for name in samples]
        rows = np.concatenate([self._files[file][start:end] for file, start, end in places])
        counts = [end - start for _, start, end in places]
        return pd.DataFrame(
            {
                "sample_id": np.repeat(np.array(samples, dtype=object), counts),
                "part": np.array(_PARTS, dtype=object)[rows["part"]],
                "position": rows["position"].astype(np.int64),
                "token": rows["token"].astype(np.int64),
                "text": [self._text(token) for token in rows["token"].tolist()],
                "influence": rows["influence"],
            }
        )

    def frames(self, samples: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Give the tokens of many samples, some hundred of them at a time."""
        for start in range(0, len(samples), _AT_ONCE):
            yield self.of(samples[start : start + _AT_ONCE])

    def _text(self, token: int) -> str:
        if token not in self._texts:
            self._texts[token] = self._decode(token) if token >= 0 else ""
        return self._texts[token]
