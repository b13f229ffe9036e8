"""How everything is called and in which order it stands, in every figure and table."""

import zlib
from collections.abc import Iterable, Mapping

from hyperinf.settings.methods import BASELINES, METHODS, MethodSpec
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.scores import FORMS, POOLS, ScoreName
from hyperinf.settings.solvers import SOLVERS, SolverSpec

SUBJECT = "hyperinf"
"""The method that all others are held against."""

_SELECTION_LABELS = {
    "random": "random selection",
    "full": "whole training set",
    "clean": "clean training samples",
    "finetuned": "scored model",
    "base": "before fine-tuning",
    "majority": "most frequent answer",
}
REFERENCES = ("full", "clean", "finetuned", "base", "majority")
"""What selections stand beside."""
STRATEGY_LABELS = {"plain": "plain", "stratified": "stratified by answer"}

METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "roc_auc_within": "ROC-AUC within an observed answer",
    "fim_correlation": "rank correlation with the exact FIM",
    "detected": "found",
    "curve_auc": "area under the detection curve",
    "accuracy": "accuracy",
    "accuracy_norm": "accuracy, by likelihood per character",
    "clean_fraction": "clean samples among the kept",
    "largest_answer_fraction": "share of the most frequent answer",
    "kept": "samples kept",
    "lds": "linear datamodeling score, each target sample",
    "lds_mean_target": "linear datamodeling score, mean target",
    "top_overlap": "overlap of the most helpful",
    "randomised_agreement": "agreement with scores of a randomised model",
    "lds_randomised": "LDS of a randomised model's scores",
}
ALL_KINDS = "all questions"

_PART_MARK = ".of-"
_RANKED = {"lora": "LoRA rank {}", "lora_projector": "LoRA rank {} and projector"}
_PARTS = {"lora": "LoRA adapter", "last_layer": "last layer", "projector": "projector"}
_SPARE_COLOURS = ("#332288", "#44AA99", "#AA4499", "#661100", "#117733")
_SPARE_MARKERS = ("<", ">", "*", "H", "8")
_SPECS: Mapping[str, MethodSpec | SolverSpec] = {**SOLVERS, **METHODS, **BASELINES}
_INFLUENCE = {name: place for place, name in enumerate([*METHODS, *BASELINES, *REFERENCES])}
_SOLVING = {name: place for place, name in enumerate(SOLVERS)}


def spec_of(method: str) -> MethodSpec | SolverSpec:
    """Give a method's, baseline's or solver's entry in its register.

    An unknown one keeps its name and gets a style that depends on its name alone.
    """
    number = zlib.crc32(method.encode())
    spare = MethodSpec(method, method, _SPARE_COLOURS[number % 5], _SPARE_MARKERS[number // 5 % 5], "dashed")
    score = ScoreName.of(method)
    return _SPECS.get(method) or (score.spec if score.known else spare)


def method_label(method: str) -> str:
    """Say what a method is called in print."""
    return spec_of(method).label


def selection_label(method: str) -> str:
    """Say what a method or a reference is called where it selects samples."""
    return _SELECTION_LABELS.get(method, method_label(method))


def ordered_methods(methods: Iterable[str]) -> list[str]:
    """Sort methods and baselines as their registers are, without repeats; unknown ones follow by name.

    Forms of a method's scores stand after it.
    """
    return sorted(set(methods), key=_place)


def shown_in_figures(methods: Iterable[str]) -> set[str]:
    """Leave out what only tables show; where that is all there is, figures show it, too."""
    known = set(methods)
    return {name for name in known if getattr(spec_of(name), "main", True)} or known


def ordered_solvers(solvers: Iterable[str]) -> list[str]:
    """Sort solvers as their register is, without repeats; unknown ones follow by name."""
    return _ordered(solvers, _SOLVING)


def _place(name: str) -> tuple[int, int, int, str]:
    score = ScoreName.of(name)
    form, pool = ([*known, ""].index(each) for known, each in ((FORMS, score.form), (POOLS, score.pool)))
    return (
        _INFLUENCE.get(score.method, len(_INFLUENCE)),
        (pool + 1) % (len(POOLS) + 1),
        (form + 1) % (len(FORMS) + 1),
        name,
    )


def _ordered(names: Iterable[str], places: Mapping[str, int]) -> list[str]:
    return sorted(set(names), key=lambda name: (places.get(name, len(places)), name))


def family_label(family: str) -> str:
    """Say what a family of models is called."""
    return FAMILIES[family].label if family in FAMILIES else family


def harmed_label(family: str) -> str:
    """Say what was harmed on purpose in the training samples of a family's models."""
    return "flipped labels" if family == "classifier" else "corrupted samples"


def setting_label(setting: str) -> str:
    """Say what is trained, and whose gradients are used where that is a part of it; an unknown setting keeps its name.

    Args:
        setting: ``lora-R``, ``last_layer``, ``projector`` or ``lora_projector-R``, followed by ``.of-PART`` or nothing.
    """
    trained, part = trained_setting(setting), gradient_part(setting)
    kind, _, rank = trained.partition("-")
    words = _RANKED[kind].format(rank) if kind in _RANKED and rank.isdigit() else _PARTS.get(trained, trained)
    return f"{words}, gradients of the {_PARTS.get(part, part)} only" if part else words


def trained_setting(setting: str) -> str:
    """Name what is trained: the setting without the part whose gradients are used."""
    return setting.partition(_PART_MARK)[0]


def gradient_part(setting: str) -> str:
    """Name the part of what is trained whose gradients are used; ``""`` where it is all of it."""
    return setting.partition(_PART_MARK)[2]


def gradients_label(setting: str) -> str:
    """Say whose gradients are used, in a word or two."""
    part = gradient_part(setting)
    return _PARTS.get(part, part) if part else "all"


def part_label(setting: str) -> str:
    """Say whose gradients are used, in a sentence: ``the projector``, or ``all that is trained``."""
    return f"the {gradients_label(setting)}" if gradient_part(setting) else "all that is trained"


def setting_order(setting: str) -> tuple[str, int, str]:
    """Give the place of a setting among others: by what is trained, smaller ranks first, parts after the whole."""
    kind, _, rank = trained_setting(setting).partition("-")
    return kind, int(rank) if rank.isdigit() else 0, setting


def ordered_settings(settings: Iterable[str]) -> list[str]:
    """Sort settings, without repeats."""
    return sorted(set(settings), key=setting_order)


def checkpoint_label(checkpoint: str) -> str:
    """Say which weights: ``epoch 3``; nothing of the end of a training counted in steps."""
    return "" if checkpoint == "last" else checkpoint.replace("-", " ")


def kind_label(kind: str) -> str:
    """Say what a kind of question is called."""
    return "yes/no" if kind == "yes_no" else kind.replace("_", " ")


def noted_model(model: str, note: str) -> str:
    """Give the model's name, and in brackets what a reader must know of it."""
    return f"{model} ({note})" if note else model


def stage_label(stage: str) -> str:
    """Say what a stage that serves all methods is called; one that is part of another starts with "of which"."""
    return f"({stage})" if stage.startswith("of which") else f"shared: {stage}"


def counted(number: int, word: str) -> str:
    """Give a number with its noun: ``1 seed``, ``3 seeds``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def seeds_label(counts: Iterable[int]) -> str:
    """Say over how many seeds, of several numbers the smallest and the largest."""
    known = sorted(set(counts))
    return f"{' to '.join(map(str, dict.fromkeys([known[0], known[-1]])))} seed{'' if known[-1] == 1 else 's'}"


def percent(fraction: float) -> str:
    """Print a fraction in percent."""
    return f"{100 * fraction:g} %"
