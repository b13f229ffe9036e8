"""A study: what is fine-tuned on which data, which scores are taken, and what is done with them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hyperinf.settings.base import MisfitError, Place, Settings, setting
from hyperinf.settings.data import CorruptionSettings, SampleSettings
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.runtime import StudyRuntime
from hyperinf.settings.scores import not_sharded
from hyperinf.settings.scoring import DetectionSettings, ScoringSettings, SelectionSettings
from hyperinf.settings.training import FinetuningSettings, GradientsOf, LoraStrength, Trained
from hyperinf.settings.types import Count, Distinct, Key, OneOf, Seeds, Word
from hyperinf.settings.validation import ValidationSettings, removal_misfits

Keys = Annotated[tuple[Key, ...], Field(min_length=1), Distinct]


class StudyCorruption(CorruptionSettings):
    """What is done to the training samples, so that the truth is known."""

    off_task_data: Key | None = setting(None, help="data set that off-task samples are drawn from, a key of data")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.off_task > 0 and self.off_task_data is None:
            raise MisfitError({"off_task_data": f"got nothing, expected a key of data: off_task is {self.off_task}"})
        return self


class StudyAdapter(LoraStrength):
    """What of a model is trained, in one run each."""

    trained: Annotated[tuple[Trained, ...], Field(min_length=1), Distinct] = setting(
        ("lora",),
        help="what is trained, one run each: an adapter (lora); the last_layer or the projector, densely; or"
        " lora_projector, an adapter on the language model and the projector densely",
    )
    ranks: Annotated[tuple[Count, ...], Field(min_length=1), Distinct] = setting(
        (8,), help="ranks of the adapter, one run each"
    )

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
        help="weights whose gradients are taken, one run each: all that were trained, or a part of them",
    )


class StudySettings(Settings):
    """A study."""

    title: Word = setting(help="name of the study in the report")
    family: Annotated[str, OneOf(FAMILIES)] = setting(help="family that its models belong to")
    tasks: Keys = setting(help="data sets, keys of data")
    models: Keys = setting(help="models, keys of models; every task is run with every model")
    seeds: Seeds = setting(
        (11, 12, 13), help="seeds, one run each: of the samples, the initial weights and the order of training"
    )
    samples: SampleSettings = setting(SampleSettings, help="how many samples are drawn")
    corruption: StudyCorruption = setting(StudyCorruption, help="how training samples are harmed on purpose")
    adapter: StudyAdapter = setting(StudyAdapter, help="what of a model is trained")
    finetuning: FinetuningSettings = setting(
        lambda: FinetuningSettings(max_steps=40),
        help="how a model is fine-tuned on all training samples, the harmed ones included",
    )
    scoring: StudyScoring = setting(StudyScoring, help="which scores are taken, at every checkpoint that is kept")
    detection: DetectionSettings | None = setting(
        DetectionSettings, help="tell how well the scores find the samples that were harmed; null to leave it out"
    )
    selection: SelectionSettings | None = setting(
        None, help="train a fresh adapter on the least harmful samples, and evaluate it; null to leave it out"
    )
    validation: ValidationSettings | None = setting(
        None, help="tell how well scores predict what retraining on parts of the samples comes to; null to leave it out"
    )
    runtime: StudyRuntime = setting(StudyRuntime, runtime=True, help="how its jobs run; a change reruns nothing")

    @model_validator(mode="after")
    def _study_fits(self) -> Self:
        wrong: dict[str | Place, str] = {}
        known = FAMILIES[self.family].trains
        for index, each in enumerate(self.adapter.trained):
            if each not in known:
                wrong["adapter", "trained", index] = (
                    f"got {each!r}, expected one of {', '.join(known)} in family {self.family}"
                )
        for index, part in enumerate(self.scoring.gradients_of):
            if part == "projector" and part not in known:
                wrong["scoring", "gradients_of", index] = (
                    f"got {part!r}, expected a part of a model of family {self.family}"
                )
            if part == "lora" and not all(each.startswith("lora") for each in self.adapter.trained):
                wrong["scoring", "gradients_of", index] = (
                    f"got {part!r}, expected one that each of adapter.trained has: {', '.join(self.adapter.trained)}"
                )
        refused = not_sharded(self.scoring.methods)
        if self.runtime.shards > 1 and refused:
            wrong["runtime", "shards"] = (
                f"got {self.runtime.shards}, expected 1 with {refused[0]!r} among scoring.methods"
            )
        if self.runtime.shards > 1 and self.scoring.gfim_dtype != "auto":
            wrong["scoring", "gfim_dtype"] = (
                f"got {self.scoring.gfim_dtype!r}, expected auto with runtime.shards of {self.runtime.shards}"
            )
        taken = self.scoring.baselines
        for index, name in enumerate(self.selection.baselines if self.selection else ()):
            if name not in taken:
                wrong["selection", "baselines", index] = (
                    f"got {name!r}, expected one of scoring.baselines: {', '.join(taken) or 'none'}"
                )
        if "less" in taken and not self.finetuning.keep_moments:
            wrong["finetuning", "keep_moments"] = "got false, expected true with 'less' among scoring.baselines"
        epoch, names = self.report_epoch, self.finetuning.checkpoint_names
        if epoch is not None and f"epoch-{epoch}" not in names:
            wrong["detection", "report_epoch"] = (
                f"got {epoch}, expected that of one of the checkpoints {', '.join(names)}"
            )
        if self.validation is not None:
            wrong |= removal_misfits(self.validation.removal, self.scoring.methods, "validation")
        if wrong:
            raise MisfitError(wrong)
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
