"""Score every training sample by its influence on the target samples, at every kept checkpoint."""

from pathlib import Path
from typing import Any

from hyperinf.artifacts.environment import fingerprint, hashed
from hyperinf.artifacts.files import write_parquet, write_text
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.errors import InputError
from hyperinf.pipeline.opened import Finetuned, ids_of, machine
from hyperinf.pipeline.scoring import Scored, score_live
from hyperinf.pipeline.sharding.parts import read_part
from hyperinf.pipeline.sharding.steps import ShardedScores, gathered
from hyperinf.pipeline.tables import COST_COLUMNS, cost_rows, write_table
from hyperinf.settings.stages import Score

SHOWN = ("answer", "true_answer", "corruption")
SHOWN_WITH_IMAGES = ("question", "image", "kind")


def score(settings: Score) -> None:
    """Write ``CHECKPOINT.parquet`` for each checkpoint, ``cost.csv``, ``info.json``, and the number of ``shards``.

    Raises:
        InputError: data, weights or shards that cannot be used, or that do not belong together.
    """
    out, device = Path(settings.out), machine(settings)
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, device)
    shards = shards_of(settings, opened.checkpoints)
    train = opened.samples("train")
    shown = [*SHOWN, *(SHOWN_WITH_IMAGES if any(each.image for each in train) else ())]
    labels = {name: [getattr(each, name) for each in train] for name in shown}
    run = {
        "study": settings.study,
        "task": settings.task,
        "model": settings.model_name,
        "family": opened.settings.family,
        "setting": settings.setting or opened.settings.name,
    }
    costs: list[dict[str, Any]] = []
    reports, weights = {}, {}
    for checkpoint in opened.checkpoints:
        scored = _scored(settings, opened, checkpoint, shards.get(checkpoint), out)
        write_parquet(out / f"{checkpoint}.parquet", {"sample_id": ids_of(train), **labels, **scored.columns})
        costs += cost_rows({**run, "checkpoint": checkpoint, "seed": settings.seed}, scored.costs)
        reports[checkpoint] = scored.table.reports
        weights |= scored.weights
    write_table(out / "cost.csv", costs, COST_COLUMNS)
    more = {
        "run": run,
        "checkpoints": list(opened.checkpoints),
        "data_sha256": opened.info["data_sha256"],
        "finetuned": opened.info["settings"],
        "model_note": opened.info["model_note"],
        "truncated": {name: opened.encoded(name).truncated for name in ("train", "validation")},
        "reports": reports,
        **({"weights": weights} if weights else {}),
        "inputs": {
            **hashed(opened.data, "*.parquet"),
            **hashed(opened.folder, "*/*.safetensors", "training.csv"),
        },
        "outputs": hashed(out, "*.parquet"),
    }
    # Not in info.json, as it decides no result: it is how a workflow knows in how many shards a run was scored.
    write_text(out / "shards", f"{len(shards[opened.checkpoints[0]].scores) if shards else 1}\n")
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), device, **more))


def _scored(settings: Score, opened: Finetuned, checkpoint: str, shards: ShardedScores | None, scratch: Path) -> Scored:
    ids = ids_of(opened.samples("train"))
    if shards is not None:
        origin = opened.origin(checkpoint, settings.gradients_of)
        return gathered(shards, origin, ids, settings, settings.seed)
    model = opened.model(checkpoint)
    train, target = (
        opened.gradients(model, split, settings.gradient_batch_size, settings.gradients_of)
        for split in ("train", "validation")
    )
    return score_live(train, target, ids, settings, settings.seed, settings.store, scratch, opened.device)


def shards_of(settings: Score, checkpoints: tuple[str, ...]) -> dict[str, ShardedScores]:
    """Sort the files that shards left by checkpoint, which they name themselves; nothing where there are none.

    Raises:
        InputError: products without parts, a file that is no part, or a checkpoint without its files.
    """
    if not settings.products and not settings.parts:
        return {}
    found: dict[str, dict[str | None, list[Path]]] = {"products": {}, "parts": {}}
    for name, kind, files in (("products", "products", settings.products), ("parts", "scores", settings.parts)):
        for path in map(Path, files):
            found[name].setdefault(read_part(path, kind).origin.get("checkpoint"), []).append(path)
        for checkpoint in checkpoints:
            if checkpoint not in found[name]:
                raise InputError(f"{name}: got no file of {checkpoint}, expected those of every kept checkpoint")
    return {each: ShardedScores(tuple(found["products"][each]), tuple(found["parts"][each])) for each in checkpoints}
