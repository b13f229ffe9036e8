"""Text classification tasks with some training labels wrong: prepared once, read many times."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.artifacts.environment import hashed, source_files
from hyperinf.artifacts.records import RECORD, read_record, write_record
from hyperinf.data.assets import fetch_asset
from hyperinf.data.examples import Columns, Corpus, Example
from hyperinf.data.folders import check_content_hash, check_out, written_folder
from hyperinf.data.hub import read_folder, read_hub
from hyperinf.data.label_noise import check_noise_rate, flip_labels
from hyperinf.data.sampling import Drawn, draw
from hyperinf.data.sarcasm import read_sarcasm
from hyperinf.data.sources import Source
from hyperinf.data.split_assignment import Roles
from hyperinf.data.split_io import SPLITS, TextSplit, read_split, write_split
from hyperinf.data.tables import read_table
from hyperinf.errors import InputError

__all__ = ["SPLITS", "TextSplit", "TextTaskConfig", "prepare_text_task", "read_info", "read_split"]

_log = logging.getLogger(__name__)
_SHOWN_IDS = 20


@dataclass(frozen=True)
class TextTaskConfig:
    """What a text classification task is made of.

    Attributes:
        source: asset ``sarcasm``; a set on the hub; a local folder in the hub's layout; or a local file (CSV, TSV,
            JSON lines or Parquet).
        text: the column with the text.
        label: the column with the label.
        train: number of training samples. For a set in the hub's layout "at most", as in the paper's subsampling; of
            a file or an asset exactly. So too ``validation`` and ``test``.
        validation: number of validation samples, whose labels stay clean.
        test: number of test samples, whose labels stay clean.
        noise_rate: share of the training labels that is flipped, in ``[0, 1)``; 0 for data with labels wrong already.
        seed: of the drawing and of the flips, which are independent of each other.
        pair: the column with the second text, for tasks on pairs.
        id_column: the column with the samples' ids; by default they are made of the split (or file) and the row.
        subset: the hub's name for one of several sets under one roof (``qnli`` of GLUE).
        revision: branch, tag or commit on the hub.
        split_train: the split to train on; by default ``train``.
        split_validation: by default ``validation`` if there is one, else drawn from the training split.
        split_test: by default ``test`` if there is one with labels, else drawn from the rest of the validation split,
            then of the training split.
        cache: folder of assets; what ``datasets`` keeps goes there, too.
        wheels: wheels brought by hand.
    """

    source: Source
    text: str
    label: str
    train: int
    validation: int
    test: int
    noise_rate: float
    seed: int
    pair: str | None = None
    id_column: str | None = None
    subset: str | None = None
    revision: str | None = None
    split_train: str | None = None
    split_validation: str | None = None
    split_test: str | None = None
    cache: Path = Path("results/assets")
    wheels: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for role, number in self.asked.items():
            if number < 1:
                raise InputError(f"{role} samples: {number} asked for, expected at least 1")
        check_noise_rate(self.noise_rate)
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, expected an integer of at least 0")
        columns = [name for name in (self.text, self.pair, self.label, self.id_column) if name is not None]
        twice = [name for name, count in Counter(columns).items() if count > 1]
        if twice:
            raise InputError(f"column {twice[0]!r} is named twice; text, pair, label and id are different columns")
        if self.revision is not None and self.source.kind != "hub":
            raise InputError(f"{self.source}: a revision ({self.revision!r}) exists on the hub only")
        if self.subset is not None and not self._has_subsets:
            raise InputError(f"{self.source}: has no subsets, but {self.subset!r} is asked for")

    @property
    def _has_subsets(self) -> bool:
        return self.source.kind == "hub" or (self.source.kind == "path" and not Path(self.source.name).is_file())

    @property
    def asked(self) -> dict[str, int]:
        """Number of samples asked for, by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def prepare_text_task(config: TextTaskConfig, out: Path) -> None:
    """Draw the three splits, flip training labels, write ``{train,validation,test}.parquet`` and ``info.json``.

    The same configuration and source give the same bytes. ``out`` appears whole or not at all; a task that is there
    already is replaced.

    Args:
        config: what to draw from where.
        out: the task's folder.

    Raises:
        InputError: the source cannot be used, or ``out`` holds something else; one line says what and where.
    """
    out = Path(out)
    check_out(out, [f"{role}.parquet" for role in SPLITS])
    where = str(config.source) if config.source.kind != "path" else config.source.name
    corpus = _read_corpus(config)
    roles = Roles(config.split_train, config.split_validation, config.split_test)
    assigned = roles.assign(where, [*corpus.splits, *corpus.hidden], corpus.hidden)
    # Independent streams: another noise rate leaves the drawn samples as they are.
    drawing, flipping = (np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(2))
    drawn = draw(where, corpus, assigned, config.asked, drawing)
    splits = _label(corpus, drawn, config.noise_rate, flipping)
    info = _describe(config, corpus, drawn, splits)
    for role, number in config.asked.items():
        if len(splits[role].labels) < number:
            _log.warning("%s: %d %s samples, %d asked for", where, len(splits[role].labels), role, number)
    if drawn.contradictory:
        first = drawn.contradictory[0]
        _log.warning(
            "%s: %d samples left out, whose texts have two labels (%s)", where, len(drawn.contradictory), first
        )
    with written_folder(out) as folder:
        for role in SPLITS:
            write_split(folder, role, splits[role])
        more = {"inputs": source_files(config.source), "outputs": hashed(folder, "*.parquet")}
        write_record(folder / RECORD, {**info, **more})


def read_info(folder: Path) -> dict[str, Any]:
    """Read a task's ``info.json``.

    Raises:
        InputError: it is missing or is not one, or the data has changed since.
    """
    path = Path(folder) / RECORD
    info = read_record(path)
    if not isinstance(info, dict) or not isinstance(info.get("label_names"), list):
        raise InputError(f"{path}: not the description of a text task (no label_names)")
    check_content_hash(path, info)
    return info


def _read_corpus(config: TextTaskConfig) -> Corpus[Example]:
    source = config.source
    columns = Columns(config.text, config.label, config.pair, config.id_column)
    roles = Roles(config.split_train, config.split_validation, config.split_test)
    if source.kind == "hub":
        return read_hub(source.name, config.subset, columns, roles, config.cache, config.revision)
    if source.kind == "path":
        path = Path(source.name).expanduser()
        if path.is_dir():
            return read_folder(path, config.subset, columns, roles, config.cache)
        return read_table(path, columns)
    if source.name != "sarcasm":
        raise InputError(f"{source}: not a text classification set; asset:sarcasm is")
    return read_sarcasm(fetch_asset(source.name, config.cache, config.wheels), columns)


def _label(
    corpus: Corpus[Example], drawn: Drawn[Example], noise_rate: float, rng: np.random.Generator
) -> dict[str, TextSplit]:
    number = {name: index for index, name in enumerate(corpus.label_names)}
    splits = {}
    for role in SPLITS:
        examples = drawn.examples[role]
        true = [number[each.label] for each in examples]
        rate = noise_rate if role == "train" else 0.0
        labels, flipped = flip_labels(true, rate, len(corpus.label_names), rng)
        splits[role] = TextSplit(
            sample_ids=[each.sample_id for each in examples],
            texts=[each.text for each in examples],
            pairs=_pairs(examples),
            labels=labels.tolist(),
            true_labels=true,
            flipped=flipped.tolist(),
        )
    return splits


def _pairs(examples: Sequence[Example]) -> list[str] | None:
    pairs = [each.pair for each in examples if each.pair is not None]
    return pairs or None


def _describe(
    config: TextTaskConfig, corpus: Corpus[Example], drawn: Drawn[Example], splits: Mapping[str, TextSplit]
) -> dict[str, Any]:
    return {
        "source": str(config.source),
        "subset": config.subset,
        "revision": config.revision,
        "columns": {"text": config.text, "pair": config.pair, "label": config.label, "id": config.id_column},
        "label_names": list(corpus.label_names),
        "asked": config.asked,
        "counts": {role: _counts(splits[role], corpus.label_names) for role in SPLITS},
        "drawn_from": drawn.drawn_from,
        "duplicates_dropped": drawn.duplicates,
        "contradictory_dropped": len(drawn.contradictory),
        "contradictory_first_ids": list(drawn.contradictory[:_SHOWN_IDS]),
        "incomplete_rows_dropped": corpus.skipped,
        "noise_rate": config.noise_rate,
        "flipped": sum(splits["train"].flipped),
        "seed": config.seed,
        "content_sha256": _content_sha256(splits),
    }


def _counts(split: TextSplit, label_names: Sequence[str]) -> dict[str, Any]:
    true = Counter(split.true_labels)
    observed = Counter(split.labels)
    return {
        "samples": len(split.labels),
        "true_label": {name: true[index] for index, name in enumerate(label_names)},
        "label": {name: observed[index] for index, name in enumerate(label_names)},
    }


def _content_sha256(splits: Mapping[str, TextSplit]) -> str:
    """Hash of what the splits say, which unlike the Parquet bytes does not depend on the version of a library."""
    digest = hashlib.sha256()
    for role in SPLITS:
        split = splits[role]
        none: list[str | None] = [None] * len(split)
        for row in zip(
            split.sample_ids,
            split.texts,
            split.pairs or none,
            split.labels,
            split.true_labels,
            split.flipped,
            strict=True,
        ):
            digest.update(json.dumps([role, *row], ensure_ascii=True).encode() + b"\n")
    return digest.hexdigest()
