"""Models of known shapes with random weights and adapters, made on the device, and random batches for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu.record import SEED
from hyperinf.models.lora import add_lora
from hyperinf.settings.training import LoraSettings

Batch = dict[str, Tensor]
FIRST_TOKEN = 4
"""RoBERTa counts its positions from the padding id, 1, which random tokens must not be."""


@dataclass(frozen=True)
class Shape:
    """A transformer.

    Attributes:
        name: what it is a shape of.
        causal: a language model of Llama's kind, or else a classifier of RoBERTa's kind.
        layers: of the whole model.
        hidden: width.
        mlp: width of the inner layer.
        heads: of the attention.
        vocabulary: tokens known.
    """

    name: str
    causal: bool
    layers: int
    hidden: int
    mlp: int
    heads: int
    vocabulary: int

    @property
    def targets(self) -> tuple[str, ...]:
        """The linear layers that get an adapter."""
        return ("q_proj", "v_proj") if self.causal else ("query", "value")


ROBERTA = Shape("RoBERTa-large", False, 24, 1024, 4096, 16, 50265)
MINILM = Shape("MiniLM-L6", False, 6, 384, 1536, 12, 30522)
SMOLLM = Shape("SmolLM2-135M", True, 30, 576, 1536, 9, 49152)
LLAMA = Shape("Llama-2-7B", True, 32, 4096, 11008, 32, 32000)
TINY_ROBERTA = Shape("RoBERTa, tiny", False, 2, 32, 64, 4, 100)
TINY_LLAMA = Shape("Llama, tiny", True, 2, 32, 64, 4, 100)


def adapted(shape: Shape, layers: int, rank: int, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A model of random weights in ``dtype``, and an adapter in float32, as PEFT has it; nothing else is trained.

    The adapter's B is random too: at zero, A would have no gradient. Dropout is off.
    """
    torch.manual_seed(SEED)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = _plain(shape, layers)
    finally:
        torch.set_default_dtype(default)
    model = add_lora(model, LoraSettings(rank=rank, target_modules=shape.targets))
    for name, weight in model.named_parameters():
        of_adapter = "lora_" in name
        weight.requires_grad_(of_adapter)
        # PEFT keeps a classifier's head, too, in a dtype that is not always the model's.
        weight.data = weight.data.to(device, torch.float32 if of_adapter else dtype)
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.02)
    return model.eval()


def _plain(shape: Shape, layers: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, RobertaConfig, RobertaForSequenceClassification

    common: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": shape.heads,
        "attn_implementation": "sdpa",
    }
    if shape.causal:
        return LlamaForCausalLM(LlamaConfig(**common, use_cache=False))
    own: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 2}
    return RobertaForSequenceClassification(
        RobertaConfig(**common, **own, max_position_embeddings=514, type_vocab_size=1)
    )


def batch_of(shape: Shape, samples: int, tokens: int, device: torch.device, seed: int = SEED) -> Batch:
    """Samples of one length, drawn on the CPU so that they are the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(FIRST_TOKEN, shape.vocabulary, (samples, tokens), generator=generator)
    labels = ids.clone() if shape.causal else torch.randint(0, 2, (samples,), generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return {key: value.to(device) for key, value in batch.items()}


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Products of float32 in TF32, or not, within the block."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
