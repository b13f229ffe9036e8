"""Vision-language models in the form of LLaVA: a vision tower, a projector, a language model that reads its output.

Each picture has its row in the projector's input, ``[b, picture tokens, d]``, so with one picture a sample the
gradients of the projector's weights can be told apart sample by sample.
"""

from collections.abc import Sequence
from typing import Any

from hyperinf.errors import InputError
from hyperinf.models.causal import contiguous_input
from hyperinf.models.loading import load_config, load_model, loaded, quiet

_PARTS = ("vision_tower", "multi_modal_projector", "language_model")


def load_llava(folder: str, dtype: str = "float32") -> Any:
    """A vision-language model with its pretrained weights.

    Args:
        folder: local model folder or hub name.
        dtype: of all weights.

    Raises:
        InputError: no such model, or not one in the form of LLaVA.
    """
    from transformers import AutoModelForImageTextToText

    llava_config(folder)
    model = load_model(AutoModelForImageTextToText, folder, dtype)
    if not is_llava(model):
        raise InputError(f"{folder}: a {type(model).__name__}; expected a model with {', '.join(_PARTS)}")
    model.get_output_embeddings().register_forward_pre_hook(contiguous_input)
    return model


def llava_config(folder: str) -> Any:
    """Read the configuration of a model that answers questions about pictures, before anything else of it is read.

    Raises:
        InputError: no such model, or one of another kind.
    """
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    return load_config(folder, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, "a vision-language model in the form of LLaVA")


def load_processor(folder: str) -> Any:
    """The processor of a vision-language model: its tokenizer, and what turns a picture into numbers.

    Pictures are always prepared by PIL: what is computed must not depend on whether torchvision is there.

    Raises:
        InputError: there is none, or it does not say how many tokens a picture has.
    """
    from transformers import AutoImageProcessor, AutoProcessor

    quiet()
    processor = loaded(folder, "processor", lambda: AutoProcessor.from_pretrained(folder, trust_remote_code=False))
    if not hasattr(processor, "image_token") or not hasattr(processor, "tokenizer"):
        raise InputError(f"{folder}: a {type(processor).__name__}; expected a processor of pictures and text")
    processor.image_processor = loaded(
        folder,
        "picture processor",
        lambda: AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False),
    )
    return processor


def picture_tokens(processor: Any, folder: str) -> int:
    """Tokens that a picture takes in a prompt: what the processor itself puts there.

    For a CLIP tower whose class token is dropped these are ``(side / patch)**2``.

    Raises:
        InputError: the processor cannot tell; the model's folder lacks the patch size, as very old ones do.
    """
    from PIL import Image

    blank = Image.new("RGB", (64, 64))
    try:
        ids = processor(images=[blank], text=[processor.image_token])["input_ids"][0]
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder}: the processor cannot tell how many tokens a picture has: {error}") from None
    return list(ids).count(processor.image_token_id)


def is_llava(model: Any) -> bool:
    """Whether the model has the parts of a LLaVA."""
    return all(hasattr(getattr(model, "model", None), part) for part in _PARTS)


def projector(model: Any) -> Any:
    """The module that turns the tower's features into tokens of the language model.

    Raises:
        InputError: the model has none.
    """
    if not is_llava(model):
        raise InputError(f"projector: a {type(model).__name__} has none; expected a model with {', '.join(_PARTS)}")
    return model.model.multi_modal_projector


def in_language_model(target_modules: Sequence[str]) -> str:
    """Give the regular expression of these layers in the language model alone: CLIP's have the names of Llama's."""
    names = "|".join(target.replace(".", r"\.") for target in target_modules)
    return rf".*\blanguage_model\.(?:.*\.)?(?:{names})"
