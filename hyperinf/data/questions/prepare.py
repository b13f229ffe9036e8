"""Draw a pool, validation and test questions; corrupt the pool; write what came of it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperinf.data.corpus import Corpus
from hyperinf.data.drawing import Drawn, distinct, draw
from hyperinf.data.folders import INFO, check_out, written_folder
from hyperinf.data.prompts import load_template, render
from hyperinf.data.questions.config import QuestionTaskConfig
from hyperinf.data.questions.corruption import corrupt
from hyperinf.data.questions.description import describe
from hyperinf.data.questions.images import IMAGES, copy_images, place_images
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.reading import Reading, read_source
from hyperinf.data.questions.splits import SPLITS, write_questions
from hyperinf.data.roles import Assignment, Roles
from hyperinf.errors import InputError
from hyperinf.files import read_json, write_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Replacements:
    """Questions of another task, and the files of their images by their places in the prepared folder."""

    questions: list[Question]
    images: dict[str, Path]


def prepare_questions(config: QuestionTaskConfig, out: Path) -> None:
    """Write ``{pool,validation,test}.parquet``, ``info.json`` and, if there are any, ``images/``.

    The same configuration and source give the same bytes. ``out`` appears whole or not at all; a task that is there
    already is replaced.

    Args:
        config: what to draw from where.
        out: the task's folder.

    Raises:
        InputError: the source cannot be used, or ``out`` holds something else; one line says what and where.
    """
    out = Path(out)
    check_out(out, [*(f"{split}.parquet" for split in SPLITS), IMAGES])
    where = config.origin.where
    reading = read_source(config.origin, config.roles, config.cache, config.wheels)
    # Independent streams: other rates leave the drawn questions, and each other's, as they are.
    streams = [np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(4)]
    drawn = _draw(config, where, reading.corpus, streams[0])
    splits, images = _place(where, drawn, reading.folder)
    replacements = _replacements(config, drawn, len(splits["pool"]), streams[1])
    splits["pool"] = corrupt(
        where,
        splits["pool"],
        round(config.wrong_answers * len(splits["pool"])),
        config.wrong_mode,
        replacements.questions,
        places=streams[2],
        answers=streams[3],
    )
    templates = _templates(config)
    _check_templates(templates, (each for split in SPLITS for each in splits[split]))
    info = describe(config, reading, drawn, splits, templates)
    _warn(config, where, drawn, reading, splits)
    with written_folder(out) as folder:
        for split in SPLITS:
            write_questions(folder, split, splits[split])
        copy_images({**images, **replacements.images}, folder)
        write_json(folder / INFO, info)


def read_questions_info(folder: Path) -> dict[str, Any]:
    """Read a task's ``info.json``.

    Raises:
        InputError: it is missing or is not one.
    """
    path = Path(folder) / INFO
    info = read_json(path)
    if not isinstance(info, dict) or not isinstance(info.get("templates"), dict):
        raise InputError(f"{path}: not the description of a question task (no templates)")
    return info


def _draw(
    config: QuestionTaskConfig, where: str, corpus: Corpus[Question], rng: np.random.Generator
) -> Drawn[Question]:
    assigned = config.roles.assign(where, [*corpus.splits, *corpus.hidden], corpus.hidden)
    # Who names splits, or brings files, means them to be apart; of others the pool gives up what the splits share.
    if config.roles.named or config.origin.form.own:
        _check_apart(where, corpus, assigned)
    asked = {"train": config.pool, "validation": config.validation, "test": config.test}
    return draw(where, corpus, assigned, asked, rng)


def _check_apart(where: str, corpus: Corpus[Question], splits: Assignment) -> None:
    pool = {each.group for each in corpus.splits[splits.train]}
    for name in dict.fromkeys((splits.validation, splits.test)):
        if name is None or name == splits.train:
            continue
        shared = [each.sample_id for each in corpus.splits[name] if each.group in pool]
        if shared:
            raise InputError(
                f"{where}: {len(shared):,} questions of {name!r} are in the pool's {splits.train!r}, too"
                f" (first {shared[0]}); take them out of one of the two"
            )


def _place(
    where: str, drawn: Drawn[Question], folder: Path | None
) -> tuple[dict[str, list[Question]], dict[str, Path]]:
    splits, images = {}, {}
    for split, role in zip(SPLITS, ("train", "validation", "test"), strict=True):
        splits[split], files = place_images(where, drawn.examples[role], folder)
        images.update(files)
    return splits, images


def _replacements(
    config: QuestionTaskConfig, drawn: Drawn[Question], pool: int, rng: np.random.Generator
) -> _Replacements:
    origin, number = config.off_task_from, round(config.off_task * pool)
    if origin is None or number == 0:
        return _Replacements([], {})
    # The split that is named serves all roles: the others need not be read.
    roles = Roles(origin.split, origin.split, origin.split)
    reading = read_source(origin, roles, config.cache, config.wheels)
    corpus = reading.corpus
    train = roles.assign(origin.where, [*corpus.splits, *corpus.hidden], corpus.hidden).train
    there = distinct(corpus, Assignment(train, None, None)).splits[train]
    own = {each.group for questions in drawn.examples.values() for each in questions}
    others = [each for each in there if each.group not in own]
    if len(others) < number:
        raise InputError(f"{origin.where}: {len(others):,} different off-task questions, but {number:,} are needed")
    chosen = [others[index] for index in rng.permutation(len(others))[:number]]
    name = _off_task_name(config)
    placed, images = place_images(origin.where, chosen, reading.folder)
    return _Replacements([replace(each, source=name) for each in placed], images)


def _templates(config: QuestionTaskConfig) -> dict[str, str]:
    """By name of a source, the template its questions are put with."""
    templates = {config.origin.name: config.origin.template_name}
    if config.off_task_from is not None and config.off_task > 0:
        templates[_off_task_name(config)] = config.off_task_from.template_name
    return templates


def _off_task_name(config: QuestionTaskConfig) -> str:
    """The other source's name; another than the task's own, so that its rows can be told."""
    name = config.off_task_from.name if config.off_task_from is not None else ""
    return f"{name} (off task)" if name == config.origin.name else name


def _check_templates(templates: dict[str, str], questions: Iterable[Question]) -> None:
    loaded = {source: load_template(name) for source, name in templates.items()}
    for each in questions:
        render(loaded[each.source], each)


def _warn(
    config: QuestionTaskConfig,
    where: str,
    drawn: Drawn[Question],
    reading: Reading,
    splits: dict[str, list[Question]],
) -> None:
    for split, number in config.asked.items():
        if len(splits[split]) < number:
            _log.warning("%s: %d %s questions, %d asked for", where, len(splits[split]), split, number)
    for reason, number in reading.unusable.items():
        _log.warning("%s: %d rows left out: %s", where, number, reason)
    if drawn.contradictory:
        first = drawn.contradictory[0]
        _log.warning("%s: %d questions left out, which have two answers (%s)", where, len(drawn.contradictory), first)
