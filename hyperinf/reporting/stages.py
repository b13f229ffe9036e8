"""The stages that make reports: each passes on what its settings name."""

from pathlib import Path

from hyperinf.reporting.reports import report_page, report_simulation, report_study
from hyperinf.settings.reporting import StudyShape
from hyperinf.settings.stages import ReportPage, ReportSimulation, ReportStudy


def write_study(settings: ReportStudy) -> None:
    """Write the report of a study.

    Raises:
        InputError: a file is missing, or does not fit the study; the message names it.
    """
    report_study(StudyShape.of(settings), [Path(run) for run in settings.runs], Path(settings.out))


def write_simulation(settings: ReportSimulation) -> None:
    """Write the report of the synthetic study.

    Raises:
        InputError: a file is missing, empty or of another form; the message names it.
    """
    convergence = [Path(path) for path in settings.convergence]
    fisher, timing = (None if path is None else Path(path) for path in (settings.fisher, settings.timing))
    report_simulation(convergence, fisher, timing, Path(settings.out))


def write_page(settings: ReportPage) -> None:
    """Write the page.

    Raises:
        InputError: a manifest or a ledger that cannot be read.
    """
    report_page(Path(settings.results), Path(settings.out), settings.studies)
