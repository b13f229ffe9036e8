"""Causal language models of transformers: from the hub, a folder, a GGUF file, or made new from a shape."""

from typing import Any

from hyperinf.errors import InputError
from hyperinf.models.loading import load_config, load_model


def load_causal(folder: str, dtype: str = "float32", **options: Any) -> Any:
    """A causal language model with its pretrained weights.

    Args:
        folder: local model folder or hub name.
        dtype: of all weights.
        **options: further ones of ``from_pretrained``.

    Raises:
        InputError: no such model, or not a causal language model.
    """
    from transformers import AutoModelForCausalLM

    causal_config(folder)
    model = load_model(AutoModelForCausalLM, folder, dtype, **options)
    model.get_output_embeddings().register_forward_pre_hook(contiguous_input)
    return model


def causal_config(folder: str) -> Any:
    """Read the configuration of a model that is to continue texts, before anything else of it is read.

    Raises:
        InputError: no such model, or one that does not read a text from left to right: an encoder, which would see the
            answer that it is to give, or a model of sequence to sequence.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    expected = "a causal language model (a decoder, such as Llama or GPT-2)"
    config = load_config(folder, MODEL_FOR_CAUSAL_LM_MAPPING, expected)
    encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if encoder or config.is_encoder_decoder:
        kind = "a sequence-to-sequence model" if config.is_encoder_decoder else "an encoder"
        raise InputError(f"{folder}: got {kind}, {config.model_type!r}, expected {expected}")
    return config


def decoder_layers(model: Any) -> Any:
    """The ``ModuleList`` of a causal language model's decoder layers, whatever the model calls it.

    It is the list of as many modules as the configuration has layers, the outermost one where there are several: the
    experts of a layer, for one, may be as many.

    Args:
        model: of transformers, behind an adapter of PEFT or not.

    Raises:
        InputError: the model has no such list.
    """
    from torch import nn

    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", None)
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    lists = [
        (name.count("."), module)
        for name, module in decoder.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise InputError(
            f"model: got a {type(model).__name__} without a list of its {count} decoder layers, expected one"
        )
    return min(lists, key=lambda each: each[0])[1]


def contiguous_input(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The input of the output layer as one block of memory.

    The last positions of a batch are a strided slice, which torch multiplies sample by sample: on a CPU, with a large
    vocabulary, that took half of a training step.
    """
    return (arguments[0].contiguous(), *arguments[1:])
