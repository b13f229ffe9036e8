"""Baselines that are taken of a run, each by a function of its own: ``(Scene) -> Tensor[n]``, positive is harmful."""

from hyperinf.pipeline.baselines.scene import Scene, taken_baselines

__all__ = ["Scene", "taken_baselines"]
