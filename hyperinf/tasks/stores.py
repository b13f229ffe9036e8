"""Scores from gradient stores that the user has written: one's own model and data, no task of ours needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperinf.errors import InputError
from hyperinf.files import atomic_file
from hyperinf.gradients import GradientStore
from hyperinf.influence import METHODS, score_methods


def score_stores(train: Path, target: Path, methods: Mapping[str, Mapping[str, Any]], out: Path, **common: Any) -> None:
    """Write a Parquet file of ``sample_id`` and ``influence_<method>`` columns; positive is harmful.

    Args:
        train: store of the training samples' gradients.
        target: store of the target samples' gradients.
        methods: ``{name: its own options}``.
        out: file to write.
        **common: ``damping``, ``gfim_scale``, ``solver``.

    Raises:
        InputError: a store that cannot be used, stores that do not fit each other, an unknown method.
    """
    import pandas as pd

    for name in methods:
        if name not in METHODS:
            raise InputError(f"methods: expected some of {', '.join(METHODS)}, got {name!r}")
    train_store, target_store = GradientStore(train), GradientStore(target)
    train_store.verify()
    target_store.verify()
    try:
        table = score_methods(train_store, target_store, methods, **common)
    except ValueError as error:
        raise InputError(str(error)) from error
    columns = {f"influence_{name}": values.numpy() for name, values in table.influence.items()}
    with atomic_file(out) as temporary:
        pd.DataFrame({"sample_id": table.sample_ids, **columns}).to_parquet(temporary, index=False)
