"""Print rows of a study's frame as cells of a table, a dash where a method was not run."""

from hyperinf.reporting.frames import Row
from hyperinf.reporting.intervals import Interval
from hyperinf.reporting.table_writers import Estimate, Value


def mean_value(row: Row | None) -> Value:
    """Print the mean, bold where it is the best of its place."""
    return Estimate.of(row.value, bold=row.best) if row is not None else "–"


def plain_value(row: Row | None) -> Value:
    """Print the mean, never bold."""
    return Estimate.of(row.value) if row is not None else "–"


def difference_value(row: Row | None) -> Value:
    """Print HyperINF minus the method."""
    return _signed(row.difference) if row is not None else "–"


def over_full_value(row: Row | None) -> Value:
    """Print the method minus training on all samples."""
    return _signed(row.over_full) if row is not None else "–"


def over_setting_value(row: Row | None) -> Value:
    """Print the setting minus the first that trains the same."""
    return _signed(row.over_setting) if row is not None else "–"


def _signed(interval: Interval) -> Value:
    return Estimate.of(interval, signed=True, bold=interval.sign in (1, -1))
