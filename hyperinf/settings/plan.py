"""What each job of an experiment is told: the settings of its stage, made of the experiment's."""

from dataclasses import dataclass
from typing import Any

from hyperinf.settings.data import DataSettings
from hyperinf.settings.experiment import ExperimentSettings
from hyperinf.settings.models import AlignmentEntry, ModelSettings
from hyperinf.settings.registers import FAMILIES
from hyperinf.settings.reporting import StudyShape
from hyperinf.settings.scores import ScoreName
from hyperinf.settings.sources import ModelSource
from hyperinf.settings.stages import (
    Align,
    Finetune,
    OneShard,
    Prepare,
    PrepareModel,
    ReportStudy,
    Retrain,
    Score,
    Select,
    ShardSolve,
    ShardTarget,
    SimulateConvergence,
    SimulateFisher,
    SimulateTiming,
    Validate,
)
from hyperinf.settings.study import StudySettings

# Paths are given beside the settings: they decide nothing.
_PLACE = "-"


@dataclass(frozen=True)
class Plan:
    """The jobs of an experiment.

    Attributes:
        experiment: what is to be run.
        results: folder that everything is written to.
    """

    experiment: ExperimentSettings
    results: str

    def prepare(self, study: str, task: str, seed: int) -> Prepare:
        """What samples are drawn for a task of a study."""
        own, entry = self.experiment.studies[study], self.experiment.data[task]
        harm = own.corruption
        others = self.other_data(study, task)
        return Prepare.of(
            entry,
            own.samples,
            harm,
            off_task_data=self._data(others.get("off_task")),
            test_data=self._data(others.get("test")),
            seed=seed,
            out=_PLACE,
        )

    def other_data(self, study: str, task: str) -> dict[str, str]:
        """Name the further data sets that a task draws from, by the part they play: ``off_task``, ``test``."""
        harm = self.experiment.studies[study].corruption
        names = {
            "off_task": harm.off_task_data if harm.off_task > 0 else None,
            "test": self.experiment.data[task].test_from,
        }
        return {part: name for part, name in names.items() if name is not None}

    def prepare_model(self, model: str) -> PrepareModel:
        """How a model is made that has to be made."""
        entry = self.experiment.models[model]
        return PrepareModel(source=entry.source, layers=entry.layers, out=_PLACE)

    def align_data(self, model: str) -> Prepare:
        """What captions a model is aligned on."""
        settings = self._aligned(model)
        return Prepare.of(
            self.experiment.data[settings.data],
            train=settings.train,
            # Nothing is chosen on the target samples of an alignment, but there have to be some.
            validation=1,
            test=settings.test,
            seed=settings.seed,
            out=_PLACE,
        )

    def align(self, model: str) -> Align:
        """How a model is aligned."""
        settings = self._aligned(model)
        return Align.of(settings, data=_PLACE, model=self.unaligned_source(model), out=_PLACE)

    def finetune(self, study: str, task: str, model: str, trained: str, seed: int) -> Finetune:
        """How a model is fine-tuned."""
        own, entry = self.experiment.studies[study], self.experiment.models[model]
        what, _, rank = trained.partition("-")
        return Finetune.of(
            own.adapter,
            own.finetuning,
            model=self.model_source(model),
            family=own.family,
            trained=what,
            **({"rank": int(rank)} if rank else {}),
            target_modules=entry.target_modules,
            seed=seed,
            data=_PLACE,
            out=_PLACE,
        )

    def score(self, study: str, task: str, model: str, setting: str, checkpoint: str, seed: int) -> Score:
        """Which scores are taken of a run, and how."""
        return Score.of(
            self.experiment.studies[study].scoring,
            study=study,
            task=task,
            model_name=model,
            setting=setting,
            checkpoint=checkpoint,
            gradients_of=gradients_of(setting),
            seed=seed,
            data=_PLACE,
            finetuned=_PLACE,
            out=_PLACE,
        )

    def shard_target(self, study: str, checkpoint: str, setting: str, **_: str) -> ShardTarget:
        """Whose gradients are taken of the target samples."""
        of = gradients_of(setting)
        return ShardTarget(checkpoint=checkpoint, gradients_of=of, data=_PLACE, finetuned=_PLACE, out=_PLACE)

    def shard(self, study: str, checkpoint: str, setting: str, **_: str) -> OneShard:
        """Which gradients and scores are taken in a shard."""
        return OneShard.of(
            self.experiment.studies[study].scoring,
            checkpoint=checkpoint,
            gradients_of=gradients_of(setting),
            data=_PLACE,
            finetuned=_PLACE,
            out=_PLACE,
        )

    def solve(self, study: str) -> ShardSolve:
        """Which scores are taken in shards."""
        own = self.experiment.studies[study].scoring
        return ShardSolve.of(own, target=_PLACE, statistics=_PLACE, out=_PLACE)

    def select(self, study: str, task: str, model: str, setting: str, seed: int, fraction: str) -> Select:
        """How what a method keeps is trained on."""
        own = self.experiment.studies[study]
        assert own.selection is not None
        # All samples are kept whatever the methods: a change of those must not train on them again.
        kept = {
            "methods": own.scoring.methods,
            "baselines": own.selection.baselines,
            "strategies": own.selection.strategies,
        }
        return Select.of(
            own.selection.training,
            orders=own.selection.orders,
            at_once=own.selection.at_once,
            study=study,
            task=task,
            model_name=model,
            setting=setting,
            fraction=fraction,
            seed=seed,
            data=_PLACE,
            finetuned=_PLACE,
            out=_PLACE,
            **({} if float(fraction) == 1 else kept),
        )

    def retrain(self, study: str, seed: int, **_: str) -> Retrain:
        """What parts of the samples are trained on again."""
        own = self.experiment.studies[study].validation
        assert own is not None
        return Retrain.of(own, seed=seed, data=_PLACE, finetuned=_PLACE, out=_PLACE)

    def validate(self, study: str, task: str, model: str, setting: str, seed: int) -> Validate:
        """Which scores are judged by retrainings, and how."""
        own = self.experiment.studies[study]
        assert own.validation is not None
        return Validate.of(
            own.scoring,
            own.validation,
            study=study,
            task=task,
            model_name=model,
            setting=setting,
            gradients_of=gradients_of(setting),
            seed=seed,
            data=_PLACE,
            finetuned=_PLACE,
            retrained=_PLACE,
            out=_PLACE,
        )

    def convergence(self, dim: str, seed: str) -> SimulateConvergence:
        """Which solvers are followed on a matrix."""
        return SimulateConvergence.of(self.experiment.simulation, dim=dim, seed=seed, out=_PLACE)

    def fisher(self) -> SimulateFisher:
        """What the GFIM is compared on."""
        return SimulateFisher.of(self.experiment.simulation.fisher, out=_PLACE)

    def timing(self) -> SimulateTiming:
        """Which solvers are timed."""
        return SimulateTiming.of(self.experiment.simulation.timing, out=_PLACE)

    def shape(self, study: str) -> StudyShape:
        """What the report of a study is made of."""
        own = self.experiment.studies[study]
        names = own.finetuning.checkpoint_names
        shown = tuple(name for name in own.scoring.methods if ScoreName.of(name).spec.main)
        return StudyShape(
            name=study,
            title=own.title,
            family=own.family,
            tasks=own.tasks,
            models=own.models,
            settings=own.settings,
            methods=shown or own.scoring.methods,
            checkpoints=names,
            checkpoint=None if own.report_epoch is None else f"epoch-{own.report_epoch}",
            detection=own.detection is not None,
            fractions=() if own.selection is None else own.selection.fractions,
            validation=own.validation is not None,
            removal=own.validation is not None and own.validation.removal is not None,
            has_images=FAMILIES[own.family].images,
        )

    def report(self, study: str) -> ReportStudy:
        """How the report of a study is made."""
        return ReportStudy.of(self.shape(study), runs=(_PLACE,), out=_PLACE)

    def is_prepared(self, model: str) -> bool:
        """Whether a model has to be made before it can be used."""
        return self.experiment.models[model].is_prepared

    def model_source(self, model: str) -> ModelSource:
        """Where the commands find a model, aligned if it has to be."""
        if self.experiment.models[model].align is not None:
            return ModelSource(path=f"{self.results}/aligned/{model}/model")
        return self.unaligned_source(model)

    def unaligned_source(self, model: str) -> ModelSource:
        """Where the alignment finds a model."""
        entry: ModelSettings = self.experiment.models[model]
        return ModelSource(path=f"{self.results}/models/{model}") if entry.is_prepared else entry.source

    def _aligned(self, model: str) -> AlignmentEntry:
        settings = self.experiment.models[model].align
        assert settings is not None
        return settings

    def _data(self, name: str | None) -> DataSettings | None:
        return None if name is None else DataSettings.of(self.experiment.data[name])


def gradients_of(setting: str) -> Any:
    """Name the weights whose gradients a setting takes: ``lora-8.of-projector`` those of the projector."""
    return setting.partition(".of-")[2] or "trained"


def cells(study: StudySettings) -> list[tuple[str, str, str]]:
    """List task, model and setting of every run of a study, whatever its seed."""
    return [(task, model, name) for task in study.tasks for model in study.models for name in study.settings]
