"""Names of everything the report writes, known before it is written (Snakemake declares them)."""

import re
from collections.abc import Iterable, Sequence

from hyperinf.reporting.labels import STUDY_LABELS, ordered_methods

FIGURE_SUFFIXES = (".csv", ".pdf", ".png")
TABLE_SUFFIXES = (".csv", ".md", ".tex")
CLAIM_SUFFIXES = (".csv", ".md")

CONVERGENCE_FIGURES = ("simulation_convergence", "simulation_convergence_relative", "simulation_datainf")
FISHER_FIGURE = "simulation_fisher"
TIMING_FIGURE = "simulation_timing"
MISLABEL_KINDS = ("detection", "epochs", "cost")
MISLABEL_TABLES = ("mislabel", "mislabel_epochs", "mislabel_cost")
STUDIES = tuple(STUDY_LABELS)
SELECTION_TABLES = ("", "_details", "_cost")
KINDS_TABLE = "_kinds"
SETTINGS = "settings"
SHEET_METHODS = 4
"""Methods on one contact sheet: more would not fit a screen."""


def file_label(name: str) -> str:
    """``name`` as part of a file name: whatever is not a letter, digit, dot, underscore or dash becomes one dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "unnamed"


def mislabel_figure(task: str, model: str, kind: str) -> str:
    """The figure's name for one task and one model; ``kind`` is ``detection``, ``epochs`` or ``cost``."""
    return f"mislabel_{file_label(task)}_{file_label(model)}_{kind}"


def selection_figure(study: str, task: str, model: str, setting: str) -> str:
    """The figure's name for one task, model and setting of a selection study."""
    return f"{study}_{file_label(task)}_{file_label(model)}_{file_label(setting)}_accuracy"


def selection_table(study: str, setting: str, kind: str = "") -> str:
    """A table's name for one setting of a selection study; ``kind`` is ``""``, ``_details`` or ``_cost``."""
    return f"{study}_{file_label(setting)}{kind}"


def study_tables(study: str) -> tuple[str, ...]:
    """The kinds of tables that each setting has; questions about images are counted by their kinds as well."""
    return (*SELECTION_TABLES, KINDS_TABLE) if study == "vlm" else SELECTION_TABLES


def settings_figure(study: str, task: str, model: str) -> str:
    """The name of the figure that compares the settings of one task and model."""
    return f"{study}_{file_label(task)}_{file_label(model)}_{SETTINGS}"


def compared_pairs(cells: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """(task, model) that have several settings to compare, sorted."""
    settings: dict[tuple[str, str], set[str]] = {}
    for task, model, setting in cells:
        settings.setdefault((task, model), set()).add(setting)
    return sorted(pair for pair, known in settings.items() if len(known) > 1)


def contact_groups(methods: Iterable[str]) -> list[list[str]]:
    """The methods of each contact sheet, in the house order."""
    known = ordered_methods(methods)
    return [known[start : start + SHEET_METHODS] for start in range(0, len(known), SHEET_METHODS)]


def contact_sheets(study: str, cell: Sequence[str], count: int) -> list[str]:
    """The names of the ``count`` contact sheets of one task, model and setting."""
    first = selection_figure(study, *cell).removesuffix("accuracy") + "contact"
    return [first if number == 0 else f"{first}-{number + 1}" for number in range(count)]


def figure_files(name: str) -> list[str]:
    """The three files of one figure, relative to the results folder."""
    return [f"figures/{name}{suffix}" for suffix in FIGURE_SUFFIXES]


def expected_outputs(
    stage: str,
    *,
    pairs: Iterable[tuple[str, str]] = (),
    fisher: bool = True,
    timing: bool = True,
    study: str = "",
    cells: Iterable[tuple[str, str, str]] = (),
    methods: Iterable[str] = (),
) -> list[str]:
    """The files that one report command writes, relative to the results folder; imports nothing heavy.

    ``simulation``
        ``figures/simulation_{convergence,convergence_relative,datainf}``, with ``fisher`` also ``simulation_fisher``,
        with ``timing`` also ``simulation_timing`` (each ``.csv``, ``.pdf``, ``.png``);
        ``tables/simulation.{csv,md,tex}``, ``tables/claims_simulation.{csv,md}``, ``tables/simulation_sources.csv``.
    ``mislabel``
        for each (task, model) of ``pairs``: ``figures/mislabel_<task>_<model>_{detection,epochs,cost}`` (each ``.csv``,
        ``.pdf``, ``.png``); ``tables/{mislabel,mislabel_epochs,mislabel_cost}.{csv,md,tex}``,
        ``tables/claims_mislabel.{csv,md}``, ``tables/mislabel_sources.csv``.
    ``selection``
        for each (task, model, setting) of ``cells``: ``figures/<study>_<task>_<model>_<setting>_accuracy`` (``.csv``,
        ``.pdf``, ``.png``); for each setting ``tables/<study>_<setting>{,_details,_cost}.{csv,md,tex}`` with all tasks
        and models in them, for ``vlm`` also ``<study>_<setting>_kinds``; for each task and model with several settings
        ``figures/<study>_<task>_<model>_settings``, and if there is any, ``tables/<study>_settings``; with ``methods``
        for each cell the contact sheets ``figures/<study>_<task>_<model>_<setting>_contact{,-2,...}``, four methods
        each; ``tables/claims_<study>.{csv,md}``, ``tables/<study>_sources.csv``.
    ``page``
        ``tables/claims.{csv,md}``; the HTML file itself is named by the caller.

    Args:
        stage: ``simulation``, ``mislabel``, ``selection`` or ``page``.
        pairs: (task, model) of the mislabel runs.
        fisher: whether the simulation report is given the Fisher study.
        timing: whether the simulation report is given timings.
        study: of the selection runs, ``llm`` or ``vlm``.
        cells: (task, model, setting) of the selection runs.
        methods: those whose samples are shown on contact sheets.

    Raises:
        ValueError: ``stage`` or, for selections, ``study`` is none of those.
    """
    if stage == "simulation":
        names = [*CONVERGENCE_FIGURES, *([FISHER_FIGURE] if fisher else []), *([TIMING_FIGURE] if timing else [])]
        tables: tuple[str, ...] = ("simulation",)
    elif stage == "mislabel":
        names = [mislabel_figure(task, model, kind) for task, model in sorted(set(pairs)) for kind in MISLABEL_KINDS]
        tables = MISLABEL_TABLES
    elif stage == "selection":
        if study not in STUDIES:
            raise ValueError(f"study: {study!r} is not one of {', '.join(STUDIES)}")
        names, tables = _selection_names(study, sorted(set(cells)), len(contact_groups(methods)))
    elif stage == "page":
        return [f"tables/claims{suffix}" for suffix in CLAIM_SUFFIXES]
    else:
        raise ValueError(f"stage: {stage!r} is not one of simulation, mislabel, selection, page")
    files = [file for name in names for file in figure_files(name)]
    files += [f"tables/{table}{suffix}" for table in tables for suffix in TABLE_SUFFIXES]
    files += [f"tables/claims_{study or stage}{suffix}" for suffix in CLAIM_SUFFIXES]
    files.append(f"tables/{study or stage}_sources.csv")
    return files


def _selection_names(
    study: str, cells: Sequence[tuple[str, str, str]], sheets: int
) -> tuple[list[str], tuple[str, ...]]:
    """Names of the figures and of the tables of a selection study."""
    pairs = compared_pairs(cells)
    figures = [selection_figure(study, *cell) for cell in cells]
    figures += [settings_figure(study, *pair) for pair in pairs]
    figures += [name for cell in cells for name in contact_sheets(study, cell, sheets)]
    settings = sorted({setting for _, _, setting in cells})
    tables = [selection_table(study, setting, kind) for setting in settings for kind in study_tables(study)]
    return figures, (*tables, *([f"{study}_{SETTINGS}"] if pairs else []))
