"""Per-sample gradients: by hooks from a model, from memory, or from a store on disk."""

from hyperinf.gradients.contractions import Dense, Factors, LayerGradients
from hyperinf.gradients.live import LiveSource
from hyperinf.gradients.per_sample import per_sample_gradients
from hyperinf.gradients.source import GradientBlock, GradientSource, TensorSource
from hyperinf.gradients.store import GradientStore
from hyperinf.gradients.weights import adapted_layers

__all__ = [
    "Dense",
    "Factors",
    "GradientBlock",
    "GradientSource",
    "GradientStore",
    "LayerGradients",
    "LiveSource",
    "TensorSource",
    "adapted_layers",
    "per_sample_gradients",
]
