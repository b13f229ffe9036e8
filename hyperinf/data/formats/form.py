"""What a format is, and how one is found by its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from hyperinf.data.samples import Sample
from hyperinf.data.sources.tables import Located, Row
from hyperinf.errors import InputError
from hyperinf.settings.data import DataSettings
from hyperinf.settings.registers import FORMATS


@dataclass(frozen=True)
class Format:
    """Tell how a source's row becomes a sample.

    Attributes:
        read: makes a sample of a row, or raises a ``RowError`` that says what is wrong with it.
        columns: the columns that must be there.
        template: the prompt template that suits it (``hyperinf/data/prompts.yaml``).
        optional: columns that are read if they are there.
        asset: the asset that has this form.
        file: the asset's file; with ``{split}`` in it where there is one for each of ``splits``.
        own: the user's own table: a row that cannot be used is refused, where published sets have it left out.
        document: reads the published file where that is no table; None for tables and sets in the hub's layout.
        types: suffixes of the files that have this form.
        splits: the splits of an asset, or of a folder like it, that come as files in known places.
        visual: the questions are about images; a row without one is left out unless the source says otherwise.
        stratified: each kind of question has its proportional part of what is drawn.
        label: the column of the class, where all samples are of the same classes.
        classes: the names of those classes in the order of their numbers, where the format knows them.
        bind: makes the format of a data set whose settings name the columns.
    """

    read: Callable[[Row], Sample]
    columns: tuple[str, ...]
    template: str
    optional: tuple[str, ...] = ()
    asset: str | None = None
    file: str | None = None
    own: bool = False
    document: Callable[[Path], Iterator[Located]] | None = None
    types: tuple[str, ...] = (".jsonl", ".parquet")
    splits: tuple[str, ...] = ()
    visual: bool = False
    stratified: bool = False
    label: str | None = None
    classes: tuple[str, ...] = ()
    bind: Callable[[DataSettings], "Format"] | None = None

    @property
    def pictured(self) -> bool:
        """Tell whether its rows may have an image, in column ``image`` if they are those of a table."""
        return self.visual or "image" in self.optional


def known_format(name: str) -> Format:
    """Find the format of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if name not in FORMATS:
        raise InputError(f"format: got {name!r}, expected one of {', '.join(FORMATS)}")
    module, _, constant = FORMATS[name].partition(":")
    found: Format = getattr(import_module(module), constant)
    return found
