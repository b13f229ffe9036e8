"""The splits of a task: read the sources, draw, and harm the training samples."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hyperinf.data.corruption import OFF_TASK, corrupt
from hyperinf.data.images import Images
from hyperinf.data.origin import Origin
from hyperinf.data.reading import read_source
from hyperinf.data.samples import Sample
from hyperinf.data.sampling import Corpus, Drawn, distinct, draw
from hyperinf.data.sources import resolve_cache
from hyperinf.data.split_assignment import Assignment, assign, named
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings, SplitNames
from hyperinf.settings.stages import Prepare


@dataclass(frozen=True)
class Assembly:
    """The splits of a task, and how they came about.

    Attributes:
        splits: the samples of each split, their images being paths in the prepared folder.
        drawn: the samples as drawn, without corruption.
        corpus: what the sources hold.
        images: the images of the samples, and which were passed over.
        templates: by name of a source, the template its samples are put with.
    """

    splits: dict[str, list[Sample]]
    drawn: Drawn
    corpus: Corpus
    images: Images
    templates: dict[str, str]

    @property
    def label_names(self) -> list[str] | None:
        """Name the classes in the order of their numbers; None where the samples have not all the same choices."""
        samples = [each for split in self.splits.values() for each in split]
        names = samples[0].choices
        same = bool(names) and all(each.choices == names or set(each.choices) == set(names) for each in samples)
        return list(names) if same else None

    @property
    def classes_not_trained(self) -> list[str]:
        """Name the classes that no training sample is of, as it is observed."""
        own = [each for each in self.splits["train"] if each.corruption != OFF_TASK]
        names = own[0].choices if own and all(each.choices == own[0].choices for each in own) else ()
        return [name for name in names if name not in {each.answer for each in own}]


class _Task:
    """The data sets of a task, and what is read of them."""

    def __init__(self, settings: Prepare) -> None:
        self.settings = settings
        self.own = Origin(settings)
        self.off_task = self._other(settings.off_task_data if settings.off_task > 0 else None, "off task")
        self.test = self._other(settings.test_data, "test")
        self.cache = resolve_cache(settings)
        self.wheels = [Path(wheel) for wheel in settings.wheels]
        self.images = Images({each.name for each in self.origins if each.data.skip_bad_images})

    @property
    def origins(self) -> list[Origin]:
        """List the data sets in use."""
        return [each for each in (self.own, self.off_task, self.test) if each is not None]

    def _other(self, data: DataSettings | None, part: str) -> Origin | None:
        """Name another data set otherwise than the task's own, so that its rows can be told."""
        if data is None:
            return None
        origin = Origin(data)
        return Origin(data, f"{origin.name} ({part})") if origin.name == self.own.name else origin

    def read(self) -> tuple[Corpus, Assignment]:
        """Read the task's own data set, with the one that its test samples come from as one split more."""
        names, where = self.settings.splits, self.own.where
        corpus = self._read(self.own, names)
        assigned = assign(where, names, [*corpus.splits, *corpus.hidden], corpus.hidden)
        if self.test is None:
            return corpus, assigned
        other, samples = self.read_one_split(self.test, "test")
        # The task's own source may have splits, or a file, of whatever name the other one has.
        split = f"test_data {self.test.where}"
        told_apart = [replace(each, sample_id=f"test_data/{each.sample_id}") for each in samples]
        merged = replace(
            corpus,
            splits={**corpus.splits, split: told_apart},
            unusable=Counter(corpus.unusable) + Counter(other.unusable),
            unknown_columns=tuple(dict.fromkeys(corpus.unknown_columns + other.unknown_columns)),
            labels_alike=corpus.labels_alike + other.labels_alike,
            remarks=corpus.remarks + other.remarks,
        )
        return merged, replace(assigned, test=split)

    def read_one_split(self, origin: Origin, part: str) -> tuple[Corpus, Sequence[Sample]]:
        """Read the different samples of the one split of another data set that is used; by default the part's own."""
        name = getattr(origin.data.splits, part)
        # The split that is named serves all parts: the others need not be read.
        names = SplitNames(train=name or origin.data.splits.train, validation=name, test=name)
        corpus = self._read(origin, names)
        assigned = assign(origin.where, names, [*corpus.splits, *corpus.hidden], corpus.hidden)
        split = (assigned.test if part == "test" else None) or assigned.train
        return corpus, distinct(corpus, Assignment(split, None, None)).splits[split]

    def _read(self, origin: Origin, names: SplitNames) -> Corpus:
        corpus = read_source(origin, names, self.cache, self.wheels)
        self.images.embedded.update(corpus.images)
        return corpus

    def foreign(self, drawn: Drawn, rng: np.random.Generator) -> list[Sample]:
        """Choose the samples that take the place of training samples."""
        number = round(self.settings.off_task * len(drawn.samples["train"]))
        if self.off_task is None or number == 0:
            return []
        own = {each.group for samples in drawn.samples.values() for each in samples}
        others = [each for each in self.read_one_split(self.off_task, "train")[1] if each.group not in own]
        chosen: list[Sample] = []
        for index in rng.permutation(len(others)):
            # Only a placed image tells its content, and so whether one of the task's own is a copy of it.
            placed = self.images.place(others[index])
            if placed is not None and placed.group not in own:
                chosen.append(placed)
            if len(chosen) == number:
                return chosen
        raise InputError(
            f"{self.off_task.where}: got {len(chosen):,} different off-task samples, expected the {number:,} needed"
        )


def assemble(settings: Prepare) -> Assembly:
    """Draw the splits of a task and harm its training samples.

    Raises:
        InputError: a source cannot be used, or has too little for what is asked.
    """
    task = _Task(settings)
    form, where = task.own.form, task.own.where
    corpus, assigned = task.read()
    # Who names splits, or brings files, means them to be apart; of others training gives up what the splits share.
    if form.label is None and (named(settings.splits) or form.own):
        _check_apart(where, corpus, assigned)
    # Independent streams: other fractions leave the drawn samples, and each other's, as they are.
    drawing, *harming = (np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(4))
    asked = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    stratum = _kind if form.stratified else None
    keep = settings.keep_contradictory
    drawn = draw(where, corpus, assigned, asked, drawing, task.images.place, stratum, keep)
    labelled = form.label is not None
    if labelled:
        answers, others, places = harming
    else:
        others, places, answers = harming
    splits = {split: list(drawn.samples[split]) for split in asked}
    foreign = task.foreign(drawn, others)
    splits["train"] = corrupt(where, splits["train"], settings, foreign, places, answers, labelled)
    templates = {each.name: each.template for each in task.origins}
    return Assembly(splits, drawn, corpus, task.images, templates)


def _kind(sample: Sample) -> str:
    return sample.kind


def _check_apart(where: str, corpus: Corpus, splits: Assignment) -> None:
    training = {each.group for each in corpus.splits[splits.train]}
    for name in dict.fromkeys((splits.validation, splits.test)):
        if name is None or name == splits.train:
            continue
        shared = [each.sample_id for each in corpus.splits[name] if each.group in training]
        if shared:
            raise InputError(
                f"{where}: got {len(shared):,} samples of {name!r} that are, or whose images are, in {splits.train!r},"
                f" too (first {shared[0]}), expected splits that share nothing; take them out of one of the two"
            )
