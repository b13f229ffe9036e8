"""``hyperinf validate TRAIN``: train on one's own rows, score them, train on parts of them, and judge the scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import hashed
from hyperinf.artifacts.files import discard, write_text
from hyperinf.artifacts.records import RECORD, read_record, write_record, write_settings
from hyperinf.data.folders import check_out, written_folder
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.models.targets import usual_targets
from hyperinf.pipeline.finetune import finetune
from hyperinf.pipeline.plain_model import plain_source
from hyperinf.pipeline.prepare import prepare
from hyperinf.pipeline.retrain import retrain
from hyperinf.pipeline.validate import validate
from hyperinf.settings.data import COLUMNS, SplitNames
from hyperinf.settings.sources import DataSource, ModelSource
from hyperinf.settings.stages import Finetune, Prepare, Retrain, Validate
from hyperinf.settings.validating import ValidateRows
from hyperinf.validating.sentence import verdict

TABLE, TEXT = "lds.csv", "verdict.txt"
_MODEL = ModelSource(asset="minilm")
_FORMAT = {"classifier": "labelled", "causal": "record"}


def validate_rows(settings: ValidateRows) -> None:
    """Write ``lds.csv``, ``verdict.txt``, ``info.json`` and ``settings.yaml``; print the verdict. Goes on after a kill.

    Raises:
        InputError: a file, a column or the model cannot be used, too few rows, or the folder holds something else.
    """
    out, state = Path(settings.out), Path(settings.state_folder)
    check_out(out, [TABLE, TEXT])
    went_on = state.exists()
    try:
        lines = _judged(settings, state)
    except InputError:
        if not went_on:
            discard(state)  # of what is refused nothing is left
        raise
    with written_folder(out) as folder:
        (folder / TABLE).write_bytes((state / "validation" / TABLE).read_bytes())
        write_text(folder / TEXT, "\n".join(lines) + "\n")
        write_settings(folder, settings)
        write_record(folder / RECORD, {"outputs": hashed(folder, TABLE, TEXT)})
    discard(state)
    for line in lines:
        print(line, flush=True)


def _judged(settings: ValidateRows, state: Path) -> list[str]:
    """Run the stages, and say a sentence a method."""
    folders = {name: str(state / name) for name in ("data", "finetuned", "retrained", "validation")}
    _prepare(settings, state / "files", folders["data"])
    data = read_record(Path(folders["data"]) / RECORD)["content_sha256"]
    trained = _finetune(settings, state, folders)
    _once(trained, data, finetune)
    where = {"data": folders["data"], "finetuned": folders["finetuned"], "seed": settings.seed}
    _once(Retrain.of(settings, **where, state=None, out=folders["retrained"]), data, retrain)
    judged = Validate.of(
        settings,
        **where,
        retrained=folders["retrained"],
        study="validate",
        task=Path(settings.train).name,
        model_name=trained.model.name,
        removal=None,
        randomised=False,
        state=None,
        out=folders["validation"],
    )
    _once(judged, data, validate)
    return _lines(Path(folders["validation"]) / TABLE)


def _prepare(settings: ValidateRows, links: Path, out: str) -> None:
    """Draw the rows; two files are read as a folder, that of links to them."""
    source, splits = DataSource(path=settings.train), SplitNames()
    shown = {}
    if settings.target is not None:
        names = {"train": Path(settings.train).name, "validation": f"target-{Path(settings.target).name}"}
        links.mkdir(parents=True, exist_ok=True)
        for name, file in zip(names.values(), (settings.train, settings.target), strict=True):
            (links / name).unlink(missing_ok=True)
            (links / name).symlink_to(Path(file).absolute())
            shown[str(links / name)] = file
        source, splits = DataSource(path=str(links)), SplitNames(**names)
    drawn = Prepare.of(
        settings,
        **{name: getattr(settings, name) for name in COLUMNS if hasattr(settings, name)},
        source=source,
        splits=splits,
        format=_FORMAT[settings.family],
        train=settings.rows,
        validation=settings.queries,
        test=1,  # nothing is tested, but there has to be some
        out=out,
    )
    try:
        prepare(drawn)
    except InputError as error:
        message = str(error)
        for link, file in shown.items():
            message = message.replace(link, file)
        raise InputError(message) from None


def _finetune(settings: ValidateRows, state: Path, folders: dict[str, str]) -> Finetune:
    model = plain_source(settings.model or _MODEL, settings.seed, settings, state)
    folder = resolve_model_folder(model, resolve_cache(settings), settings.wheel_paths)
    return Finetune.of(
        settings,
        data=folders["data"],
        model=model,
        family=settings.family,
        target_modules=settings.target_modules or usual_targets(folder),
        state=None,
        out=folders["finetuned"],
    )


def _once(settings: Any, data: str, run: Callable[[Any], None]) -> None:
    """Run a stage, unless it has been run with these settings on these data."""
    try:
        record = read_record(Path(settings.out) / RECORD)
        if record["settings"] == settings.deciding() and record["data_sha256"] == data:
            return
    except (InputError, KeyError, TypeError):
        pass  # not there yet, or damaged: it is made again
    run(settings)


def _lines(path: Path) -> list[str]:
    """Say a sentence a method."""
    import pandas as pd

    frame = pd.read_csv(path)
    # Baselines, whose seconds are not known, and retraining itself only stand beside.
    own = frame[(frame["target"] == "query") & frame["seconds"].notna()]
    return [verdict(row.method, row.lds, row.low, row.high, row.ceiling) for row in own.itertuples()]
