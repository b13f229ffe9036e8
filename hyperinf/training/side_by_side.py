"""Train one start on many parts of the samples, several adapters side by side in one model.

The base is frozen and the same for all, so that the samples of all adapters go through it as one batch; what is trained
are linear layers, of which each adapter has its own: small matrix products, batched. Dropout is off: its noise would
blur what the parts differ in, and one adapter's draws would depend on how many stand beside it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hyperinf.errors import InputError
from hyperinf.gradients.losses import LossFunction, default_loss
from hyperinf.models.families.base import EncodedSamples
from hyperinf.models.precision import WideLinear
from hyperinf.models.trainable import restore, trained_weights
from hyperinf.settings.training import TrainingSettings
from hyperinf.training.foretold import check_step_fits
from hyperinf.training.loop import GROUP, SAVE_SECONDS, STACKED, batches, train
from hyperinf.training.schedule import schedule, steps_per_epoch, total_steps

Part = Sequence[int]
Found = TypeVar("Found")


class StackedLinear(nn.Module):
    """A linear layer of which each adapter has its own; what is not trained of it is shared.

    Args:
        layer: the start of all.
        copies: K, number of adapters.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layer: nn.Linear, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.weight = _stacked(layer.weight, copies)
        bias: nn.Parameter | None = layer.bias
        self.register_parameter("bias", None if bias is None else _stacked(bias, copies))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``[K b, ..., d_in]``, the samples of one adapter after the other's, to ``[K b, ..., d_out]``."""
        rows = inputs.reshape(self.copies, -1, inputs.shape[-1]).to(self.weight.dtype)
        own = self.weight.ndim == 3
        out = torch.bmm(rows, self.weight.transpose(1, 2)) if own else nn.functional.linear(rows, self.weight)
        if self.bias is not None:
            out = out + (self.bias[:, None] if self.bias.ndim == 2 else self.bias)
        return out.reshape(*inputs.shape[:-1], out.shape[-1]).to(inputs.dtype)


def _stacked(weight: Any, copies: int) -> nn.Parameter:
    if not weight.requires_grad:
        shared: nn.Parameter = weight
        return shared
    stack = nn.Parameter(weight.detach().expand(copies, *weight.shape).clone())
    setattr(stack, STACKED, 1)
    return stack


def can_stack(model: nn.Module, encoded: EncodedSamples) -> bool:
    """Tell whether adapters can be trained side by side: all that is trained are linear layers, each used by itself.

    Samples of several kinds, such as with and without a picture, do not share out evenly among adapters.
    """
    trained = {name for name, weight in model.named_parameters(remove_duplicate=False) if weight.requires_grad}
    linear = {f"{name}.{own}" for name, layer in _linear(model) for own, _ in layer.named_parameters()}
    different = sum(weight.requires_grad for weight in model.parameters())
    return bool(trained) and trained <= linear and len(trained) == different and len(set(encoded.kinds)) == 1


def _linear(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """List the linear layers of which anything is trained."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if type(module) in (nn.Linear, WideLinear) and any(weight.requires_grad for weight in module.parameters())
    ]


@contextmanager
def _side_by_side(model: nn.Module, copies: int) -> Iterator[None]:
    """Put a stack in the place of every trained layer; afterwards the model is what it was.

    A single adapter is trained in the model itself.
    """
    if copies == 1:
        start = trained_weights(model)
        try:
            yield
        finally:
            restore(model, start)
        return
    places = [(*_parent(model, name), layer) for name, layer in _linear(model)]
    try:
        for parent, name, layer in places:
            setattr(parent, name, StackedLinear(layer, copies))
        yield
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer)


def _parent(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    above, _, own = name.rpartition(".")
    return model.get_submodule(above), own


def train_side_by_side(
    model: nn.Module,
    encoded: EncodedSamples,
    parts: Sequence[Part],
    settings: TrainingSettings,
    seed: int,
    loss_fn: LossFunction | None,
    finish: Callable[[nn.Module, int], Found],
) -> Found:
    """Train afresh on each of some parts of equal size, all from the weights that the model has, which it keeps.

    A part is passed over in the order of the whole: the same shuffle, without what is left out. All samples, alone,
    are trained on as :func:`hyperinf.training.loop.train` does.

    Args:
        model: its parameters with ``requires_grad`` are trained, on the device they are on.
        encoded: all samples.
        parts: K parts: ascending indices into the samples. Several need a model that :func:`can_stack`.
        settings: rate, batch size, and how long: as many passes over a part as over all.
        seed: of the order.
        loss_fn: ``(model, batch) -> Tensor[b]``; the model's own when None.
        finish: is given the trained model and K, and gives the result; K samples' rows stand one adapter after the
            other's in its batches.

    Raises:
        InputError: nothing can be trained, a step does not fit into memory, or a loss is no longer finite.
    """
    loss_fn, copies = loss_fn or default_loss, len(parts)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise InputError("model: nothing in it can be trained")
    decays = {name for name, weight in model.named_parameters() if weight.ndim >= 2}
    device = next(weight.device for weight in model.parameters() if weight.requires_grad)
    total = steps_on_part(settings, len(encoded.ids), len(parts[0]))
    model.eval()
    with _side_by_side(model, copies):
        check_step_fits(model, encoded, min(settings.batch_size, len(parts[0])), loss_fn, _longest(encoded, parts))
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        groups = [
            {
                "params": [weight for name, weight in trained.items() if (name in decays) is decaying],
                "weight_decay": settings.weight_decay if decaying else 0.0,
            }
            for decaying in (True, False)
        ]
        optimizer = torch.optim.AdamW([each for each in groups if each["params"]], lr=settings.learning_rate)
        for step, rows in enumerate(_steps(encoded.lengths, parts, settings, seed, total)):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(step, total, settings.warmup_ratio)
            optimizer.zero_grad(set_to_none=True)
            losses = loss_fn(model, _collated(encoded, rows, device)).view(copies, -1).mean(dim=1)
            if not bool(losses.isfinite().all()):
                bad = float(losses[~losses.isfinite()][0].detach())
                raise InputError(
                    f"learning_rate: got a loss of {bad} at step {step}, expected a lower rate that converges"
                )
            losses.sum().backward()
            optimizer.step()
        return finish(model, copies)


def groups_of_one_size(parts: Sequence[Part], at_once: int) -> list[list[int]]:
    """Put parts of equal size together, at most so many: places among ``parts``."""
    sizes: dict[int, list[int]] = {}
    for index, part in enumerate(parts):
        sizes.setdefault(len(part), []).append(index)
    return [own[start : start + at_once] for own in sizes.values() for start in range(0, len(own), at_once)]


def drops_out(model: nn.Module) -> bool:
    """Tell whether anything is dropped at random while the model is trained."""
    layers = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in model.modules())
    config = getattr(model, "config", None)
    parts = [config, getattr(config, "text_config", None), getattr(config, "vision_config", None)]
    return layers or any(getattr(part, "attention_dropout", 0.0) for part in parts)


def train_subsets(
    model: nn.Module,
    encoded: EncodedSamples,
    parts: Sequence[Part],
    settings: TrainingSettings,
    seed: int,
    state: Path,
    fingerprint: str,
    loss_fn: LossFunction | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> list[dict[str, Tensor]]:
    """Train on each of some parts of equal size as :func:`hyperinf.training.loop.train` would on it alone.

    Unlike :func:`train_side_by_side` it takes as many steps on a part as the settings say, in the part's own order, and
    goes on after a kill.

    Args:
        model: one that :func:`can_stack` and does not drop out; it keeps its weights, and all start from them.
        encoded: all samples.
        parts: at least two: ascending indices into the samples.
        settings: rate, batch size, and how long.
        seed: of the order of samples.
        state: file to resume from.
        fingerprint: a state with another one is not resumed from.
        loss_fn: ``(model, batch) -> Tensor[b]``; the model's own when None.
        save_seconds: between two saves of the state; no result depends on it.

    Returns:
        The trained weights of each part, by name.

    Raises:
        InputError: a step does not fit into memory, or a loss is no longer finite.
    """
    own, copies = loss_fn or default_loss, len(parts)
    lengths = [[encoded.lengths[index] for index in part] for part in parts]

    def order(done: int, total: int) -> Iterator[tuple[int, list[int]]]:
        orders = [batches(each, settings.batch_size, seed, done, total) for each in lengths]
        for steps in zip(*orders, strict=True):
            rows = [part[place] for part, (_, places) in zip(parts, steps, strict=True) for place in places]
            yield steps[0][0], rows

    def summed(called: nn.Module, batch: Any) -> Tensor:
        # The mean over all rows, so many times, is the sum of the means of each adapter's rows.
        return own(called, batch) * copies

    with _side_by_side(model, copies):
        view, longest = _OfEach(encoded, parts[0]), _longest(encoded, parts)
        how = (settings, seed, state, fingerprint, None, summed, save_seconds)
        train(model, view, *how, order=order, longest=longest)
        stacks = trained_weights(model)
    return [{name: stack[index] for name, stack in stacks.items()} for index in range(copies)]


def _longest(encoded: EncodedSamples, parts: Sequence[Part]) -> list[int]:
    return [max(part, key=encoded.lengths.__getitem__) for part in parts]


class _OfEach:
    """As many samples as each part has, of which batches are made by their places among all."""

    def __init__(self, encoded: EncodedSamples, part: Part) -> None:
        self.ids = [encoded.ids[index] for index in part]
        self.lengths = [encoded.lengths[index] for index in part]
        self.collate = encoded.collate


def losses_side_by_side(
    model: nn.Module, copies: int, encoded: EncodedSamples, loss_fn: LossFunction | None, batch_size: int
) -> Tensor:
    """Compute the loss of each sample by each adapter, ``Tensor[K, n]``, float64, on the CPU.

    Args:
        model: as ``finish`` of :func:`train_side_by_side` is given it.
        copies: K.
        encoded: the samples.
        loss_fn: ``(model, batch) -> Tensor[b]``; the model's own when None.
        batch_size: samples at a time.
    """
    loss_fn = loss_fn or default_loss
    device = next(model.parameters()).device
    found = torch.empty(copies, len(encoded.ids), dtype=torch.float64)
    order = sorted(range(len(encoded.ids)), key=lambda index: (encoded.kinds[index], encoded.lengths[index]))
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            losses = loss_fn(model, _collated(encoded, [rows] * copies, device))
            found[:, rows] = losses.view(copies, -1).double().cpu()
    return found


def _collated(encoded: EncodedSamples, rows: Sequence[Part], device: torch.device) -> dict[str, Any]:
    batch = encoded.collate([index for part in rows for index in part])
    return {key: value.to(device) for key, value in batch.items()}


def steps_on_part(settings: TrainingSettings, samples: int, part: int) -> int:
    """Count the updates of a training on a part: as many passes over it as over all samples."""
    if settings.max_steps is None:
        return total_steps(settings, part)
    return max(1, math.ceil(settings.max_steps * part / samples))


def _steps(
    lengths: Sequence[int], parts: Sequence[Part], settings: TrainingSettings, seed: int, total: int
) -> Iterator[list[list[int]]]:
    """Yield the samples of each step, those of every part."""
    per_epoch = steps_per_epoch(settings, len(parts[0]))
    for epoch in range(math.ceil(total / per_epoch)):
        batches = [part_batches(lengths, part, settings.batch_size, seed, epoch) for part in parts]
        yield from (list(rows) for rows, _ in zip(zip(*batches, strict=True), range(total - epoch * per_epoch)))


def part_batches(lengths: Sequence[int], part: Part, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Give the batches of an epoch over a part: those of :func:`hyperinf.training.loop.epoch_batches` where it is all.

    The shuffle is that of all samples, without those left out. Batches of parts of one size hold samples of like
    length, so that little is padded beside each other.
    """
    generator, kept, group = torch.Generator().manual_seed(seed * 1_000_003 + epoch), set(part), GROUP * batch_size
    order = [index for index in torch.randperm(len(lengths), generator=generator).tolist() if index in kept]
    order = [
        index
        for start in range(0, len(order), group)
        for index in sorted(order[start : start + group], key=lengths.__getitem__)
    ]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    full = len(order) // batch_size
    return [batches[index] for index in torch.randperm(full, generator=generator).tolist()] + batches[full:]
