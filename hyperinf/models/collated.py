"""Batches that a collator makes of a dataset's rows, of one's own or of a Trainer's."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients.kinds import is_transformers_model, plain_model
from hyperinf.gradients.losses import LossFunction
from hyperinf.models.rows import COLUMNS

Collator = Callable[[list[Any]], Any]
_LABELS = ("label", "label_ids", "labels", "start_positions", "end_positions")


class Collated:
    """``(sample ids, batch)`` pairs of a dataset's rows in their order, the same ones at every iteration.

    Args:
        dataset: n rows, by index.
        collator: makes a batch of a list of rows.
        batch_size: rows of a batch.
        ids: n sample ids; ``"0"``, ``"1"``, ... when None.
    """

    def __init__(self, dataset: Any, collator: Collator, batch_size: int, ids: Sequence[str] | None = None) -> None:
        self._dataset, self._collator, self._batch_size = dataset, collator, batch_size
        self.sample_ids = tuple(map(str, range(len(dataset)) if ids is None else ids))

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], Any]]:
        for start in range(0, len(self.sample_ids), self._batch_size):
            names = self.sample_ids[start : start + self._batch_size]
            rows = [self._dataset[place] for place in range(start, start + len(names))]
            # Some collators take out of a row what they have used.
            yield names, self._collator([dict(row) if isinstance(row, Mapping) else row for row in rows])


def collated(dataset: Any, model: nn.Module, collator: Collator, batch_size: int) -> Collated:
    """Make batches of a dataset by a collator, which gets of a row what the model takes, as a Trainer's does.

    Args:
        dataset: a ``datasets.Dataset``, or rows by index; a column ``sample_id`` or ``id`` names them.
        model: of which transformers knows what it takes; any other's collator gets whole rows.
        collator: makes a batch of a list of rows.
        batch_size: rows of a batch.

    Raises:
        InputError: the dataset has no length, or columns of which the model takes none.
    """
    _check_indexed(dataset)
    names = _columns(dataset)
    ids = _ids(dataset, names)
    if names and is_transformers_model(model):
        taken = {*inspect.signature(plain_model(model).forward).parameters, *_LABELS}
        kept = [name for name in names if name in taken]
        if not kept:
            raise InputError(
                f"got rows of {', '.join(names)}, none of which a {type(plain_model(model)).__name__} takes; expected"
                " rows of model inputs: tokenise them first, or leave the collator out and give a tokenizer"
            )
        dataset = dataset.select_columns(kept)
    return Collated(dataset, collator, batch_size, ids)


def collated_by(trainer: Any, dataset: Any) -> Collated:
    """Make batches of a dataset by a Trainer's collator, of the columns that the Trainer would give it, in order.

    Args:
        trainer: of transformers, or of what builds on it.
        dataset: with a length.

    Raises:
        InputError: the dataset has no length.
    """
    _check_indexed(dataset)
    loader = trainer.get_test_dataloader(dataset)
    ids = _ids(dataset, _columns(dataset))
    return Collated(loader.dataset, loader.collate_fn, _batch_size(trainer), ids)


def collated_from(loader: Any, dataset: Any, batch_size: int) -> Collated:
    """Make batches, in order, of the dataset behind a loader, or of another one of its columns, by its collator.

    Args:
        loader: a DataLoader, which may shuffle.
        dataset: with a length; the loader's own when None.
        batch_size: rows of a batch.

    Raises:
        InputError: the dataset has no length.
    """
    own = loader.dataset
    _check_indexed(own if dataset is None else dataset)
    if dataset is None:
        return Collated(own, loader.collate_fn, batch_size)
    ids, kept = _ids(dataset, _columns(dataset)), set(_columns(own))
    if names := [name for name in _columns(dataset) if name in kept]:
        dataset = dataset.select_columns(names)
    return Collated(dataset, loader.collate_fn, batch_size, ids)


def loss_of(trainer: Any) -> LossFunction | None:
    """Take a Trainer's loss of each sample; None where it is the model's own.

    What a Trainer makes of a batch is known for one sample alone: such losses need batches of one.
    """
    return None if _has_own_loss(trainer) else _TrainersLoss(trainer)


class _TrainersLoss:
    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        loss = self._trainer.compute_loss(model, dict(batch))
        return torch.as_tensor(loss).reshape(1)


def _has_own_loss(trainer: Any) -> bool:
    """Tell whether the loss is what the model says, averaged over a sample's tokens."""
    if trainer.label_smoother is not None or trainer.compute_loss_func is not None:
        return False
    owner = next(each for each in type(trainer).__mro__ if "compute_loss" in vars(each))
    if owner.__module__.startswith("transformers."):
        return True
    # TRL's adds metrics; of a model without experts it is the same loss, in the usual setting.
    supervised = owner.__name__ == "SFTTrainer" and owner.__module__.startswith("trl.")
    plain = getattr(trainer.args, "loss_type", "nll") in ("nll", "chunked_nll")
    return supervised and plain and not getattr(trainer, "aux_loss_enabled", False)


def _batch_size(trainer: Any) -> int:
    return int(trainer.args.eval_batch_size) if _has_own_loss(trainer) else 1


def _check_indexed(dataset: Any) -> None:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(f"got a {type(dataset).__name__}, expected a dataset with a length and rows by index")
    if not len(dataset):
        raise InputError("got no samples, expected at least one")


def _columns(dataset: Any) -> list[str]:
    names = getattr(dataset, "column_names", None)
    return list(names) if isinstance(names, list) else []


def _ids(dataset: Any, columns: Sequence[str]) -> list[str] | None:
    name = next((name for name in COLUMNS["id"] if name in columns), None)
    return None if name is None else [str(each) for each in dataset[name]]
