"""Draw a pool, validation and test questions; corrupt the pool; write what came of it."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import hashed, source_files
from hyperinf.artifacts.records import RECORD, read_record, write_record
from hyperinf.data.folders import check_content_hash, check_out, written_folder
from hyperinf.data.prompts import load_template, render
from hyperinf.data.questions.assembly import Assembly, assemble
from hyperinf.data.questions.config import QuestionTaskConfig
from hyperinf.data.questions.description import describe
from hyperinf.data.questions.images import IMAGES, Images
from hyperinf.data.questions.question import Question
from hyperinf.data.questions.splits import SPLITS, write_questions
from hyperinf.errors import InputError

_log = logging.getLogger(__name__)


def prepare_questions(config: QuestionTaskConfig, out: Path) -> None:
    """Write ``{pool,validation,test}.parquet``, ``info.json`` and, if there are any, ``images/``.

    The same configuration and source give the same bytes. ``out`` appears whole or not at all; a task that is there
    already is replaced. It holds all that later stages read, copies of the images included, and may be moved.

    Args:
        config: what to draw from where.
        out: the task's folder.

    Raises:
        InputError: the source cannot be used, or ``out`` holds something else; one line says what and where.
    """
    out = Path(out)
    check_out(out, [*(f"{split}.parquet" for split in SPLITS), IMAGES])
    images = Images(config.skip_bad_images)
    assembly = assemble(config, images)
    questions = [each for split in SPLITS for each in assembly.splits[split]]
    _check_templates(assembly.templates, questions)
    info = describe(config, assembly, images.skipped)
    _warn(config, assembly, images.skipped)
    with written_folder(out) as folder:
        for split in SPLITS:
            write_questions(folder, split, assembly.splits[split])
        images.copy(questions, folder)
        more = {"inputs": source_files(config.source), "outputs": hashed(folder, "*.parquet")}
        write_record(folder / RECORD, {**info, **more})


def read_questions_info(folder: Path) -> dict[str, Any]:
    """Read a task's ``info.json``.

    Raises:
        InputError: it is missing or is not one, or the data has changed since.
    """
    path = Path(folder) / RECORD
    info = read_record(path)
    if not isinstance(info, dict) or not isinstance(info.get("templates"), dict):
        raise InputError(f"{path}: not the description of a question task (no templates)")
    check_content_hash(path, info)
    return info


def _check_templates(templates: Mapping[str, str], questions: Iterable[Question]) -> None:
    loaded = {source: load_template(name) for source, name in templates.items()}
    for each in questions:
        render(loaded[each.source], each)


def _warn(config: QuestionTaskConfig, assembly: Assembly, skipped: list[str]) -> None:
    where = config.origin.where
    for split, number in config.asked.items():
        if len(assembly.splits[split]) < number:
            _log.warning("%s: %d %s questions, %d asked for", where, len(assembly.splits[split]), split, number)
    for reason, number in assembly.reading.unusable.items():
        _log.warning("%s: %d rows left out: %s", where, number, reason)
    if skipped:
        _log.warning(
            "%s: %d questions passed over, whose images are missing or bad (%s)", where, len(skipped), skipped[0]
        )
    contradictory = assembly.drawn.contradictory
    if contradictory:
        _log.warning(
            "%s: %d questions left out, which have two answers (%s)", where, len(contradictory), contradictory[0]
        )
