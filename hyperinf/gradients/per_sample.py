"""Exact per-sample gradients from one batched forward and backward pass.

A linear layer ``y = x W^T`` has the gradient ``sum_t dy_t x_t^T`` for each sample, so recording the layer's input
and the gradient of its output is enough: no loop over samples, no ``vmap`` through the model's control flow. Whether
that holds for a weight of this model is compared with autograd on the first batch of every form.
"""

import logging
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from hyperinf.gradients.batches import company_of, kinds_of, moved, width_of
from hyperinf.gradients.by_sample import gradients_by_sample
from hyperinf.gradients.contractions import LayerGradients
from hyperinf.gradients.first_batch import check_sample_alone
from hyperinf.gradients.kinds import unwrapped
from hyperinf.gradients.layouts import Layout
from hyperinf.gradients.losses import LossFunction, default_loss
from hyperinf.gradients.modes import differentiable
from hyperinf.gradients.plans import BY_SAMPLE, UNCHECKED, Pass, Plan, compared_pass, run_pass
from hyperinf.gradients.rounding import rounding_of
from hyperinf.gradients.weights import AdaptedLayer, GfimAxis, adapted_layers, has_plain_forward, left_out

_log = logging.getLogger(__name__)


def per_sample_gradients(
    model: nn.Module,
    batch: Any,
    loss_fn: LossFunction | None = None,
    layers: Sequence[str] | None = None,
    *,
    gfim_axis: GfimAxis = "larger",
    check: bool = True,
) -> dict[str, Tensor]:
    """Take the gradient of each sample's own loss, of the evaluation forward pass (dropout off).

    Args:
        model: any module.
        batch: what ``loss_fn`` takes; for the default a mapping with ``labels`` or a pair ``(inputs, labels)``. It is
            moved to the weights' device.
        loss_fn: ``(model, batch) -> Tensor[b]``, each sample's own loss; :func:`default_loss` when None.
        layers: names of the weights; see :func:`adapted_layers` for None. A frozen weight may be named.
        gfim_axis: see :func:`adapted_layers`.
        check: compare with autograd and with samples alone, on a few samples the first time that a model is given
            batches of this form.

    Returns:
        ``{parameter name: Tensor[b, r, d]}``, rank first, float32 or better, detached.

    Raises:
        ValueError: see :func:`adapted_layers`, :func:`default_loss` and :class:`Extraction`.
    """
    model = unwrapped(model)
    extraction = Extraction(model, loss_fn or default_loss, adapted_layers(model, layers, gfim_axis), check)
    found, _ = extraction(moved(batch, extraction.device))
    return {name: found.pop(name).dense() for name in list(found)}


ENOUGH = 4
"""Samples that are compared with autograd at the least, in however many batches."""
KEPT_FORMS = 16
_KNOWN: "weakref.WeakKeyDictionary[nn.Module, dict[Hashable, dict[str, Plan]]]" = weakref.WeakKeyDictionary()
"""Plans by model and form of its batches: neither a loop over batches nor a second source is checked again."""


def _known_of(model: nn.Module) -> dict[Hashable, dict[str, Plan]]:
    """Give what is known of a model; of one that cannot be a key, nothing ever."""
    try:
        return _KNOWN.setdefault(model, {})
    except TypeError:
        return {}


def _reference(function: Any) -> Hashable:
    """Make a key that a function alone has, and that does not keep it, and perhaps the model within it, alive."""
    try:
        return weakref.ref(function)
    except TypeError:
        return object()


class Extraction:
    """Per-sample gradients of a model, batch after batch.

    Before the first numbers of a model with batches of a form are given out, autograd's gradient of a weighted sum of
    the losses must be that of the factors, for every weight; one sample's loss and gradients alone must be those that
    it has in the batch, with its padding and the other samples; and a transformers model must have the same loss
    itself. The comparison with autograd is made again for a batch whose activations have other shapes than those that
    were compared. A weight whose gradient cannot be read off its modules' calls is taken one sample at a time, which is
    exact and slow.

    Args:
        model: any module, not wrapped.
        loss_fn: ``(model, batch) -> Tensor[b]``.
        layers: of :func:`adapted_layers`.
        check: as said above; without it the first axis of every module's input must be the sample.

    Attributes:
        model: as given.
        loss_fn: as given.
        check: as given.
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFunction, layers: Sequence[AdaptedLayer], check: bool = True
    ) -> None:
        self.model = model
        self.loss_fn = loss_fn
        self._layers = list(layers)
        self.check = check
        self.compared = 0
        self._forms: set[Hashable] = set()
        self.epsilon = 0.0
        self.plans: dict[str, Plan] = {
            layer.name: BY_SAMPLE
            for layer in self._layers
            if not layer.uses or not (check or all(has_plain_forward(use) for use in layer.uses))
        }

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._layers[0].weight.device

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of trainable weights whose gradients are not taken."""
        return left_out(self.model, self._layers)

    @property
    def one_at_a_time(self) -> tuple[str, ...]:
        """Names of the weights whose gradients are known to need a backward pass for every sample."""
        return tuple(layer.name for layer in self._layers if self._plan(layer).layouts is None)

    @cached_property
    def _model_form(self) -> Hashable:
        used = tuple(
            (
                layer.name,
                layer.weight.dtype,
                layer.transposed,
                *((id(use.module), type(use.module)) for use in layer.uses),
            )
            for layer in self._layers
        )
        return used, tuple(map(id, self.model.parameters())), _reference(self.loss_fn)

    def form(self, batch: Any) -> Hashable:
        """Name what the checks depend on: weights, modules, loss, what a batch is made of, its padding and company."""
        return self._model_form, kinds_of(batch), company_of(batch)

    def __call__(self, batch: Any, names: Sequence[str] | None = None) -> tuple[dict[str, LayerGradients], Tensor]:
        """Take the gradients of a batch.

        Args:
            batch: what the loss takes.
            names: of its samples, for messages.

        Returns:
            ``{layer name: gradients}``, most as the factors that the two passes made, in their own dtype; and the
            losses ``Tensor[b]``.

        Raises:
            ValueError: a loss that is not one a sample, or is not the sample's own; a module that ran without autograd
                or whose input was overwritten; a first axis that is not the sample, where nothing is checked.
        """
        form = self.form(batch) if self.check else None
        known = _known_of(self.model) if self.check else {}
        fresh = self.check and form not in self._forms
        if fresh and form in known:
            self.plans = {**known[form], **self.plans}  # what this source has seen since goes before
            self.compared, fresh = ENOUGH, False
        ran = self._passed(batch)
        if not self.epsilon:
            of_layers = (gradient for gradients in ran.gradients for gradient in gradients)
            self.epsilon = rounding_of(self.model, [ran.losses, *of_layers])
        slow = [layer for layer in self._layers if self._plan(layer).layouts is None]
        found: dict[str, LayerGradients] = {
            recording.layer.name: ran.factors(index, self._layouts(ran, index))
            for index, recording in enumerate(ran.recordings)
            if self._plan(recording.layer).layouts is not None
        }
        if slow:
            found |= gradients_by_sample(self.model, batch, self.loss_fn, slow, ran.losses, self.epsilon)
        if fresh:
            rows = [str(row) for row in range(len(ran.losses))]
            if names is not None and len(names) == len(rows):
                rows = list(names)
            check_sample_alone(self.model, batch, self.loss_fn, self._layers, found, ran.losses, rows, self.epsilon)
        self._forms.add(form)
        if fresh and (self.compared >= ENOUGH or len(ran.losses) == 1):
            known[form] = {name: plan for name, plan in self.plans.items() if plan.proven}
            if len(known) > KEPT_FORMS:
                del known[next(iter(known))]
        return {layer.name: found[layer.name] for layer in self._layers}, ran.losses

    def _passed(self, batch: Any) -> Pass:
        """Run the passes through a batch, compared with autograd where the plans do not explain all its calls."""
        hooked = [layer for layer in self._layers if self._plan(layer).layouts is not None]
        if not self.check or (self.compared >= ENOUGH and all(layer.name in self.plans for layer in hooked)):
            unproven = [layer for layer in hooked if self.check and not self._plan(layer).proven]
            with differentiable(self.model, self._layers):
                also = [layer.weight for layer in unproven]
                ran = run_pass(self.model, batch, self.loss_fn, hooked, also=also)
            pairs = zip(unproven, ran.sums, strict=True)
            awake = {layer.name for layer, total in pairs if total is not None and bool(total.any())}
            fits = (
                recording.layer.name not in awake
                and not recording.strange
                and self._plan(recording.layer).fits(calls, len(ran.losses), width_of(batch))
                for recording, calls in zip(ran.recordings, ran.calls, strict=True)
            )
            if not self.check or all(fits):
                return ran
            del ran
        with differentiable(self.model, self._layers):
            ran, plans = compared_pass(self.model, batch, self.loss_fn, hooked)
        self.compared += len(ran.losses)
        self._adopt(hooked, plans)
        return ran

    def _plan(self, layer: AdaptedLayer) -> Plan:
        return self.plans.get(layer.name, UNCHECKED)

    def _layouts(self, ran: Pass, index: int) -> Sequence[Layout]:
        """Find the layouts of a layer's calls; where nothing is checked the first axis is the sample."""
        name, calls, samples = ran.recordings[index].layer.name, ran.calls[index], len(ran.losses)
        if not self.check:
            for call in calls:
                if call.lead[0] != samples:
                    raise ValueError(
                        f"layer {name!r}: got {call.lead[0]} rows for {samples} samples, expected one row a sample"
                    )
            return [Layout(len(call.lead), 0) for call in calls]
        layouts = self.plans[name].layouts
        assert layouts is not None
        return layouts

    def _adopt(self, layers: Sequence[AdaptedLayer], plans: Sequence[Plan]) -> None:
        """Take the plans over; one that was proven stays so where this batch had no gradient to tell."""
        for layer, plan in zip(layers, plans, strict=True):
            proven = plan.proven or (self._plan(layer).proven and layer.name in self.plans)
            self.plans[layer.name] = replace(plan, proven=proven)
        slow = [layer.name for layer, plan in zip(layers, plans, strict=True) if plan.layouts is None]
        if slow:
            more = f" and {len(slow) - 3} more" if len(slow) > 3 else ""
            _log.warning(
                "gradients of %s%s are taken one sample at a time: what their modules see does not tell them",
                ", ".join(slow[:3]),
                more,
            )
