"""Models that an experiment can name."""

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.training import AlignmentSettings
from hyperinf.settings.types import Count, Key, Seed, Words


class AlignmentEntry(AlignmentSettings):
    """How a model is aligned, and on what."""

    data: Key = setting(help="data set of captions that it is aligned on, a key of data")
    train: Count = setting(help="number of captioned pictures to learn")
    test: Count = setting(
        help="number of further pictures, which tell how many captions the aligned model writes right"
    )
    seed: Seed = setting(11, help="seed of the alignment, the same for all seeds of a study")


class ModelSettings(Settings):
    """A model."""

    source: ModelSource = setting(
        help="source of the model: asset:NAME, hub:OWNER/NAME, path:FOLDER_OR_GGUF or shape:NAME"
    )
    target_modules: Words = setting(("query", "value"), help="names of the linear layers that get an adapter")
    layers: Count | None = setting(None, help="number of first decoder layers to keep; by default all")
    align: AlignmentEntry | None = setting(
        None, help="how a vision-language model that knows no pictures yet learns to caption them; null if it does"
    )

    @property
    def is_prepared(self) -> bool:
        """Whether it has to be made before it can be used: it is cut, new, or a GGUF file."""
        source = self.source
        return (
            self.layers is not None
            or source.kind == "shape"
            or source.asset == "smollm2"
            or source.name.endswith(".gguf")
        )
