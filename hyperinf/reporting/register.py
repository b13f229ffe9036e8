"""Everything that a report makes, with its caption: a figure more is its builder and one entry here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hyperinf.settings.reporting import StudyShape

Kind = Literal["figure", "table", "claims", "data", "manifest"]
SHEET_METHODS = 4
"""Methods on one contact sheet: more would not fit a screen."""

MEMORY_NOTE = (
    "Peak memory: the most above what was in use when the stage began, so the model is not in it (of the process, or "
    "of the GPU where there is one)."
)
_BARS = "Mean over seeds, bars: 95 % t-interval (none for one seed, cut to 0 to 100 %)"
_MEANS = "Mean over the seeds with a 95 % t-interval"


@dataclass(frozen=True)
class Product:
    """One kind of thing that a report makes.

    Attributes:
        name: ends the names of its files; ``""`` for what is named by its study alone.
        kind: ``figure``, ``table``, ``claims`` (a ledger), ``data`` (a CSV file) or ``manifest``.
        title: of its caption.
        text: of its caption.
        builder: ``module:function`` in this room. A figure's takes what was read and the entry, and gives a
            ``Drawing``; a table's takes what was read, and gives its rows and the printed tables; that of claims gives
            claims, and that of data a frame.
        each: made once for the study, for every task and model, or for every task, model and setting.
        when: whether a study has it.
        parts: how many there are of it, of the study.
        folded: on the page, hidden behind its title.
    """

    name: str
    kind: Kind
    title: str
    text: str
    builder: str = ""
    each: Literal["study", "model", "setting"] = "study"
    when: Callable[[Any], bool] = lambda study: True
    parts: Callable[[Any], int] = lambda study: 1
    folded: bool = False

    @property
    def caption(self) -> str:
        """The name of its caption for Snakemake's report."""
        return self.kind if self.name == self.kind else f"{self.kind}_{self.name or 'numbers'}"


@dataclass(frozen=True)
class SimulationShape:
    """What of the synthetic study was run beside the convergence."""

    fisher: bool = True
    timing: bool = True


def _detects(study: StudyShape) -> bool:
    return study.detection


def _detects_by_epoch(study: StudyShape) -> bool:
    return study.detection and len(study.checkpoints) > 1


def _selects(study: StudyShape) -> bool:
    return study.selection


def _compares_settings(study: StudyShape) -> bool:
    return study.selection and len(study.settings) > 1


def _tells_kinds(study: StudyShape) -> bool:
    return study.selection and study.has_images


def _shows_images(study: StudyShape) -> bool:
    return study.has_images


def _sheets(study: StudyShape) -> int:
    return len(sheet_methods(study.methods))


def sheet_methods(methods: Sequence[str]) -> list[Sequence[str]]:
    """Share the methods out among contact sheets."""
    return [methods[start : start + SHEET_METHODS] for start in range(0, len(methods), SHEET_METHODS)]


_ENDS = (
    Product(
        "claims",
        "claims",
        "Claims",
        "Each published claim, the published number, the number measured here, and whether it holds.",
        "study_claims:study_claims",
    ),
    Product(
        "sources",
        "data",
        "Sources",
        "The files that the figures and tables of this part were made from, with their hashes.",
        "sources:sources_table",
    ),
    Product("manifest", "manifest", "Manifest", "What was made, by which rule, with which caption."),
)

STUDY = (
    Product(
        "detection",
        "figure",
        "Harmed samples found against share inspected",
        "Training samples are inspected from the most harmful on; found are those that were harmed on purpose, such as "
        "flipped labels. Curves: mean over seeds; the diagonal is what inspecting at random finds. Below: what is found "
        "at 20 % and 40 % inspected, with 95 % t-interval (none for one seed, cut to 0 to 100 %). The last panel is "
        "published and another data set and model: only the order of the methods can be compared.",
        "detection_figure:detection_figure",
        "model",
        _detects,
    ),
    Product(
        "epochs",
        "figure",
        "Detection against epochs of fine-tuning",
        "Checkpoints of one training run per seed. Mean over seeds with 95 % t-interval; points are shifted sideways so "
        "that bars do not hide each other, and bars are cut at 1. Below: the model's accuracy on clean test data.",
        "epochs_figure:epochs_figure",
        "model",
        _detects_by_epoch,
    ),
    Product(
        "cost",
        "figure",
        "Time and memory of each method",
        "Marker: median over seeds and checkpoints; bar: smallest to largest. Under the line are the stages that are "
        "paid once for all methods together; HyperINF and the exact GFIM need the one named GFIM as well. "
        + MEMORY_NOTE,
        "cost_figure:cost_figure",
        "model",
    ),
    Product(
        "settings",
        "figure",
        "Accuracy by what is trained and whose gradients are used",
        "A panel for each setting, the same axes everywhere; rows are the two ways to select. Settings that train the "
        f"same differ only in the gradients that the scores are made of, and so in the samples that are kept. {_BARS}.",
        "settings_figure:settings_figure",
        "model",
        _compares_settings,
    ),
    Product(
        "accuracy",
        "figure",
        "Accuracy against the share of the pool kept",
        "A fresh adapter is fine-tuned on the samples that each method finds least harmful, of the whole pool (plain) "
        f"or within each answer (stratified). {_BARS}; points are shifted sideways so that bars do not hide each "
        "other. Horizontal lines: fine-tuned on the whole pool, the model after the warm-up that influence was "
        "computed at, the model as it came, and always the most frequent answer. Below: how many of the kept samples "
        "are clean (where samples were corrupted), and the share of the most frequent answer among them: where it nears "
        "one answer only, the selection has collapsed, and its accuracy says nothing of the scores' quality.",
        "accuracy_figure:accuracy_figure",
        "setting",
        _selects,
    ),
    Product(
        "contact",
        "figure",
        "What each method finds most helpful and most harmful",
        "The training samples with the lowest and the highest influence by each method, in the first seed: image, "
        "question, the answer that it has in training, and its influence (positive is harmful; each method has a scale "
        "of its own). A coloured frame marks a sample that was corrupted on purpose; of a changed answer the true one "
        "stands below. A method that finds them has frames on the right and none on the left.",
        "contact_sheet:contact_sheet",
        "setting",
        _shows_images,
        _sheets,
    ),
    Product(
        "detection",
        "table",
        "Finding harmed samples",
        "Area under the ROC curve, and share of the harmed samples found, of every method in every setting, and "
        f"HyperINF's difference to it, paired over the seeds. {_MEANS}. Larger is better.",
        "detection_tables:detection_tables",
        when=_detects,
    ),
    Product(
        "epochs",
        "table",
        "Finding harmed samples against epochs of fine-tuning",
        "ROC-AUC against the number of epochs trained, from the checkpoints of one training run: which method leads "
        "depends on it.",
        "detection_tables:epoch_tables",
        when=_detects_by_epoch,
        folded=True,
    ),
    Product(
        "accuracy",
        "table",
        "Accuracy after fine-tuning on the samples kept",
        "Accuracy after fine-tuning on the samples that each method keeps, by task and fraction kept, and for every "
        "column the best method and whether it is clear of the second. Below it HyperINF's differences to the others, "
        f"paired over the seeds, and what the accuracies stand beside. {_MEANS}.",
        "selection_tables:accuracy_tables",
        when=_selects,
    ),
    Product(
        "settings",
        "table",
        "Settings side by side",
        "Accuracy of the selections by what is trained and by whose gradients the scores are made of. Settings that "
        "train the same differ only in the samples that are kept; their differences are paired over the seeds.",
        "settings_tables:settings_tables",
        when=_compares_settings,
        folded=True,
    ),
    Product(
        "kinds",
        "table",
        "Accuracy by kind of question",
        "Accuracy by kind of question, for every fraction kept, of each method and of what selections stand beside. "
        f"{_MEANS}.",
        "kinds_tables:kinds_tables",
        when=_tells_kinds,
        folded=True,
    ),
    Product(
        "details",
        "table",
        "What was kept",
        "What each method keeps: the share of clean samples and of the most frequent answer among the kept, and the "
        "accuracy by likelihood per character.",
        "selection_tables:details_tables",
        when=_selects,
        folded=True,
    ),
    Product(
        "cost",
        "table",
        "Cost of scoring",
        "Wall time and peak memory of each method's part in scoring. HyperINF (Schulz's iteration) and the exact GFIM "
        "(Cholesky) solve the same equation: compare their rows. Schulz's method can win only where matrix products "
        "are far cheaper than factorisations.",
        "costs:cost_tables",
        folded=True,
    ),
    Product(
        "",
        "data",
        "All numbers",
        "Every metric of every method: mean over the seeds, half-width of the 95 % t-interval, number of seeds, and "
        "HyperINF's difference to it, paired over the seeds.",
        "frames:frame_table",
    ),
    *_ENDS,
)

SIMULATION = (
    Product(
        "convergence",
        "figure",
        "Absolute error against iteration",
        "Error ‖A⁻¹v − x‖₂ against a float64 solve; A = (1/N) Σ s sᵀ + λI. Lines: mean over seeds; bands: smallest to "
        "largest seed. Dotted: the published curves of HyperINF and LiSSA, read off the code release's graphic; a hollow "
        "triangle marks where they fall below what can be read (0.1 % of the panel). The published runs had other "
        "random draws: compare shape and order of magnitude. Horizontal lines are direct methods (an arrow and the "
        "error where one lies above the panel). A curve that ends at a cross or leaves through the top diverges. "
        "Iterations are not seconds: one of Schulz's costs two d × d matrix products, one of LiSSA or conjugate gradient "
        "one matrix-vector product.",
        "convergence_figures:convergence_figure",
    ),
    Product(
        "convergence_relative",
        "figure",
        "Relative error against iteration",
        "As the absolute error, divided by ‖A⁻¹v‖₂, so that panels and draws can be compared. The published curves are "
        "divided by their own first value, which is ‖A⁻¹v‖₂ up to 0.1 %.",
        "convergence_figures:relative_figure",
    ),
    Product(
        "datainf",
        "figure",
        "DataInf's error against dimension",
        "DataInf averages the inverses of rank-one matrices instead of inverting their average; it has no iterations, so "
        "more work does not make its error smaller. Mean over seeds, band smallest to largest. A relative error of 1 is "
        "what x = 0 would have.",
        "convergence_figures:datainf_figure",
    ),
    Product(
        "fisher",
        "figure",
        "The Fisher matrix and its approximation by the GFIM",
        "FIM beside I ⊗ GFIM / r from the same gradients, one colour scale. In the overviews a pixel is the entry of "
        "largest magnitude in its tile, which makes noise look stronger than it is; the corners (black square) show "
        "every entry. Lower row, if present: rows of the gradient correlated, where the approximation must miss the "
        "off-diagonal blocks.",
        "fisher_figure:fisher_figure",
        when=lambda simulation: simulation.fisher,
    ),
    Product(
        "timing",
        "figure",
        "Time to invert against dimension",
        "Median over repeats, band smallest to largest; this run's device was synchronised. Published seconds come from "
        "another machine (an unnamed GPU) and stand in a panel of their own. Hollow circles: published Schulz timings, "
        "taken without synchronising the device (they imply about 4,250 TFLOP/s at d = 4096), so they are invalid.",
        "timing_figure:timing_figure",
        when=lambda simulation: simulation.timing,
    ),
    Product(
        "",
        "table",
        "Iterations to the solution",
        "Iterations and error of every solver on the synthetic matrices, by side of the matrix and number of samples: "
        "mean over the seeds.",
        "simulation_tables:simulation_tables",
    ),
    Product("claims", "claims", _ENDS[0].title, _ENDS[0].text, "simulation_claims:simulation_claims"),
    *_ENDS[1:],
)

ALL_CLAIMS = Product("claims", "claims", "All claims", _ENDS[0].text)
"""The ledgers of all studies in one, which the page's command writes."""

WORKFLOW = (
    "Influence functions by the generalised Fisher information and Schulz's iteration (HyperINF), beside the methods it "
    "is compared with: a synthetic study of inverting the damped curvature, and studies of models, in which harmed "
    "training samples are found and the least harmful ones are selected. Every figure lies beside the CSV it was drawn "
    "from. The claims table sets the published numbers against these."
)
"""What Snakemake's report says at its top."""
