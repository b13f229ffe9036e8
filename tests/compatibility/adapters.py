"""PEFT's methods on a tiny BERT classifier or a tiny Llama, each off its start."""

from dataclasses import dataclass, field
from typing import Any

import torch
from architectures import CAUSAL, CLASSIFIER, DECODER, SMALL, Architecture

CONVNEXT = {"num_channels": 3, "patch_size": 4, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
VISION = Architecture("", "AutoModelForImageClassification", "convnext", CONVNEXT, None, "picture")
BERT = Architecture("", CLASSIFIER, "bert", SMALL, None, "classify")
LLAMA = Architecture("", CAUSAL, "llama", DECODER, None, "causal")
TIED = Architecture("", CAUSAL, "llama", {**DECODER, "tie_word_embeddings": True}, None, "causal")
MIXTRAL = Architecture(
    "", CAUSAL, "mixtral", {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2}, None, "causal"
)
Q_V = ["q_proj", "v_proj"]


@dataclass(frozen=True)
class Method:
    """A method of PEFT on a model.

    Attributes:
        name: as people call it.
        base: the model.
        config: PEFT's class.
        options: of it.
    """

    name: str
    base: Architecture
    config: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """As the base's."""
        return self.base.task

    def model(self) -> Any:
        """The adapted model in float64, every trainable weight off its start."""
        import peft

        base = self.base.model().requires_grad_(False)
        torch.manual_seed(1)
        model = peft.get_peft_model(base, getattr(peft, self.config)(**self.options)).double()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad and weight.is_floating_point():
                    weight += 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        return model


METHODS = [
    Method("LoRA", BERT, "LoraConfig", {"target_modules": ["query", "value"], "task_type": "SEQ_CLS"}),
    Method(
        "LoRA, rank-stabilised, on every linear layer",
        LLAMA,
        "LoraConfig",
        {"target_modules": "all-linear", "use_rslora": True},
    ),
    Method("LoRA with biases", LLAMA, "LoraConfig", {"target_modules": Q_V, "lora_bias": True}),
    Method("LoRA and the base's biases", BERT, "LoraConfig", {"target_modules": ["query"], "bias": "all"}),
    Method("LoRA on embeddings", LLAMA, "LoraConfig", {"target_modules": ["embed_tokens", "q_proj"]}),
    Method(
        "LoRA on embeddings and a tied head",
        TIED,
        "LoraConfig",
        {"target_modules": ["embed_tokens", "lm_head"], "ensure_weight_tying": True},
    ),
    Method(
        "LoRA and a whole output layer (modules_to_save)",
        LLAMA,
        "LoraConfig",
        {"target_modules": Q_V, "modules_to_save": ["lm_head"]},
    ),
    Method(
        "LoRA and whole embeddings (modules_to_save)",
        LLAMA,
        "LoraConfig",
        {"target_modules": Q_V, "modules_to_save": ["embed_tokens"]},
    ),
    Method(
        "LoRA and some tokens' embeddings",
        LLAMA,
        "LoraConfig",
        {"target_modules": Q_V, "trainable_token_indices": list(range(3, 40))},
    ),
    Method(
        "LoRA on experts (target_parameters)",
        MIXTRAL,
        "LoraConfig",
        {"target_modules": [], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
    ),
    Method("LoRA on kernels", VISION, "LoraConfig", {"target_modules": ["downsample.1", "patch_embeddings"]}),
    Method("DoRA", LLAMA, "LoraConfig", {"target_modules": Q_V, "use_dora": True}),
    Method("AdaLoRA", LLAMA, "AdaLoraConfig", {"target_modules": Q_V, "total_step": 10}),
    Method("LoHa", LLAMA, "LoHaConfig", {"target_modules": Q_V}),
    Method("LoKr", LLAMA, "LoKrConfig", {"target_modules": Q_V, "r": 2}),
    Method("VeRA", LLAMA, "VeraConfig", {"target_modules": ["q_proj"], "r": 4}),
    Method(
        "VB-LoRA",
        LLAMA,
        "VBLoRAConfig",
        {"target_modules": ["q_proj"], "r": 2, "num_vectors": 8, "vector_length": 4, "topk": 2},
    ),
    Method(
        "(IA)3",
        LLAMA,
        "IA3Config",
        {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    ),
    Method("OFT", LLAMA, "OFTConfig", {"target_modules": Q_V, "r": 2, "oft_block_size": 0}),
    Method("BOFT", LLAMA, "BOFTConfig", {"target_modules": Q_V, "boft_block_size": 4}),
    Method("HRA", LLAMA, "HRAConfig", {"target_modules": Q_V, "r": 2}),
    Method("FourierFT", LLAMA, "FourierFTConfig", {"target_modules": Q_V, "n_frequency": 8}),
    Method("Bone (MiSS)", LLAMA, "MissConfig", {"target_modules": Q_V, "r": 2}),
    Method("RandLoRA", LLAMA, "RandLoraConfig", {"target_modules": Q_V, "r": 2}),
    Method(
        "LN tuning", LLAMA, "LNTuningConfig", {"target_modules": ["input_layernorm", "norm"], "task_type": "CAUSAL_LM"}
    ),
    Method("prompt tuning", LLAMA, "PromptTuningConfig", {"num_virtual_tokens": 3, "task_type": "CAUSAL_LM"}),
    Method(
        "P-tuning",
        LLAMA,
        "PromptEncoderConfig",
        {"num_virtual_tokens": 3, "encoder_hidden_size": 8, "task_type": "CAUSAL_LM"},
    ),
    Method("prefix tuning", LLAMA, "PrefixTuningConfig", {"num_virtual_tokens": 3, "task_type": "CAUSAL_LM"}),
]
