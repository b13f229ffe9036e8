"""K-FAC and EK-FAC against a loop over samples and positions, and against kronfluence's numbers."""

import json
from pathlib import Path

import attending
import numpy as np
import pytest
import torch
from test_live_scores import batches, model_and_layers

from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore, LiveSource, TensorSource
from hyperinf.gradients.losses import causal_loss
from hyperinf.influence import build_method, gradient_statistics, influence_scores, score_methods

METHODS = ("ekfac", "kfac")
DAMPING = 0.1


def pairs(batch, size=5):
    count = len(batch["labels"])
    return [
        (
            [str(place) for place in range(start, min(start + size, count))],
            {name: value[start : start + size] for name, value in batch.items()},
        )
        for start in range(0, count, size)
    ]


def attending_sources(size=5):
    model = attending.model()
    data = (attending.batch(attending.SAMPLES, 1), attending.batch(attending.QUERIES, 2))
    return tuple(LiveSource(model, pairs(each, size), attending.losses, attending.LAYERS) for each in data)


def seen_by(model, modules, loss_fn, sample):
    """Inputs and gradients of outputs of each module for a sample's loss, ``[t, d_in]`` and ``[t, d_out]``."""
    seen, handles = {}, []
    for name, module in modules.items():

        def hook(_, inputs, output, name=name):
            output.retain_grad()
            seen[name] = inputs[0].detach(), output

        handles.append(module.register_forward_hook(hook))
    loss = loss_fn(model, sample).sum()
    for handle in handles:
        handle.remove()
    loss.backward()
    model.zero_grad()
    return {name: (x.flatten(0, -2).numpy(), out.grad.flatten(0, -2).numpy()) for name, (x, out) in seen.items()}


def by_hand(method, train, target):
    """``train`` and ``target``: a list of samples, each ``{layer: (inputs, output gradients)}``."""
    scores = np.zeros(len(train))
    for layer in train[0]:
        inputs, outputs = (np.concatenate([sample[layer][side] for sample in train]) for side in (0, 1))
        a, qa = np.linalg.eigh(inputs.T @ inputs / len(inputs))
        b, qb = np.linalg.eigh(outputs.T @ outputs / len(outputs))
        g = [sample[layer][1].T @ sample[layer][0] for sample in train]
        v = np.mean([sample[layer][1].T @ sample[layer][0] for sample in target], axis=0)
        values = np.outer(b, a) if method == "kfac" else np.mean([(qb.T @ x @ qa) ** 2 for x in g], axis=0)
        hvp = qb @ ((qb.T @ v @ qa) / (values + DAMPING * values.mean())) @ qa.T
        scores -= [np.sum(hvp * x) for x in g]
    return scores


def alone(batch, row):
    """One sample without its padding."""
    real = batch["attention_mask"][row] != 0
    return {
        name: value[row : row + 1, real] if value.ndim == 2 else value[row : row + 1] for name, value in batch.items()
    }


@pytest.mark.parametrize("method", METHODS)
def test_scores_equal_a_loop_over_samples_without_padding(method):
    model = attending.model()
    modules = {name: getattr(model, name.removesuffix(".weight")) for name in attending.LAYERS}
    data = (attending.batch(attending.SAMPLES, 1), attending.batch(attending.QUERIES, 2))
    seen = [
        [seen_by(model, modules, attending.losses, alone(each, row)) for row in range(len(each["labels"]))]
        for each in data
    ]
    train, target = attending_sources()
    found = influence_scores(train, target, method=method)
    np.testing.assert_allclose(found, by_hand(method, *seen), rtol=1e-8)


@pytest.mark.parametrize("kind", ["lora", "dense"])
@pytest.mark.parametrize("method", METHODS)
def test_scores_of_a_padded_language_model_equal_a_loop_over_samples(method, kind):
    model, layers = model_and_layers(kind)
    data = batches(0, 10), batches(20, 4)
    train, target = (LiveSource(model, each, causal_loss, layers) for each in data)
    modules = {name: model.get_submodule(name.removesuffix(".weight")) for name in train.layers}
    seen = [
        [seen_by(model, modules, causal_loss, alone(batch, row)) for names, batch in each for row in range(len(names))]
        for each in data
    ]
    found = influence_scores(train, target, method=method)
    np.testing.assert_allclose(found, by_hand(method, *seen), rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_scores_equal_kronfluence_s(method):
    """Made by ``benchmarks/kronfluence.py`` in an environment of its own."""
    known = json.loads((Path(__file__).parent / "kronfluence.json").read_text())
    train, target = attending_sources()
    found = influence_scores(train, target, method=method, damping=known["damping"]).numpy()
    expected = -np.array(known["scores"][method]).mean(axis=0)  # a row a query; there positive helps
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_batches_and_where_gradients_are_held_do_not_change_a_score(method, tmp_path):
    train, target = attending_sources()
    whole = influence_scores(train, target, method=method)
    again, _ = attending_sources(size=1)
    torch.testing.assert_close(influence_scores(again, target, method=method), whole, rtol=1e-9, atol=0)
    held = TensorSource.gather(train)
    torch.testing.assert_close(influence_scores(held, target, method=method), whole, rtol=1e-9, atol=0)
    store = GradientStore.write(tmp_path / "store", train, dtype="float64")
    store.origin = train
    torch.testing.assert_close(influence_scores(store, target, method=method), whole, rtol=1e-9, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_that_have_lost_their_positions_are_refused(method, tmp_path):
    train, target = attending_sources()
    store = GradientStore.write(tmp_path / "store", train)
    with pytest.raises(InputError, match=rf"^{method}: got gradients of layer 'first\.weight'"):
        influence_scores(store, target, method=method)


def test_methods_beside_them_keep_their_scores():
    held, target = (TensorSource.gather(each) for each in attending_sources())
    alone = score_methods(held, target, ["lissa", "datainf"])
    beside = score_methods(held, target, ["lissa", "datainf", *METHODS])
    for method in ("lissa", "datainf"):
        torch.testing.assert_close(alone.influence[method], beside.influence[method], rtol=1e-12, atol=0)


@pytest.mark.parametrize("statistics", ["taken before", "taken beside the covariances"])
@pytest.mark.parametrize("method", METHODS)
def test_vectors_at_once_are_vectors_one_after_the_other_and_the_basis_is_learnt_once(method, statistics):
    train, target = attending_sources()
    sweeps = []

    class Counted(LiveSource):
        def __iter__(self):
            sweeps.append(1)
            return super().__iter__()

    counted = Counted(train.model, train.batches, attending.losses, attending.LAYERS)
    built = build_method(method)
    built.fit(counted, gradient_statistics(counted, gfim=False) if statistics == "taken before" else None)
    assert len(sweeps) == 1
    sweeps.clear()
    left = built.sweeps - (statistics != "taken before")
    stacked = {name: tensor.double() for name, tensor in TensorSource.gather(target)._gradients.items()}
    together = built.precondition_each(stacked)
    assert len(sweeps) == left
    for row in range(attending.QUERIES):
        single = built.precondition({name: stack[row] for name, stack in stacked.items()})
        for name, product in single.items():
            torch.testing.assert_close(together[name][row], product, rtol=1e-9, atol=1e-12)
    assert len(sweeps) == left


@pytest.mark.parametrize("method", METHODS)
def test_the_gradients_unit_changes_no_order(method):
    train, target = attending_sources()
    scores = [influence_scores(train, target, method=method)]

    def tiny(model, batch):
        return attending.losses(model, batch) * 1e-18

    small, aim = (LiveSource(each.model, each.batches, tiny, attending.LAYERS) for each in (train, target))
    scores.append(influence_scores(small, aim, method=method))
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-6, atol=0)
