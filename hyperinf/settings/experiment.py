"""The whole experiment: what ``config.yaml`` holds."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hyperinf.settings.base import Place, setting, text_key
from hyperinf.settings.checking import Mistake, SettingsError, checked, suggestion
from hyperinf.settings.data import DataSettings
from hyperinf.settings.models import ModelSettings
from hyperinf.settings.runtime import CacheSettings, DeviceSettings
from hyperinf.settings.simulation import SimulationSettings
from hyperinf.settings.study import StudySettings
from hyperinf.settings.types import Distinct, FilePath, Home, Key, Matching

SIMULATION = "simulation"
RESERVED = (SIMULATION, "aligned", "assets", "benchmarks", "figures", "logs", "models", "tables")
"""Folders of the results that are no study's."""
ResultsFolder = Annotated[
    str, Matching(r"^[^{}*?\n\x00]*[^{}*?\s\x00]$", "a folder's path, without braces, * and ?"), Home
]


class DataEntry(DataSettings):
    """A data set that studies can name."""

    test_from: Key | None = setting(
        None, help="another key of data, whose samples are the test set, say those of a benchmark"
    )


class ExperimentSettings(DeviceSettings, CacheSettings):
    """An experiment, which ``make run`` runs."""

    results: ResultsFolder = setting(
        "results", runtime=True, help="folder that everything is written to; only one run at a time may use it"
    )
    launcher: FilePath | None = setting(
        None,
        runtime=True,
        help="configuration that 'accelerate launch' starts fine-tuning with, such as profiles/accelerate/ddp.yaml or"
        " fsdp.yaml; by default one process",
    )
    run: Annotated[tuple[Key, ...], Field(min_length=1), Distinct] = setting(
        (SIMULATION,), help="what is run: simulation, and keys of studies"
    )
    simulation: SimulationSettings = setting(
        SimulationSettings, help="synthetic study: solvers on A = 1/N sum s s^T + damping I, s ~ N(0, I_d)"
    )
    models: dict[Key, ModelSettings] = setting(dict, help="models that a study can name")
    data: dict[Key, DataEntry] = setting(dict, help="data sets that a study can name")
    studies: dict[Key, StudySettings] = setting(dict, help="studies; `run` says which are run")

    @property
    def running(self) -> dict[str, StudySettings]:
        """The studies that are run, beside the simulation."""
        return {name: self.studies[name] for name in self.run if name in self.studies}


def checked_experiment(values: Mapping[str, Any], base: Path | None = None) -> ExperimentSettings:
    """Make the settings of what the configuration files hold, merged.

    Args:
        values: plain values.
        base: folder that relative paths start from; files that must be there are not looked for without it.

    Raises:
        SettingsError: with every mistake there is, sections that are right being compared with each other even where
            others are wrong.
    """
    mistakes: list[Mistake] = []
    try:
        whole = checked(ExperimentSettings, values)
    except SettingsError as error:
        if not isinstance(values, Mapping):
            raise
        mistakes += error.mistakes
        whole = _right_part(values, mistakes)
    refused = {mistake.place for mistake in mistakes}
    mistakes += [each for each in _across(whole, values, base) if each.place not in refused]
    if mistakes:
        order = list(ExperimentSettings.model_fields)
        mistakes.sort(key=lambda each: order.index(str(each.place[0])) if each.place and each.place[0] in order else -1)
        raise SettingsError(mistakes)
    return whole


def _right_part(values: Mapping[str, Any], mistakes: list[Mistake]) -> ExperimentSettings:
    """What is left without the sections, and the entries of sections, that hold a mistake."""
    wrong = {tuple(map(str, mistake.place[:2])) for mistake in mistakes}
    left: dict[str, Any] = {}
    for name, value in values.items():
        if (text_key(name),) in wrong:
            continue
        if name in ("models", "data", "studies") and isinstance(value, Mapping):
            left[name] = {key: entry for key, entry in value.items() if (name, text_key(key)) not in wrong}
        elif not any(place[:1] == (name,) for place in wrong):
            left[name] = value
    return ExperimentSettings.model_validate(left)


def _across(whole: ExperimentSettings, values: Mapping[str, Any], base: Path | None) -> Iterator[Mistake]:
    """What no section can tell alone: names that must stand elsewhere, files that must be there."""
    known = {name: _keys(values, name) for name in ("models", "data", "studies")}
    for index, name in enumerate(_at(values, "run")):
        yield from _named(name, ("run", index), (SIMULATION, *known["studies"]), "simulation or a key of studies")
    for key in known["studies"]:
        if key in RESERVED:
            yield Mistake(("studies", key), f"got {key!r} as a name, expected none of {', '.join(RESERVED)}")
        for field, section in (("tasks", "data"), ("models", "models")):
            for index, name in enumerate(_at(values, "studies", key, field)):
                yield from _named(name, ("studies", key, field, index), known[section], f"a key of {section}")
        for name in _at(values, "studies", key, "corruption", "off_task_data"):
            yield from _named(name, ("studies", key, "corruption", "off_task_data"), known["data"], "a key of data")
    for key, study in whole.running.items():
        for index, name in enumerate(study.models):
            if name in whole.models:
                yield from _unfit(whole, ("studies", key, "models", index), name, study)
    for key, model in whole.models.items():
        if model.align is not None:
            yield from _named(model.align.data, ("models", key, "align", "data"), known["data"], "a key of data")
    for key, entry in whole.data.items():
        if entry.test_from is not None:
            others = [name for name in known["data"] if name != key]
            yield from _named(entry.test_from, ("data", key, "test_from"), others, "another key of data")
            if entry.splits.test is not None:
                message = f"got {entry.splits.test!r}, expected null, as test_from is {entry.test_from!r}"
                yield Mistake(("data", key, "splits", "test"), message)
    if whole.launcher is not None and ":" in whole.device:
        message = f"got {whole.device!r} beside a launcher, expected cuda: each of its processes has a GPU of its own"
        yield Mistake(("device",), message)
    if base is not None:
        yield from _missing(whole, base)


def _unfit(whole: ExperimentSettings, place: Place, name: str, study: StudySettings) -> Iterator[Mistake]:
    """What of a model, of which so much is known, its study would refuse."""
    model = whole.models[name]
    if study.family not in model.source.families:
        named = {other for each in whole.studies.values() if each.family == study.family for other in each.models}
        sources = {other: model.source for other, model in whole.models.items()}
        fitting = [
            other
            for other, source in sources.items()
            if study.family in source.families and (source.known or other in named)
        ]
        families = " or ".join(model.source.families)
        message = f"got {name!r}, a model of family {families}, expected one of {study.family}"
        yield Mistake(place, f"{message}: {', '.join(fitting) or 'none'}")
    known, adapted = model.source.known, any(each.startswith("lora") for each in study.adapter.trained)
    targets = {each.rpartition(".")[2] for each in model.target_modules}
    if known and adapted and not targets & set(known.linear):
        message = f"got {', '.join(model.target_modules)}, expected linear layers of the model"
        yield Mistake(("models", name, "target_modules"), f"{message}: {', '.join(known.linear)}")


def _at(values: Any, *place: str) -> list[str]:
    """The names at a place of plain values; none where something else stands."""
    for key in place:
        values = values.get(key) if isinstance(values, Mapping) else None
    return [each for each in (values if isinstance(values, list | tuple) else [values]) if isinstance(each, str)]


def _keys(values: Mapping[str, Any], section: str) -> list[str]:
    there = values.get(section)
    return [text_key(key) for key in there] if isinstance(there, Mapping) else []


def _named(name: str, place: Place, known: list[str] | tuple[str, ...], what: str) -> Iterator[Mistake]:
    if name not in known:
        yield Mistake(place, f"got {name!r}, expected {what}: {', '.join(known) or 'none'}{suggestion(name, known)}")


def _missing(whole: ExperimentSettings, base: Path) -> Iterator[Mistake]:
    """Files and folders that are not there; what only studies that are not run would read may be brought later."""
    needed = needed_entries(whole)
    for section, entries in (("models", whole.models), ("data", whole.data)):
        for key, entry in entries.items():
            path = entry.source.path
            if path is not None and (section, key) in needed and not _is_there(base, path, Path.exists):
                yield _absent((section, key, "source", "path"), base, path, "file or folder")
    for key, data in whole.data.items():
        if data.images is not None and ("data", key) in needed and not _is_there(base, data.images, Path.is_dir):
            yield _absent(("data", key, "images"), base, data.images, "folder")
    if whole.launcher is not None and not _is_there(base, whole.launcher, Path.is_file):
        yield _absent(("launcher",), base, whole.launcher, "file")
    for index, wheel in enumerate(whole.wheels):
        if not _is_there(base, wheel, Path.is_file):
            yield _absent(("wheels", index), base, wheel, "file")


def _is_there(base: Path, path: str, is_kind: Callable[[Path], bool]) -> bool:
    try:
        return is_kind(base / path)
    except OSError:
        # A name that is too long for a file system.
        return False


def _absent(place: Place, base: Path, path: str, kind: str) -> Mistake:
    below = "" if Path(path).is_absolute() else f" below {base.absolute()}"
    return Mistake(place, f"got {path!r}, expected a {kind}, and there is none{below}")


def needed_entries(whole: ExperimentSettings) -> set[tuple[str, str]]:
    """List section and key of all models and data sets that the run reads."""
    studies = [whole.studies[name] for name in whole.run if name in whole.studies]
    models = {name for study in studies for name in study.models if name in whole.models}
    data = {name for study in studies for name in study.tasks}
    data |= {str(study.corruption.off_task_data) for study in studies if study.corruption.off_task > 0}
    data |= {align.data for name in models if (align := whole.models[name].align) is not None}
    data |= {str(whole.data[name].test_from) for name in data if name in whole.data and whole.data[name].test_from}
    return {("models", name) for name in models} | {("data", name) for name in data}
