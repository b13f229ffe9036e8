"""Operations and bytes of every stage of a grid, counted from its checked configuration; nothing is run.

An operation is a floating-point operation, a multiplication with its addition being two, as in ``llama_budget.py``,
whose forward and backward passes these are. Left out: embeddings, norms, activations, softmax, the optimiser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from llama_budget import ADAPTER_BYTES, BASE_BYTES, SCHULZ_PRODUCTS, Setting, Shape, Workload, extraction_operations

LISSA_PRODUCTS = 5  # beyond the iterations: hyperinf.settings.methods.LANCZOS_STEPS, for the scale
MATRIX_PRODUCTS = {"schulz_paper": 2, "schulz": 2, "chebyshev": 2, "datainf": 0}  # of d x d matrices an iteration


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
        study: key of the configuration.
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
    outputs = replace(model, vocabulary=_outputs(model))
    tower = model.tower.operations if model.tower else 0.0
    return tower + extraction_operations(outputs, Setting(int(trained.deep)), Workload(tokens=tokens, answer=answer))


def scoring(trained: Trained, samples: int, settings: dict[str, Any]) -> float:
    """All methods on gradients that are at hand.

    GFIM ``2 n r d^2``; Schulz ``2 d^3`` a product, Cholesky ``d^3 / 3``; a sweep of DataInf or LiSSA ``4 n sum r d``;
    the exact Fisher by the smaller Gram matrix, ``min(n, rd) n rd + min(n, rd)^3 / 3``; the scores ``2 n k sum r d``.
    """
    n, methods = samples, settings["methods"]
    sweeps = sum(own_sweeps(name, settings) for name in methods)
    total = 4.0 * n * trained.size * sweeps + 2.0 * n * len(methods) * trained.size
    if any(needs_gfim(name) for name in methods):
        total += sum(2.0 * n * r * d * d for r, d in trained.weights)
    for name in methods:
        if name == "hyperinf" and settings["solver"] == "schulz":
            total += sum(SCHULZ_PRODUCTS * 2.0 * d**3 for _, d in trained.weights)
        elif name in ("hyperinf", "gfim"):
            total += sum(d**3 / 3 for _, d in trained.weights)
        elif name == "fim":
            total += sum(min(n, r * d) * (n * r * d + min(n, r * d) ** 2 / 3) for r, d in trained.weights)
    return total


def own_sweeps(method: str, settings: dict[str, Any]) -> int:
    """Sweeps over the training gradients that a method makes beside the two that all share."""
    if method == "lissa":
        return int(settings["lissa_iterations"]) + LISSA_PRODUCTS
    return int(method in ("datainf", "datainf_gfim", "fim"))


def needs_gfim(method: str) -> bool:
    """Whether the GFIM is accumulated for it."""
    return method in ("hyperinf", "gfim", "lissa_gfim")


def simulation_stages(config: dict[str, Any]) -> Iterator[Stage]:
    """Synthetic study: a float64 solve and every method's iterations for each matrix."""
    study = config["simulation"]
    per_dim = {}
    for d in study["dims"]:
        products = sum(MATRIX_PRODUCTS.get(name, 0) for name in study["methods"]) * 2.0 * d**3
        vectors = len(study["methods"]) * 2.0 * d**2
        each = study["iterations"] * (products + vectors) + d**3 / 3
        per_dim[d] = sum(2.0 * samples * d * d + each for samples in study["samples"])
    seeds = len(study["seeds"])
    yield Stage(
        "simulation",
        "simulation_convergence",
        seeds * len(study["dims"]),
        seeds * sum(per_dim.values()),
        "float32",
        files="simulation/convergence/*.tsv",
    )
    timing = study["timing"]
    repeats = (timing["repeats"] + 1) * len(timing["methods"])
    operations = sum(repeats * 40.0 * d**3 for d in timing["dims"])
    yield Stage("simulation", "simulation_timing", 1, operations, "float32", files="simulation/timing.tsv")


def mislabel_stages(config: dict[str, Any], facts: dict[str, Any], models: dict[str, Model]) -> Iterator[Stage]:
    """Detection: each model on each task, for each rank and seed."""
    study = config["mislabel"]
    training = study["training"]
    seeds, epochs = len(study["seeds"]), study["epochs"]
    tune, score, kept, scratch = 0.0, 0.0, 0.0, 0.0
    for task, name, rank in _product(study["tasks"], study["models"], study["ranks"]):
        model, fact = models[name], facts["data"][task]
        trained = trained_part(model, f"lora-{rank}")
        tokens = model.length(fact, training["max_length"])
        n = min(study["train"], fact["train"])
        evaluated = study["validation"] + study["test"]
        step = training_step(model, trained, tokens, 0)
        tune += seeds * (n * max(epochs) * step + len(epochs) * evaluated * forward(model, tokens, 1))
        extracted = (n + study["validation"]) * gradients(model, trained, tokens, 0)
        score += seeds * len(epochs) * (extracted + scoring(trained, n, study))
        kept += seeds * len(epochs) * trained.size * ADAPTER_BYTES
        if study["gradients"]["store"] == "disk":
            scratch = max(scratch, n * trained.size * ADAPTER_BYTES)
    jobs = seeds * len(study["tasks"]) * len(study["models"]) * len(study["ranks"])
    dtype = training["dtype"]
    yield Stage(
        "mislabel", "mislabel_finetune", jobs, tune, dtype, disk=kept, files="mislabel/*/*/rank-*/seed-*/finetune.tsv"
    )
    yield Stage(
        "mislabel", "mislabel_score", jobs, score, dtype, scratch=scratch, files="mislabel/*/*/rank-*/seed-*/score.tsv"
    )


def selection_stages(
    study: str, config: dict[str, Any], facts: dict[str, Any], models: dict[str, Model]
) -> Iterator[Stage]:
    """A selection study: warm-up, scores of the pool, a fine-tuning for each method, strategy and share kept."""
    settings = config[study]
    seeds, parts = len(settings["seeds"]), settings["gradients"]["of"]
    live = settings["gradients"]["store"] == "live"
    sweeps = 2 + sum(own_sweeps(each, settings) for each in settings["methods"]) if live else 1
    runs = (len(settings["methods"]) + 1) * len(settings["strategies"])
    warm, score, tune, whole, kept, scratch = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for task, name, what in _product(settings["tasks"], settings["models"], trained_names(settings)):
        model, fact = models[name], facts["questions"][task]
        trained = trained_part(model, what)
        tokens, answer = model.length(fact, settings["max_length"]), fact["answer"]
        n, test = min(settings["pool"], fact["train"]), min(settings["test"], fact.get("test", settings["test"]))
        step = training_step(model, trained, tokens, answer, settings["checkpointing"])
        warm += seeds * step * settings["warmup"]["steps"] * settings["warmup"]["batch_size"]
        kept += seeds * trained.size * (ADAPTER_BYTES if trained.adapters else BASE_BYTES)
        one = step * settings["finetune"]["steps"] * settings["finetune"]["batch_size"]
        evaluation = test * fact["choices"] * forward(model, tokens, answer)
        for part in parts:
            scored = trained if part == "trained" else trained_part(model, part)
            extracted = (n * sweeps + settings["validation"]) * gradients(model, scored, tokens, answer)
            score += seeds * (extracted + scoring(scored, n, settings))
            scratch = max(scratch, 0.0 if live else n * scored.size * ADAPTER_BYTES)
        tune += seeds * len(parts) * len(settings["percent"]) * runs * (one + evaluation)
        whole += seeds * len(parts) * (one + 3 * evaluation)
    warmups = seeds * len(settings["tasks"]) * len(settings["models"]) * len(trained_names(settings))
    each = warmups * len(parts)
    folder, dtype = f"{study}/*/*/*/seed-*", settings["dtype"]
    yield Stage(study, "selection_warmup", warmups, warm, dtype, disk=kept, files=f"{folder}/warmup.tsv")
    yield Stage(study, "selection_score", each, score, dtype, scratch=scratch, files=f"{folder}/score.tsv")
    shares = each * len(settings["percent"])
    yield Stage(study, "selection_finetune", shares, tune, dtype, files=f"{folder}/fraction-[!1]*.tsv")
    yield Stage(study, "selection_finetune (100 %)", each, whole, dtype, files=f"{folder}/fraction-100.tsv")


def trained_names(settings: dict[str, Any]) -> list[str]:
    """What a selection study trains, as the workflow names it."""
    ranked = {what: [f"{what}-{rank}" for rank in settings["ranks"]] for what in ("lora", "lora_projector")}
    return [name for what in settings["train"] for name in ranked.get(what, [what])]


def stages(config: dict[str, Any], facts: dict[str, Any], models: dict[str, Model]) -> list[Stage]:
    """All stages of the studies that run, but for those that take seconds a job: data, models, reports."""
    chosen = config["studies"]
    found = list(simulation_stages(config)) if "simulation" in chosen else []
    found += list(mislabel_stages(config, facts, models)) if "mislabel" in chosen else []
    for study in ("llm", "vlm"):
        found += list(selection_stages(study, config, facts, models)) if study in chosen else []
    return found


def _product(tasks: list[str], models: list[str], settings: list[Any]) -> Iterator[tuple[str, str, Any]]:
    return ((task, model, setting) for task in tasks for model in models for setting in settings)


def _outputs(model: Model) -> int:
    """Columns of the output layer: the vocabulary, or a classifier's few."""
    return 2 if model.kind == "encoder" else model.vocabulary
