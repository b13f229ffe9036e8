"""Datasets, collators, DataLoaders and Trainers give the scores of batches; a callback scores as a Trainer trains."""

import copy

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from foreign import adapter, base, rows_of
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hyperinf import Attributor, HyperINFCallback
from hyperinf.models.pretrained import load_pretrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return base(tmp_path_factory.mktemp("trainers") / "base", "classifier")


@pytest.fixture(scope="module")
def sets(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    made = {}
    for role, count, seed in (("train", 11, 1), ("target", 5, 2)):
        rows = datasets.Dataset.from_list(rows_of("classifier", count, seed))
        made[role] = rows.map(lambda row: tokenizer(row["text"]))
    return made


@pytest.fixture
def model(folder, tmp_path):
    return load_pretrained(str(folder), str(adapter(tmp_path / "adapter", folder, "classifier")))


@pytest.fixture
def collator(folder):
    return DataCollatorWithPadding(AutoTokenizer.from_pretrained(folder))


def arguments(folder, **more):
    given = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "report_to": [], "seed": 3, "use_cpu": True}
    return TrainingArguments(
        output_dir=str(folder), save_strategy="no", disable_tqdm=True, learning_rate=1e-2, **{**given, **more}
    )


def in_batches(dataset, collator, size=3):
    rows = [{key: row[key] for key in ("input_ids", "attention_mask", "label")} for row in dataset]
    return [collator(rows[start : start + size]) for start in range(0, len(rows), size)]


def test_datasets_loaders_and_trainers_give_the_scores_of_batches(model, sets, collator, tmp_path):
    expected = Attributor(model).fit(in_batches(sets["train"], collator)).score(in_batches(sets["target"], collator))
    plain = {role: rows.remove_columns(["text"]) for role, rows in sets.items()}
    loaders = {role: torch.utils.data.DataLoader(rows, 4, collate_fn=collator) for role, rows in plain.items()}
    trainer = Trainer(model, arguments(tmp_path), collator, sets["train"], sets["target"])
    found = {
        "collator": Attributor(model, collator=collator).fit(sets["train"]).score(sets["target"]),
        "loader": Attributor(model).fit(loaders["train"]).score(loaders["target"]),
        "rows": Attributor(model).fit(plain["train"]).score(plain["target"]),
        "trainer": Attributor.from_trainer(trainer).fit().score(trainer.eval_dataset),
    }
    for scores in found.values():
        assert scores.index.tolist() == expected.index.tolist()
        np.testing.assert_allclose(scores, expected, rtol=2e-4, atol=1e-6)


def test_a_column_of_ids_names_the_samples(model, sets, collator, tmp_path):
    names = [f"row {number}" for number in range(11)]
    named = sets["train"].add_column("id", names)
    trainer = Trainer(model, arguments(tmp_path), collator, named, sets["target"])
    for a in (Attributor(model, collator=collator).fit(named), Attributor.from_trainer(trainer).fit()):
        scores = a.score(sets["target"])
        assert scores.index.tolist() == names
    assert a.top(sets["target"], k=1)["sample_id"].isin(names).all()


class Squared(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        logits = model(**inputs).logits
        return ((logits - torch.nn.functional.one_hot(labels, 3)) ** 2).sum(dim=1).mean()


@pytest.mark.parametrize("kind", ["smoothed", "own"])
def test_a_trainers_own_loss_is_the_one_that_is_scored(model, sets, collator, tmp_path, kind):
    if kind == "own":
        trainer: Trainer = Squared(model, arguments(tmp_path), collator, sets["train"])
    else:
        trainer = Trainer(model, arguments(tmp_path, label_smoothing_factor=0.2), collator, sets["train"])

    def loss(model, batch):
        logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
        if kind == "own":
            return ((logits - torch.nn.functional.one_hot(batch["labels"], 3)) ** 2).sum(dim=1)
        return torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="none", label_smoothing=0.2)

    expected = Attributor(model, loss=loss, collator=collator).fit(sets["train"]).score(sets["target"])
    found = Attributor.from_trainer(trainer).fit().score(sets["target"])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert (
        found["loss"] - Attributor(model, collator=collator).fit(sets["train"]).score(sets["target"])["loss"]
    ).abs().min() > 1e-3


class Snapshots(TrainerCallback):
    """The weights and the learning rate of each update."""

    def __init__(self):
        self.weights, self.rates = {}, {}

    def on_step_begin(self, args, state, control, **kwargs):
        self.rate = kwargs["optimizer"].param_groups[0]["lr"]

    def on_step_end(self, args, state, control, **kwargs):
        self.weights[state.global_step] = copy.deepcopy(kwargs["model"].state_dict())
        self.rates[state.global_step] = self.rate


def dots(model, sets, tokenizer):
    """``-<g_i, mean g_target>`` by a loop of autograd, ``[n]``."""
    weights = [weight for weight in model.parameters() if weight.requires_grad and weight.ndim > 1]

    def gradients(rows):
        for row in rows:
            batch = tokenizer(row["text"], return_tensors="pt")
            loss = model(**batch, labels=torch.tensor([row["label"]])).loss
            yield torch.cat([each.flatten() for each in torch.autograd.grad(loss, weights)]).double()

    target = torch.stack(list(gradients(sets["target"]))).mean(dim=0)
    return np.array([-float(each @ target) for each in gradients(sets["train"])])


def trained(model, sets, collator, folder, *callbacks, **more):
    trainer = Trainer(model, arguments(folder, **more), collator, sets["train"], callbacks=list(callbacks))
    trainer.train()
    return trainer


def test_scores_are_averaged_over_steps_by_their_learning_rates(model, folder, sets, collator, tmp_path, capsys):
    seen = Snapshots()
    callback = HyperINFCallback(sets["target"], [2, 3, 5], "tracin", top=2, out=tmp_path / "scores.parquet")
    trainer = trained(model, sets, collator, tmp_path, seen, callback, warmup_steps=2, lr_scheduler_type="linear")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    by_step = {}
    for step in (2, 3, 5):
        model.load_state_dict(seen.weights[step])
        by_step[step] = dots(model.eval(), sets, tokenizer)
        np.testing.assert_allclose(callback.by_step[step], by_step[step], rtol=1e-3, atol=1e-5)
        assert callback.learning_rates[step] == seen.rates[step] > 0
    expected = sum(seen.rates[step] * each for step, each in by_step.items()) / sum(
        seen.rates[step] for step in by_step
    )
    np.testing.assert_allclose(callback.scores["influence"], expected, rtol=1e-3, atol=1e-5)
    suspects = callback.suspects()
    assert suspects.index.tolist() == [str(place) for place in np.argsort(-expected)[:2]]
    shown = capsys.readouterr().out
    assert shown.count("samples scored") == 3
    assert [each["suspects"] for each in trainer.state.log_history if "suspects" in each][-1] == suspects.index.tolist()
    written = pd.read_parquet(tmp_path / "scores.parquet")
    assert written.columns.tolist() == ["sample_id", "influence", "loss", "grad_norm", "step_2", "step_3", "step_5"]


def test_training_goes_on_as_it_would_without_the_callback(folder, sets, collator, tmp_path):
    ends = []
    for callbacks in ([], [HyperINFCallback(sets["target"], 1)]):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
        for name, weight in model.named_parameters():
            weight.requires_grad = name.startswith(("classifier", "bert.encoder.layer.1.attention.self"))
        ends.append(trained(model, sets, collator, tmp_path, *callbacks).model.state_dict())
    assert callbacks[0].by_step.shape == (11, 6)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_epochs_are_the_steps_where_nothing_is_said(model, sets, collator, tmp_path):
    callback = HyperINFCallback(sets["target"])
    trainer = trained(model, sets, collator, tmp_path, callback)
    assert callback.by_step.columns.tolist() == [3, 6]
    last = Attributor.from_trainer(trainer).fit().score(sets["target"])["influence"]
    np.testing.assert_allclose(callback.by_step[6], last, rtol=1e-3, atol=1e-5)


def test_mistakes_are_one_line(model, sets, collator, tmp_path, caplog):
    with pytest.raises(ValueError, match=r"^steps: got 0"):
        HyperINFCallback(sets["target"], 0)
    with pytest.raises(ValueError, match=r"^method: got 'x'"):
        HyperINFCallback(sets["target"], method="x")
    with pytest.raises(ValueError, match=r"^out: got 'a.txt'"):
        HyperINFCallback(sets["target"], out="a.txt")
    callback = HyperINFCallback(sets["target"], [100])
    trained(model, sets, collator, tmp_path, callback)
    assert "nothing is scored" in caplog.text
    with pytest.raises(ValueError, match="got no scores yet"):
        callback.suspects()
    stream = sets["target"].to_iterable_dataset()
    with pytest.raises(ValueError, match="with a length"):
        trained(model, sets, collator, tmp_path, HyperINFCallback(stream))
    a = Attributor(model, collator=collator)
    with pytest.raises(ValueError, match=r"^train: got rows of text, none of which"):
        a.fit(sets["train"].select_columns(["text"]))
    with pytest.raises(ValueError, match=r"^train: got no samples"):
        a.fit(sets["train"].select([]))
