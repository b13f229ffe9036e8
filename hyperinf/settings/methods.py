"""Every way to score training samples: what it is called, how it is drawn, what it needs and its options."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hyperinf.settings.base import Settings, setting

Solver = Literal["schulz", "cholesky", "auto"]
GfimScale = Literal["sum", "mean"]
GfimDtype = Literal["auto", "float64", "float32", "bfloat16"]
Need = Literal["gfim", "gradients", "sums", "factors"]
Line = Literal["solid", "dashed", "dash-dotted"]


class MethodOptions(Settings):
    """What every method can be told."""

    damping: float = setting(
        0.1, gt=0, help="damping of the curvature: lambda = damping * mean squared gradient, per layer"
    )
    gfim_scale: GfimScale = setting("sum", help="take the GFIM as a sum over the rank, as published, or as the mean")
    gfim_dtype: GfimDtype = setting(
        "auto",
        help="precision that GFIMs are kept in; auto: ready to be inverted; others: as triangles, in half (float64), a"
        " quarter (float32) or an eighth (bfloat16) of its memory on a CPU. The damping is raised where rounding may"
        " outweigh a tenth of it",
    )

    @property
    def own_sweeps(self) -> int:
        """How many sums over all samples, one after the other, are needed where any are; at most."""
        return 1


class HyperInfOptions(MethodOptions):
    """What HyperINF can be told."""

    solver: Solver = setting(
        "schulz", help="how the damped GFIM is inverted: by Schulz's iteration, by Cholesky, or whichever is faster"
    )
    tol: float = setting(1e-3, gt=0, lt=1, help="Frobenius norm of I - A X at which Schulz's iteration stops")
    max_iter: int = setting(60, ge=1, help="iterations after which Schulz's iteration counts as failed")


class LissaOptions(MethodOptions):
    """What LiSSA can be told."""

    iterations: int = setting(10, ge=1, help="number of terms of the truncated Neumann series")
    lanczos_steps: int = setting(
        5, ge=1, help="number of products with the curvature that estimate its largest eigenvalue"
    )

    @property
    def own_sweeps(self) -> int:
        """One for each product with the curvature."""
        return self.lanczos_steps + self.iterations


class PublishedHyperInfOptions(MethodOptions):
    """What HyperINF in its published form can be told."""

    iterations: int = setting(20, ge=1, help="number of steps of Schulz's iteration, however far it gets in them")


class PublishedLissaOptions(MethodOptions):
    """What LiSSA in its published form can be told."""

    iterations: int = setting(10, ge=1, help="number of terms of the truncated Neumann series")

    @property
    def own_sweeps(self) -> int:
        """One for each product with the curvature."""
        return self.iterations


class CgOptions(MethodOptions):
    """What conjugate gradients can be told."""

    tol: float = setting(
        1e-3, gt=0, lt=1, help="norm of the residual, as a share of the vector's, at which conjugate gradients stop"
    )
    max_iter: int = setting(
        1000, ge=1, help="products with the curvature after which conjugate gradients count as failed"
    )


class FisherCgOptions(CgOptions):
    """What conjugate gradients on the FIM can be told."""

    max_iter: int = setting(
        500, ge=1, help="sweeps over all gradients, one a product, after which conjugate gradients count as failed"
    )

    @property
    def own_sweeps(self) -> int:
        """One for each product with the curvature."""
        return self.max_iter


class LowRankOptions(MethodOptions):
    """What a GFIM of low rank can be told."""

    rank: int = setting(256, ge=1, help="rank of the GFIM of each layer; exact where there are no more rows n r")


class BlockOptions(MethodOptions):
    """What a GFIM of diagonal blocks can be told."""

    block: int = setting(256, ge=1, help="columns of each diagonal block of the GFIM")


class EkfacOptions(MethodOptions):
    """What EK-FAC can be told."""

    @property
    def own_sweeps(self) -> int:
        """Those of the covariances, and those of the squares in their basis."""
        return 2


@dataclass(frozen=True)
class MethodSpec:
    """A way to score training samples.

    Attributes:
        name: in settings, in names of columns (``influence_NAME``, ``baseline_NAME``) and in tables.
        label: in figures.
        colour: of its line, as hexadecimal RGB.
        marker: matplotlib's name of its marker.
        line: how its line is drawn.
        filled: whether its marker is filled.
        implementation: ``module:Class``; of a baseline ``module:function``, ``""`` where it comes with the gradients.
        needs: ``gfim``, the sums ``sum_i g_i^T g_i``; ``gradients``, those of a layer all at once, which shards of the
            samples cannot give; ``sums``, further sums over all samples; ``factors``, what gradients are products of,
            which a store of gradients alone does not have.
        options: the model of its options.
        oracle_of: the method that it is the exact counterpart of, and so no contender beside.
        main: whether figures show it; tables show all.
    """

    name: str
    label: str
    colour: str
    marker: str
    line: Line = "solid"
    filled: bool = True
    implementation: str = ""
    needs: frozenset[Need] = frozenset()
    options: type[MethodOptions] = MethodOptions
    oracle_of: str | None = None
    main: bool = True

    @property
    def own_options(self) -> tuple[str, ...]:
        """The options that not every method has."""
        return tuple(name for name in self.options.model_fields if name not in MethodOptions.model_fields)

    def rounds(self, options: MethodOptions) -> int:
        """Count the sums over all samples, one after the other, that it needs beyond the statistics; at most."""
        return options.own_sweeps if "sums" in self.needs else 0


def _methods(*specs: MethodSpec) -> dict[str, MethodSpec]:
    return {spec.name: spec for spec in specs}


def _baseline(name: str, label: str, colour: str, marker: str, implementation: str) -> MethodSpec:
    """A baseline that a function of its own takes of a run: see ``hyperinf.pipeline.baselines``."""
    return MethodSpec(name, label, colour, marker, "dash-dotted", implementation=implementation, main=False)


_ROOM = "hyperinf.influence.methods"

METHODS: Mapping[str, MethodSpec] = _methods(
    MethodSpec(
        "hyperinf",
        "HyperINF",
        "#0072B2",
        "o",
        implementation=f"{_ROOM}.hyperinf:HyperINF",
        needs=frozenset({"gfim"}),
        options=HyperInfOptions,
    ),
    MethodSpec(
        "hyperinf_published",
        "HyperINF as published",
        "#0072B2",
        "o",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.published:PublishedHyperINF",
        needs=frozenset({"gfim"}),
        options=PublishedHyperInfOptions,
        main=False,
    ),
    MethodSpec(
        "gfim",
        "exact GFIM (Cholesky)",
        "#56B4E9",
        "s",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.hyperinf:GFIM",
        needs=frozenset({"gfim"}),
        oracle_of="hyperinf",
    ),
    MethodSpec(
        "gfim_cg",
        "GFIM by conjugate gradients",
        "#882255",
        "X",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.conjugate:GFIMByCG",
        needs=frozenset({"gfim"}),
        options=CgOptions,
        oracle_of="hyperinf",
        main=False,
    ),
    MethodSpec(
        "gfim_low_rank",
        "GFIM of low rank",
        "#0072B2",
        "d",
        "dash-dotted",
        filled=False,
        implementation=f"{_ROOM}.wide:LowRankGFIM",
        needs=frozenset({"sums"}),
        options=LowRankOptions,
        main=False,
    ),
    MethodSpec(
        "gfim_blocks",
        "GFIM of diagonal blocks",
        "#56B4E9",
        "D",
        "dash-dotted",
        filled=False,
        implementation=f"{_ROOM}.wide:BlockGFIM",
        needs=frozenset({"sums"}),
        options=BlockOptions,
        main=False,
    ),
    MethodSpec(
        "datainf",
        "DataInf",
        "#D55E00",
        "^",
        implementation=f"{_ROOM}.datainf:DataInf",
        needs=frozenset({"sums"}),
    ),
    MethodSpec(
        "datainf_gfim",
        "DataInf on GFIM",
        "#D55E00",
        "^",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.datainf:DataInfGFIM",
        needs=frozenset({"sums"}),
    ),
    MethodSpec(
        "lissa",
        "LiSSA",
        "#009E73",
        "s",
        implementation=f"{_ROOM}.lissa:LiSSA",
        needs=frozenset({"sums"}),
        options=LissaOptions,
    ),
    MethodSpec(
        "lissa_published",
        "LiSSA as published",
        "#009E73",
        "s",
        "dash-dotted",
        filled=False,
        implementation=f"{_ROOM}.published:PublishedLiSSA",
        needs=frozenset({"sums"}),
        options=PublishedLissaOptions,
        main=False,
    ),
    MethodSpec(
        "lissa_gfim",
        "LiSSA on GFIM",
        "#009E73",
        "s",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.lissa:LiSSAGFIM",
        needs=frozenset({"gfim"}),
        options=LissaOptions,
    ),
    MethodSpec(
        "ekfac",
        "EK-FAC",
        "#332288",
        "D",
        implementation=f"{_ROOM}.kronecker:EKFAC",
        needs=frozenset({"sums", "factors"}),
        options=EkfacOptions,
    ),
    MethodSpec(
        "kfac",
        "K-FAC",
        "#332288",
        "D",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.kronecker:KFAC",
        needs=frozenset({"sums", "factors"}),
        main=False,
    ),
    MethodSpec("tracin", "TracIN", "#E69F00", "v", implementation=f"{_ROOM}.tracin:TracIN"),
    MethodSpec(
        "fim",
        "exact FIM",
        "#CC79A7",
        "P",
        implementation=f"{_ROOM}.fim:ExactFisher",
        needs=frozenset({"gradients"}),
    ),
    MethodSpec(
        "fim_cg",
        "FIM by conjugate gradients",
        "#882255",
        "P",
        "dashed",
        filled=False,
        implementation=f"{_ROOM}.conjugate:FisherByCG",
        needs=frozenset({"sums"}),
        options=FisherCgOptions,
        oracle_of="fim",
        main=False,
    ),
)
"""The influence methods by name, in the order of figures and tables."""

BASELINES: Mapping[str, MethodSpec] = _methods(
    MethodSpec("loss", "own loss", "#111111", "X", "dash-dotted"),
    MethodSpec("grad_norm", "gradient norm", "#777777", "d", "dash-dotted"),
    MethodSpec("random", "random order", "#a5a5a5", "x", "dashed"),
    _baseline("less", "LESS", "#AA4499", "*", "hyperinf.pipeline.baselines.less:less"),
    _baseline("bm25", "BM25", "#44AA99", "<", "hyperinf.pipeline.baselines.bm25:bm25"),
    _baseline("embedding", "embedding similarity", "#117733", ">", "hyperinf.pipeline.baselines.embedding:embedding"),
    _baseline("perplexity", "perplexity before", "#661100", "H", "hyperinf.pipeline.baselines.plain:perplexity"),
    _baseline("length", "length", "#888888", "8", "hyperinf.pipeline.baselines.plain:length"),
)
"""Scores without a curvature that stand beside them."""
