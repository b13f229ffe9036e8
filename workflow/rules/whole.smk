# A file that only finished jobs have read is not missed by Snakemake when it is gone: whoever removed a damaged one, to
# have it made again, would be told that nothing is to be done. So all that a run leaves is asked for by name.
from types import SimpleNamespace

from hyperinf.settings.plan import cells


def whole_run():
    """The files and folders that a finished run consists of, but for the page."""
    found = [*rules.report_page.input]
    if SIMULATION in EXPERIMENT.run:
        found += rules.report_simulation.input
    for study, own in STUDIES.items():
        for task, model, setting in cells(own):
            for seed in own.seeds:
                found += of_run(study, own, task, model, setting, seed)
    # The user's own files are none of it.
    return [file for file in dict.fromkeys(map(str, found)) if file.startswith(f"{RESULTS}/")]


def of_run(study, own, task, model, setting, seed):
    """What one run of a study leaves, and what it is made from."""
    names = dict(study=study, task=task, model=model, setting=setting, trained=setting.partition(".of-")[0], seed=seed)
    of = SimpleNamespace(**names)
    yield from JOBS.source_files(*(entry.source for entry in JOBS.data_of(of)))
    yield from JOBS.unaligned_files(model)
    stages = [rules.prepare, rules.finetune]
    stages += [rules.align_data, rules.align] if EXPERIMENT.models[model].align else []
    stages += [rules.detect] if own.detection else []
    stages += [rules.retrain, rules.validate] if own.validation else []
    for stage in stages:
        yield from made(stage, **names)
    for checkpoint in own.finetuning.checkpoint_names:
        yield from made(rules.score, checkpoint=checkpoint, **names)
    for fraction in (*own.selection.fractions, 1.0) if own.selection else ():
        yield from made(rules.select, fraction=fraction, **names)


def made(stage, **names):
    """The outputs of a job."""
    return expand(list(map(str, stage.output)), **names)
