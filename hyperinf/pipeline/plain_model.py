"""A model as a plain folder, where it comes as anything else."""

from pathlib import Path

from hyperinf.artifacts.environment import digest
from hyperinf.artifacts.records import PREPARED
from hyperinf.pipeline.prepare_model import prepare_model
from hyperinf.settings.runtime import CacheSettings
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.stages import PrepareModel


def plain_source(model: ModelSource, seed: int, where: CacheSettings, state: Path) -> ModelSource:
    """Give a model's source; one that comes as GGUF, or as a shape, is made a plain folder in the state first.

    Args:
        model: where it comes from.
        seed: of a shape's weights.
        where: fetched models are.
        state: folder.

    Raises:
        InputError: no such model.
    """
    source = ModelSource(**{model.kind: model.name})
    packed = source.kind == "shape" or source.asset == "smollm2" or source.name.endswith(".gguf")
    if not packed:
        return source
    out = state / "model" / digest(str(source))[:12]
    if not (out / PREPARED).is_file():
        prepare_model(PrepareModel.of(where, source=source, seed=seed, layers=None, out=str(out)))
    return ModelSource(path=str(out))
