"""The report commands: read one stage's files, write its figures, tables and claims."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperinf.artifacts.files import sha256_file
from hyperinf.reporting.manifest import KINDS_TABLE, SETTINGS, compared_pairs, study_tables

if TYPE_CHECKING:
    import pandas as pd

    from hyperinf.reporting.selection_inputs import SelectionRuns
    from hyperinf.reporting.table_writers import Table


def report_simulation(convergence: Sequence[Path], fisher: Path | None, timing: Path | None, out: Path) -> list[Path]:
    """Figures, tables and claims of the synthetic studies (the files are those of ``expected_outputs("simulation")``).

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
    from hyperinf.reporting import convergence_figures, fisher_figure, simulation_claims, timing_figure
    from hyperinf.reporting.claims import claims_frame, write_claims
    from hyperinf.reporting.inputs import read_convergence, read_fisher_cases, read_fisher_summary, read_timing
    from hyperinf.reporting.published import published_convergence, published_inversion
    from hyperinf.reporting.simulation_tables import simulation_frame, simulation_tables
    from hyperinf.reporting.style import save_figure
    from hyperinf.reporting.table_writers import write_csv, write_tables

    figures, tables = Path(out) / "figures", Path(out) / "tables"
    frame = read_convergence(convergence)
    pairs = read_fisher_cases(fisher) if fisher is not None else {}
    summary = read_fisher_summary(fisher) if fisher is not None else None
    seconds = read_timing(timing) if timing is not None else None
    reference, inversion = published_convergence(), published_inversion()

    written: list[Path] = []
    for name, column in (("simulation_convergence", "error_l2"), ("simulation_convergence_relative", "error_relative")):
        data = convergence_figures.convergence_data(frame, reference, column)
        written += save_figure(convergence_figures.figure_convergence(data, column), data, figures, name)
    data = convergence_figures.datainf_data(frame)
    written += save_figure(convergence_figures.figure_datainf(data), data, figures, "simulation_datainf")
    claims = [*simulation_claims.convergence_claims(frame, reference), *simulation_claims.datainf_claims(frame)]
    if summary is not None:
        data = fisher_figure.fisher_data(pairs)
        written += save_figure(fisher_figure.figure_fisher(data), data, figures, "simulation_fisher")
        claims += simulation_claims.fisher_claims(summary)
    if seconds is not None:
        data = timing_figure.timing_data(seconds, inversion)
        written += save_figure(timing_figure.figure_timing(data), data, figures, "simulation_timing")
        claims += simulation_claims.timing_claims(seconds, inversion)
    numbers = simulation_frame(frame)
    written += write_tables(numbers, simulation_tables(numbers), tables, "simulation")
    written += write_claims(claims_frame(claims), tables, "claims_simulation")
    inputs = [Path(path) for path in convergence]
    inputs += [Path(fisher) / "summary.csv"] if fisher is not None else []
    written.append(write_csv(_simulation_sources(inputs, frame, timing, Path(out)), tables / "simulation_sources.csv"))
    return written


def report_mislabel(runs: Sequence[Path], epoch: int, out: Path) -> list[Path]:
    """Figures, tables and claims of mislabel detection (the files of ``expected_outputs("mislabel", pairs=...)``).

    Args:
        runs: ``scores`` folders: ``metrics.csv``, ``curves.csv`` and ``cost.csv``; any tasks, models, ranks, seeds.
        epoch: the checkpoint that the detection figure and ``tables/mislabel`` show; all else uses all checkpoints.
        out: results folder; ``figures/`` and ``tables/`` are written below it.

    Returns:
        The files written.

    Raises:
        InputError: a folder or file is missing, empty or of another form, or a run lacks ``epoch``.
    """
    from hyperinf.reporting import mislabel_figures, mislabel_tables
    from hyperinf.reporting.claims import claims_frame, write_claims
    from hyperinf.reporting.costs import cost_frame
    from hyperinf.reporting.inputs import read_mislabel
    from hyperinf.reporting.manifest import mislabel_figure
    from hyperinf.reporting.mislabel_claims import cost_claims, detection_claims
    from hyperinf.reporting.mislabel_frames import COST_GROUP, detection_frame
    from hyperinf.reporting.published import published_detection, published_influence_seconds
    from hyperinf.reporting.style import save_figure
    from hyperinf.reporting.table_writers import write_csv, write_tables

    figures, tables = Path(out) / "figures", Path(out) / "tables"
    read = read_mislabel(runs, epoch)
    reference = published_detection()
    frame, cost = detection_frame(read.metrics), cost_frame(read.cost, COST_GROUP)

    written: list[Path] = []
    for task, model in read.pairs:

        def own(rows: "pd.DataFrame", task: str = task, model: str = model) -> "pd.DataFrame":
            return rows[(rows["task"] == task) & (rows["model"] == model)].reset_index(drop=True)

        curves = own(read.curves)
        data = mislabel_figures.detection_data(curves[curves["epoch"] == epoch], own(read.flipped), reference)
        name = mislabel_figure(task, model, "detection")
        written += save_figure(mislabel_figures.figure_detection(data), data, figures, name)
        data = mislabel_figures.epochs_data(own(frame))
        written += save_figure(
            mislabel_figures.figure_epochs(data), data, figures, mislabel_figure(task, model, "epochs")
        )
        data = own(cost)
        written += save_figure(mislabel_figures.figure_cost(data), data, figures, mislabel_figure(task, model, "cost"))
    at_epoch = frame[frame["epoch"] == epoch].reset_index(drop=True)
    written += write_tables(at_epoch, mislabel_tables.detection_tables(at_epoch), tables, "mislabel")
    written += write_tables(frame, mislabel_tables.epoch_tables(frame), tables, "mislabel_epochs")
    written += write_tables(cost, mislabel_tables.detection_cost_tables(cost), tables, "mislabel_cost")
    claims = [*detection_claims(read.metrics, reference), *cost_claims(read.cost, published_influence_seconds())]
    written += write_claims(claims_frame(claims), tables, "claims_mislabel")
    written.append(write_csv(_mislabel_sources(runs, Path(out)), tables / "mislabel_sources.csv"))
    return written


def report_selection(
    study: str,
    runs: Sequence[Path],
    out: Path,
    percents: Sequence[int] | None = None,
    data: Sequence[Path] = (),
    methods: Sequence[str] | None = None,
) -> list[Path]:
    """Figures, tables and claims of data selection (the files of ``expected_outputs("selection", ...)``).

    The tables of one setting hold all its tasks as columns; each model has tables of its own, one after the other in
    the same file, and a column in the CSV.

    Args:
        study: ``llm`` or ``vlm``; begins the names of all files.
        runs: seed folders ``.../{task}/{model}/{setting}/seed-S`` that hold ``scores`` (``metrics.csv``, ``cost.csv``,
            ``info.json``) and at least one ``fraction-P/metrics.csv`` with P below 100; any tasks, models, settings and
            seeds. ``fraction-100`` holds the references and may be absent.
        out: results folder; ``figures/`` and ``tables/`` are written below it.
        percents: the P to report; all that are there when None.
        data: folders that ``select data`` wrote, of the first seed of each task: where the images of the contact sheets
            lie, for which the first seed's ``scores/scores.parquet`` is read. Without any there are no contact sheets.
        methods: shown on the contact sheets; all that were scored when None.

    Returns:
        The files written.

    Raises:
        InputError: an unknown study; a folder or file is missing, empty or of another form, or two say different.
    """
    from hyperinf.reporting import selection_tables
    from hyperinf.reporting.claims import claims_frame, write_claims
    from hyperinf.reporting.costs import cost_frame
    from hyperinf.reporting.manifest import selection_table
    from hyperinf.reporting.selection_claims import selection_claims
    from hyperinf.reporting.selection_frames import accuracy_frame, details_frame
    from hyperinf.reporting.selection_inputs import read_selection
    from hyperinf.reporting.selection_kinds import kind_tables, kinds_frame
    from hyperinf.reporting.selection_settings import settings_frame, settings_tables
    from hyperinf.reporting.sheets import read_sheets
    from hyperinf.reporting.table_writers import write_csv, write_tables

    tables = Path(out) / "tables"
    read = read_selection(study, runs, percents)
    sheets = read_sheets(read, data, methods) if data else []
    notes = [read.note(*cell) for cell in read.cost[["task", "model", "setting"]].itertuples(index=False)]
    cost = cost_frame(read.cost.assign(model_note=notes), selection_tables.COST_KEYS)
    claims = claims_frame(selection_claims(study, read))
    kinds: list[tuple[str, pd.DataFrame, Callable[[pd.DataFrame], list[Table]]]] = [
        ("", accuracy_frame(read), selection_tables.accuracy_tables),
        ("_details", details_frame(read), selection_tables.detail_tables),
        ("_cost", cost, selection_tables.selection_cost_tables),
    ]
    if KINDS_TABLE in study_tables(study):
        kinds.append((KINDS_TABLE, kinds_frame(read), kind_tables))

    written = _selection_figures(study, read, Path(out) / "figures")
    for sheet in sheets:
        written += sheet.write(study, Path(out) / "figures")
    for setting in sorted({setting for _, _, setting in read.cells}):
        for kind, frame, printed in kinds:
            own = frame[frame["setting"] == setting].reset_index(drop=True)
            written += write_tables(own, printed(own), tables, selection_table(study, setting, kind))
    if compared_pairs(read.cells):
        compared = settings_frame(read)
        written += write_tables(compared, settings_tables(compared), tables, f"{study}_{SETTINGS}")
    written += write_claims(claims, tables, f"claims_{study}")
    count = max((len(sheet.groups) for sheet in sheets), default=0)
    written.append(write_csv(_selection_sources(read.runs, count, Path(out)), tables / f"{study}_sources.csv"))
    return written


def _selection_figures(study: str, read: "SelectionRuns", folder: Path) -> list[Path]:
    """Accuracy of every task, model and setting, and of the settings of a task and model side by side."""
    from hyperinf.reporting.manifest import selection_figure, settings_figure
    from hyperinf.reporting.selection_figure import figure_selection, selection_data
    from hyperinf.reporting.selection_frames import Cell, values_by_seed
    from hyperinf.reporting.settings_figure import figure_settings, settings_data
    from hyperinf.reporting.style import save_figure

    values = values_by_seed(read.metrics)
    cells = [Cell._make(cell) for cell in read.cells]
    written: list[Path] = []
    for cell in cells:
        data = selection_data(values, cell)
        drawn = figure_selection(data, cell, read.note(*cell))
        written += save_figure(drawn, data, folder, selection_figure(study, *cell))
    for task, model in compared_pairs(cells):
        own = [cell for cell in cells if cell[:2] == (task, model)]
        data = settings_data(values, own)
        notes = " | ".join(dict.fromkeys(note for cell in own if (note := read.note(*cell))))
        drawn = figure_settings(data, task, model, notes)
        written += save_figure(drawn, data, folder, settings_figure(study, task, model))
    return written


def report_page(results: Path, out: Path) -> list[Path]:
    """One self-contained HTML page of what the other report commands left below ``results``.

    Args:
        results: the results folder; the page takes only what its tables and their sources name, no leftovers.
        out: the HTML file.

    Returns:
        The HTML file and ``tables/claims.{csv,md}``, the ledgers of all stages in one.

    Raises:
        InputError: ``results`` is not a folder.
    """
    from hyperinf.reporting.page import write_page

    return write_page(Path(results), Path(out))


def _shown(path: Path, out: Path) -> str:
    """``path`` relative to the results folder where it lies below it: the same on every machine."""
    path = Path(path)
    try:
        return path.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def _simulation_sources(files: Sequence[Path], frame: "pd.DataFrame", timing: Path | None, out: Path) -> "pd.DataFrame":
    """Which files went in. Timings change from run to run, so they are named without a hash."""
    import pandas as pd

    rows = sorted((_shown(path, out), sha256_file(path)) for path in files)
    if timing is not None:
        rows.append((_shown(timing, out), ""))
    described = {
        "dims": _listed(frame["dim"]),
        "samples": _listed(frame["samples"]),
        "seeds": _listed(frame["seed"]),
        "damping": _listed(frame["damping"]),
        "iterations": _listed([frame["iteration"].max()]),
    }
    return pd.DataFrame(rows, columns=["file", "sha256"]).assign(**described)


def _listed(values: "Sequence[float] | pd.Series") -> str:
    return " ".join(f"{value:g}" for value in sorted({float(value) for value in values}))


def _mislabel_sources(runs: Sequence[Path], out: Path) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for run in runs:
        first = pd.read_csv(Path(run) / "metrics.csv").iloc[0]
        key = (first["task"], first["model"], int(first["rank"]), int(first["seed"]))
        hashes = (sha256_file(Path(run) / "metrics.csv"), sha256_file(Path(run) / "curves.csv"))
        rows.append((*key, _shown(run, out), *hashes))
    columns = ["task", "model", "rank", "seed", "folder", "metrics_sha256", "curves_sha256"]
    return pd.DataFrame(sorted(rows), columns=columns)


def _selection_sources(runs: "pd.DataFrame", sheets: int, out: Path) -> "pd.DataFrame":
    """Which runs went in, and how many contact sheets each task, model and setting has."""
    import pandas as pd

    hashes = [
        {
            "folder": _shown(run, out),
            "scores_sha256": sha256_file(run / "scores/metrics.csv"),
            "fractions_sha256": _joint_hash([run / f"fraction-{percent}/metrics.csv" for percent in percents.split()]),
        }
        for run, percents in zip(runs["folder"], runs["percents"], strict=True)
    ]
    return pd.concat([runs.drop(columns="folder").assign(contact_sheets=sheets), pd.DataFrame(hashes)], axis=1)


def _joint_hash(files: Sequence[Path]) -> str:
    """One hash for several files: that of their own hashes, in the order given."""
    return hashlib.sha256("".join(sha256_file(file) for file in files).encode()).hexdigest()
