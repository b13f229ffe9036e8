"""The steps of a sharded scoring, from file to file.

``target``: the target's mean gradient, once. ``statistics``: damping and GFIM, a sum over each shard, then added.
``sums``: what methods such as DataInf sum beyond that, again over each shard and then added, as many rounds as they
need. ``solve``: every method's product of the inverse curvature with the target's gradient, once. ``scores``: the dot
products with the gradients of each shard, then gathered. Gradients are taken again in every step and never kept.

Shards are added in their order in float64, and a sample's gradients do not depend on its shard, so that the scores
depend on the number of shards by the rounding of float64 only.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperinf.artifacts.environment import digest
from hyperinf.errors import InputError
from hyperinf.gradients import GradientSource
from hyperinf.influence import (
    GradientStatistics,
    InfluenceMethod,
    ScoreTable,
    StatisticSums,
    Sweep,
    SweepingMethod,
    added,
    build_methods,
    mean_gradient,
    replayed,
    statistic_sums,
    sweep_scores,
    sweep_sums,
)
from hyperinf.influence.forms import forms_asked, lengths_of, with_forms
from hyperinf.pipeline.scoring import Scored, method_options, score_columns
from hyperinf.pipeline.sharding.parts import Part, Shard, Under, named_under, read_part, read_shards, total_costs
from hyperinf.runtime.profiling import Cost, metered
from hyperinf.settings.methods import METHODS
from hyperinf.settings.scores import not_sharded
from hyperinf.settings.scoring import ScoringSettings

Origin = Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """The files that a run has before its next step.

    Attributes:
        target: of :func:`take_target`.
        statistics: of :func:`add`.
        sums: of :func:`add`, of rounds 1, 2, ...
    """

    target: Path
    statistics: Path
    sums: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ShardedScores:
    """The files that scores are gathered from.

    Attributes:
        products: of :func:`solve`.
        scores: of :func:`take_scores`, a file for each shard, in any order.
    """

    products: Path
    scores: tuple[Path, ...]


def take_target(target: GradientSource, origin: Origin, out: Path, device: str) -> None:
    """The mean gradient of the target samples."""
    with metered(device) as cost:
        v = mean_gradient(target)
    content = {"layers": _listed(target.layers)}
    Part("target", origin, content, named_under("v", v), {("shared", "target gradient"): cost}).write(out)


def take_statistics(
    samples: GradientSource, origin: Origin, shard: Shard, settings: ScoringSettings, out: Path, device: str
) -> None:
    """The sums over a shard that damping and GFIM are made of."""
    gfim = any("gfim" in METHODS[name].needs for name in _methods(settings))
    with metered(device) as cost:
        sums = statistic_sums(samples, gfim)
    costs = {("shared", "statistics"): cost}
    if gfim:
        costs["shared", "of which GFIM"] = Cost(sums.gfim_seconds, None)
    content = {"layers": _listed(sums.layers), "sample_ids": sums.sample_ids, "squares": sums.squares}
    tensors = {"grad_norm": sums.grad_norm, **named_under("gram", sums.grams)}
    Part("statistic sums", origin, content, tensors, costs, shard).write(out)


def take_sums(
    samples: GradientSource,
    origin: Origin,
    shard: Shard,
    progress: Progress,
    settings: ScoringSettings,
    out: Path,
    device: str,
) -> None:
    """The sums over a shard that the methods ask for next.

    Raises:
        InputError: files that do not belong to this run; no method asks for more sums.
    """
    run = _Run.opened(progress, settings, device, origin)
    if len(progress.sums) >= run.rounds:
        raise InputError(f"sums: no method asks for round {len(progress.sums) + 1}; expected to solve")
    asked = run.next_sweeps()
    with metered(device) as cost:
        sums = sweep_sums(samples, list(asked.values()), _ids_of(run.shards, shard))
    tensors = {
        name: tensor
        for method, own in zip(asked, sums, strict=True)
        for name, tensor in named_under(method, own).items()
    }
    content = {"round": len(progress.sums) + 1, "methods": list(asked)}
    belongs = {**origin, "scoring": _scoring(settings)}
    Part("sums", belongs, content, tensors, {("shared", "sums of methods"): cost}, shard).write(out)


def add_shards(kind: str, parts: Sequence[Path], out: Path) -> None:
    """The statistics, or the sums of a round, of all samples from those of all shards.

    Args:
        kind: ``statistics`` or ``sums``.
        parts: a file for each shard, in any order.
        out: file to write.

    Raises:
        InputError: see :func:`read_shards`; shards that have a sample in common.
    """
    if kind == "statistics":
        shards = read_shards(parts, "statistic sums")
        whole = _finished(shards)
    else:
        shards = read_shards(parts, "sums")
        tensors = {}
        for name in shards[0].tensors:
            tensors[name] = shards[0].tensors[name]
            for shard in shards[1:]:
                tensors[name] += shard.tensors[name]
        whole = Part("sums", shards[0].origin, shards[0].content, tensors, total_costs(shards))
    whole.write(out)


def solve(progress: Progress, settings: ScoringSettings, out: Path, device: str) -> None:
    """Every method's product of its damped inverse curvature with the target's gradient.

    Raises:
        InputError: files that do not belong together, or a round of sums that is missing.
        ConvergenceError: Schulz's iteration could not invert a layer's matrix (names the layer).
    """
    run = _Run.opened(progress, settings, device)
    tensors: dict[str, Tensor] = {"grad_norm": run.statistics.grad_norm}
    costs = total_costs(run.parts)
    for name in run.methods:
        with metered(device) as costs[name, "precondition"]:
            product = run.product(name)
        tensors |= named_under(name, product)
    reports = {name: method.report() for name, method in run.methods.items()}
    content = {
        "methods": list(run.methods),
        "reports": reports,
        "sample_ids": run.sample_ids,
        "shards": [len(ids) for ids in run.shards],
        "exponents": run.statistics.exponents,
    }
    belongs = {**run.origin, "scoring": _scoring(settings)}
    Part("products", belongs, content, tensors, costs).write(out)


def take_scores(
    samples: GradientSource,
    origin: Origin,
    shard: Shard,
    products: Path,
    settings: ScoringSettings,
    out: Path,
    device: str,
) -> None:
    """The scores of a shard by every method.

    Raises:
        InputError: products of another run.
    """
    belongs = {**origin, "scoring": _scoring(settings)}
    solved = read_part(products, "products", device).expect(belongs)
    vectors = {name: dict(Under(solved.tensors, name)) for name in solved.content["methods"]}
    with metered(device) as cost:
        expected = _ids_of(_shard_ids(solved.content), shard)
        scores = sweep_scores(samples, vectors, expected, solved.content.get("exponents"))
    tensors = named_under("influence", scores.influence)
    if scores.losses is not None:
        tensors["losses"] = scores.losses
    content = {"sample_ids": scores.sample_ids}
    Part("scores", belongs, content, tensors, {("shared", "scores"): cost}, shard).write(out)


def gathered(
    shards: ShardedScores, origin: Origin, sample_ids: Sequence[str], settings: ScoringSettings, seed: int
) -> Scored:
    """The scores of all samples from those of all shards.

    Args:
        shards: the files.
        origin: what is scored.
        sample_ids: the order that the columns get.
        settings: how.
        seed: of the random baseline.

    Raises:
        InputError: a file that cannot be used, a shard that is missing, or parts of another run.
    """
    belongs = {**origin, "scoring": _scoring(settings)}
    solved = read_part(shards.products, "products").expect(belongs)
    parts = [part.expect(belongs) for part in read_shards(shards.scores, "scores")]
    ids = tuple(sample for part in parts for sample in part.content["sample_ids"])
    if list(ids) != solved.content["sample_ids"] or set(ids) != set(sample_ids):
        raise InputError(f"{parts[0].path}: scores of other samples than {solved.path}; expected shards of one run")
    losses = [part.tensors["losses"] for part in parts if "losses" in part.tensors]
    influence = {
        name: torch.cat([part.tensors[f"influence/{name}"] for part in parts]) for name in solved.content["methods"]
    }
    forms = forms_asked(settings.methods)
    lengths = lengths_of({name: Under(solved.tensors, name) for name in influence}, forms)
    table = ScoreTable(
        ids,
        with_forms(influence, forms, lengths, solved.tensors["grad_norm"]),
        solved.tensors["grad_norm"],
        torch.cat(losses) if len(losses) == len(parts) else None,
        solved.content["reports"],
    )
    costs = {("shared", "gradients"): Cost(0.0, None), **total_costs([solved, *parts])}
    return Scored(table, score_columns(table, sample_ids, settings, seed), costs)


@dataclass(frozen=True)
class _Run:
    """Methods that know the statistics, the target's gradient, and the answers to the sums they asked for."""

    origin: Origin
    sample_ids: Sequence[str]
    shards: Sequence[Sequence[str]]
    statistics: GradientStatistics
    methods: Mapping[str, InfluenceMethod]
    v: Mapping[str, Tensor]
    parts: Sequence[Part]

    @classmethod
    def opened(cls, progress: Progress, settings: ScoringSettings, device: str, origin: Origin | None = None) -> "_Run":
        statistics = read_part(progress.statistics, "statistics", device)
        belongs = {**statistics.expect(origin or {}).origin, "scoring": _scoring(settings)}
        target = read_part(progress.target, "target", device).expect(belongs)
        rounds = [read_part(path, "sums", device).expect(belongs) for path in progress.sums]
        for number, part in enumerate(rounds, start=1):
            if part.shard != Shard() or part.content["round"] != number:
                what = f"round {part.content['round']}, shard {part.shard}"
                raise InputError(f"{part.path}: holds {what}; expected round {number} of all shards added")
        if target.content["layers"] != statistics.content["layers"]:
            raise InputError(f"{target.path}: gradients of other layers than {statistics.path}")
        methods = _methods(settings)
        known = _statistics(statistics)
        for name, method in methods.items():
            if "gfim" in METHODS[name].needs and not known.gfim:
                raise InputError(f"{statistics.path}: taken without the GFIM; expected it, as {name} needs it")
            method.fit_statistics(known)
        v = {name: target.tensors[f"v/{name}"] for name in known.layers}  # in their order, not that of the file
        ids, shards = statistics.content["sample_ids"], _shard_ids(statistics.content)
        return cls(statistics.origin, ids, shards, known, methods, v, [target, statistics, *rounds])

    @property
    def rounds(self) -> int:
        """The most sums that any method asks for."""
        return max((each.sweeps for each in self.methods.values() if isinstance(each, SweepingMethod)), default=0)

    def next_sweeps(self) -> dict[str, Sweep]:
        """What methods ask for after the sums that are there."""
        asked = {}
        for name, method in self.methods.items():
            if isinstance(method, SweepingMethod) and method.sweeps > len(self._answers(name)):
                following = replayed(method.steps(self.v), self._answers(name))
                if isinstance(following, Sweep):
                    asked[name] = following
        return asked

    def product(self, name: str) -> Mapping[str, Tensor]:
        """The method's result."""
        method = self.methods[name]
        if not isinstance(method, SweepingMethod):
            return method.precondition(self.v)
        answers = self._answers(name)
        result = replayed(method.steps(self.v), answers)
        if isinstance(result, Sweep):
            raise InputError(f"sums: {name} needs round {len(answers) + 1}; expected rounds 1 to {method.sweeps}")
        return result

    def _answers(self, name: str) -> list[dict[str, Tensor]]:
        rounds = [part for part in self.parts if part.kind == "sums" and name in part.content["methods"]]
        return [dict(Under(part.tensors, name)) for part in rounds]


def _methods(settings: ScoringSettings) -> dict[str, InfluenceMethod]:
    for name in not_sharded(settings.methods):
        raise InputError(
            f"methods: got {name}, which needs more of the gradients than sums at once, expected it only without shards"
        )
    if settings.gfim_dtype != "auto":
        raise InputError(f"gfim_dtype: got {settings.gfim_dtype!r}, expected auto where samples are in shards")
    try:
        return build_methods(method_options(settings))
    except ValueError as error:
        raise InputError(str(error)) from error


def _finished(shards: Sequence[Part]) -> Part:
    parts = [
        StatisticSums(
            _shapes(part.content["layers"]),
            tuple(part.content["sample_ids"]),
            part.content["squares"],
            part.tensors["grad_norm"],
            Under(part.tensors, "gram"),
        )
        for part in shards
    ]
    try:
        whole = added(parts)
        statistics = whole.finished()
    except InputError:  # names its file
        raise
    except ValueError as error:
        raise InputError(f"{shards[0].path} and the other shards: {error}") from error
    content = {
        "layers": shards[0].content["layers"],
        "sample_ids": whole.sample_ids,
        "shards": [len(part.sample_ids) for part in parts],
        "mean_square": statistics.mean_square,
    }
    tensors = {"grad_norm": statistics.grad_norm, **named_under("gfim", statistics.gfim)}
    return Part("statistics", shards[0].origin, content, tensors, total_costs(shards))


def _statistics(part: Part) -> GradientStatistics:
    return GradientStatistics(
        _shapes(part.content["layers"]),
        len(part.content["sample_ids"]),
        part.content["mean_square"],
        part.tensors["grad_norm"],
        Under(part.tensors, "gfim"),
        sample_ids=tuple(part.content["sample_ids"]),
    )


def _shard_ids(content: Mapping[str, Any]) -> list[list[str]]:
    """The sample ids of each shard that statistics were taken of; none where the file does not tell."""
    ids = iter(content["sample_ids"])
    return [list(itertools.islice(ids, count)) for count in content.get("shards", ())]


def _ids_of(shards: Sequence[Sequence[str]], shard: Shard) -> Sequence[str] | None:
    """The ids that a sweep over a shard is checked against; None where the samples were cut up otherwise before."""
    return shards[shard.index - 1] if len(shards) == shard.count else None


def _scoring(settings: ScoringSettings) -> str:
    """What of the settings decides the scores by influence."""
    plain = ScoringSettings.of(settings).deciding()
    del plain["baselines"]
    return digest(plain)


def _listed(layers: Mapping[str, tuple[int, int]]) -> list[list[Any]]:
    return [[name, r, d] for name, (r, d) in layers.items()]


def _shapes(layers: Sequence[Sequence[Any]]) -> dict[str, tuple[int, int]]:
    return {str(name): (int(r), int(d)) for name, r, d in layers}
