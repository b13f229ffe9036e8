"""Figures, tables, the claims ledger and the HTML page. Reads files; imports no torch, and matplotlib only to draw."""

from hyperinf.reporting.manifest import expected_outputs, mislabel_figure
from hyperinf.reporting.reports import report_mislabel, report_page, report_selection, report_simulation

__all__ = [
    "expected_outputs",
    "mislabel_figure",
    "report_mislabel",
    "report_page",
    "report_selection",
    "report_simulation",
]
