"""Names of everything the report writes, known before it is written (Snakemake declares them)."""

import re
from collections.abc import Iterable

from hyperinf.reporting.labels import STUDY_LABELS

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
        and models in them; ``tables/claims_<study>.{csv,md}``, ``tables/<study>_sources.csv``.
    ``page``
        ``tables/claims.{csv,md}``; the HTML file itself is named by the caller.

    Args:
        stage: ``simulation``, ``mislabel``, ``selection`` or ``page``.
        pairs: (task, model) of the mislabel runs.
        fisher: whether the simulation report is given the Fisher study.
        timing: whether the simulation report is given timings.
        study: of the selection runs, ``llm`` or ``vlm``.
        cells: (task, model, setting) of the selection runs.

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
        known = sorted(set(cells))
        names = [selection_figure(study, *cell) for cell in known]
        settings = sorted({setting for _, _, setting in known})
        tables = tuple(selection_table(study, setting, kind) for setting in settings for kind in SELECTION_TABLES)
    elif stage == "page":
        return [f"tables/claims{suffix}" for suffix in CLAIM_SUFFIXES]
    else:
        raise ValueError(f"stage: {stage!r} is not one of simulation, mislabel, selection, page")
    files = [file for name in names for file in figure_files(name)]
    files += [f"tables/{table}{suffix}" for table in tables for suffix in TABLE_SUFFIXES]
    files += [f"tables/claims_{study or stage}{suffix}" for suffix in CLAIM_SUFFIXES]
    files.append(f"tables/{study or stage}_sources.csv")
    return files
