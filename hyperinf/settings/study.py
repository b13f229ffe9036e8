"""A study: what is fine-tuned on which data, which scores are taken, and what is done with them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.data import CorruptionSettings, SampleSettings
from hyperinf.settings.methods import not_sharded
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.runtime import StudyRuntime
from hyperinf.settings.scoring import DetectionSettings, ScoringSettings, SelectionSettings
from hyperinf.settings.training import FinetuningSettings, GradientsOf, LoraStrength, Trained
from hyperinf.settings.types import Count, Distinct, Key, OneOf, Seeds, Word

Keys = Annotated[tuple[Key, ...], Field(min_length=1), Distinct]


class StudyCorruption(CorruptionSettings):
    """What is done to the training samples, so that the truth is known."""

    off_task_data: Key | None = setting(None, help="a key of data, for off-task samples")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.off_task > 0 and self.off_task_data is None:
            raise ValueError(f"got off_task {self.off_task} without off_task_data, expected a key of data")
        return self


class StudyAdapter(LoraStrength):
    """What of a model is trained, in one run each."""

    trained: Annotated[tuple[Trained, ...], Field(min_length=1), Distinct] = setting(
        ("lora",),
        help="lora; last_layer and projector, their linear layers, densely; lora_projector, an adapter on the language"
        " model and the projector densely",
    )
    ranks: Annotated[tuple[Count, ...], Field(min_length=1), Distinct] = setting((8,), help="ranks of the adapter")

    @property
    def names(self) -> tuple[str, ...]:
        """Name each run, as folders and tables do: ``lora-8``, ``last_layer``."""
        return tuple(
            name
            for what in self.trained
            for name in ([f"{what}-{rank}" for rank in self.ranks] if what.startswith("lora") else [what])
        )


class StudyScoring(ScoringSettings):
    """Which scores are taken, and how."""

    gradients_of: Annotated[tuple[GradientsOf, ...], Field(min_length=1), Distinct] = setting(
        ("trained",),
        help="weights whose gradients are taken: all that were trained, or a part's alone; one run each",
    )


class StudySettings(Settings):
    """A study."""

    title: Word = setting(help="what the report calls it")
    family: Annotated[str, OneOf(FAMILIES)] = setting(help="the family of its models")
    tasks: Keys = setting(help="keys of data")
    models: Keys = setting(help="keys of models; every task is run with every model")
    seeds: Seeds = setting((11, 12, 13), help="one run each: of the samples, the adapter and the order of training")
    samples: SampleSettings = setting(SampleSettings, help="how many samples are drawn")
    corruption: StudyCorruption = setting(StudyCorruption, help="training samples harmed on purpose")
    adapter: StudyAdapter = setting(StudyAdapter, help="what is trained")
    finetuning: FinetuningSettings = setting(
        lambda: FinetuningSettings(max_steps=40), help="the fine-tuning on all training samples, wrong ones included"
    )
    scoring: StudyScoring = setting(StudyScoring, help="which scores are taken, at every kept checkpoint")
    detection: DetectionSettings | None = setting(
        DetectionSettings, help="find the samples that were harmed; null to leave it out"
    )
    selection: SelectionSettings | None = setting(
        None, help="keep the least harmful samples, train a fresh adapter on them, evaluate; null to leave it out"
    )
    runtime: StudyRuntime = setting(StudyRuntime, runtime=True, help="how its jobs run; a change reruns nothing")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = FAMILIES[self.family].trains
        for each in self.adapter.trained:
            if each not in known:
                raise ValueError(
                    f"got adapter.trained {each}, expected some of {', '.join(known)} in family {self.family}"
                )
        refused = not_sharded(self.scoring.methods)
        if self.runtime.shards > 1 and refused:
            raise ValueError(
                f"got scoring.methods {refused[0]} in {self.runtime.shards} shards, expected one without shards"
            )
        epoch, names = self.report_epoch, self.finetuning.checkpoint_names
        if epoch is not None and f"epoch-{epoch}" not in names:
            raise ValueError(f"got detection.report_epoch {epoch}, expected one of the checkpoints {', '.join(names)}")
        return self

    @property
    def report_epoch(self) -> int | None:
        """The epoch that the main figure and table show; None for the last checkpoint."""
        return self.detection.report_epoch if self.detection else None

    @property
    def settings(self) -> tuple[str, ...]:
        """Name every way in which a model is trained and scored: ``lora-8``, ``lora_projector-8.of-projector``."""
        return tuple(
            name if part == "trained" else f"{name}.of-{part}"
            for name in self.adapter.names
            for part in self.scoring.gradients_of
        )
