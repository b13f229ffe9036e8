"""The contact sheets of one report: read before anything is written, so that a missing image leaves nothing behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hyperinf.reporting.contact_sheet import Pixels, figure_contact, read_pixels
from hyperinf.reporting.extreme_samples import data_folder, extreme_samples
from hyperinf.reporting.manifest import contact_groups, contact_sheets
from hyperinf.reporting.selection_frames import Cell
from hyperinf.reporting.selection_inputs import CELL, SelectionRuns
from hyperinf.reporting.style import save_figure


@dataclass(frozen=True)
class Sheet:
    """What one task, model and setting shows, in its first seed.

    Attributes:
        cell: the task, model and setting.
        seed: the first one.
        note: what a reader must know of the model.
        samples: of ``extreme_samples.extreme_samples``.
        pixels: their images.
    """

    cell: Cell
    seed: int
    note: str
    samples: pd.DataFrame
    pixels: Pixels

    @property
    def groups(self) -> list[list[str]]:
        """The methods of each figure."""
        return contact_groups(self.samples["method"])

    def write(self, study: str, folder: Path) -> list[Path]:
        """Draw the sheets into a folder, each beside its CSV; returns the files."""
        written: list[Path] = []
        names = contact_sheets(study, self.cell, len(self.groups))
        for name, methods in zip(names, self.groups, strict=True):
            samples = self.samples[self.samples["method"].isin(methods)].reset_index(drop=True)
            drawn = figure_contact(samples, self.pixels, self.cell, self.seed, self.note)
            written += save_figure(drawn, samples.assign(seed=self.seed), folder, name)
        return written


def read_sheets(read: SelectionRuns, data: Sequence[Path], methods: Sequence[str] | None) -> list[Sheet]:
    """The sheets of all cells.

    Args:
        read: the runs.
        data: folders that ``select data`` wrote.
        methods: to show; all that were scored when None.

    Raises:
        InputError: scores, the data of a run or an image is missing or of another form.
    """
    sheets = []
    for key, runs in read.runs.groupby(list(CELL), sort=True):
        cell, first = Cell._make(key), runs.sort_values("seed").iloc[0]
        samples = extreme_samples(first["folder"], methods)
        pixels = read_pixels(data_folder(first["folder"], data), samples)
        sheets.append(Sheet(cell, int(first["seed"]), read.note(*cell), samples, pixels))
    return sheets
