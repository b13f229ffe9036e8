"""LESS: how much a step of Adam on a training sample goes along with a target sample's gradient."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients import GradientBlock, LiveSource
from hyperinf.gradients.sweeping import checked
from hyperinf.influence.queries import query_vectors
from hyperinf.pipeline.baselines.scene import Scene
from hyperinf.runtime.memory import free_bytes
from hyperinf.training.state import MOMENTS

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
"""Of the AdamW that fine-tunes."""
COPIES = 4
"""Vectors in float64 that a target sample takes."""


def less(scene: Scene) -> Tensor:
    """Give minus the largest cosine over the target samples (Xia et al. 2024, at one checkpoint and per sample).

    ``-max_q <grad_q, Gamma_i> / (|grad_q| |Gamma_i|)``, where ``Gamma_i = m / (sqrt(v) + eps)`` is what AdamW would
    make on ``g_i`` next: ``m`` is ``beta1 m + (1 - beta1) g_i``, ``v`` is ``beta2 v + (1 - beta2) g_i^2``, without
    their bias and of the moments at the checkpoint. No gradient is projected to fewer dimensions.

    Raises:
        InputError: a fine-tuning that has kept no moments.
    """
    train, target = scene.gradients("train"), scene.gradients("validation")
    adam = _Adam(train, scene.opened.folder / scene.checkpoint / MOMENTS)
    numbers = sum(r * d for r, d in train.layers.values())
    free = free_bytes(train.device)
    most = 2**62 if free is None else max(1, free // 2 // (COPIES * 8 * numbers))
    best: Tensor | None = None
    ids: list[str] = []
    for _, held in query_vectors(target, "target", most, dict.fromkeys(train.layers, train.device)):
        vectors = {layer: held.pop(layer).double() for layer in list(held)}
        lengths = torch.stack([x.flatten(1).norm(dim=1) for x in vectors.values()]).norm(dim=0)
        found, ids = [], []
        for block in checked(train, "train", None if best is None else train.sample_ids):
            ids.extend(block.sample_ids)
            found.append(_cosines(adam, block, vectors, lengths).amax(dim=1))
        largest = torch.cat(found)
        best = largest if best is None else torch.maximum(best, largest)
    assert best is not None
    return -scene.in_order("train", ids, best.cpu())


def _cosines(adam: "_Adam", block: GradientBlock, vectors: Mapping[str, Tensor], lengths: Tensor) -> Tensor:
    """Compute the cosine of each update and vector, ``Tensor[b, k]``; zero where one has no length."""
    dots, squares = torch.zeros((), device=lengths.device), torch.zeros((), device=lengths.device)
    for layer, stack in vectors.items():
        update = adam.update(layer, block.gradients[layer].dense().double()).flatten(1)
        dots = dots + update @ stack.flatten(1).T
        squares = squares + update.square().sum(dim=1)
    sizes = squares.sqrt()[:, None] * lengths
    return torch.where(sizes > 0, dots / torch.where(sizes > 0, sizes, 1), 0)


class _Adam:
    """AdamW's moments, laid out as gradients are."""

    def __init__(self, source: LiveSource, file: Path) -> None:
        try:
            kept = load_file(str(file))
        except (OSError, SafetensorError):
            raise InputError(
                f"{file}: got no moments of AdamW, expected those that a fine-tuning with keep_moments keeps, as the"
                " baseline less needs them"
            ) from None
        self._moments: dict[str, tuple[Tensor, Tensor, float]] = {}
        for layer in source.layers:
            if f"exp_avg/{layer}" not in kept:  # AdamW has nothing of a weight that no loss depends on
                shape = source.layers[layer]
                self._moments[layer] = torch.zeros(shape).double(), torch.zeros(shape).double(), 0.0
                continue
            first, second = (
                source.laid_out(layer, kept[f"{key}/{layer}"]).to(source.device, torch.float64)
                for key in ("exp_avg", "exp_avg_sq")
            )
            self._moments[layer] = first, second, float(kept[f"step/{layer}"])

    def update(self, layer: str, gradients: Tensor) -> Tensor:
        """Compute each sample's next update, ``Tensor[b, r, d]``, without learning rate and weight decay."""
        first, second, step = self._moments[layer]
        mean = (BETA1 * first + (1 - BETA1) * gradients) / (1 - BETA1 ** (step + 1))
        square = (BETA2 * second + (1 - BETA2) * gradients.square()) / (1 - BETA2 ** (step + 1))
        return mean / (square.sqrt() + EPSILON)
