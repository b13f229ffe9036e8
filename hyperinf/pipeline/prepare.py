"""The stage ``prepare``: draw the splits of a task, harm the training samples, write what came of it."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from hyperinf.artifacts.environment import hashed, source_files
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.data.assembly import assemble
from hyperinf.data.corruption import LABEL_NOISE
from hyperinf.data.description import describe
from hyperinf.data.folders import check_out, written_folder
from hyperinf.data.images import IMAGES
from hyperinf.data.prompts import load_template, render
from hyperinf.data.samples import CONTRADICTORY, SPLITS, Sample, write_contradictory, write_samples
from hyperinf.settings.stages import Prepare

_log = logging.getLogger(__name__)


def prepare(settings: Prepare) -> None:
    """Write ``{train,validation,test}.parquet``, ``info.json``, ``settings.yaml`` and, if there are any, ``images/``.

    ``contradictory.parquet`` lists the samples of which the source has copies with another answer, where it has any.

    The same settings and source give the same bytes. The folder appears whole or not at all; one that is there already
    is replaced. It holds all that later stages read, copies of the images included, and may be moved.

    Raises:
        InputError: a source cannot be used, or the folder holds something else; one line says what and where.
    """
    out = Path(settings.out)
    check_out(out, [*(f"{split}.parquet" for split in SPLITS), CONTRADICTORY, IMAGES])
    assembly = assemble(settings)
    samples = [each for split in SPLITS for each in assembly.splits[split]]
    _check_templates(assembly.templates, samples)
    info = describe(settings, assembly)
    for remark in info["remarks"]:
        _log.warning(remark)
    flipped = info["corrupted"][LABEL_NOISE]
    if flipped and settings.source.kind != "asset":
        _log.warning("%d of your training labels are flipped in what is written, as label_noise asks", flipped)
    with written_folder(out) as folder:
        for split in SPLITS:
            write_samples(folder, split, assembly.splits[split])
        if assembly.drawn.contradictory:
            write_contradictory(folder, assembly.drawn.contradictory)
        assembly.images.copy(samples, folder)
        write_settings(folder, settings)
        sets = [each for each in (settings, settings.off_task_data, settings.test_data) if each is not None]
        inputs = {name: digest for each in sets for name, digest in source_files(each.source).items()}
        write_record(folder / RECORD, {**info, "inputs": inputs, "outputs": hashed(folder, "*.parquet")})


def _check_templates(templates: Mapping[str, str], samples: Iterable[Sample]) -> None:
    loaded = {source: load_template(name) for source, name in templates.items()}
    for each in samples:
        render(loaded[each.source], each)
