"""Find the samples that each method calls most helpful and most harmful, with what is needed to look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.records import RECORD, check_written, read_record
from hyperinf.errors import InputError

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


def extreme_samples(path: Path, methods: Sequence[str], shown: int = SHOWN) -> pd.DataFrame:
    """List the extremes of every method in a file of scores.

    Args:
        path: the file.
        methods: influence methods to show.
        shown: samples on each side, at most half of all.

    Returns:
        Columns method, side, rank (1 is the extreme), influence (positive is harmful), sample_id, image, question,
        answer, true_answer, corruption; of equal scores the first in the file first.

    Raises:
        InputError: the file is not there or not whole, lacks a column or a method, is not about images, or holds a
            score that is not finite.
    """
    scores = _scores(path)
    known = [column.removeprefix(_PREFIX) for column in scores.columns if column.startswith(_PREFIX)]
    for method in methods:
        if method not in known:
            raise InputError(f"{path}: got no scores by {method!r}, expected them beside {', '.join(known)}")
    count = min(shown, len(scores) // 2)
    parts = []
    for method in methods:
        influence = scores[f"{_PREFIX}{method}"].to_numpy(dtype=np.float64)
        if not np.isfinite(influence).all():
            worst = scores["sample_id"].iloc[int(np.argmin(np.isfinite(influence)))]
            raise InputError(f"{path}: influence of sample {worst} by {method}: got no finite number, expected one")
        for side, order in zip(SIDES, (influence, -influence), strict=True):
            chosen = np.argsort(order, kind="stable")[:count]
            part = scores.iloc[chosen][list(_TEXT)].reset_index(drop=True)
            part.insert(0, "influence", influence[chosen])
            part.insert(0, "rank", range(1, count + 1))
            part.insert(0, "side", side)
            part.insert(0, "method", method)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def read_sheet(run: Path, checkpoint: str, seed: int, methods: Sequence[str]) -> Sheet:
    """Read the extremes of a run, and their images from the data that it was scored on.

    Args:
        run: the seed folder; its data is at ``../../../data/seed-S``.
        checkpoint: whose scores are shown.
        seed: of the run.
        methods: to show.

    Raises:
        InputError: scores, the data of the run or an image is missing or of another form.
    """
    data = run.resolve().parents[2] / "data" / f"seed-{seed}"
    record = run / "scores" / checkpoint / RECORD
    wanted = read_record(record).get("data_sha256")
    if wanted is None or read_record(data / RECORD).get("content_sha256") != wanted:
        raise InputError(f"{data}: got other data, expected what {run} was scored on")
    samples = extreme_samples(run / f"scores/{checkpoint}/scores.parquet", methods)
    return Sheet(seed, samples, read_pixels(data, samples))


def read_pixels(folder: Path, samples: pd.DataFrame) -> dict[str, np.ndarray]:
    """Read the images of samples as ``{path: array[height, width, 3]}``; large ones are reduced to what can be shown.

    Args:
        folder: the data folder, which their paths are relative to.
        samples: of :func:`extreme_samples`.

    Raises:
        InputError: an image is not there, or is none; names the sample.
    """
    from PIL import Image

    pixels = {}
    for sample, name in dict(zip(samples["sample_id"], samples["image"], strict=True)).items():
        if not name:
            continue  # a question without an image among others
        path = Path(folder) / name
        try:
            with Image.open(path) as image:
                shown = image.convert("RGB")
        except FileNotFoundError:
            raise InputError(f"{path}: no such image; expected that of sample {sample}") from None
        except (OSError, ValueError, SyntaxError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: got no image ({reason}), expected that of sample {sample}") from None
        shown.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        pixels[name] = np.asarray(shown)
    return pixels


def _scores(path: Path) -> pd.DataFrame:
    check_written(path)
    try:
        scores = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: got no scores file ({str(error).splitlines()[0]}), expected one") from None
    missing = [column for column in _TEXT if column not in scores]
    if missing:
        raise InputError(f"{path}: got no column {', '.join(missing)}, expected scores of questions about images")
    if (scores["image"] == "").all():
        raise InputError(f"{path}: column image: got an empty one, expected images to show")
    if len(scores) < len(SIDES):
        raise InputError(f"{path}: got {len(scores)} samples, expected at least one on each side")
    return scores
