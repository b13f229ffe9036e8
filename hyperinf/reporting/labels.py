"""How methods are called and in which order they stand, in every figure and table."""

from collections.abc import Iterable

METHOD_LABELS = {
    "hyperinf": "HyperINF",
    "gfim": "exact GFIM (Cholesky)",
    "datainf": "DataInf",
    "datainf_gfim": "DataInf on GFIM",
    "lissa": "LiSSA",
    "lissa_gfim": "LiSSA on GFIM",
    "tracin": "TracIN",
    "fim": "exact FIM",
    "loss": "own loss",
    "grad_norm": "gradient norm",
    "random": "random order",
    "schulz_paper": "HyperINF, published start",
    "schulz_paper_20": "Schulz, published start, 20 steps",
    "schulz_paper_30": "Schulz, published start, 30 steps",
    "schulz": "Schulz, scaled start",
    "chebyshev": "Schulz, Chebyshev-scaled",
    "neumann": "Neumann series",
    "sor": "SOR",
    "cg": "conjugate gradient",
    "gmres": "GMRES",
    "cholesky": "Cholesky",
    "cholesky_solve": "Cholesky, 16 right-hand sides only",
    "inv": "torch.linalg.inv",
}

SELECTION_LABELS = {
    "random": "random selection",
    "full": "whole pool",
    "warmup": "after the warm-up",
    "base": "before fine-tuning",
    "majority": "most frequent answer",
}
"""Where a set of samples is meant, not an order of them, and what selections stand beside."""

REFERENCES = ("full", "warmup", "base", "majority")
STRATEGY_LABELS = {"plain": "plain", "stratified": "stratified by answer"}
STUDY_LABELS = {"llm": "Language model", "vlm": "Vision-language model"}

ALL_KINDS = "all"
_KIND_LABELS = {ALL_KINDS: "all questions", "yes_no": "yes/no"}

_PART_MARK = ".of-"
_RANKED = {"lora": "LoRA rank {}", "lora_projector": "LoRA rank {} and projector"}
_PARTS = {"lora": "LoRA adapter", "last_layer": "last layer", "projector": "projector"}

BASELINES = frozenset({"loss", "grad_norm", "random"})
ORACLE_OF = {"gfim": "hyperinf"}
"""Methods that are another one's exact counterpart, so no contender beside it."""

METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "detected_20": "found at 20 % inspected",
    "detected_40": "found at 40 % inspected",
    "curve_auc": "area under the detection curve",
}

SELECTION_METRIC_LABELS = {
    "accuracy": "accuracy",
    "accuracy_norm": "accuracy, by likelihood per character",
    "clean_share": "clean samples among the kept",
    "largest_answer_share": "share of the most frequent answer",
    "kept": "samples kept",
}

_SIMULATION_ORDER = (
    "schulz_paper",
    "schulz_paper_20",
    "schulz_paper_30",
    "schulz",
    "chebyshev",
    "lissa",
    "neumann",
    "sor",
    "cg",
    "gmres",
    "datainf",
    "cholesky",
    "cholesky_solve",
    "inv",
)
_SIMULATION_ONLY = frozenset(_SIMULATION_ORDER) - {"datainf", "lissa"}
_INFLUENCE_ORDER = tuple(
    name for name in METHOD_LABELS if name not in _SIMULATION_ORDER or name in ("datainf", "lissa")
)


def method_label(method: str) -> str:
    """What ``method`` is called in print; an unknown method keeps its own name."""
    return METHOD_LABELS.get(method, method)


def selection_label(method: str) -> str:
    """What ``method`` is called where it selects samples."""
    return SELECTION_LABELS.get(method, method_label(method))


def setting_label(setting: str) -> str:
    """What is trained, and whose gradients are used where that is a part of it; an unknown setting keeps its name.

    ``lora-R``, ``last_layer``, ``projector`` and ``lora_projector-R``, each followed by ``.of-PART`` or by nothing.
    """
    trained, part = trained_setting(setting), gradient_part(setting)
    kind, _, rank = trained.partition("-")
    if kind in _RANKED and rank.isdigit():
        words = _RANKED[kind].format(rank)
    else:
        words = _PARTS.get(trained, trained)
    return f"{words}, gradients of the {_PARTS.get(part, part)} only" if part else words


def trained_setting(setting: str) -> str:
    """What is trained: the setting without the part whose gradients are used."""
    return setting.partition(_PART_MARK)[0]


def gradient_part(setting: str) -> str:
    """The part of what is trained whose gradients are used; ``""`` where it is all of it."""
    return setting.partition(_PART_MARK)[2]


def gradients_label(setting: str) -> str:
    """Whose gradients are used, in a word or two."""
    part = gradient_part(setting)
    return _PARTS.get(part, part) if part else "all"


def ordered_settings(settings: Iterable[str]) -> list[str]:
    """``settings`` without repeats: by what is trained, smaller ranks first, parts after the whole."""

    def place(setting: str) -> tuple[str, int, str]:
        kind, _, rank = trained_setting(setting).partition("-")
        return kind, int(rank) if rank.isdigit() else 0, setting

    return sorted(set(settings), key=place)


def kind_label(kind: str) -> str:
    """What a kind of question is called."""
    return _KIND_LABELS.get(kind, kind.replace("_", " "))


def noted_model(model: str, note: str) -> str:
    """The model's name, and in brackets what a reader must know of it."""
    return f"{model} ({note})" if note else model


def ordered_methods(methods: Iterable[str]) -> list[str]:
    """``methods`` without repeats, in the house order; unknown ones follow by name."""
    present = set(methods)
    order = _SIMULATION_ORDER if present & _SIMULATION_ONLY else _INFLUENCE_ORDER
    known = [name for name in order if name in present]
    return known + sorted(present - set(known))


def stage_label(stage: str) -> str:
    """What a stage that serves all methods is called; one that is part of another starts with "of which"."""
    return f"({stage})" if stage.startswith("of which") else f"shared: {stage}"
