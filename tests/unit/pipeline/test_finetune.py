import pytest
from stage_runs import same_files, table

import hyperinf.pipeline.finetune as module
from hyperinf.artifacts.records import read_record
from hyperinf.gradients.losses import default_loss
from hyperinf.settings.stages import Finetune


def killed(monkeypatch, run, out, step=None, epoch=None):
    """Start a fine-tuning that dies before a step, or once an epoch's weights are kept but no state says so."""
    real = module.train

    def dying(model, encoded, settings, seed, state, identity, on_epoch, loss_fn, save_seconds, on_moments):
        taken: list[int] = []

        def loss(*arguments):
            if len(taken) == step:
                raise KeyboardInterrupt
            taken.append(0)
            return (loss_fn or default_loss)(*arguments)

        def dies(number):
            on_epoch(number)
            if number == epoch:
                raise KeyboardInterrupt

        return real(model, encoded, settings, seed, state, identity, dies, loss, save_seconds, on_moments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", dying)
        with pytest.raises(KeyboardInterrupt):
            run.finetune(out)
    assert not out.exists()
    return out.with_name(f"{out.name}.state")


def test_the_checkpoints_asked_for_are_kept_and_what_the_model_scores_at_them(run):
    log = table(run.finetuned, "training.csv")
    assert list(log.columns) == ["epoch", "step", "loss"]
    assert log["step"].iloc[-1] == {"classifier": 60, "causal": 5}[run.family]
    info = read_record(run.finetuned / "info.json")
    assert tuple(info["accuracies"]) == run.checkpoints
    assert all(found.keys() == {"validation", "test"} for found in info["accuracies"].values())
    names = {*run.checkpoints, "info.json", "settings.yaml", "training.csv"}
    assert {path.name for path in run.finetuned.iterdir()} == names
    assert not run.finetuned.with_name("finetuned.state").exists()


def test_a_classifier_learns_what_tells_the_classes(run_of):
    run = run_of("classifier")
    losses = table(run.finetuned, "training.csv")["loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    info = read_record(run.finetuned / "info.json")
    accuracies = [info["accuracies"][name]["test"]["accuracy"] for name in ("epoch-1", "epoch-4")]
    assert accuracies[1] > 0.8
    assert accuracies[1] >= accuracies[0]


@pytest.mark.parametrize(
    ("family", "kill"),
    [
        *(("classifier", {"epoch": epoch}) for epoch in (1, 3, 4)),
        ("classifier", {"step": 20}),
        ("causal", {"step": 3}),
    ],
    ids=str,
)
def test_a_run_that_was_killed_ends_in_the_same_bytes(run_of, tmp_path, monkeypatch, family, kill):
    run = run_of(family)
    state = killed(monkeypatch, run, tmp_path / "out", **kill)
    same_files(run.finetune(tmp_path / "out"), run.finetuned)
    assert not state.exists()


@pytest.mark.parametrize("name", ["identity", "kept/epoch-1/adapter_model.safetensors", "kept/epoch-1/accuracy.json"])
def test_a_bit_flipped_in_what_a_killed_run_left_means_beginning_again(run_of, tmp_path, monkeypatch, name):
    run = run_of("classifier")
    path = killed(monkeypatch, run, tmp_path / "out", epoch=1) / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 128
    path.write_bytes(content)
    same_files(run.finetune(tmp_path / "out"), run.finetuned)


def test_what_a_killed_run_of_other_settings_left_is_not_used(run_of, tmp_path):
    run = run_of("classifier")
    kept = tmp_path / "out.state" / "kept" / "epoch-1"
    kept.mkdir(parents=True)
    (kept / "adapter_model.safetensors").write_bytes(b"of another run")
    (kept.parents[1] / "identity").write_text("another")
    same_files(run.finetune(tmp_path / "out"), run.finetuned)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        *(({"epochs": 4, "checkpoints": kept}, "checkpoints") for kept in ((), (0, 4), (1, 1, 4), (1, 2))),
        ({"max_steps": 4, "checkpoints": (4,)}, "checkpoints"),
        ({"epochs": 1, "trained": "projector"}, "trained.*projector.*expected one of lora"),
        ({"epochs": 1, "model": "tiny"}, "path:NAME"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_or_trained_is_refused_by_name(settings, name):
    with pytest.raises(ValueError, match=name):
        Finetune(**{"data": "d", "model": "path:m", "family": "classifier", "seed": 1, "out": "o", **settings})
