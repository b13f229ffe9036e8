"""What is checked of every sweep over a source: that its blocks fit, and that its samples keep their order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hyperinf.errors import InputError
from hyperinf.gradients.contractions import LayerGradients
from hyperinf.runtime.progress import track

if TYPE_CHECKING:
    from hyperinf.gradients.source import GradientBlock, GradientSource


def clean_ids(sample_ids: Iterable[Any]) -> tuple[str, ...]:
    """Write ids as strings; those of an integer tensor or array as ``"3"``, never ``"tensor(3)"``."""
    plain = sample_ids.tolist() if hasattr(sample_ids, "tolist") else sample_ids
    return tuple(str(each.item() if hasattr(each, "item") else each) for each in plain)


def checked(source: "GradientSource", role: str, sample_ids: Sequence[str] | None = None) -> Iterator["GradientBlock"]:
    """Sweep ``source`` and yield its blocks, each once it has been checked; blocks without samples are passed over.

    Args:
        source: what is swept.
        role: ``train`` or ``target``, for the message.
        sample_ids: those of the first sweep; None where this is the first.

    Raises:
        InputError: a block whose layers, shapes, losses or ids do not fit one another; a sample that comes twice; or
            other samples, or another order of them, than in the first sweep.
    """
    layers = dict(source.layers)
    seen: set[str] = set()
    position = 0
    with_losses: bool | None = None
    told = role if role == "gradients" else f"gradients, {role}"
    for block in track(source, getattr(source, "known_length", None), told, "samples", len):
        block = _cleaned(block)
        _check_block(block, role, layers)
        if len(block) == 0:
            continue
        if sample_ids is not None:
            check_order(block.sample_ids, position, sample_ids, role)
        else:
            _add_new(seen, block.sample_ids, role)
        position += len(block)
        if with_losses is not None and with_losses != (block.losses is not None):
            what = f"from sample {block.sample_ids[0]!r} on {'no losses' if with_losses else 'losses'}"
            raise InputError(f"{role}: got {what}, expected losses of all samples or of none")
        with_losses = block.losses is not None
        yield block
        del block  # before the source makes the next one
    if sample_ids is not None and position < len(sample_ids):
        missing = sample_ids[position]
        raise InputError(
            f"{role}: got {position} samples in a later sweep, expected {len(sample_ids)} (next {missing!r}); "
            "a source must give the same samples in the same order at every sweep"
        )


def check_layers(layers: Mapping[str, tuple[int, int]], train: Mapping[str, tuple[int, int]], role: str) -> None:
    """Check that a source has the layers of the training gradients, in the same shapes.

    Raises:
        InputError: the first layer that differs.
    """
    ours, theirs = dict(train), dict(layers)
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise InputError(f"{role}: got layer {name!r} as {theirs.get(name)}, expected {ours.get(name)} as in train")


def _cleaned(block: "GradientBlock") -> "GradientBlock":
    ids: Any = block.sample_ids
    clean = isinstance(ids, tuple) and set(map(type, ids)) <= {str}
    return block if clean else replace(block, sample_ids=clean_ids(ids))


def _check_block(block: "GradientBlock", role: str, layers: Mapping[str, tuple[int, int]]) -> None:
    samples = len(block)
    for name, (rank, columns) in layers.items():
        found = block.gradients.get(name)
        if not isinstance(found, LayerGradients):
            what = "no gradients" if found is None else f"a {type(found).__name__}"
            raise InputError(
                f"{role}: got a block with {what} for layer {name!r}, expected LayerGradients of every layer in every"
                " block; GradientBlock.of makes one of tensors"
            )
        if found.shape != (samples, rank, columns):
            raise InputError(
                f"{role}: got gradients of layer {name!r} of shape {list(found.shape)} in a block of {samples} sample"
                f" ids, expected {[samples, rank, columns]}"
            )
    if block.losses is not None and tuple(block.losses.shape) != (samples,):
        raise InputError(
            f"{role}: got losses of shape {list(block.losses.shape)} in a block of {samples} sample ids, "
            f"expected [{samples}]"
        )


def _add_new(seen: set[str], found: tuple[str, ...], role: str) -> None:
    before = len(seen)
    again = seen.intersection(found)
    seen.update(found)
    if len(seen) < before + len(found):
        twice = next(sample for sample in found if sample in again or found.count(sample) > 1)
        raise InputError(f"{role}: got sample {twice!r} twice, expected every sample once")


def check_order(found: tuple[str, ...], start: int, sample_ids: Sequence[str], role: str) -> None:
    """Check that the ids of a block are those that the first sweep had there.

    Args:
        found: ids of the block.
        start: samples before it.
        sample_ids: those of the first sweep.
        role: what is swept, for the message.

    Raises:
        InputError: the first id that differs.
    """
    if found == tuple(sample_ids[start : start + len(found)]):
        return
    for position, sample in enumerate(found, start=start):
        expected = repr(sample_ids[position]) if position < len(sample_ids) else "no more samples"
        if expected != repr(sample):
            raise InputError(
                f"{role}: got sample {sample!r} at position {position} of a later sweep, expected {expected}; "
                "a source must give the same samples in the same order at every sweep (shuffle=False)"
            )
