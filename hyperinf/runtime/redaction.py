"""Secrets stay out of what is printed: hub tokens, and passwords in addresses."""

import os
import re
from collections.abc import Mapping

_NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{8,}")
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST = 6


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text with every token of the environment, everything like one, and the user part of addresses as ``***``."""
    for name in _NAMES:
        value = environment.get(name, "").strip()
        if len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return _USER.sub("***@", _TOKEN.sub("***", text))
