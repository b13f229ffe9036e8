"""Print a table in its three forms: Markdown, LaTeX and the cells of HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hyperinf.artifacts.files import write_text
from hyperinf.reporting.frames import NONE, Row

INTERVALS = "Mean over seeds ± half-width of the 95 % t-interval; (n/a) where one seed allows none."
BOLD = (
    "Bold: the highest mean of its column, and its paired differences to all others exclude 0 (GFIM by Cholesky is "
    "HyperINF's own equation solved exactly, so it is left out of that comparison). Intervals are not corrected for "
    "the number of comparisons."
)
PAIRED = (
    "Paired over seeds, ± half-width of the 95 % t-interval. Positive favours HyperINF. Bold: the interval excludes 0; "
    "all else is within noise."
)


@dataclass(frozen=True)
class Estimate:
    """A mean with its half-width; a half-width of NaN (one seed) is shown as n/a, never as 0."""

    mean: float
    half_width: float
    digits: int = 3
    signed: bool = False
    bold: bool = False

    def parts(self) -> tuple[str, str]:
        """Give mean and half-width as text; both ``""`` when there is no mean."""
        if math.isnan(self.mean):
            return "", ""
        sign = "+" if self.signed else ""
        rounded = round(self.mean, self.digits) + 0.0  # which makes 0 of what would be printed as −0
        mean = f"{rounded:{sign}.{self.digits}f}".replace("-", "−")
        return mean, "n/a" if math.isnan(self.half_width) else f"{self.half_width:.{self.digits}f}"


Value = str | Estimate


@dataclass(frozen=True)
class Table:
    """Headers and rows under a title; ``note`` is what a reader must know to read it."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""


def shown(row: Row | None, what: str = "value", bold: bool = True) -> Value:
    """Print one of a row's intervals, a dash where there is none.

    Args:
        row: None where a method was not run.
        what: ``value``, bold where it is the best of its place, or a difference, bold where its interval excludes 0.
        bold: whether anything may be bold.
    """
    interval = NONE if row is None else getattr(row, what)
    if row is None or math.isnan(interval.mean):
        return "–"
    marked = row.best if what == "value" else interval.sign in (1, -1)
    return Estimate(interval.mean, interval.half_width, signed=what != "value", bold=bold and marked)


def plain(value: Value) -> str:
    """Give a cell as text without markup."""
    if isinstance(value, str):
        return value
    mean, half = value.parts()
    if not mean:
        return "–"
    return f"{mean} (n/a)" if half == "n/a" else f"{mean} ± {half}"


def printed(table: Table) -> dict[str, Any]:
    """Give a table as JSON values: what is a number is ``{"text": ..., "bold": ...}``, all else is text."""

    def cell(value: Value) -> str | dict[str, Any]:
        return {"text": plain(value), "bold": value.bold} if isinstance(value, Estimate) else value

    rows = [[cell(value) for value in row] for row in table.rows]
    return {"title": table.title, "headers": list(table.headers), "rows": rows, "note": table.note}


def frame_as_table(frame: pd.DataFrame, title: str) -> Table:
    """Print a frame as it is; of a hash its first digits."""
    short = {column: frame[column].astype(str).str[: 12 if column == "sha256" else None] for column in frame}
    return Table(title, tuple(frame.columns), tuple(zip(*short.values(), strict=True)))


def sentences(*parts: str) -> str:
    """Join the sentences of a note, without the empty ones."""
    return " ".join(part for part in parts if part)


def markdown(tables: Sequence[Table]) -> str:
    """Print the tables as Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    def cell(value: Value) -> str:
        text = plain(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
        return f"**{text}**" if isinstance(value, Estimate) and value.bold else text

    lines = [f"**{table.title}**", ""]
    lines.append("| " + " | ".join(cell(header) for header in table.headers) + " |")
    lines.append("|" + " --- |" * len(table.headers))
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in table.rows]
    return "\n".join([*lines, "", *([table.note, ""] if table.note else [])])


_LATEX = str.maketrans(
    {
        **{special: f"\\{special}" for special in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " "},
        **{"±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "×": r"$\times$", "⊗": r"$\otimes$", "λ": r"$\lambda$"},
        **{"−": "--", "–": "--", "<": "$<$", ">": "$>$"},
    }
)


def latex_text(text: str) -> str:
    """Escape everything in a text that LaTeX would read as markup."""
    return text.translate(_LATEX)


def latex(tables: Sequence[Table]) -> str:
    """Print the tables as LaTeX ``table`` environments (needs ``booktabs``)."""
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    def cell(value: Value) -> str:
        if isinstance(value, str):
            return latex_text(value)
        mean, half = value.parts()
        if not mean:
            return "--"
        mean = mean.replace("−", "-")  # a minus in mathematics is the hyphen
        number = f"\\mathbf{{{mean}}}" if value.bold else mean
        return f"${number}$ (n/a)" if half == "n/a" else f"${number} \\pm {half}$"

    def line(values: Sequence[Value]) -> str:
        return "  " + " & ".join(cell(value) for value in values) + r" \\"

    rows = "\n".join(line(row) for row in table.rows)
    return rf"""\begin{{table}}
\caption{{{latex_text(f"{table.title}. {table.note}".strip())}}}
\centering
\begin{{tabular}}{{l{"r" * (len(table.headers) - 1)}}}
\toprule
{line(table.headers)}
\midrule
{rows}
\bottomrule
\end{{tabular}}
\end{{table}}
"""


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as CSV, whole or not at all; the same frame gives the same bytes."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    return path


def write_tables(frame: pd.DataFrame, tables: Sequence[Table], folder: Path, name: str) -> list[Path]:
    """Write ``folder/name.csv`` (the numbers) and ``.md`` and ``.tex`` (the printed tables)."""
    paths = [Path(folder) / f"{name}{suffix}" for suffix in (".csv", ".md", ".tex")]
    write_csv(frame, paths[0])
    write_text(paths[1], markdown(tables))
    write_text(paths[2], latex(tables))
    return paths
