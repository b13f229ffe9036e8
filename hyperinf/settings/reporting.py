"""What a study's report needs to know of the study."""

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import Fraction, Key, Switch, Word, Words

RUN_BEGAN = "HYPERINF_RUN_BEGAN"
"""Environment variable that tells a report when the run that makes it began, in seconds since 1970 by the file system's
clock: what is older was reused."""


class StudyShape(Settings):
    """What a study consists of: it decides which files its report writes, before there are any results.

    Every task is run with every model in every setting.
    """

    name: Key = setting(help="name of the study, which the names of all files begin with")
    title: Word = setting(help="name of the study in the report")
    family: Word = setting(help="family that its models belong to")
    tasks: Words = setting(help="names of its data sets")
    models: Words = setting(help="names of its models")
    settings: Words = setting(help="ways in which a model is trained and scored, such as lora-8")
    methods: Words = setting(help="influence methods that pictures are shown of")
    checkpoints: Words = setting(("last",), help="checkpoints that were scored, in their order")
    checkpoint: Word | None = setting(None, help="checkpoint that the main figure and table show; by default the last")
    detection: Switch = setting(True, help="show how well the scores find the samples that were harmed")
    fractions: tuple[Fraction, ...] = setting(
        (), help="fractions of the training samples that were kept; none if the study selects nothing"
    )
    validation: Switch = setting(False, help="show how well the scores predict what retraining comes to")
    removal: Switch = setting(False, help="show what training without single samples comes to")
    has_images: Switch = setting(
        False, help="show the images of its samples, and tell samples apart by whether they have one"
    )

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
