"""Operations and bytes of every stage of a grid, counted from its checked configuration; nothing is run.

An operation is a floating-point operation, a multiplication with its addition being two, as in ``llama_budget.py``,
whose forward and backward passes these are. Left out: embeddings, norms, activations, softmax, the optimiser.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from llama_budget import ADAPTER_BYTES, BASE_BYTES, SCHULZ_PRODUCTS, Setting, Shape, Workload, extraction_operations

from hyperinf.settings.experiment import SIMULATION, ExperimentSettings
from hyperinf.settings.methods import METHODS, BlockOptions, HyperInfOptions, LowRankOptions
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.scoring import ScoringSettings
from hyperinf.settings.simulation import SimulationSettings
from hyperinf.settings.study import StudySettings
from hyperinf.settings.training import TrainingSettings

MATRIX_PRODUCTS = {"schulz_paper": 2, "schulz": 2, "chebyshev": 2, "datainf": 0}  # of d x d matrices an iteration
CG_ITERATIONS = 110  # of conjugate gradients up to 1e-3, as seen on gradients of MiniLM


@dataclass(frozen=True)
class Tower:
    """A vision transformer, never trained here, whose output becomes ``tokens`` of the language model."""

    layers: int
    hidden: int
    mlp: int
    positions: int
    tokens: int

    @property
    def operations(self) -> float:
        """Of one picture: ``L (2 (4 d^2 + 2 d m) t + 4 t^2 d)``."""
        d, t = self.hidden, self.positions
        return self.layers * (2.0 * (4 * d * d + 2 * d * self.mlp) * t + 4.0 * t * t * d)


@dataclass(frozen=True)
class Model(Shape):
    """A transformer; see ``grid_assumptions.yaml``."""

    kind: str = "llama"
    key_value_heads: int | None = None
    head: tuple[tuple[int, int], ...] = ()
    tower: Tower | None = None
    bytes: float = 0.0

    @property
    def layer_weights(self) -> int:
        """``2 d^2 + 2 d d_kv`` of the attention; ``3 d m`` of a gated MLP, ``2 d m`` of a plain one."""
        d, m = self.hidden, self.mlp
        shared = (self.key_value_heads or self.heads) / self.heads
        return round(2 * d * d * (1 + shared)) + (3 if self.kind == "llama" else 2) * d * m

    @property
    def projector(self) -> tuple[tuple[int, int], ...]:
        """Its two layers, ``(r, d)`` each."""
        return ((self.tower.hidden, self.hidden), (self.hidden, self.hidden)) if self.tower else ()

    def length(self, fact: dict[str, Any], longest: int) -> int:
        """Tokens of a sample: those of the picture, which are never cut, and those of the text."""
        return min(fact["tokens"] + (self.tower.tokens if self.tower else 0), longest)


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    Attributes:
        study: what is run.
        name: the rule.
        jobs: how many.
        operations: of all of them.
        dtype: they are done in.
        disk: bytes that stay.
        scratch: bytes that one job holds on disk while it runs.
        files: a glob below ``results/benchmarks`` that names the jobs' measurements.
    """

    study: str
    name: str
    jobs: int
    operations: float
    dtype: str
    disk: float = 0.0
    scratch: float = 0.0
    files: str = ""


@dataclass(frozen=True)
class Trained:
    """Weights that are trained or scored.

    Attributes:
        adapters: ``(r, d)`` of LoRA's, two for each of q and v in every layer. (A value projection with fewer heads
            counts as a full one.)
        dense: ``(r, d)`` of dense ones.
        deep: whether the backward pass goes through all layers, or the last one only.
    """

    adapters: tuple[tuple[int, int], ...] = ()
    dense: tuple[tuple[int, int], ...] = ()
    deep: bool = True

    @property
    def weights(self) -> tuple[tuple[int, int], ...]:
        """All of them."""
        return self.adapters + self.dense

    @property
    def size(self) -> int:
        """``sum r d``."""
        return sum(r * d for r, d in self.weights)


def trained_part(model: Model, what: str) -> Trained:
    """``lora-R``, ``lora_projector-R``, ``last_layer`` or ``projector``; a classifier's head goes with its adapter."""
    kind, _, rank = what.partition("-")
    adapters = tuple(Setting(int(rank)).gradients(model)) if rank else ()
    dense = {"last_layer": tuple(Setting(0).gradients(model)), "projector": model.projector}.get(kind, model.head)
    if kind == "lora_projector":
        dense = model.projector
    return Trained(adapters, tuple((min(pair), max(pair)) for pair in dense), deep=kind != "last_layer")


def forward(model: Model, tokens: int, positions: int) -> float:
    """``L (2 W t + 4 t^2 d) + 2 V d p``, with logits at ``p`` positions only, and the tower's picture."""
    layers = model.layers * (2.0 * model.layer_weights * tokens + 4.0 * tokens * tokens * model.hidden)
    tower = model.tower.operations if model.tower else 0.0
    return layers + 2.0 * _outputs(model) * model.hidden * positions + tower


def training_step(model: Model, trained: Trained, tokens: int, answer: int, checkpointing: bool = False) -> float:
    """One sample: forward, backward to inputs, the trained weights' own share, and a second forward to save memory.

    Own share: forward and backward of an adapter ``6 t r d``, the gradient of a dense weight ``2 t r d``.
    """
    passes = _passes(model, trained, tokens, answer)
    own = sum(6.0 * tokens * r * d for r, d in trained.adapters) + sum(2.0 * tokens * r * d for r, d in trained.dense)
    return passes + own + (forward(model, tokens, 0) if checkpointing else 0.0)


def gradients(model: Model, trained: Trained, tokens: int, answer: int) -> float:
    """One sample: forward, backward to inputs, and its gradients formed from the factors, ``2 t sum r d``."""
    return _passes(model, trained, tokens, answer) + 2.0 * tokens * trained.size


def _passes(model: Model, trained: Trained, tokens: int, answer: int) -> float:
    shape: Shape = model
    outputs = replace(shape, vocabulary=_outputs(model))
    tower = model.tower.operations if model.tower else 0.0
    return tower + extraction_operations(outputs, Setting(int(trained.deep)), Workload(tokens=tokens, answer=answer))


def scored_part(model: Model, setting: str) -> Trained:
    """What gradients are taken of: ``lora-8`` all that is trained, ``lora-8.of-last_layer`` the linear layers of it."""
    trained, _, part = setting.partition(".of-")
    whole = trained_part(model, trained)
    if part == "lora":
        return replace(whole, dense=())
    return trained_part(model, part) if part else whole


def scoring(trained: Trained, samples: int, settings: ScoringSettings, tokens: int = 1) -> float:
    """All methods and their forms on gradients that are at hand.

    GFIM ``2 n r d^2``; Schulz ``2 d^3`` a product, Cholesky ``d^3 / 3``, conjugate gradients ``2 r d^2`` an iteration;
    a sweep of DataInf, LiSSA or conjugate gradients on the FIM ``4 n sum r d``; the exact Fisher by the smaller Gram
    matrix, ``min(n, rd) n rd + min(n, rd)^3 / 3``; a GFIM of rank p ``4 n r d p + 10 d p^2``, of blocks of k columns
    ``2 n r d k + d k^2 / 3``; K-FAC ``2 n t (r^2 + d^2)`` and eigenvectors ``10 d^3``, EK-FAC
    ``2 n r d (r + d)`` besides; the scores ``2 n k sum r d``; and of forms that need it :func:`own_products`.
    """
    n, methods = samples, settings.built
    total = 4.0 * n * trained.size * own_sweeps(settings) + 2.0 * n * len(methods) * trained.size
    if any("gfim" in METHODS[name].needs for name in methods):
        total += sum(2.0 * n * r * d * d for r, d in trained.weights)
    for name in methods:
        options = settings.options(name)
        if isinstance(options, HyperInfOptions) and options.solver == "schulz":
            total += sum(SCHULZ_PRODUCTS * 2.0 * d**3 for _, d in trained.weights)
        elif name in ("hyperinf", "gfim"):
            total += sum(d**3 / 3 for _, d in trained.weights)
        elif name == "gfim_cg":
            total += sum(CG_ITERATIONS * 2.0 * r * d * d for r, d in trained.weights)
        elif isinstance(options, LowRankOptions):
            sizes = [(r, d, min(options.rank, d, n * r)) for r, d in trained.weights]
            total += sum(4.0 * n * r * d * p + 10.0 * d * p * p for r, d, p in sizes)
        elif isinstance(options, BlockOptions):
            sizes = [(r, d, min(options.block, d)) for r, d in trained.weights]
            total += sum(2.0 * n * r * d * k + d * k * k / 3 for r, d, k in sizes)
        elif name == "fim":
            total += sum(min(n, r * d) * (n * r * d + min(n, r * d) ** 2 / 3) for r, d in trained.weights)
        elif name in ("kfac", "ekfac"):
            total += sum(2.0 * n * tokens * (r * r + d * d) + 10.0 * (r**3 + d**3) for r, d in trained.weights)
            total += sum(2.0 * n * r * d * (r + d) for r, d in trained.weights) if name == "ekfac" else 0.0
    each = {ScoreName.of(name).method for name in settings.methods if ScoreName.of(name).needs_each}
    return total + sum(own_products(trained, n, name, settings) for name in each)


def own_products(trained: Trained, samples: int, method: str, settings: ScoringSettings) -> float:
    """Every sample's product with the inverse curvature, and two numbers of each.

    ``2 n r d^2`` of what multiplies by a matrix from the right, ``4 n r d (r + d)`` of a Kronecker product,
    ``4 n^2 r d`` a sweep of what sweeps, ``2 n min(n, rd) rd`` of the exact Fisher, and of TracIN nothing.
    """
    n, needs = samples, METHODS[method].needs
    total = 4.0 * n * trained.size
    if "gfim" in needs:
        return total + sum(2.0 * n * r * d * d for r, d in trained.weights)
    if "factors" in needs:
        return total + sum(4.0 * n * r * d * (r + d) for r, d in trained.weights)
    if "gradients" in needs:
        return total + sum(2.0 * n * min(n, r * d) * r * d for r, d in trained.weights)
    return total + 4.0 * n * n * trained.size * rounds(method, settings)


def rounds(method: str, settings: ScoringSettings) -> int:
    """Sums over all gradients that a method asks for; conjugate gradients mostly end before the most they may."""
    asked = METHODS[method].rounds(settings.options(method))
    return min(asked, CG_ITERATIONS) if method == "fim_cg" else asked


def own_sweeps(settings: ScoringSettings) -> int:
    """Sweeps over the training gradients that methods make beside the two that all share."""
    whole = sum("gradients" in METHODS[name].needs for name in settings.built)
    return whole + sum(rounds(name, settings) for name in settings.built)


def extractions(settings: ScoringSettings, live: bool) -> int:
    """How often the gradients of all training samples are taken from the model."""
    again = any("factors" in METHODS[name].needs for name in settings.built)
    return (2 + own_sweeps(settings) if live else 1 + again) + ("less" in settings.baselines)


def baselines(model: Model, trained: Trained, train: int, target: int, tokens: int, settings: ScoringSettings) -> float:
    """What baselines take beside gradients: LESS ``2 n m sum r d``, an embedding and a perplexity a forward pass."""
    found = {
        "less": 2.0 * train * target * trained.size,
        "embedding": (train + target) * forward(model, tokens, 0),
        "perplexity": train * forward(model, tokens, 1),
    }
    return sum(found.get(name, 0.0) for name in settings.baselines)


def simulation_stages(study: SimulationSettings) -> Iterator[Stage]:
    """Synthetic study: a float64 solve and every method's iterations for each matrix."""
    total = 0.0
    for d in study.dims:
        products = sum(MATRIX_PRODUCTS.get(name, 0) for name in study.methods) * 2.0 * d**3
        vectors = len(study.methods) * 2.0 * d**2
        each = study.iterations * (products + vectors) + d**3 / 3
        total += len(study.seeds) * sum(2.0 * samples * d * d + each for samples in study.samples)
    yield Stage(
        SIMULATION,
        "simulation_convergence",
        len(study.seeds) * len(study.dims),
        total,
        "float32",
        files="simulation/convergence/*.tsv",
    )
    repeats = (study.timing.repeats + 1) * len(study.timing.methods)
    operations = sum(repeats * 40.0 * d**3 for d in study.timing.dims)
    yield Stage(SIMULATION, "simulation_timing", 1, operations, "float32", files="simulation/timing.tsv")


def study_stages(name: str, study: StudySettings, facts: dict[str, Any], models: dict[str, Model]) -> Iterator[Stage]:
    """A study: fine-tunings, scores at every kept checkpoint, and trainings on what is kept of the samples."""
    how, seeds = study.finetuning, len(study.seeds)
    live = study.runtime.store == "live" or study.runtime.shards > 1
    checkpoints, fractions = len(how.checkpoint_names), () if study.selection is None else study.selection.fractions
    tune, score, kept, scratch, subsets, whole, again, validated = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for task, key in product(study.tasks, study.models):
        model, fact = models[key], facts["data"][task]
        tokens, answer = model.length(fact, how.max_length), fact.get("answer", 0)
        n, test = (min(getattr(study.samples, part), fact.get(part, math.inf)) for part in ("train", "test"))
        judged = fact.get("choices", 1) * forward(model, tokens, max(answer, 1))
        for trained in study.adapter.names:
            part = trained_part(model, trained)
            step = training_step(model, part, tokens, answer, how.gradient_checkpointing)
            evaluated = checkpoints * (study.samples.validation + test) * judged
            tune += seeds * (trained_on(how, n) * step + evaluated)
            kept += seeds * checkpoints * part.size * (ADAPTER_BYTES if part.adapters else BASE_BYTES)
            if study.validation is not None:
                each, targets = study.validation, study.samples.validation * forward(model, tokens, max(answer, 1))
                one = trained_on(how, n) * each.subset_fraction * step + targets
                again += seeds * (each.subsets + min(each.again, each.subsets)) * one
        for setting in study.settings:
            scored = scored_part(model, setting)
            sweeps, target = extractions(study.scoring, live), study.samples.validation
            extracted = (n * sweeps + target) * gradients(model, scored, tokens, answer)
            cheap = baselines(model, scored, n, target, tokens, study.scoring)
            score += seeds * checkpoints * (extracted + scoring(scored, n, study.scoring, tokens) + cheap)
            scratch = max(scratch, 0.0 if live else n * scored.size * ADAPTER_BYTES)
            if study.validation is not None:
                extracted = (n * sweeps + study.samples.validation) * gradients(model, scored, tokens, answer)
                dots = 2.0 * n * study.samples.validation * len(study.scoring.methods) * scored.size
                # Of the model, and of one that was randomised.
                validated += seeds * 2 * (extracted + scoring(scored, n, study.scoring) + dots)
                if study.validation.removal is not None:
                    part = trained_part(model, setting.partition(".of-")[0])
                    step = training_step(model, part, tokens, answer, how.gradient_checkpointing)
                    validated += seeds * removals(study) * trained_on(how, n) * step
            if study.selection is not None:
                part = trained_part(model, setting.partition(".of-")[0])
                step = training_step(model, part, tokens, answer, how.gradient_checkpointing)
                named = len(study.scoring.methods) + len(study.selection.baselines) + 1
                runs = named * len(study.selection.strategies)
                for fraction in fractions:
                    one = trained_on(study.selection.training, round(fraction * n)) * step
                    subsets += seeds * runs * (one + test * judged)
                # With all samples comes the model as it was, and both are judged.
                whole += seeds * (trained_on(study.selection.training, n) * step + 2 * test * judged)
    cells = seeds * len(study.tasks) * len(study.models)
    runs, dtype, folder = cells * len(study.settings), how.dtype, f"{name}/*/*/*/seed-*"
    jobs = cells * len(study.adapter.names)
    yield Stage(name, "finetune", jobs, tune, dtype, disk=kept, files=f"{folder}/finetune.tsv")
    yield Stage(name, "score", runs * checkpoints, score, dtype, scratch=scratch, files=f"{folder}/score-*.tsv")
    if study.selection is not None:
        yield Stage(name, "select", runs * len(fractions), subsets, dtype, files=f"{folder}/fraction-0*.tsv")
        yield Stage(name, "select (all samples)", runs, whole, dtype, files=f"{folder}/fraction-1*.tsv")
    if study.validation is not None:
        yield Stage(name, "retrain", jobs, again, dtype, files=f"{folder}/retrain.tsv")
        yield Stage(name, "validate", runs, validated, dtype, scratch=scratch, files=f"{folder}/validation.tsv")


def removals(study: StudySettings) -> int:
    """Count trainings on nearly all samples: without the most helpful, the most harmful, and random ones."""
    assert study.validation is not None
    assert study.validation.removal is not None
    methods = max(len(study.validation.removal.methods), 1)
    return 1 + (2 * methods + 1) * len(study.validation.removal.fractions)


def trained_on(training: TrainingSettings, samples: int) -> int:
    """How many samples a training on so many sees, each as often as it comes."""
    if training.max_steps is not None:
        return training.max_steps * training.batch_size
    return (training.epochs or 0) * samples


def stages(experiment: ExperimentSettings, facts: dict[str, Any], models: dict[str, Model]) -> list[Stage]:
    """All stages of what is run, but for those that take seconds a job: data, models, reports."""
    found = list(simulation_stages(experiment.simulation)) if SIMULATION in experiment.run else []
    for name, study in experiment.running.items():
        found += study_stages(name, study, facts, models)
    return found


def _outputs(model: Model) -> int:
    """Columns of the output layer: the vocabulary, or a classifier's few."""
    return 2 if model.kind == "encoder" else model.vocabulary
