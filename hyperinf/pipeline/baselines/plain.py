"""Baselines that look at a training sample alone."""

import torch
from torch import Tensor

from hyperinf.gradients.batches import moved
from hyperinf.gradients.losses import default_loss
from hyperinf.gradients.modes import evaluation
from hyperinf.pipeline.baselines.scene import Scene
from hyperinf.runtime.progress import track


def length(scene: Scene) -> Tensor:
    """Give minus the tokens of each sample: the longest are kept first (Zhao et al. 2024)."""
    return -torch.tensor(scene.opened.encoded("train").lengths, dtype=torch.float64)


def perplexity(scene: Scene) -> Tensor:
    """Give ``exp(loss)`` of each sample under the model before its fine-tuning: of text the perplexity of the answer.

    A classifier's head is new there, so that its perplexities tell nothing.
    """
    opened = scene.opened
    model = opened.family.adapted(opened.settings, opened.settings.seed).to(opened.device)
    loss = opened.family.loss or default_loss
    ids: list[str] = []
    found = []
    batches = scene.batches("train")
    with torch.no_grad(), evaluation(model):
        for names, batch in track(batches, len(batches.sample_ids), "perplexity", "samples", lambda pair: len(pair[0])):
            ids.extend(names)
            found.append(loss(model, moved(batch, opened.device)).double().cpu())
    return scene.in_order("train", ids, torch.cat(found)).exp()
