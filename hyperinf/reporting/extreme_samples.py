"""Find the samples that each method calls most helpful and most harmful, with what is needed to look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import RECORD, check_written, read_record
from hyperinf.data.images import read_image
from hyperinf.data.parquet import read_frame
from hyperinf.errors import InputError
from hyperinf.reporting.run_folders import data_folder, scores_folder

SIDES = ("helpful", "harmful")
SHOWN = 4
"""Samples on each side: with four methods the sheet still fits a screen."""
LARGEST = 256
"""Pixels of an image's longer side, at most."""
_TEXT = ("sample_id", "image", "question", "answer", "true_answer", "corruption")
_PREFIX = "influence_"


@dataclass(frozen=True)
class Sheet:
    """What is shown of one task, model and setting.

    Attributes:
        seed: the first one.
        samples: of :func:`extreme_samples`.
        pixels: of :func:`read_pixels`.
    """

    seed: int
    samples: pd.DataFrame
    pixels: Mapping[str, np.ndarray]


def extreme_samples(scores: pd.DataFrame, methods: Sequence[str], shown: int = SHOWN) -> pd.DataFrame:
    """List the extremes of every method: so many on each side, at most half of all.

    Returns:
        Columns method, side, rank (1 is the extreme), influence (positive is harmful), sample_id, image, question,
        answer, true_answer, corruption; of equal scores the first in the table first.
    """
    count = min(shown, len(scores) // 2)
    parts = []
    for method in methods:
        influence = scores[f"{_PREFIX}{method}"].to_numpy(dtype=np.float64)
        for side, order in zip(SIDES, (influence, -influence), strict=True):
            chosen = np.argsort(order, kind="stable")[:count]
            part = scores.iloc[chosen][list(_TEXT)].reset_index(drop=True)
            known = {"method": method, "side": side, "rank": range(1, count + 1), "influence": influence[chosen]}
            parts.append(part.assign(**known)[[*known, *_TEXT]])
    return pd.concat(parts, ignore_index=True)


def read_sheet(run: Path, checkpoint: str, seed: int, methods: Sequence[str]) -> Sheet | None:
    """Read the extremes of a run, and their images from the data that it was scored on.

    Returns:
        None where no sample has an image.

    Raises:
        InputError: scores, the data of the run or an image is missing or of another form, or a score is not finite.
    """
    path = scores_folder(run, checkpoint) / "scores.parquet"
    check_written(path)
    scores = read_frame(path, [f"{_PREFIX}{method}" for method in methods])
    if "image" not in scores or (scores["image"] == "").all():
        return None
    for method in methods:
        strange = scores[~np.isfinite(scores[f"{_PREFIX}{method}"])]
        if len(strange):
            sample = strange["sample_id"].iloc[0]
            raise InputError(f"{path}: influence of sample {sample} by {method}: got no finite number, expected one")
    samples = extreme_samples(scores, methods)
    return Sheet(seed, samples, read_pixels(scored_data(run, checkpoint, seed), samples))


def scored_data(run: Path, checkpoint: str, seed: int) -> Path:
    """Find the data folder of a run, and see that it is what was scored.

    Raises:
        InputError: it is not.
    """
    data = data_folder(run, checkpoint, seed)
    wanted = read_record(scores_folder(run, checkpoint) / RECORD).get("data_sha256")
    if wanted is None or read_record(data / RECORD).get("content_sha256") != wanted:
        raise InputError(f"{data}: got other data, expected what {run} was scored on")
    return data


def read_pixels(folder: Path, samples: pd.DataFrame) -> dict[str, np.ndarray]:
    """Read the images of samples from a data folder as ``{path: array[height, width, 3]}``, large ones reduced.

    Raises:
        InputError: an image is not there, or is none; names the sample.
    """
    from PIL.Image import Resampling

    pixels = {}
    for sample, name in dict(zip(samples["sample_id"], samples["image"], strict=True)).items():
        if not name:
            continue  # a question without an image among others
        try:
            shown = read_image(folder, name)
        except InputError as error:
            raise InputError(f"sample {sample}: {error}") from None
        shown.thumbnail((LARGEST, LARGEST), Resampling.LANCZOS)
        pixels[name] = np.asarray(shown)
    return pixels
