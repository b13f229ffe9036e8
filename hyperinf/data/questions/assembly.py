"""The splits of a task: read the sources, draw, and corrupt the pool."""

from dataclasses import dataclass, replace

import numpy as np

from hyperinf.data.examples import Corpus
from hyperinf.data.questions.config import QuestionSource, QuestionTaskConfig
from hyperinf.data.questions.corruption import corrupt
from hyperinf.data.questions.images import Images
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.reading import Reading, read_source
from hyperinf.data.questions.splits import SPLITS
from hyperinf.data.sampling import Drawn, distinct, draw
from hyperinf.data.split_assignment import Assignment, Roles
from hyperinf.errors import InputError


@dataclass(frozen=True)
class Assembly:
    """The splits of a task, and how they came about.

    Attributes:
        splits: the questions of each split, their images being paths in the prepared folder.
        drawn: the questions as drawn, without corruption.
        reading: what the sources hold.
        templates: by name of a source, the template its questions are put with.
    """

    splits: dict[str, list[Question]]
    drawn: Drawn[Question]
    reading: Reading
    templates: dict[str, str]


def assemble(config: QuestionTaskConfig, images: Images) -> Assembly:
    """Draw the splits of a task and corrupt its pool.

    Raises:
        InputError: a source cannot be used, or has too little for what is asked.
    """
    where = config.origin.where
    reading, assigned = _read(config)
    # Independent streams: other rates leave the drawn questions, and each other's, as they are.
    streams = [np.random.default_rng(seed) for seed in np.random.SeedSequence(config.seed).spawn(4)]
    drawn = _draw(config, where, reading.corpus, assigned, images, streams[0])
    splits = {
        split: list(drawn.examples[role]) for split, role in zip(SPLITS, ("train", "validation", "test"), strict=True)
    }
    off_task = _off_task(config, drawn, round(config.off_task * len(splits["pool"])), images, streams[1])
    splits["pool"] = corrupt(
        where,
        splits["pool"],
        round(config.wrong_answers * len(splits["pool"])),
        config.wrong_mode,
        off_task,
        places=streams[2],
        answers=streams[3],
    )
    return Assembly(splits, drawn, reading, _templates(config))


def _read(config: QuestionTaskConfig) -> tuple[Reading, Assignment]:
    """The task's own source, with the one that its test questions come from as one split more."""
    where = config.origin.where
    reading = read_source(config.origin, config.roles, config.cache, config.wheels)
    corpus = reading.corpus
    assigned = config.roles.assign(where, [*corpus.splits, *corpus.hidden], corpus.hidden)
    if config.test_from is None:
        return reading, assigned
    other, questions = _one_split(config.test_from, config, "test")
    name = _other_name(config, config.test_from, "test")
    named = [replace(each, sample_id=f"test_from/{each.sample_id}", source=name) for each in questions]
    # The task's own source may have splits, or a file, of whatever name the other one has.
    split = f"test_from {config.test_from.where}"
    merged = Corpus(
        {**corpus.splits, split: named},
        label_names=(),
        exact=corpus.exact and other.corpus.exact,
        hidden=corpus.hidden,
        skipped=corpus.skipped + other.corpus.skipped,
    )
    unusable = {
        reason: reading.unusable.get(reason, 0) + other.unusable.get(reason, 0)
        for reason in sorted({*reading.unusable, *other.unusable})
    }
    return Reading(merged, unusable), replace(assigned, test=split)


def _one_split(origin: QuestionSource, config: QuestionTaskConfig, role: str) -> tuple[Reading, list[Question]]:
    """The different questions of the one split of another source that is used; by default that of the role's name."""
    # The split that is named serves all roles: the others need not be read.
    roles = Roles(origin.split, origin.split, origin.split)
    reading = read_source(origin, roles, config.cache, config.wheels)
    corpus = reading.corpus
    assigned = roles.assign(origin.where, [*corpus.splits, *corpus.hidden], corpus.hidden)
    split = (assigned.test if role == "test" else None) or assigned.train
    return reading, list(distinct(corpus, Assignment(split, None, None)).splits[split])


def _draw(
    config: QuestionTaskConfig,
    where: str,
    corpus: Corpus[Question],
    assigned: Assignment,
    images: Images,
    rng: np.random.Generator,
) -> Drawn[Question]:
    # Who names splits, or brings files, means them to be apart; of others the pool gives up what the splits share.
    if config.roles.named or config.origin.form.own:
        _check_apart(where, corpus, assigned)
    asked = {"train": config.pool, "validation": config.validation, "test": config.test}
    stratum = _kind if config.origin.form.stratified else None
    return draw(where, corpus, assigned, asked, rng, admit=images.place, stratum=stratum)


def _kind(question: Question) -> str:
    return question.kind


def _check_apart(where: str, corpus: Corpus[Question], splits: Assignment) -> None:
    pool = {each.group for each in corpus.splits[splits.train]}
    for name in dict.fromkeys((splits.validation, splits.test)):
        if name is None or name == splits.train:
            continue
        shared = [each.sample_id for each in corpus.splits[name] if each.group in pool]
        if shared:
            raise InputError(
                f"{where}: {len(shared):,} questions of {name!r}, or their images, are in the pool's"
                f" {splits.train!r}, too (first {shared[0]}); take them out of one of the two"
            )


def _off_task(
    config: QuestionTaskConfig, drawn: Drawn[Question], number: int, images: Images, rng: np.random.Generator
) -> list[Question]:
    origin = config.off_task_from
    if origin is None or number == 0:
        return []
    own = {each.group for questions in drawn.examples.values() for each in questions}
    others = [each for each in _one_split(origin, config, "train")[1] if each.group not in own]
    name = _other_name(config, origin, "off task")
    chosen: list[Question] = []
    for index in rng.permutation(len(others)):
        # Only a placed image tells its content, and so whether one of the task's own is a copy of it.
        placed = images.place(others[index])
        if placed is not None and placed.group not in own:
            chosen.append(replace(placed, source=name))
        if len(chosen) == number:
            return chosen
    raise InputError(f"{origin.where}: {len(chosen):,} different off-task questions, but {number:,} are needed")


def _templates(config: QuestionTaskConfig) -> dict[str, str]:
    templates = {config.origin.name: config.origin.template_name}
    if config.off_task_from is not None and config.off_task > 0:
        templates[_other_name(config, config.off_task_from, "off task")] = config.off_task_from.template_name
    if config.test_from is not None:
        templates[_other_name(config, config.test_from, "test")] = config.test_from.template_name
    return templates


def _other_name(config: QuestionTaskConfig, other: QuestionSource, part: str) -> str:
    """Another source's name; another than the task's own, so that its rows can be told."""
    return f"{other.name} ({part})" if other.name == config.origin.name else other.name
