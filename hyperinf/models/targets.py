"""Which layers of a model usually get an adapter."""

from hyperinf.errors import InputError


def usual_targets(folder: str) -> tuple[str, ...]:
    """Name the layers that PEFT would choose.

    Args:
        folder: of a model of transformers, or its name on the hub.

    Raises:
        InputError: PEFT knows none for such a model.
    """
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    kind = config.get_text_config().model_type
    if kind not in KNOWN:
        raise InputError(
            f"target_modules: got nothing for a model of type {kind!r}, of which no usual ones are known; expected the"
            " names of its linear layers that are to get an adapter"
        )
    return tuple(KNOWN[kind])
