"""Make a report: read what stages wrote, and write the figures, tables and claims that its manifest names."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from hyperinf.reporting.manifest import Entry, described, expected, expected_simulation, write_manifest
from hyperinf.settings.reporting import StudyShape


def report_simulation(convergence: Sequence[Path], fisher: Path | None, timing: Path | None, out: Path) -> list[Path]:
    """Write figures, tables and claims of the synthetic studies: the files of ``manifest.expected_simulation``.

    Args:
        convergence: CSV files of ``simulate convergence``; any part of the d x N grid.
        fisher: folder of ``simulate fisher`` (``fim.npy``, ``gfim.npy``, ``summary.csv``), or None.
        timing: CSV of ``simulate timing``, or None.
        out: results folder; ``figures/`` and ``tables/`` are written below it.

    Returns:
        The files written.

    Raises:
        InputError: a file is missing, empty or of another form; the message names it.
    """
    from hyperinf.reporting.simulation_inputs import read_simulation
    from hyperinf.reporting.simulation_tables import simulation_frame
    from hyperinf.reporting.sources import simulation_records
    from hyperinf.reporting.summary import simulation_sentences

    read = read_simulation(convergence, fisher, timing, Path(out))
    sentences = list(simulation_sentences(simulation_frame(read.convergence)))
    said = {"brief": sentences, "summary": [], "samples": [], "records": simulation_records(read.sources)}
    return _write(expected_simulation(read.shape), read, said)


def report_study(study: StudyShape, runs: Sequence[Path], out: Path) -> list[Path]:
    """Write figures, tables and claims of a study: the files of ``manifest.expected``.

    Args:
        study: what it consists of.
        runs: folders ``{task}/{model}/{setting}/seed-{seed}`` with ``scores/{checkpoint}/cost.csv``, or any others with
            ``scores/cost.csv`` of one checkpoint; with detection
            ``detection/{metrics,curves}.csv``; with selection ``fraction-F/metrics.csv`` of every fraction, and maybe
            ``fraction-1.0``, which holds the references. Any seeds, all tasks, models and settings of the study.
        out: results folder; ``figures/`` and ``tables/`` are written below it.

    Returns:
        The files written.

    Raises:
        InputError: a folder or file is missing, or does not fit its form or the study; two say different.
    """
    from hyperinf.reporting.brief import brief
    from hyperinf.reporting.run_folders import as_run
    from hyperinf.reporting.sample_list import sample_lists
    from hyperinf.reporting.sources import study_records
    from hyperinf.reporting.study_inputs import read_study
    from hyperinf.reporting.summary import study_sentences

    study = as_run(study, Path(runs[0]))
    read = read_study(study, runs, Path(out))
    said = {
        "brief": brief(read),
        "summary": list(study_sentences(read).items()),
        "samples": sample_lists(read),
        "records": study_records(((run.folder, run.seed) for run in read.runs), study.shown),
    }
    return _write(expected(study), read, said)


def report_page(results: Path, out: Path, studies: Sequence[str] = ()) -> list[Path]:
    """Write one self-contained HTML page of what the other reports left below a results folder.

    Args:
        results: the results folder; the page takes only what manifests in it name, no leftovers.
        out: the HTML file.
        studies: whose manifests, in this order; of all that are there without any.

    Returns:
        The HTML file, ``tables/claims.{csv,md}`` (the ledgers of all studies in one),
        ``tables/claims_primary.{csv,md}`` (one verdict a claim) and ``figures/verdicts.{png,pdf,csv}``.

    Raises:
        InputError: ``results`` is not a folder, or holds a manifest or a ledger that cannot be read.
    """
    from hyperinf.reporting.page import write_page

    return write_page(Path(results), Path(out), tuple(studies))


def _write(entries: Sequence[Entry], read: Any, said: Mapping[str, Any]) -> list[Path]:
    """Build and write every entry, the manifest last: where it is, all that it names is there, too."""
    from hyperinf.reporting.claims import claims_frame
    from hyperinf.reporting.ledger import write_ledger
    from hyperinf.reporting.style import house_style, save_figure
    from hyperinf.reporting.table_writers import frame_as_table, printed, write_csv, write_tables

    written: list[Path] = []
    made = []
    *others, manifest = entries
    for entry in others:
        build, *more = map(_imported, entry.product.builder.split())
        folder, shown = (read.out / entry.file).parent, []
        if entry.kind == "figure":
            with house_style():
                drawing = build(read, entry)
            written += save_figure(drawing, folder, entry.name)
        elif entry.kind == "table":
            rows, tables = build(read)
            shown = [printed(table) for table in tables]
            written += write_tables(rows, tables, folder, entry.name)
        elif entry.kind == "claims":
            written += write_ledger(
                claims_frame(chain.from_iterable(each(read) for each in (build, *more))), folder, entry.name
            )
        else:
            frame = build(read)
            shown = [printed(frame_as_table(frame, entry.product.title))] if entry.product.folded else []
            written.append(write_csv(frame, read.out / entry.file))
        about = read.about((entry.task, entry.model, entry.setting)) if entry.setting else ""
        made.append(described(entry, about, shown))
    return written + write_manifest(manifest, made, said, read.out)


def _imported(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(f"hyperinf.reporting.{module}"), function)
