"""Bytes and operations of influence scores on a Llama, stage by stage, computed from its shape.

Every formula stands in the docstring of its function. Bytes are those held at once; operations are floating-point
operations, a multiplication with its addition being two. What autograd keeps and what the factors take is counted a
second time by running the library's own extraction on tensors that have a shape but no content (:func:`counted`).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

BASE_BYTES = 2  # bfloat16, of the base model and its activations
ADAPTER_BYTES = 4  # float32, which is what PEFT makes adapters of a bfloat16 model
SCHULZ_BYTES = 76  # an entry of the largest matrix: peak of one inverse, measured at d = 1024 and 1536 in float32
CHOLESKY_BYTES = 16  # the same for a factorisation in float64
SCHULZ_PRODUCTS = 20  # of d x d matrices; 16 to 27 were measured
FLOAT32_ENTRIES = 500_000  # as in hyperinf.influence.statistics: larger layers have their GFIM in float64


@dataclass(frozen=True)
class Shape:
    """A Llama without grouped key and value heads; the default is Llama-2-7B."""

    layers: int = 32
    hidden: int = 4096
    mlp: int = 11008
    vocabulary: int = 32000
    heads: int = 32

    @property
    def layer_weights(self) -> int:
        """Linear weights of a decoder layer, ``4 d^2 + 3 d m``."""
        return 4 * self.hidden**2 + 3 * self.hidden * self.mlp

    @property
    def parameters(self) -> int:
        """``2 V d + L (4 d^2 + 3 d m + 2 d) + d``."""
        d = self.hidden
        return 2 * self.vocabulary * d + self.layers * (self.layer_weights + 2 * d) + d


@dataclass(frozen=True)
class Setting:
    """Which weights are scored: LoRA of a rank on q and v, or the dense last decoder layer (rank 0)."""

    rank: int

    @property
    def name(self) -> str:
        return f"lora-{self.rank}" if self.rank else "last_layer"

    def gradients(self, shape: Shape) -> list[tuple[int, int]]:
        """``(r, d)`` of each scored weight: A and B of q and v in every layer; or q, k, v, o, gate, up, down."""
        d, m = shape.hidden, shape.mlp
        if self.rank:
            return [(self.rank, d)] * (4 * shape.layers)
        return [(d, d)] * 4 + [(min(d, m), max(d, m))] * 3


@dataclass(frozen=True)
class Workload:
    """How much is scored: samples of the pool, tokens of each, answer tokens of those, samples of a batch, methods.

    And how much is trained on: steps, those of the warm-up and of one fine-tuning, and samples of each.
    """

    pool: int = 10_000
    tokens: int = 512
    answer: int = 8
    batch: int = 4
    methods: int = 4
    steps: int = 1000
    training_batch: int = 32


def activation_bytes(shape: Shape, setting: Setting, tokens: int) -> int:
    """What autograd keeps for the backward pass of one sample, but for the few answer tokens' logits and the mask.

    A layer and token: gate, up and their activation ``3 m s``; q, k, v and the attention's output ``4 d s``, its
    normalisers ``4 h``; the inputs of two norms in float32 ``8 d``, their scales ``8``; ``s`` bytes a number. LoRA adds
    each adapter's input and inner activation in its own dtype, ``2 (d + r) a``, in all layers but for the first norm;
    a dense last layer, which alone is kept, adds the inputs of its linear layers, ``(2 d + m) s``. Once a token: the
    final norm ``4 d + 4``, the rotations ``2 s d / h``.
    """
    d, m, h = shape.hidden, shape.mlp, shape.heads
    layer = 3 * m * BASE_BYTES + 4 * d * BASE_BYTES + 4 * h + 8 * d + 8
    once = 2 * BASE_BYTES * d // h
    if setting.rank:
        layers = shape.layers * (layer + 2 * (d + setting.rank) * ADAPTER_BYTES)
    else:
        layers = layer + (2 * d + m) * BASE_BYTES  # its first norm is below what is differentiated, as above
    return tokens * (layers + once)


def training_bytes(shape: Shape, setting: Setting, work: Workload) -> int:
    """What a training step with gradient checkpointing holds beside the weights.

    The input of every layer that is differentiated through, ``B t d s``; one layer's activations, computed again in the
    backward pass; logits of the answers in both dtypes and their gradient, ``B (a + 1) V (s + 8)``; the trained
    weights' gradients and AdamW's two moments in their own dtype.
    """
    b, t = work.training_batch, work.tokens
    behind = shape.layers if setting.rank else 1
    one = activation_bytes(replace(shape, layers=1), setting, t)
    logits = (work.answer + 1) * shape.vocabulary * (BASE_BYTES + 8)
    own = ADAPTER_BYTES if setting.rank else BASE_BYTES
    return b * (behind * t * shape.hidden * BASE_BYTES + one + logits) + 3 * own * scored_weights(shape, setting)


def training_operations(shape: Shape, setting: Setting, work: Workload) -> int:
    """One sample of a training step: as in the extraction, the checkpointed layers forward again, and ``2 t r d``."""
    t = work.tokens
    behind = shape.layers if setting.rank else 1
    again = behind * (2 * shape.layer_weights * t + 4 * t * t * shape.hidden)
    return extraction_operations(shape, setting, work) + again + 2 * t * scored_weights(shape, setting)


def factor_bytes(shape: Shape, setting: Setting, tokens: int) -> int:
    """Inputs and output gradients of the scored layers for one sample.

    LoRA: for q and v of a layer ``2 (2 d + 2 r) a`` a token, because PEFT takes the shared input to the adapters'
    dtype once for each. Dense: inputs ``3 d + m`` (q, k and v share theirs, so do gate and up), output gradients
    ``5 d + 2 m``.
    """
    d, m = shape.hidden, shape.mlp
    if setting.rank:
        return tokens * shape.layers * 2 * (2 * d + 2 * setting.rank) * ADAPTER_BYTES
    return tokens * (3 * d + m + 5 * d + 2 * m) * BASE_BYTES


def extraction_operations(shape: Shape, setting: Setting, work: Workload) -> int:
    """Forward and backward pass of one sample.

    Forward: ``2 W t`` for the linear layers' weights W, ``4 t^2 d`` for a layer's attention, ``2 V d`` for each
    answer token's logits. Backward, to inputs only: the linear layers and the logits once more, the attention twice,
    in all layers (LoRA) or in the last one.
    """
    t = work.tokens
    attention = 4 * t * t * shape.hidden
    linear = 2 * shape.layer_weights * t
    logits = 2 * shape.vocabulary * shape.hidden * (work.answer + 1)
    behind = shape.layers if setting.rank else 1
    return shape.layers * (linear + attention) + behind * (linear + 2 * attention) + 2 * logits


def gfim_bytes(shape: Shape, setting: Setting) -> int:
    """``d^2`` numbers a scored weight: float32 on a GPU, float64 where ``r d`` is beyond :data:`FLOAT32_ENTRIES`."""
    return sum(d * d * (8 if r * d > FLOAT32_ENTRIES else 4) for r, d in setting.gradients(shape))


def curvature_operations(shape: Shape, setting: Setting, tokens: int) -> int:
    """GFIM and squares of one sample, each by the cheaper form (``hyperinf.gradients.contractions``).

    GFIM: ``2 (t r d + r d^2)`` or ``2 (t^2 (r + d) + t d^2)``; squares: ``2 t r d`` or ``2 t^2 (r + d)``.
    """
    t = tokens
    return sum(
        2 * min(t * r * d + r * d * d, t * t * (r + d) + t * d * d) + 2 * min(t * r * d, t * t * (r + d))
        for r, d in setting.gradients(shape)
    )


def inverse_bytes(shape: Shape, setting: Setting, solver: str) -> int:
    """Peak of one inverse, the largest: ``d^2`` times what was measured for an entry; layers are inverted in turn."""
    entry = SCHULZ_BYTES if solver == "schulz" else CHOLESKY_BYTES
    return max(d * d for _, d in setting.gradients(shape)) * entry


def inverse_operations(shape: Shape, setting: Setting, solver: str) -> int:
    """Schulz: ``2 d^3`` for each of its products; Cholesky: ``d^3 / 3 + 2 r d^2``, the factor and its application."""
    if solver == "schulz":
        return sum(SCHULZ_PRODUCTS * 2 * d**3 for _, d in setting.gradients(shape))
    return sum(d**3 // 3 + 2 * r * d * d for r, d in setting.gradients(shape))


def vector_bytes(shape: Shape, setting: Setting, methods: int) -> int:
    """The target gradient and every method's product with it in float64, ``8 (1 + k) sum r d``."""
    return 8 * (1 + methods) * scored_weights(shape, setting)


def score_operations(shape: Shape, setting: Setting, work: Workload) -> int:
    """Dot products of one sample with every method's vector, ``2 k t r d`` a weight."""
    return 2 * work.methods * work.tokens * scored_weights(shape, setting)


def scored_weights(shape: Shape, setting: Setting) -> int:
    """``sum r d``."""
    return sum(r * d for r, d in setting.gradients(shape))


def budget(shape: Shape, setting: Setting, work: Workload, solver: str, memory: float) -> dict[str, Any]:
    """Stages with bytes held and operations for the whole pool, and whether the largest sum fits in ``memory`` bytes.

    Extraction is at its largest when the backward pass begins; the factors take the place of activations after that,
    so the larger of the two counts. The inverses come after the first sweep, when neither is held.
    """
    n, b = work.pool, work.batch
    extraction = b * activation_bytes(shape, setting, work.tokens)
    factors = b * factor_bytes(shape, setting, work.tokens)
    weights = BASE_BYTES * shape.parameters + (ADAPTER_BYTES * scored_weights(shape, setting) if setting.rank else 0)
    gfim, vectors = gfim_bytes(shape, setting), vector_bytes(shape, setting, work.methods)
    inverse = inverse_bytes(shape, setting, solver)
    training = training_bytes(shape, setting, work)
    peaks = {
        "training": weights + training,
        "extraction and GFIM": weights + max(extraction, factors) + gfim + vectors // (1 + work.methods),
        "inverse": weights + gfim + vectors + inverse,
        "extraction and scores": weights + max(extraction, factors) + gfim + vectors,
    }
    forming = 2 * work.tokens * scored_weights(shape, setting)
    stages = [
        ("weights", weights, 0),
        (
            f"training, {work.steps:,} steps, batch of {work.training_batch}, checkpointing",
            training,
            work.steps * work.training_batch * training_operations(shape, setting, work),
        ),
        (f"extraction, batch of {b}, one sweep", extraction, n * extraction_operations(shape, setting, work)),
        (f"factors, batch of {b}", factors, 0),
        ("GFIM and squares", gfim, n * curvature_operations(shape, setting, work.tokens)),
        (f"inverses, {solver}", inverse, inverse_operations(shape, setting, solver)),
        (f"target gradient, {work.methods} products", vectors, 0),
        (f"scores, {work.methods} methods", 8 * n * work.methods, n * score_operations(shape, setting, work)),
        ("per-sample gradients, were they stored", 4 * n * scored_weights(shape, setting), n * forming),
    ]
    peak = max(peaks.values())
    return {
        "setting": setting.name,
        "scored_weights": scored_weights(shape, setting),
        "solver": solver,
        "stages": [{"stage": name, "bytes": size, "operations": count} for name, size, count in stages],
        "peak_bytes": peaks,
        "fits": peak <= memory,
    }


def counted(shape: Shape, setting: Setting, tokens: int) -> dict[str, int]:
    """Parameters, bytes that autograd keeps and bytes of the factors, of the real extraction without its content."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from hyperinf.gradients import adapted_layers
    from hyperinf.gradients.contractions import Factors
    from hyperinf.gradients.per_sample import Extraction

    model, parameters, names = _meta_model(shape, setting)
    kept: dict[int, torch.UntypedStorage] = {}
    with FakeTensorMode():
        _give_storage(model)
        own = {weight.untyped_storage()._cdata for weight in model.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                kept[storage._cdata] = storage
            return tensor

        ids = torch.zeros(1, tokens, dtype=torch.long)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            factors, _ = Extraction(model, _loss_of_shapes, adapted_layers(model, names), check=False)(ids)
        held: dict[int, torch.UntypedStorage] = {}
        for each in factors.values():
            assert isinstance(each, Factors)
            held |= {x.untyped_storage()._cdata: x.untyped_storage() for x in (each.left, each.right)}
        return {
            "parameters": parameters,
            "activation_bytes": sum(storage.nbytes() for storage in kept.values()),
            "factor_bytes": sum(storage.nbytes() for storage in held.values()),
        }


def _meta_model(shape: Shape, setting: Setting) -> tuple[nn.Module, int, list[str]]:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        vocab_size=shape.vocabulary,
        use_cache=False,
    )
    with torch.device("meta"):
        model: Any = LlamaForCausalLM(config)
        model = model.to(torch.bfloat16).requires_grad_(False)
        parameters = sum(weight.numel() for weight in model.parameters())
        if setting.rank:
            model = get_peft_model(model, LoraConfig(r=setting.rank, target_modules=["q_proj", "v_proj"]))
            names = [name for name, weight in model.named_parameters() if weight.requires_grad]
            return model, parameters, names
    last = f"model.layers.{shape.layers - 1}."
    return model, parameters, [n for n, w in model.named_parameters() if n.startswith(last) and w.ndim == 2]


def _give_storage(model: nn.Module) -> None:
    """Weights of the meta device become fake ones of the CPU, whose operations are those of a real run."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            empty = torch.empty(weight.shape, dtype=weight.dtype)
            module._parameters[name] = nn.Parameter(empty, requires_grad=weight.requires_grad)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _loss_of_shapes(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids, logits_to_keep=2).logits
    return torch.logsumexp(logits.float(), dim=-1).sum(dim=1)
