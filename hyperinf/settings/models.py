"""Models that an experiment can name."""

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.training import AlignmentSettings
from hyperinf.settings.types import Count, Key, Seed, Words


class AlignmentEntry(AlignmentSettings):
    """How a model is aligned, and on what."""

    data: Key = setting(help="a key of data whose answers are captions")
    train: Count = setting(help="pictures with captions that are learnt", unit="samples")
    test: Count = setting(help="never learnt: how many captions the aligned model writes right", unit="samples")
    seed: Seed = setting(11, help="of the alignment: one for all seeds of a study")


class ModelSettings(Settings):
    """A model."""

    source: ModelSource = setting(
        help="where it comes from: {asset: NAME}, {hub: OWNER/NAME}, {path: FOLDER_OR_GGUF} or {shape: NAME}"
    )
    target_modules: Words = setting(("query", "value"), help="linear layers that get an adapter")
    layers: Count | None = setting(None, help="keep only so many of the first decoder layers; null for all")
    align: AlignmentEntry | None = setting(
        None, help="how a vision-language model that knows no pictures yet learns to caption them; null where it does"
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
