"""What of a model is trained: LoRA, or the linear layers of its last decoder layer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.models.causal import decoder_layers
from hyperinf.models.classifier import save_adapter
from hyperinf.models.loading import loaded
from hyperinf.models.lora import LoraSettings, add_lora

WEIGHTS = "trained.safetensors"


def adapt(model: Any, lora: LoraSettings | None, seed: int) -> Any:
    """The model with a fresh adapter, or with its last decoder layer open to training; nothing else can be trained.

    Args:
        model: a causal language model of transformers.
        lora: where the adapter sits; None for dense training of the last decoder layer's linear layers.
        seed: of the adapter's initial weights.

    Raises:
        InputError: no layer matches the adapter's targets, or the model has no decoder layers.
    """
    torch.manual_seed(seed)
    if lora is not None:
        return add_lora(model, lora, task_type="CAUSAL_LM")
    model.requires_grad_(False)
    for module in decoder_layers(model)[-1].modules():
        if isinstance(module, nn.Linear):
            module.weight.requires_grad_(True)
    return model


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies, on the CPU, of all weights that can be trained."""
    return {
        name: parameter.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def restore(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what :func:`trained_weights` copied."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(weights[name])


def save_trained(model: Any, source: str, folder: Path) -> None:
    """Write what can be trained into an existing folder: a PEFT adapter, or the dense weights (safetensors)."""
    from safetensors.torch import save_file

    if hasattr(model, "peft_config"):
        save_adapter(model, source, folder)
    else:
        save_file(trained_weights(model), str(folder / WEIGHTS))


def load_trained(model: Any, folder: Path) -> None:
    """Load into an adapted model what :func:`save_trained` wrote of a model like it.

    Raises:
        InputError: nothing there, or of another model.
    """
    from peft import set_peft_model_state_dict
    from peft.utils import load_peft_weights
    from safetensors.torch import load_file

    if hasattr(model, "peft_config"):
        weights = loaded(str(folder), "adapter", lambda: load_peft_weights(str(folder), device="cpu"))
        result = set_peft_model_state_dict(model, weights)
        wrong = [*result.unexpected_keys, *(key for key in result.missing_keys if "lora_" in key)]
    else:
        weights = loaded(str(folder / WEIGHTS), "weights", lambda: load_file(str(folder / WEIGHTS)))
        wrong = sorted(weights.keys() ^ trained_weights(model).keys())
        if not wrong:
            restore(model, weights)
    if wrong:
        raise InputError(f"{folder}: holds weights of another model: {wrong[0]!r} does not fit")
