"""Lay the selections of one setting and model out for a table: tasks and fractions beside each other."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from hyperinf.reporting import labels
from hyperinf.reporting.frames import Cell, Place, Row
from hyperinf.reporting.study_inputs import StudyResults

Column = tuple[Cell, float]


class Block:
    """The selections of some cells, of one model.

    Attributes:
        read: the study.
        cells: the cells, sorted.
        columns: cell and fraction of the selections.
    """

    def __init__(self, read: StudyResults, cells: Sequence[Cell]) -> None:
        self.read, self.cells = read, list(cells)
        found = {(cell, at) for cell in cells for _, at in read.frame.selections(cell)}
        self.columns: list[Column] = sorted(found)

    @cached_property
    def strategies(self) -> list[str]:
        """The strategies, in the house order."""
        known = {strategy for cell in self.cells for strategy, _ in self.read.frame.selections(cell)}
        return [name for name in labels.STRATEGY_LABELS if name in known]

    def row(self, column: Column, strategy: str, method: str, metric: str = "accuracy") -> Row | None:
        """One selection; None where it was not run."""
        cell, fraction = column
        return self.read.frame.at(Place(cell, metric, strategy=strategy, fraction=fraction)).get(method)

    def along(self, strategy: str, method: str) -> list[Row | None]:
        """The accuracies of a method in every column."""
        return [self.row(column, strategy, method) for column in self.columns]

    def methods(self, strategy: str) -> list[str]:
        """The methods that selected by a strategy, in the house order."""
        places = [Place(cell, "accuracy", strategy=strategy, fraction=at) for cell, at in self.columns]
        return labels.ordered_methods(method for place in places for method in self.read.frame.at(place))

    def each(self) -> Iterator[tuple[str, str]]:
        """Every strategy and method, in the order of print."""
        return ((strategy, method) for strategy in self.strategies for method in self.methods(strategy))

    def references(self) -> list[str]:
        """What was run of what selections stand beside."""
        return [name for name in labels.REFERENCES if any(self.read.frame.reference(cell, name) for cell in self.cells)]

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns in words."""
        many = len(self.cells) > 1
        return tuple(
            f"{cell.task}, {labels.percent(at)}" if many else f"{labels.percent(at)} kept" for cell, at in self.columns
        )

    @property
    def where(self) -> str:
        """Which runs these are, in words; of several settings what they have in common."""
        tasks = {cell.task for cell in self.cells}
        settings = {cell.setting for cell in self.cells}
        trained = settings if len(settings) == 1 else set(map(labels.trained_setting, settings))
        words = [*(tasks if len(tasks) == 1 else ()), self.cells[0].model]
        words += [labels.setting_label(next(iter(trained)))] if len(trained) == 1 else []
        found = [self.row(column, *each) for column in self.columns for each in self.each()]
        return ", ".join([*words, labels.seeds_label(row.value.n for row in found if row is not None)])

    @property
    def about(self) -> str:
        """What a reader must know of the model."""
        return self.read.about(*self.cells)


def blocks(read: StudyResults, by_task: bool = False) -> list[Block]:
    """Make a block of every setting and model that selects, or of every setting, model and task."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    order = {setting: k for k, setting in enumerate(dict.fromkeys(cell.setting for cell in read.frame.cells))}
    for cell in sorted(read.frame.cells, key=lambda cell: (order[cell.setting], cell.model, cell.task)):
        if read.frame.selections(cell):
            found.setdefault((cell.setting, cell.model, cell.task if by_task else ""), []).append(cell)
    return [Block(read, cells) for cells in found.values()]
