"""Show what each method finds most helpful and most harmful, to be looked at."""

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hyperinf.reporting import style
from hyperinf.reporting.extreme_samples import SIDES
from hyperinf.reporting.frames import Cell
from hyperinf.reporting.labels import method_label, ordered_methods
from hyperinf.reporting.manifest import Entry
from hyperinf.reporting.study_inputs import StudyResults

CORRUPTION_LABELS = {"wrong_answer": "answer was changed", "off_task": "from another task"}
_CORRUPTION_COLOURS = {"wrong_answer": "#c2410c", "off_task": "#6d28d9"}
_LEGEND = "Under an image: question, answer in training, influence (positive is harmful)"
_HEADINGS = {"helpful": "most helpful: kept first", "harmful": "most harmful: dropped first"}

_DOTS = 200
"""Pixels per inch of the PNG: images begin and end on whole pixels, so that a small one is enlarged without blur."""
_SIDE = 0.64
_MARGIN, _BETWEEN = 0.26, 0.16
_HEAD = 0.26
_LINE = 0.1
_FONT = 6
_WRAP, _BOLD_WRAP = 17, 16
"""Characters of a line of text under an image."""
_FOOT_LINE = 0.12
_FOOT_WRAP = 90
_QUESTION_LINES, _ANSWER_LINES = 3, 2
_ABOVE, _BELOW = 0.05, 0.1
"""Inches between an image and its text, and under the text."""


def contact_figure(read: StudyResults, entry: Entry) -> style.Drawing:
    """Draw the extreme samples of some of the methods, in the first seed of a task, model and setting."""
    cell = Cell(entry.task, entry.model, entry.setting)
    sheet = read.sheets.get(cell)
    if sheet is None:
        return style.blank(pd.DataFrame(columns=["sample_id"]), "no training sample has an image")
    methods = entry.product.shares(ordered_methods(read.shape.methods))[entry.part - 1]
    parts = [sheet.samples[sheet.samples["method"] == method] for method in methods]
    samples = pd.concat(parts, ignore_index=True)
    where = f"{read.where(cell)}; seed {sheet.seed}"
    return style.Drawing(samples.assign(seed=sheet.seed), draw_samples(samples, sheet.pixels, where))


def draw_samples(samples: pd.DataFrame, pixels: Mapping[str, np.ndarray], where: str) -> Figure:
    """Draw a row of images for each method, the most helpful samples on the left; ``where`` is said under them."""
    rows = [samples[samples["method"] == method] for method in dict.fromkeys(samples["method"])]
    lines = [max(len(_question(row)) + len(_answer(row)) + 1 for _, row in part.iterrows()) for part in rows]
    heights = [_SIDE + _ABOVE + _LINE * count + _BELOW for count in lines]
    foot = textwrap.wrap(f"{where}. {_LEGEND}", _FOOT_WRAP)
    height = _HEAD + sum(heights) + _FOOT_LINE * len(foot) + _BELOW
    figure = plt.figure(figsize=(style.PAGE_WIDTH, height))
    figure.set_layout_engine("none")
    count = int(samples["rank"].max())
    slot = (style.PAGE_WIDTH - _MARGIN - _BETWEEN) / (2 * count)
    lefts = {side: _MARGIN + k * (count * slot + _BETWEEN) for k, side in enumerate(SIDES)}
    for side, left in lefts.items():
        _text(figure, left, height - 0.1, _HEADINGS[side], weight="bold", fontsize=8)
    top = height - _HEAD
    for part, used in zip(rows, heights, strict=True):
        _method(figure, part["method"].iloc[0], top, used)
        for _, row in part.iterrows():
            _sample(figure, row, pixels.get(row["image"]), lefts[row["side"]] + (row["rank"] - 1) * slot, top)
        top -= used
    for number, line in enumerate(foot):
        _text(figure, _MARGIN, top - _FOOT_LINE * number, line, color=style.MUTED, fontsize=7)
    _frames(figure, samples)
    return figure


def _text(figure: Figure, x: float, y: float, text: str, **options: object) -> None:
    """A text whose top left corner is at ``x`` and ``y`` inches from the figure's bottom left."""
    width, height = figure.get_size_inches()
    # What people ask about may hold dollar signs: it is no mathematics.
    drawn = {"va": "top", "ha": "left", "fontsize": _FONT, "color": style.INK, "parse_math": False} | options
    figure.text(x / width, y / height, text, **drawn)  # type: ignore[arg-type]


def _method(figure: Figure, method: str, top: float, height: float) -> None:
    colour = style.line_options(method)["color"]
    options: dict[str, object] = {"rotation": 90, "va": "center", "weight": "bold", "fontsize": 8, "color": colour}
    _text(figure, 0.06, top - (height - _BELOW) / 2, method_label(method), **options)


def _sample(figure: Figure, row: pd.Series, pixels: np.ndarray | None, left: float, top: float) -> None:
    """One image with its question, the answer given to it in training, and its score."""
    _draw(_square(figure, left, top - _SIDE), pixels, _CORRUPTION_COLOURS.get(row["corruption"]))
    y = top - _SIDE - _ABOVE
    answer: dict[str, object] = {"weight": "bold", "color": _CORRUPTION_COLOURS.get(row["corruption"], style.INK)}
    lines: list[tuple[str, dict[str, object]]] = [(line, {}) for line in _question(row)]
    lines += [(line, answer) for line in _answer(row)]
    lines.append((_score(row["influence"]), {"color": style.MUTED}))
    for line, options in lines:
        _text(figure, left, y, line, **options)
        y -= _LINE


def _square(figure: Figure, left: float, bottom: float) -> Axes:
    width, height = figure.get_size_inches()
    x, y, side = (round(inches * _DOTS) / _DOTS for inches in (left, bottom, _SIDE))
    return figure.add_axes((x / width, y / height, side / width, side / height))


def _draw(axis: Axes, pixels: np.ndarray | None, colour: str | None) -> None:
    if pixels is None:
        axis.text(0.5, 0.5, "no image", ha="center", va="center", fontsize=_FONT, color=style.MUTED)
    else:
        enlarged = max(pixels.shape[:2]) <= round(_SIDE * _DOTS)
        axis.imshow(pixels, interpolation="nearest" if enlarged else "antialiased")
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour or style.MUTED, linewidth=1.8 if colour else 0.4)


def _question(row: pd.Series) -> list[str]:
    return _wrapped(row["question"], _WRAP, _QUESTION_LINES)


def _answer(row: pd.Series) -> list[str]:
    """The answer given, and what it should have been."""
    if row["answer"] == row["true_answer"]:
        return _wrapped(row["answer"], _BOLD_WRAP, _ANSWER_LINES)
    texts = (f"✗ {row['answer']}", f"truth: {row['true_answer']}")
    return [line for text in texts for line in _wrapped(text, _BOLD_WRAP, _ANSWER_LINES)]


def _wrapped(text: str, width: int, most: int) -> list[str]:
    return textwrap.wrap(text, width, max_lines=most, placeholder=" …") or ["–"]


def _score(influence: float) -> str:
    return f"{influence:+#.3g}".replace("-", "−")


def _frames(figure: Figure, samples: pd.DataFrame) -> None:
    """What the colours of the frames mean, in the corner below the images."""
    present = [name for name in CORRUPTION_LABELS if name in set(samples["corruption"])]
    handles = [
        Patch(facecolor="none", edgecolor=_CORRUPTION_COLOURS[name], linewidth=1.8, label=CORRUPTION_LABELS[name])
        for name in present
    ]
    if handles:
        figure.legend(handles=handles, loc="lower right", ncols=len(handles), borderaxespad=0.2, handleheight=0.9)
