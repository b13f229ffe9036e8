"""What a user should know of prepared data, a line each: printed, and kept in the record."""

from collections.abc import Iterator, Mapping, Sequence

from hyperinf.data.assembly import Assembly
from hyperinf.data.classes import are_many_numbers
from hyperinf.data.samples import SPLITS
from hyperinf.errors import brief, listed
from hyperinf.settings.stages import Prepare

_GROUPS = 3


def remarks(settings: Prepare, assembly: Assembly) -> list[str]:
    """List what may be wrong with the data and is no reason to stop."""
    where = str(settings.source)
    return [*assembly.corpus.remarks, *(f"{where}: {each}" for each in _of_samples(settings, assembly))]


def _of_samples(settings: Prepare, assembly: Assembly) -> Iterator[str]:
    corpus, drawn, skipped = assembly.corpus, assembly.drawn, assembly.images.skipped
    for split in SPLITS:
        asked, there = getattr(settings, split), len(assembly.splits[split])
        if there < asked:
            yield f"{there:,} {split} samples, {asked:,} asked for"
    for reason, number in corpus.unusable.items():
        yield f"{number:,} rows left out: {reason}"
    if skipped:
        yield f"{len(skipped):,} samples passed over, whose images are missing or bad ({skipped[0]})"
    if drawn.duplicates:
        rows = sum(len(samples) for samples in corpus.splits.values())
        yield f"{drawn.duplicates:,} of {rows:,} samples ({drawn.duplicates / rows:.1%}) left out, copies of others"
    if drawn.contradictory:
        number, first = len(drawn.contradictory), drawn.contradictory[0][1].sample_id
        done = "kept for training" if settings.keep_contradictory else "left out (keep_contradictory keeps them)"
        yield f"{number:,} samples {done}, of which there are copies with another answer ({first})"
    yield from _alike(corpus.labels_alike, settings.merge_labels)
    names = assembly.label_names or []
    if are_many_numbers(names):
        yield f"{len(names):,} numbers are each a class; if they measure something, put it into a few classes first"
    missing = assembly.classes_not_trained
    if missing:
        yield f"no training sample of {len(missing):,} classes: {listed(map(brief, missing))}"


def _alike(groups: Sequence[Mapping[str, int]], merged: bool) -> Iterator[str]:
    if not groups:
        return
    named = "; ".join(
        ", ".join(f"{brief(name)} ({number:,} rows)" for name, number in group.items()) for group in groups[:_GROUPS]
    )
    more = f"; and {len(groups) - _GROUPS:,} more" if len(groups) > _GROUPS else ""
    done = "taken for one class" if merged else "classes of their own (merge_labels makes them one)"
    yield f"labels that differ only in case, spaces or how a number is written are {done}: {named}{more}"
