"""Score every training sample by its influence on the target samples, at one checkpoint of the fine-tuning."""

from pathlib import Path

from hyperinf.artifacts.environment import fingerprint, hashed
from hyperinf.artifacts.files import sha256_file, write_parquet, write_text
from hyperinf.artifacts.records import RECORD, write_record, write_settings
from hyperinf.pipeline.baselines import Scene, taken_baselines
from hyperinf.pipeline.opened import Finetuned, ids_of, machine, run_key
from hyperinf.pipeline.pooled import read_earlier, with_pools
from hyperinf.pipeline.scoring import Scored, score_live
from hyperinf.pipeline.sharding.steps import ShardedScores, gathered
from hyperinf.pipeline.tables import COST_COLUMNS, cost_rows, write_table
from hyperinf.settings.stages import Score

SHOWN = ("answer", "true_answer", "corruption")
SHOWN_WITH_IMAGES = ("question", "image", "kind")


def score(settings: Score) -> None:
    """Write ``scores.parquet``, ``cost.csv``, ``info.json``, and the number of ``shards``.

    Raises:
        InputError: data, weights or shards that cannot be used, or that do not belong together.
    """
    out, device = Path(settings.out), machine(settings)
    opened = Finetuned.opened(Path(settings.finetuned), Path(settings.data), settings, device)
    checkpoint = settings.checkpoint or opened.checkpoints[-1]
    train = opened.samples("train")
    run = run_key(settings, opened) | {"checkpoint": checkpoint}
    scene = Scene(opened, checkpoint, settings.gradients_of, settings.gradient_batch_size)
    # First what may be refused.
    earlier = [Path(folder) for folder in settings.earlier]
    before = read_earlier(settings, opened, checkpoint, earlier, run)
    baselines, costs = taken_baselines(scene, settings.baselines)
    scored = _scored(settings, scene)
    shown = [*SHOWN, *(SHOWN_WITH_IMAGES if any(each.image for each in train) else ())]
    labels = {name: [getattr(each, name) for each in train] for name in shown}
    columns = with_pools(scored.columns | baselines, settings, opened, checkpoint, before)
    write_parquet(out / "scores.parquet", {"sample_id": ids_of(train), **labels, **columns})
    write_table(out / "cost.csv", cost_rows(run, {**scored.costs, **costs}), COST_COLUMNS)
    more = {
        "run": run,
        "data_sha256": opened.info["data_sha256"],
        "finetuned": opened.info["settings"],
        "model_note": opened.info["model_note"],
        "truncated": {name: opened.encoded(name).truncated for name in ("train", "validation")},
        "reports": scored.table.reports,
        **({"weights": scored.weights} if scored.weights else {}),
        "inputs": {
            **hashed(opened.data, "*.parquet"),
            **hashed(opened.folder, f"{checkpoint}/*.safetensors"),
            **{f"{each.name}/scores.parquet": sha256_file(each / "scores.parquet") for each in earlier},
        },
        "outputs": hashed(out, "scores.parquet"),
    }
    # Not in info.json, as it decides no result: it is how a workflow knows in how many shards a run was scored.
    write_text(out / "shards", f"{len(settings.parts) or 1}\n")
    write_settings(out, settings)
    write_record(out / RECORD, fingerprint(settings.deciding(), device, **more))


def _scored(settings: Score, scene: Scene) -> Scored:
    opened, ids = scene.opened, ids_of(scene.opened.samples("train"))
    if settings.products is not None:
        shards = ShardedScores(Path(settings.products), tuple(map(Path, settings.parts)))
        return gathered(shards, opened.origin(scene.checkpoint, settings.gradients_of), ids, settings, settings.seed)
    train, target = scene.gradients("train"), scene.gradients("validation")
    scratch = Path(settings.out)
    return score_live(train, target, ids, settings, settings.seed, settings.store, scratch, opened.device)
