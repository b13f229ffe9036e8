"""What each figure shows and how it is to be read."""

import re

from hyperinf.reporting.costs import MEMORY_NOTE

_CAPTIONS = {
    "simulation_convergence": (
        "Absolute error against iteration",
        "Error ‖A⁻¹v − x‖₂ against a float64 solve; A = (1/N) Σ s sᵀ + λI. Lines: mean over seeds; bands: "
        "smallest to largest seed. Dotted: "
        "the published curves of HyperINF and LiSSA, read off the code release's graphic; a hollow triangle "
        "marks where they fall below "
        "what can be read (0.1 % of the panel). The published runs had other random draws: compare shape and "
        "order of magnitude. "
        "Horizontal lines are direct methods (an arrow and the error where one lies above "
        "the panel). A curve that ends at a cross or leaves through the top diverges. "
        "Iterations are not seconds: "
        "one of Schulz's costs two d × d matrix products, one of LiSSA or conjugate gradient one matrix-vector "
        "product.",
    ),
    "simulation_convergence_relative": (
        "Relative error against iteration",
        "As above, divided by ‖A⁻¹v‖₂, so that panels and draws can be compared. The published curves are "
        "divided by their own first "
        "value, which is ‖A⁻¹v‖₂ up to 0.1 %.",
    ),
    "simulation_datainf": (
        "DataInf's error against dimension",
        "DataInf averages the inverses of rank-one matrices instead of inverting their average. Mean over seeds, "
        "band smallest to "
        "largest. A relative error of 1 is what x = 0 would have.",
    ),
    "simulation_fisher": (
        "The Fisher matrix and its approximation by the GFIM",
        "FIM beside I ⊗ GFIM / r from the same gradients, one colour scale. In the overviews a pixel is the "
        "entry of largest magnitude in "
        "its tile, which makes noise look stronger than it is; the corners (black square) show every entry. "
        "Lower row, if present: rows of the gradient correlated, "
        "where the approximation must miss the off-diagonal blocks.",
    ),
    "simulation_timing": (
        "Time to invert against dimension",
        "Median over repeats, band smallest to largest; this run's device was synchronised. Published seconds "
        "come from another "
        "machine (an unnamed GPU) and stand in a panel of their own. Hollow circles: published Schulz timings, "
        "taken without synchronising the "
        "device (they imply about 4,250 TFLOP/s at d = 4096), so they are invalid.",
    ),
    "detection": (
        "Flipped labels found against share inspected",
        "Training samples are inspected from the most harmful on. Curves: mean over seeds. Below: what is found at "
        "20 % and 40 % inspected, with 95 % t-interval (none for one seed, cut to 0 to 100 %). "
        "The last panel is published and another data set and model: only the order of the methods can be compared.",
    ),
    "epochs": (
        "Detection against epochs of fine-tuning",
        "Checkpoints of one training run per seed. Mean over seeds with 95 % t-interval; points are shifted "
        "sideways so that bars do not hide each other, and bars are cut at 1. "
        "Below: the model's accuracy on clean test data.",
    ),
    "cost": (
        "Time and memory of each method",
        "Marker: median over seeds and checkpoints; bar: smallest to largest. Under the line are the stages that "
        "are paid once for all methods together; HyperINF and the exact GFIM need the one named GFIM as well. "
        + MEMORY_NOTE,
    ),
    "accuracy": (
        "Accuracy against the share of the pool kept",
        "A fresh adapter is fine-tuned on the samples that each method finds least harmful, of the whole pool (plain) "
        "or within each answer (stratified). Mean over seeds, bars: 95 % t-interval (none for one seed, cut to 0 to "
        "100 %); points are shifted sideways so that bars do not hide each other. Horizontal lines: fine-tuned on the "
        "whole pool, the model after the warm-up that influence was computed at, the model as it came, and always the "
        "most frequent answer. Below: how many of the kept samples are clean (where samples were corrupted), and the "
        "share of the most frequent answer among them: where it nears one answer only, the selection has collapsed, "
        "and its accuracy says nothing of the scores' quality.",
    ),
    "settings": (
        "Accuracy by what is trained and whose gradients are used",
        "A panel for each setting, the same axes everywhere; rows are the two ways to select. Settings that train the "
        "same differ only in the gradients that the scores are made of, and so in the samples that are kept. Mean "
        "over seeds, bars: 95 % t-interval (none for one seed, cut to 0 to 100 %).",
    ),
    "contact": (
        "What each method finds most helpful and most harmful",
        "The samples of the pool with the lowest and the highest influence by each method, in the first seed: image, "
        "question, the answer that it has in the pool, and its influence (positive is harmful; each method has a scale "
        "of its own). A coloured frame marks a sample that was corrupted on purpose; of a changed answer the true one "
        "stands below. A method that finds them has frames on the right and none on the left.",
    ),
}


def caption(figure: str) -> tuple[str, str]:
    """Title and caption of a figure by its file name without suffix."""
    kind = re.sub(r"-[0-9]+$", "", figure.rsplit("_", 1)[-1])  # a second contact sheet is like the first
    return _CAPTIONS[figure] if figure in _CAPTIONS else _CAPTIONS[kind]
