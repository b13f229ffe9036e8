"""Name everything that a report makes, with its caption: a figure more is its builder and one entry here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["figure", "table", "claims", "data", "manifest"]
Each = Literal["study", "model", "setting"]

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
        kind: ``figure``, ``table``, ``claims`` (a ledger), ``data`` (a CSV file) or ``manifest``.
        name: ends the names of its files; ``""`` for what is named by its study alone.
        caption: its title, a full stop, and how it is to be read.
        builder: ``module:function`` in this room. A figure's takes what was read and the entry, and gives a
            ``Drawing``; a table's takes what was read, and gives its rows and the printed tables; that of data gives a
            frame; those of claims, one after the other, give claims.
        each: made once for the study, for every task and model, or for every task, model and setting.
        when: what has to be true of a study (attributes of its shape) that has it.
        folded: on the page, hidden behind its title.
        methods_each: methods that one shows, the rest following on further ones; 0 for all.
    """

    kind: Kind
    name: str
    caption: str
    builder: str = ""
    each: Each = "study"
    when: tuple[str, ...] = ()
    folded: bool = False
    methods_each: int = 0

    @property
    def title(self) -> str:
        """The first words of its caption."""
        return self.caption.partition(". ")[0]

    @property
    def text(self) -> str:
        """The rest of its caption."""
        return self.caption.partition(". ")[2]

    @property
    def caption_name(self) -> str:
        """The name of its caption for Snakemake's report."""
        return self.kind if self.name == self.kind else f"{self.kind}_{self.name or 'numbers'}"

    def made_for(self, shape: Any) -> bool:
        """Whether a study of this shape has it."""
        return all(getattr(shape, name) for name in self.when)

    def shares(self, methods: Sequence[str]) -> list[Sequence[str]]:
        """Share methods out among as many of it as it takes."""
        size = self.methods_each or max(len(methods), 1)
        return [methods[start : start + size] for start in range(0, len(methods), size)]


@dataclass(frozen=True)
class SimulationShape:
    """What of the synthetic study was run beside the convergence."""

    fisher: bool = True
    timing: bool = True


def _figure(name: str, each: Each, when: tuple[str, ...], caption: str, methods_each: int = 0) -> Product:
    return Product("figure", name, caption, f"{name}_figure:{name}_figure", each, when, methods_each=methods_each)


def _table(name: str, when: tuple[str, ...], folded: bool, builder: str, caption: str) -> Product:
    return Product("table", name, caption, builder, when=when, folded=folded)


VERDICTS_FIGURE = Product(
    "figure",
    "verdicts",
    "Verdicts on the published claims. One line a claim: the mean over its settings of the difference, paired over "
    "seeds, with its 95 % t-interval; thin: the interval corrected for the number of claims, by which the verdict "
    "falls. Right of 0 speaks for the claim. Grey: differences that do not matter. Sign and colour are the verdict; "
    "claims that are counted have no interval.",
    "verdicts_figure:verdicts_figure",
)
PRIMARY_CLAIMS = Product(
    "claims",
    "claims_primary",
    "Claims and their verdicts. Each claim over all its settings: one verdict, corrected for the number of claims.",
)
ALL_CLAIMS = Product(
    "claims",
    "claims",
    "Claims. Each published claim in each setting, the published number, the number measured here, and whether it "
    "holds.",
    "detection_claims:detection_claims detection_claims:fidelity_claims fisher_claims:distance_claims "
    "detection_claims:part_claims cost_claims:cost_claims "
    "selection_claims:selection_claims validation_claims:validation_claims",
)
"""Of one study; or of all, which the page's command writes."""
_SOURCES = Product(
    "data",
    "sources",
    "Sources. The files that the figures and tables of this part were made from, with their hashes.",
    "sources:sources_table",
    folded=True,
)
_MANIFEST = Product("manifest", "manifest", "Manifest. What was made, by which rule, with which caption.")

STUDY = (
    _figure(
        "detection",
        "model",
        ("detection",),
        "Harmed samples found against the fraction inspected. Training samples are inspected from the most harmful "
        "on; found are those that were harmed on purpose, such as flipped labels. Curves: mean over seeds; the "
        "diagonal is what inspecting at random finds. Below: what is found at 20 % and 40 % inspected, with 95 % "
        "t-interval (none for one seed, cut to 0 to 100 %). Of a classifier, the last panel is published, of another "
        "data set and model: only the order of the methods can be compared.",
    ),
    _figure(
        "epochs",
        "model",
        ("detection", "by_epoch"),
        "Detection against epochs of fine-tuning. Checkpoints of one training run per seed. Mean over seeds with 95 % "
        "t-interval; points are shifted sideways so that bars do not hide each other, and bars are cut at 1. Below: "
        "the model's accuracy on clean test data.",
    ),
    _figure(
        "cost",
        "model",
        (),
        "Time and memory of each method. Marker: median over seeds and checkpoints; bar: smallest to largest. Under "
        "the line are the stages that are paid once for all methods together; HyperINF and the exact GFIM need the "
        f"one named GFIM as well. {MEMORY_NOTE}",
    ),
    _figure(
        "settings",
        "model",
        ("selection", "by_setting"),
        "Accuracy by what is trained and whose gradients are used. A panel for each setting, the same axes "
        "everywhere; rows are the two ways to select. Settings that train the same differ only in the gradients that "
        f"the scores are made of, and so in the samples that are kept. {_BARS}.",
    ),
    _figure(
        "accuracy",
        "setting",
        ("selection",),
        "Accuracy against the fraction kept. A fresh adapter is fine-tuned on the samples that each method finds "
        f"least harmful, of the whole training set (plain) or within each answer (stratified). {_BARS}; points are "
        "shifted sideways so that bars do not hide each other. Horizontal lines: fine-tuned on the whole training "
        "set, the model that influence was computed at, the model as it came, and always the most frequent answer. "
        "Below: how many of the kept samples are clean (where samples were corrupted), and the share of the most "
        "frequent answer among them: where it nears one answer only, the selection has collapsed, and its accuracy "
        "says nothing of the scores' quality.",
    ),
    _figure(
        "lds",
        "model",
        ("validation",),
        "Predicting retraining against seconds. Models are trained afresh on random subsets of the training samples; "
        "the linear datamodeling score is the rank correlation, over the subsets, of the summed influence of what a "
        "subset holds with the loss that training on it ends in. Left: on each target sample, averaged; right: on "
        "their mean. Mean over seeds with 95 % t-interval (one seed: 95 % of draws of the subsets). Dotted: how well "
        "retraining in another order predicts the loss, on fewer subsets. Further up and left is better.",
    ),
    _figure(
        "removal",
        "model",
        ("removal",),
        "Without the most helpful and the most harmful samples. Change of the mean target loss when a model is trained "
        "afresh without the samples that a method finds most helpful (it should rise) or most harmful (it should "
        "fall), and when the scored model is trained for one more pass on those samples alone (the other way round). "
        "Mean over seeds with 95 % t-interval; random samples beside them.",
    ),
    _figure(
        "contact",
        "setting",
        ("has_images",),
        "What each method finds most helpful and most harmful. The training samples with the lowest and the highest "
        "influence by each method, in the first seed: image, question, the answer that it has in training, and its "
        "influence (positive is harmful; each method has a scale of its own). A coloured frame marks a sample that was "
        "corrupted on purpose; of a changed answer the true one stands below. A method that finds them has frames on "
        "the right and none on the left.",
        methods_each=4,  # more would not fit a screen
    ),
    _table(
        "detection",
        ("detection",),
        False,
        "detection_tables:detection_tables",
        "Finding harmed samples. Area under the ROC curve, and share of the harmed samples found, of every method in "
        f"every setting, and HyperINF's difference to it, paired over the seeds. {_MEANS}. Larger is better.",
    ),
    _table(
        "epochs",
        ("detection", "by_epoch"),
        True,
        "detection_tables:epochs_tables",
        "Finding harmed samples against epochs of fine-tuning. ROC-AUC against the number of epochs trained, from the "
        "checkpoints of one training run: which method leads depends on it.",
    ),
    _table(
        "accuracy",
        ("selection",),
        False,
        "selection_tables:accuracy_tables",
        "Accuracy after fine-tuning on the samples kept. Of every method, by task and fraction kept, and for every "
        "column the best method and whether it is clear of all others. Below it HyperINF's differences to the others, "
        f"paired over the seeds, and what the accuracies stand beside. {_MEANS}.",
    ),
    _table(
        "lds",
        ("validation",),
        False,
        "validation_tables:lds_tables",
        "Predicting retraining. The linear datamodeling score of every method, HyperINF's difference to it, paired "
        f"over the seeds, and what retraining in another order predicts. {_MEANS}. The CSV has every seed. Larger is "
        "better.",
    ),
    _table(
        "removal",
        ("removal",),
        True,
        "validation_tables:removal_tables",
        "Without the most helpful and the most harmful samples. Change of the mean target loss; of a good method it "
        f"rises without the most helpful samples and falls without the most harmful. {_MEANS}.",
    ),
    _table(
        "settings",
        ("selection", "by_setting"),
        True,
        "settings_tables:settings_tables",
        "Settings side by side. Accuracy of the selections by what is trained and by whose gradients the scores are "
        "made of. Settings that train the same differ only in the samples that are kept; their differences are paired "
        "over the seeds.",
    ),
    _table(
        "kinds",
        ("selection", "has_images"),
        True,
        "kinds_tables:kinds_tables",
        "Accuracy by kind of question. For every fraction kept, of each method and of what selections stand beside. "
        f"{_MEANS}.",
    ),
    _table(
        "details",
        ("selection",),
        True,
        "selection_tables:details_tables",
        "What was kept. The share of clean samples and of the most frequent answer among the kept, and the accuracy by "
        "likelihood per character.",
    ),
    _table(
        "cost",
        (),
        True,
        "costs:cost_tables",
        "Cost of scoring. Wall time and peak memory of each method's part in scoring. HyperINF (Schulz's iteration) "
        "and the exact GFIM (Cholesky) solve the same equation: compare their rows. Schulz's method can win only "
        "where matrix products are far cheaper than factorisations.",
    ),
    Product(
        "data",
        "",
        "All numbers. Every metric of every method: mean over the seeds, half-width of the 95 % t-interval, number of "
        "seeds, and HyperINF's difference to it, paired over the seeds.",
        "frames:frame_table",
    ),
    ALL_CLAIMS,
    _SOURCES,
    _MANIFEST,
)

SIMULATION = (
    Product(
        "figure",
        "convergence",
        "Absolute error against iteration. Error ‖A⁻¹v − x‖₂ against a float64 solve; A = (1/N) Σ s sᵀ + λI. Lines: "
        "mean over seeds; bands: smallest to largest seed. Dotted: the published curves of HyperINF and LiSSA, read "
        "off the code release's graphic; a hollow triangle marks where they fall below what can be read (0.1 % of the "
        "panel). The published runs had other random draws: compare shape and order of magnitude. Horizontal lines "
        "are direct methods (an arrow and the error where one lies above the panel). A curve that ends at a cross or "
        "leaves through the top diverges. Iterations are not seconds: one of Schulz's costs two d × d matrix "
        "products, one of LiSSA or conjugate gradient one matrix-vector product.",
        "convergence_figures:convergence_figure",
    ),
    Product(
        "figure",
        "convergence_relative",
        "Relative error against iteration. As the absolute error, divided by ‖A⁻¹v‖₂, so that panels and draws can be "
        "compared. The published curves are divided by their own first value, which is ‖A⁻¹v‖₂ up to 0.1 %.",
        "convergence_figures:convergence_figure",
    ),
    Product(
        "figure",
        "datainf",
        "DataInf's error against dimension. DataInf averages the inverses of rank-one matrices instead of inverting "
        "their average; it has no iterations, so more work does not make its error smaller. Mean over seeds, band "
        "smallest to largest. A relative error of 1 is what x = 0 would have.",
        "convergence_figures:datainf_figure",
    ),
    _figure(
        "fisher",
        "study",
        ("fisher",),
        "The Fisher matrix and its approximation by the GFIM. FIM beside I ⊗ GFIM / r from the same gradients, one "
        "colour scale. In the overviews a pixel is the entry of largest magnitude in its tile, which makes noise look "
        "stronger than it is; the corners (black square) show every entry. Lower row, if present: rows of the gradient "
        "correlated, where the approximation must miss the off-diagonal blocks.",
    ),
    _figure(
        "timing",
        "study",
        ("timing",),
        "Time to invert against dimension. Median over repeats, band smallest to largest; this run's device was "
        "synchronised. Published seconds come from another machine (an unnamed GPU) and stand in a panel of their own. "
        "Hollow circles: published Schulz timings, taken without synchronising the device (they imply about 4,250 "
        "TFLOP/s at d = 4096), so they are invalid.",
    ),
    _table(
        "",
        (),
        False,
        "simulation_tables:simulation_tables",
        "Iterations to the solution. Of every solver on the synthetic matrices, by side of the matrix and number of "
        "samples, with the error left: mean over the seeds.",
    ),
    Product(
        "claims",
        "claims",
        ALL_CLAIMS.caption,
        "simulation_claims:convergence_claims simulation_claims:datainf_claims simulation_claims:fisher_claims "
        "simulation_claims:timing_claims",
    ),
    _SOURCES,
    _MANIFEST,
)

WORKFLOW = (
    "Influence functions by the generalised Fisher information and Schulz's iteration (HyperINF), beside the methods "
    "it is compared with: a synthetic study of inverting the damped curvature, and studies of models, in which harmed "
    "training samples are found and the least harmful ones are selected. Every figure lies beside the CSV it was drawn "
    "from. The claims table sets the published numbers against these."
)
"""What Snakemake's report says at its top."""
