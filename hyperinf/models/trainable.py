"""What of a model is trained: LoRA, linear layers of whole parts, or both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.models.causal import decoder_layers
from hyperinf.models.classifier import save_adapter
from hyperinf.models.llava import in_language_model, is_llava, projector
from hyperinf.models.loading import loaded
from hyperinf.models.lora import add_lora, is_linear
from hyperinf.models.precision import widen_trained
from hyperinf.runtime.distributed import copy_into, full_tensor
from hyperinf.settings.training import Adaptation, GradientsOf

WEIGHTS = "trained.safetensors"
ADAPTER = "adapter_model.safetensors"
# The parts whose linear layers are trained densely.
_DENSE: dict[str, tuple[str, ...]] = {
    "lora": (),
    "last_layer": ("last_layer",),
    "projector": ("projector",),
    "lora_projector": ("projector",),
}


def adapt(model: Any, adaptation: Adaptation, seed: int) -> Any:
    """The model with a fresh adapter, or dense parts open to training, or both; nothing else can be trained.

    What is trained are weight matrices of linear layers, without biases: just what gradients are taken of.

    Args:
        model: a causal language model or a vision-language model of transformers; of the latter only the language
            model gets an adapter.
        adaptation: what is trained.
        seed: of the adapter's initial weights.

    Raises:
        InputError: no layer matches the adapter's targets, or the model has no such part.
    """
    torch.manual_seed(seed)
    opened = [weight for part in _DENSE[adaptation.trained] for weight in _linear_weights(model, part)]
    if adaptation.trained.startswith("lora"):
        pattern = in_language_model(adaptation.target_modules) if is_llava(model) else None
        model = add_lora(model, adaptation, task_type="CAUSAL_LM", target_modules=pattern)
    else:
        model.requires_grad_(False)
    for weight in opened:
        weight.requires_grad_(True)
    widen_trained(model)
    return model


def _linear_weights(model: Any, part: str) -> list[Tensor]:
    module = projector(model) if part == "projector" else decoder_layers(model)[-1]
    return [layer.weight for layer in module.modules() if is_linear(layer)]


def gradient_layers(model: Any, of: GradientsOf) -> list[str] | None:
    """Names of the weights whose gradients are taken; None for all that are trained.

    Raises:
        InputError: the model has no such weights.
    """
    if of == "trained":
        return None
    if of == "lora":
        names = [name for name, _ in model.named_parameters() if _is_adapter(name)]
    else:
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        wanted = {id(weight) for weight in _linear_weights(base, of)}
        names = [name for name, weight in model.named_parameters() if id(weight) in wanted and not _is_adapter(name)]
    if not names:
        raise InputError(f"gradients_of: got {of}, expected a part that the model has")
    return names


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies, on the CPU, of all weights that can be trained."""
    return {
        name: full_tensor(parameter.detach()).cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def restore(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what :func:`trained_weights` copied."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                copy_into(parameter, weights[name])


def save_trained(model: Any, source: str, folder: Path) -> None:
    """Write what can be trained into an existing folder: a PEFT adapter, the dense weights (safetensors), or both."""
    from safetensors.torch import save_file

    if hasattr(model, "peft_config"):
        save_adapter(model, source, folder)
    weights = _dense_weights(model)
    if weights:
        save_file(weights, str(folder / WEIGHTS))


def load_trained(model: Any, folder: Path) -> None:
    """Load into an adapted model what :func:`save_trained` wrote of a model like it.

    Raises:
        InputError: nothing there, or of another model.
    """
    from peft import set_peft_model_state_dict
    from peft.utils import load_peft_weights
    from safetensors.torch import load_file

    wrong: list[str] = []
    if hasattr(model, "peft_config"):
        # Without it PEFT would turn to adapter_model.bin, which is a pickle.
        if not (folder / ADAPTER).is_file():
            raise InputError(f"{folder}: no {ADAPTER}; expected a PEFT adapter in safetensors")
        adapter = loaded(str(folder), "adapter", lambda: load_peft_weights(str(folder), device="cpu"))
        result = loaded(str(folder), "adapter", lambda: set_peft_model_state_dict(model, adapter))
        wrong = [*result.unexpected_keys, *(key for key in result.missing_keys if _is_adapter(key))]
    dense = _dense_weights(model)
    if dense:
        weights = loaded(str(folder / WEIGHTS), "weights", lambda: load_file(str(folder / WEIGHTS)))
        wrong += sorted(weights.keys() ^ dense.keys())
        if not wrong:
            restore(model, {**trained_weights(model), **weights})
    if wrong:
        raise InputError(f"{folder}: holds weights of another model: {wrong[0]!r} does not fit")


def _dense_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight for name, weight in trained_weights(model).items() if not _is_adapter(name)}


def _is_adapter(name: str) -> bool:
    return "lora_" in name
