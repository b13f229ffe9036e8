"""How alike training and target samples are to the model."""

from typing import Any

import torch
from torch import Tensor

from hyperinf.errors import InputError
from hyperinf.gradients.batches import mask_of, moved
from hyperinf.gradients.modes import evaluation
from hyperinf.pipeline.baselines.scene import Scene
from hyperinf.runtime.progress import track


def embedding(scene: Scene) -> Tensor:
    """Give minus the mean cosine similarity of each training sample to the target samples.

    A sample's embedding is the mean over its tokens of the last hidden state, of the model at the checkpoint.

    Raises:
        InputError: a model that gives no hidden states.
    """
    train, target = (_embedded(scene, split) for split in ("train", "validation"))
    return -(train @ target.mean(dim=0))


def _embedded(scene: Scene, split: str) -> Tensor:
    """Embed a split's samples as vectors of length 1, ``Tensor[n, h]``, in their order."""
    ids: list[str] = []
    found = []
    batches = scene.batches(split)
    with torch.no_grad(), evaluation(scene.model):
        for names, batch in track(
            batches, len(batches.sample_ids), f"embeddings, {split}", "samples", lambda pair: len(pair[0])
        ):
            ids.extend(names)
            found.append(_mean_state(scene.model, moved(batch, scene.opened.device)))
    return torch.nn.functional.normalize(scene.in_order(split, ids, torch.cat(found)), dim=1)


def _mean_state(model: Any, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    states = getattr(model(**inputs, output_hidden_states=True), "hidden_states", None)
    if not states:
        raise InputError(f"baselines: got embedding of a {type(model).__name__}, expected one that gives hidden states")
    last = states[-1].double()
    mask = mask_of(batch)
    if mask is None or mask.shape != last.shape[:2]:
        return last.mean(dim=1).cpu()
    weights = (mask != 0).double()[:, :, None]
    return ((last * weights).sum(dim=1) / weights.sum(dim=1)).cpu()
