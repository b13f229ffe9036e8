"""What kind of model a module is, told by its class and configuration: its own loss follows from it."""

from typing import Any

from torch import nn

# Of these the class says one thing and the code another: the label of a position is predicted at that position.
_UNSHIFTED = ("XLNetLMHeadModel", "XLMWithLMHeadModel", "FlaubertWithLMHeadModel")
_CAUSAL = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead", "BertGenerationDecoder", "ForConditionalGeneration")
_TOKEN_BY_TOKEN = ("ForTokenClassification", "ForMaskedLM")


def unwrapped(model: Any) -> Any:
    """The module within ``torch.compile``, DataParallel or DistributedDataParallel: hooks do not run inside those."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        else:
            return model


def plain_model(model: Any) -> Any:
    """The model itself, within whatever :func:`unwrapped` takes off, and PEFT."""
    model = unwrapped(model)
    while hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        model = unwrapped(model.get_base_model())
    return model


def is_transformers_model(model: Any) -> bool:
    """Tell whether a model is one of transformers, within whatever wraps it."""
    return any(
        kind.__name__ == "PreTrainedModel" and kind.__module__.startswith("transformers")
        for kind in type(plain_model(model)).__mro__
    )


def kind_of(model: Any) -> str:
    """Name the kind of a model.

    Returns:
        ``causal``, ``sequence to sequence``, ``token by token`` (masked language models and taggers),
        ``question answering``, or ``other``: a classifier of whole samples, or a module whose own loss is not known.
    """
    if not is_transformers_model(model):
        return "other"
    inner = plain_model(model)
    name = type(inner).__name__
    if name.endswith(_UNSHIFTED) or name.endswith(_TOKEN_BY_TOKEN):
        return "token by token"
    if name.endswith("ForQuestionAnswering"):
        return "question answering"
    if name.endswith(("ForConditionalGeneration", "EncoderDecoderModel")) and _is_encoder_decoder(inner):
        return "sequence to sequence"
    return "causal" if name.endswith(_CAUSAL) else "other"


def _is_encoder_decoder(model: Any) -> bool:
    return bool(getattr(model.config, "is_encoder_decoder", False))
