"""What a study's report needs to know of the study."""

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Fraction, Key, Word, Words


class StudyShape(Settings):
    """What a study consists of: it decides which files its report writes, before there are any results.

    Every task is run with every model in every setting.
    """

    name: Key = setting(help="name of the study: begins the names of all files")
    title: Word = setting(help="what the report calls it")
    family: Word = setting(help="the family of its models")
    tasks: Words = setting(help="its tasks")
    models: Words = setting(help="its models")
    settings: Words = setting(help="ways in which a model is trained and scored, such as lora-8")
    methods: Words = setting(help="influence methods")
    checkpoints: Words = setting(("last",), help="weights that are scored, in their order")
    checkpoint: Word | None = setting(None, help="the one that the main figure and table show; the last without it")
    detection: bool = setting(True, help="it tells how well the scores find the samples that were harmed")
    fractions: tuple[Fraction, ...] = setting((), help="fractions that a selection keeps; none without selection")
    has_images: bool = setting(False, help="its samples have images: they are shown, and told apart by kind")

    @property
    def selection(self) -> bool:
        """Whether models are trained on what the methods keep."""
        return bool(self.fractions)

    @property
    def shown(self) -> str:
        """The checkpoint that the main figure and table show."""
        return self.checkpoint or self.checkpoints[-1]

    @property
    def by_epoch(self) -> bool:
        """Whether there are several checkpoints to compare."""
        return len(self.checkpoints) > 1

    @property
    def by_setting(self) -> bool:
        """Whether there are several settings to compare."""
        return len(self.settings) > 1
