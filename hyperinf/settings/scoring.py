"""Which scores are taken, and how; and what is done with them."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from hyperinf.settings.base import Settings, setting
from hyperinf.settings.methods import BASELINES, METHODS, MethodOptions, MethodSpec
from hyperinf.settings.training import TrainingSettings
from hyperinf.settings.types import Count, Distinct, OneOf

MethodName = Annotated[str, OneOf(METHODS)]
Methods = Annotated[tuple[MethodName, ...], Field(min_length=1), Distinct]
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

    methods: Methods = setting(("hyperinf", "datainf", "lissa", "tracin"), help="influence methods to score by")
    baselines: Baselines = setting(
        ("loss", "grad_norm", "random"), help="cheap scores to take beside them; an empty list for none"
    )

    def options(self, method: str) -> MethodOptions:
        """Make the options of one of the methods."""
        own = getattr(self, method).plain() if method in _SECTIONS else {}
        common = {name: getattr(self, name) for name in MethodOptions.model_fields}
        return METHODS[method].options(**common, **own)

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the scores: options of methods that are not taken are left out."""
        return {
            name: value for name, value in super().deciding().items() if name not in _SECTIONS or name in self.methods
        }

    def rounds(self) -> int:
        """Count the sums over all samples, one after the other, that the methods need; they share them."""
        return max(METHODS[name].rounds(self.options(name)) for name in self.methods)


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
    training: TrainingSettings = setting(
        lambda: TrainingSettings(max_steps=80), help="how a fresh adapter is trained on what is kept"
    )
