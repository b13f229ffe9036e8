"""``hyperinf mislabeled FILE``: rank the rows of a labelled table by how likely their label is wrong."""

import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hyperinf.artifacts.environment import digest, hashed
from hyperinf.artifacts.files import write_json
from hyperinf.artifacts.parts import State
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.artifacts.views import View
from hyperinf.data.folders import check_out, written_folder
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.mislabeled.encoding import encode_images, encode_texts
from hyperinf.mislabeled.finding import find
from hyperinf.mislabeled.page import write_page
from hyperinf.mislabeled.reading import Labelled, read_labelled_file, read_trusted, with_columns
from hyperinf.mislabeled.summary import lines, summarised
from hyperinf.mislabeled.suspects import Judged, suspects_frame, write_suspects
from hyperinf.mislabeled.words import word_views
from hyperinf.pipeline.opened import machine
from hyperinf.runtime.progress import waiting
from hyperinf.settings.mislabeled import Mislabeled
from hyperinf.settings.sources import ModelSource

_log = logging.getLogger(__name__)
SUSPECTS, PAGE, SUMMARY = "suspects.csv", "suspects.html", "summary.json"
_MODEL = "asset:minilm"
_WRITING = 5e-5
"""Seconds that a row takes to be written, about."""


@dataclass(frozen=True)
class Found:
    """What is found in a table.

    Attributes:
        table: what was read.
        judged: what was found of its rows.
        frame: the table with what was found, the most suspicious row first.
    """

    table: Labelled
    judged: Judged
    frame: pd.DataFrame


def mislabeled(settings: Mislabeled) -> None:
    """Write ``suspects.csv``, ``suspects.html``, ``summary.json``, ``info.json`` and ``settings.yaml``.

    Goes on after a kill. No label is changed.

    Raises:
        InputError: the file, the model or a column cannot be used, or the folder holds something else.
    """
    out = Path(settings.out)
    check_out(out, [SUSPECTS, PAGE, SUMMARY])
    began = time.monotonic()
    settings = with_columns(settings)
    table = read_labelled_file(settings)
    for remark in table.remarks:
        _log.warning(remark)
    state, judged = judged_table(table, settings)
    texts = (
        table.texts
        if table.seconds is None
        else [" | ".join(pair) for pair in zip(table.texts, table.seconds, strict=True)]
    )
    with waiting("writing the table", _WRITING * len(table.labels)), written_folder(out) as folder:
        frame = suspects_frame(judged, table.table)
        summary = summarised(table, judged, settings.ranking, time.monotonic() - began)
        shown = list(lines(summary))
        write_suspects(frame, folder / SUSPECTS)
        write_page(folder / PAGE, summary, shown, judged, frame, texts, table.images, settings.top)
        write_json(folder / SUMMARY, summary)
        write_settings(folder, settings)
        write_record(folder / RECORD, {"outputs": hashed(folder, SUSPECTS)})
    state.remove()
    if settings.json:
        print(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        for line in shown:
            print(line)
    sys.stdout.flush()


def judged_table(table: Labelled, settings: Mislabeled, keep: bool = True) -> tuple[State, Judged]:
    """Encode and judge the rows of a table.

    Args:
        table: see ``read_labelled_file``.
        settings: of the command.
        keep: keep what a killed command goes on from.
    """
    device = machine(settings)
    folder = resolve_model_folder(
        settings.model or ModelSource(**dict([_MODEL.split(":")])), resolve_cache(settings), settings.wheel_paths
    )
    extra = read_trusted(settings, table.classes, [str(each) for each in table.table.columns])
    number = {name: index for index, name in enumerate(table.classes)}
    labels = np.concatenate([table.labels, np.array([number[each.answer] for each in extra], dtype=np.int64)])
    trusted = np.concatenate([table.trusted, np.ones(len(extra), dtype=bool)])
    texts = [*table.texts, *(each.context for each in extra)]
    seconds = None if table.seconds is None else [*table.seconds, *(each.question for each in extra)]
    images = [*table.images, *(each.image for each in extra)] if table.images else []
    shown = [digest([texts, seconds, images, labels.tolist(), trusted.tolist()]), settings.deciding()]
    state = State(Path(settings.state_folder) if keep else None, digest(shown))
    views: dict[str, View]
    if images:
        views = {"encoding": encode_images(folder, images, device, state)}
        keys = tuple(images)
    else:
        views = {"encoding": encode_texts(folder, texts, seconds, settings.max_length, device, state)}
        both = (
            texts if seconds is None else [f"{first}\n{second}" for first, second in zip(texts, seconds, strict=True)]
        )
        views |= word_views(both, settings.seed, state)
        keys = (*table.keys, *(f"\0trusted {place}" for place in range(len(extra))))
    judged = find(views, labels, table.classes, keys, settings, trusted, len(extra), table.numbers, state)
    return state, judged
