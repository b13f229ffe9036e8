"""The families of models; :data:`hyperinf.settings.registers.FAMILIES` is the register."""

from importlib import import_module
from typing import Any

from hyperinf.models.families.base import ModelFamily, Task
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.training import EncodingSettings

__all__ = ["ModelFamily", "Task", "open_family"]


def open_family(name: str, folder: str, task: Task, encoding: EncodingSettings) -> ModelFamily:
    """Open a model's tokenizer and configuration, not yet its weights.

    Args:
        name: of the family.
        folder: local model folder or hub name.
        task: what the model is to do.
        encoding: how samples become tokens.

    Raises:
        InputError: no such model, or one that does not belong to the family.
    """
    module, _, kind = FAMILIES[name].implementation.partition(":")
    family: Any = getattr(import_module(module), kind)
    opened: ModelFamily = family(folder, task, encoding)
    return opened
