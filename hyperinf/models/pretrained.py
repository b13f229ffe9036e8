"""A classifier or a causal language model as its folder or hub name has it, with an adapter that can be scored."""

import warnings
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError
from hyperinf.models.causal import load_causal
from hyperinf.models.loading import load_model, loaded

FAMILIES = {"classifier": ("ForSequenceClassification",), "causal": ("ForCausalLM", "LMHeadModel")}


def load_pretrained(base: str, adapter: str | None = None, family: str = "auto", dtype: str = "float32") -> Any:
    """Load a model with all its weights, from safetensors only, without running code of its folder.

    Args:
        base: local model folder or hub name.
        adapter: local folder of a PEFT adapter; its weights can be trained.
        family: ``classifier``, ``causal``, or ``auto``: what the model's configuration says.
        dtype: of all weights.

    Raises:
        InputError: no such model or adapter, or a family that cannot be told.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if family == "auto":
        config = loaded(base, "model", lambda: AutoConfig.from_pretrained(base, trust_remote_code=False))
        names = tuple(config.architectures or ())
        family = next((kind for kind, ends in FAMILIES.items() if any(n.endswith(ends) for n in names)), f"{names}")
    if family not in FAMILIES:
        raise InputError(f"family: got {family} of {base}, expected one of {', '.join(FAMILIES)}")
    causal = family == "causal"
    model = load_causal(base, dtype) if causal else load_model(AutoModelForSequenceClassification, base, dtype)
    if adapter is None:
        return model
    from peft import PeftModel

    # Without it PEFT would turn to adapter_model.bin, which is a pickle.
    if not (Path(adapter) / "adapter_model.safetensors").is_file():
        raise InputError(f"{adapter}: got no adapter_model.safetensors, expected a folder with a PEFT adapter")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        return loaded(adapter, "adapter", lambda: PeftModel.from_pretrained(model, adapter, is_trainable=True))
