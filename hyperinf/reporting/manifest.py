"""What a report makes, known before it is made; and what was made, as the page and Snakemake read it.

Imports nothing heavy: a workflow asks it for the names of outputs.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinf.artifacts.files import read_json, write_json, write_text
from hyperinf.errors import InputError
from hyperinf.reporting.labels import ordered_settings, setting_label
from hyperinf.reporting.register import (
    ALL_CLAIMS,
    PRIMARY_CLAIMS,
    SIMULATION,
    STUDY,
    VERDICTS_FIGURE,
    WORKFLOW,
    Kind,
    Product,
    SimulationShape,
)
from hyperinf.settings.reporting import StudyShape

_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "figure": (".png", ".pdf", ".csv"),
    "table": (".csv", ".md", ".tex"),
    "claims": (".csv", ".md"),
    "data": (".csv",),
    "manifest": (".json",),
}
_NAME, _TITLE = "simulation", "Synthetic study"
_CAPTION_WIDTH = 120
_CONTENT = {"study", "title", "entries", "brief", "summary", "samples", "records"}


def file_label(name: str) -> str:
    """Make a name a part of a file name: whatever is not a letter, digit, dot, underscore or dash becomes one dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "unnamed"


@dataclass(frozen=True)
class Entry:
    """One thing that a report makes.

    Attributes:
        product: what it is.
        study: whose it is.
        category: the study's title.
        task: of which it is made; ``""`` for all of them, here and below.
        model: of which.
        setting: of which.
        part: which of several, from 1 on.
    """

    product: Product
    study: str
    category: str
    task: str = ""
    model: str = ""
    setting: str = ""
    part: int = 1

    @property
    def kind(self) -> Kind:
        """``figure``, ``table``, ``claims``, ``data`` or ``manifest``."""
        return self.product.kind

    @property
    def name(self) -> str:
        """The name of its files, without suffix."""
        parts = (self.study, self.task, self.model, self.setting, self.product.name)
        if self.kind == "claims":
            parts = (self.product.name, self.study, "", "", "")
        return "_".join(file_label(part) for part in parts if part) + (f"-{self.part}" if self.part > 1 else "")

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, relative to the results folder."""
        folder = "figures" if self.kind == "figure" else "tables"
        return tuple(f"{folder}/{self.name}{suffix}" for suffix in _SUFFIXES[self.kind])

    @property
    def file(self) -> str:
        """The file that is shown, of a figure the PNG and of a table the CSV."""
        return self.files[0]

    @property
    def caption(self) -> str | None:
        """The name of its caption for Snakemake's report; None for what is not shown there."""
        return None if self.kind == "manifest" else self.product.caption_name

    @property
    def heading(self) -> str:
        """Of which task, model and setting it is made, in words; nothing for what is of the whole study."""
        parts = (self.task, self.model, setting_label(self.setting) if self.setting else "")
        return ", ".join(part for part in parts if part)

    @property
    def labels(self) -> dict[str, str]:
        """What Snakemake's report sorts it by."""
        where = {"task": self.task, "model": self.model, "setting": self.setting}
        what = self.product.title + (f", {self.part}" if self.part > 1 else "")
        return {"kind": self.kind, "name": what} | {key: value or "all" for key, value in where.items()}


def expected(study: StudyShape) -> list[Entry]:
    """List what the report of a study makes, the manifest last."""
    entries: list[Entry] = []

    def add(each: str, **where: str) -> None:
        for product in STUDY:
            if product.each == each and product.made_for(study):
                parts = range(1, len(product.shares(study.methods)) + 1)
                entries.extend(Entry(product, study.name, study.title, **where, part=part) for part in parts)

    for task in sorted(study.tasks):
        for model in sorted(study.models):
            add("model", task=task, model=model)
            for setting in ordered_settings(study.settings):
                add("setting", task=task, model=model, setting=setting)
    add("study")
    return entries


def expected_simulation(simulation: SimulationShape = SimulationShape()) -> list[Entry]:  # noqa: B008 (frozen)
    """List what the report of the synthetic study makes, the manifest last."""
    return [Entry(product, _NAME, _TITLE) for product in SIMULATION if product.made_for(simulation)]


def expected_page() -> list[Entry]:
    """List what is written beside the page."""
    return [Entry(product, "", "Claims") for product in (VERDICTS_FIGURE, PRIMARY_CLAIMS, ALL_CLAIMS)]


def caption_files() -> dict[str, str]:
    """Give the content of every caption file of Snakemake's report by its name."""
    texts = {
        product.caption_name: product.text
        for product in (*STUDY, *SIMULATION, VERDICTS_FIGURE, PRIMARY_CLAIMS, ALL_CLAIMS)
    } | {"workflow": WORKFLOW}
    del texts["manifest"]
    return {f"{name}.rst": "\n".join(textwrap.wrap(text, _CAPTION_WIDTH)) + "\n" for name, text in texts.items()}


def write_captions(folder: Path) -> None:
    """Write the caption files into a folder, and remove those that nothing has any more."""
    files = caption_files()
    for old in Path(folder).glob("*.rst"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        write_text(Path(folder) / name, text)


def described(entry: Entry, about: str = "", printed: Sequence[Any] = ()) -> dict[str, Any]:
    """Say in a manifest what was made.

    Args:
        entry: what it is.
        about: what a reader must know of the model that it shows.
        printed: the tables as they are printed.
    """
    return {
        "name": entry.name,
        "kind": entry.kind,
        "files": list(entry.files),
        "title": entry.product.title,
        "text": f"{about} {entry.product.text}".strip(),
        "caption": entry.caption,
        "category": entry.category,
        "heading": entry.heading,
        "labels": entry.labels,
        "folded": entry.product.folded,
        "printed": list(printed),
    }


def write_manifest(own: Entry, made: Sequence[Any], said: Mapping[str, Any], out: Path) -> list[Path]:
    """Write what a report made.

    Args:
        own: the manifest's own entry.
        made: of :func:`described`.
        said: ``brief``, the few sentences that the page shows first; ``summary``, those on what was measured, by what
            they are about; ``samples`` to look at; ``records`` of the stages: names and values.
        out: the results folder.
    """
    content = {"study": own.study, "title": own.category, "rule": f"report_{own.study}"}
    write_json(out / own.file, {**content, "entries": made, **said})
    return [out / own.file]


def read_manifests(results: Path, studies: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Read the manifests below a results folder.

    Args:
        results: the folder.
        studies: whose, in this order; of all without any, the synthetic study first and the others by name.

    Raises:
        InputError: a file is no manifest.
    """
    paths = sorted((results / "tables").glob("*_manifest.json"))
    found = {}
    for path in paths:
        content = read_json(path)
        if not isinstance(content, dict) or not set(content) >= _CONTENT:
            raise InputError(f"{path}: got another file, expected a manifest; make the report again")
        found[str(content["study"])] = content
    names = studies or tuple(sorted(found, key=lambda name: (name != _NAME, name)))
    return [found[name] for name in names if name in found]
