"""The warm-up: a short fine-tuning on the whole pool, whose weights the gradients are taken at."""

from dataclasses import dataclass
from pathlib import Path

from hyperinf.artifacts.environment import digest, fingerprint, hashed, model_files
from hyperinf.artifacts.files import atomic_directory, discard, write_text
from hyperinf.artifacts.records import RECORD, write_record
from hyperinf.data.folders import check_out
from hyperinf.data.questions import read_questions, read_questions_info
from hyperinf.models.trainable import save_trained
from hyperinf.pipeline.scorable import check_scorable
from hyperinf.pipeline.selection.model import ModelConfig, RunPaths, open_family, open_model, source_note, warn_of_limit
from hyperinf.pipeline.selection.run import stable
from hyperinf.training.loop import TrainingSettings, finetune


@dataclass(frozen=True)
class WarmupConfig:
    """Inputs of one warm-up."""

    model: ModelConfig
    training: TrainingSettings


def run_warmup(config: WarmupConfig, places: RunPaths, state: Path, out: Path) -> None:
    """Train on the pool; write the trained weights, ``training.csv`` and ``info.json``; goes on after a kill.

    Args:
        config: see :class:`WarmupConfig`.
        places: see :class:`RunPaths`.
        state: folder for what is needed to go on after a kill; removed at the end.
        out: folder to write; replaced if it exists.

    Raises:
        InputError: data, model or adapter targets that cannot be used; a loss that diverges.
    """
    import pandas as pd

    check_out(out, ["adapter_*", "trained.safetensors", "training.csv"])
    data = read_questions_info(places.data)
    family = open_family(config.model, places)
    questions = read_questions(places.data, "pool")
    fitting = family.fitting(questions)
    pool = family.encode(fitting)
    model = open_model(config.model, family, places)
    check_scorable(model, pool, family.loss, kinds=pool.kinds)
    warn_of_limit(family, config.model.max_length)
    identity = digest([stable(config), data["content_sha256"]])
    logs = finetune(model, pool, config.training, state / "resume.safetensors", identity, loss_fn=family.loss)
    with atomic_directory(out) as temporary:
        save_trained(model, config.model.source, temporary)
        write_text(temporary / "training.csv", pd.DataFrame([vars(log) for log in logs]).to_csv(index=False))
        more = {
            "data_sha256": data["content_sha256"],
            "truncated": pool.truncated,
            "inputs": {**hashed(places.data, "*.parquet"), **model_files(config.model.source)},
            "outputs": hashed(temporary, "*"),
            "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "model_note": source_note(config.model.source),
        }
        # What the settings do not say, as the model or the samples decided it.
        if family.max_length != config.model.max_length:
            more["max_length"] = family.max_length
        if len(fitting) < len(questions):
            there = {question.sample_id for question in fitting}
            more["skipped"] = [question.sample_id for question in questions if question.sample_id not in there]
        write_record(temporary / RECORD, fingerprint(stable(config), places.device, **more))
    discard(state)
