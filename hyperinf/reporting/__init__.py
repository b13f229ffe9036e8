"""Make figures, tables, the claims ledger and the HTML page from files; imports no torch."""

from hyperinf.reporting.manifest import Entry, expected, expected_page, expected_simulation, write_captions
from hyperinf.reporting.register import SimulationShape
from hyperinf.reporting.reports import report_page, report_simulation, report_study
from hyperinf.settings.reporting import StudyShape

__all__ = [
    "Entry",
    "SimulationShape",
    "StudyShape",
    "expected",
    "expected_page",
    "expected_simulation",
    "report_page",
    "report_simulation",
    "report_study",
    "write_captions",
]
