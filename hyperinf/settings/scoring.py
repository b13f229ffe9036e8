"""Which scores are taken, and how; and what is done with them."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from hyperinf.settings.base import MisfitError, Place, Settings, setting
from hyperinf.settings.methods import BASELINES, METHODS, MethodOptions, MethodSpec
from hyperinf.settings.scores import AScore, ScoreName, methods_of
from hyperinf.settings.training import AT_ONCE_HELP, ORDERS_HELP, TrainingSettings
from hyperinf.settings.types import Count, Distinct, OneOf

MethodName = Annotated[str, OneOf(METHODS)]
Scores = Annotated[tuple[Annotated[str, AScore()], ...], Field(min_length=1), Distinct]
Selecting = tuple(name for name in BASELINES if name != "random")
"""Baselines that can select; random selection is always there."""
SelectingBaselines = Annotated[tuple[Annotated[str, OneOf(Selecting)], ...], Distinct]
SELECTING_HELP = "baselines to select by as well, of those that are scored; random selection is always there"
Baselines = Annotated[tuple[Annotated[str, OneOf(BASELINES)], ...], Distinct]
Strategies = Annotated[tuple[Literal["plain", "stratified"], ...], Field(min_length=1), Distinct]


def _own(spec: MethodSpec) -> type[Settings]:
    """A section of the options that not every method has."""
    declared = spec.options.model_fields
    fields: dict[str, Any] = {name: (declared[name].annotation, declared[name]) for name in spec.own_options}
    title = f"{spec.options.__name__}Section"
    return create_model(title, __base__=Settings, __doc__=f"Options of {spec.label}.", **fields)


_SECTIONS: dict[str, type[Settings]] = {name: _own(spec) for name, spec in METHODS.items() if spec.own_options}
_fields: dict[str, Any] = {
    name: (section, setting(section, help=f"options of {METHODS[name].label}")) for name, section in _SECTIONS.items()
}
_MethodSections: Any = create_model("_MethodSections", __base__=Settings, **_fields)


class ScoringSettings(_MethodSections, MethodOptions):
    """Which scores are taken, and how."""

    methods: Scores = setting(
        ("hyperinf", "datainf", "lissa", "tracin"),
        help="influence methods to score by, and forms of their scores: hyperinf_unit is a cosine, tracin_cp a sum over"
        " checkpoints",
    )
    baselines: Baselines = setting(
        ("loss", "grad_norm", "random"), help="cheap scores to take beside them; an empty list for none"
    )

    @model_validator(mode="after")
    def _pooled(self) -> Self:
        wrong: dict[str | Place, str] = {}
        for index, name in enumerate(self.methods):
            each = ScoreName.of(name)
            if each.pool and str(each.at_one_checkpoint) not in self.methods:
                wrong["methods", index] = (
                    f"got {name!r}, which is made of {each.at_one_checkpoint} at every checkpoint, expected that among"
                    " methods as well"
                )
        if wrong:
            raise MisfitError(wrong)
        return self

    @property
    def built(self) -> tuple[str, ...]:
        """The influence methods behind the scores."""
        return methods_of(self.methods)

    def options(self, method: str) -> MethodOptions:
        """Make the options of one of the methods."""
        own = getattr(self, method).plain() if method in _SECTIONS else {}
        common = {name: getattr(self, name) for name in MethodOptions.model_fields}
        return METHODS[method].options(**common, **own)

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the scores: options of methods that are not taken are left out."""
        return {
            name: value for name, value in super().deciding().items() if name not in _SECTIONS or name in self.built
        }

    def rounds(self) -> int:
        """Count the sums over all samples, one after the other, that the methods need; they share them."""
        return max(METHODS[name].rounds(self.options(name)) for name in self.built)


class DetectionSettings(Settings):
    """Finding the samples that were harmed."""

    report_epoch: Count | None = setting(None, help="epoch that the main figure and table show; by default the last")


class SelectionSettings(Settings):
    """Keeping the least harmful samples and training on them afresh."""

    fractions: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1), Distinct] = setting(
        (0.2, 0.4), help="fractions of the training samples to keep, one run each"
    )
    strategies: Strategies = setting(
        ("plain", "stratified"), help="plain: keep the least harmful of all samples; stratified: of each answer"
    )
    baselines: SelectingBaselines = setting((), help=SELECTING_HELP)
    orders: Count = setting(1, help=ORDERS_HELP)
    at_once: Count = setting(1, help=AT_ONCE_HELP)
    training: TrainingSettings = setting(
        lambda: TrainingSettings(max_steps=80), help="how a fresh adapter is trained on what is kept"
    )
