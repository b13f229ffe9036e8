"""Per-sample gradients at the warmed-up weights: of all samples, or of a shard of the pool."""

from pathlib import Path
from typing import Any

from hyperinf.data.questions import read_questions
from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.models.encoding import Batches
from hyperinf.models.trainable import GradientsOf, gradient_layers, load_trained
from hyperinf.pipeline.selection.family import ModelFamily, Samples
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths, open_family, open_model
from hyperinf.pipeline.selection.run import origin_of, read_warmup
from hyperinf.pipeline.sharding.parts import Shard

WHOLE = Shard()


def warmed_up(config: ModelConfig, family: ModelFamily, places: RunPaths, warmup: Path) -> Any:
    """The model with the weights of the warm-up, on the device.

    Raises:
        InputError: weights of another model.
    """
    model = open_model(config, family, places)
    load_trained(model, warmup)
    return model


def sample_gradients(
    model: Any, family: ModelFamily, name: str, samples: Samples, batch_size: int, of: GradientsOf, shard: Shard = WHOLE
) -> LiveSource:
    """Gradients of the samples of a shard, taken whenever they are swept.

    Args:
        model: of :func:`warmed_up`.
        family: its kind.
        name: of the samples, for messages.
        samples: all of them.
        batch_size: samples in a batch of the extraction.
        of: the weights whose gradients are taken.
        shard: which of the batches.

    Raises:
        InputError: more shards than batches; gradients of the projector where there is no picture.
    """
    if of == "projector" and not all(samples.kinds):
        raise InputError(
            f"gradients of: projector has none for the {samples.kinds.count(False):,} samples of the {name} without a"
            " picture; expected a picture for each, or gradients of trained weights"
        )
    batches = Batches(samples, batch_size, kinds=samples.kinds).shard(shard.index - 1, shard.count)
    return LiveSource(model, batches, family.loss, gradient_layers(model, of))


def validation_gradients(
    places: RunPaths, warmup: Path, batch_size: int, of: GradientsOf = "trained"
) -> tuple[LiveSource, dict[str, str]]:
    """Gradients of the validation set, and what they are of.

    Raises:
        InputError: data or weights that cannot be used, or that do not belong together.
    """
    return _gradients("validation", WHOLE, places, warmup, batch_size, of)


def pool_gradients(
    shard: Shard, places: RunPaths, warmup: Path, batch_size: int, of: GradientsOf = "trained"
) -> tuple[LiveSource, dict[str, str]]:
    """Gradients of a shard of the pool, and what they are of.

    Raises:
        InputError: as :func:`validation_gradients`; more shards than batches.
    """
    source, origin = _gradients("pool", shard, places, warmup, batch_size, of)
    return source, {**origin, "batch size": str(batch_size)}


def _gradients(
    name: str, shard: Shard, places: RunPaths, warmup: Path, batch_size: int, of: GradientsOf
) -> tuple[LiveSource, dict[str, str]]:
    config, trained = read_warmup(warmup, places)
    family = open_family(config, places)
    samples = family.encode(family.fitting(read_questions(places.data, name)))
    model = warmed_up(config, family, places, warmup)
    return sample_gradients(model, family, name, samples, batch_size, of, shard), origin_of(warmup, trained, of)
