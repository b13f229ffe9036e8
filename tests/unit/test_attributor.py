"""The front door: scores as ``influence_scores`` has them, with names."""

import subprocess
import sys

import pytest
import torch

from hyperinf import METHODS, Attributor, LiveSource, TensorSource, influence_scores


def model_and_batches():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).double()
    x, y = torch.randn(17, 5, dtype=torch.float64), torch.randint(0, 3, (17,))
    return model, list(zip(x[:12].split(5), y[:12].split(5))), list(zip(x[12:].split(2), y[12:].split(2)))


def gathered(model, batches):
    start, pairs = 0, []
    for x, y in batches:
        pairs.append(([str(i) for i in range(start, start + len(x))], (x, y)))
        start += len(x)
    return TensorSource.gather(LiveSource(model, pairs))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_scores_are_those_of_gathered_gradients_and_the_mean_of_single_queries(method):
    model, train, target = model_and_batches()
    a = Attributor(model, method).fit(train)
    scores = a.score(target, by_layer=True)
    expected = influence_scores(gathered(model, train), gathered(model, target), method=method, solver="auto")
    assert scores["influence"].to_numpy() == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-12)
    assert list(scores.index) == [str(i) for i in range(12)]
    layers = [name for name in scores if name.startswith("influence/")]
    assert scores[layers].sum(axis=1).to_numpy() == pytest.approx(scores["influence"].to_numpy())
    each = a.score_each(target)
    assert each.mean(axis=1).to_numpy() == pytest.approx(expected.numpy(), rel=1e-7, abs=1e-10)
    few = a.score_each(target, memory_bytes=1)
    assert few.to_numpy() == pytest.approx(each.to_numpy(), rel=1e-9, abs=1e-12)
    best = a.top(target, k=2)
    assert best["influence"][0] == each["0"].min()
    own = a.self_influence()["self_influence"]
    assert own.to_numpy() == pytest.approx([-a.score_each(train)[i][i] for i in own.index], rel=1e-9)


def test_mistakes_are_one_line():
    model, train, target = model_and_batches()
    with pytest.raises(ValueError, match=r"^method: got 'x', expected one of"):
        Attributor(model, "x")
    with pytest.raises(ValueError, match=r"expected fit"):
        Attributor(model).score(target)
    a = Attributor(model).fit(train)
    with pytest.raises(ValueError, match=r"^target: got no samples"):
        a.score([])
    with pytest.raises(ValueError, match=r"^target: got layer '0.weight' as None"):
        a.score(TensorSource({"w": torch.ones(2, 1, 3)}))
    loader = torch.utils.data.DataLoader(list(range(3)), shuffle=True)
    with pytest.raises(ValueError, match=r"^train: got a DataLoader that shuffles"):
        a.fit(loader)
    with torch.no_grad():
        model[0].weight += 1
    with pytest.raises(ValueError, match="the model must not change"):
        a.score(target)


def test_importing_the_package_imports_neither_torch_nor_numpy():
    code = "import sys, hyperinf; assert not {'torch', 'numpy'} & set(sys.modules); print(dir(hyperinf))"
    names = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "Attributor" in names


def test_an_adapted_llama_from_folders_is_scored(tiny_llama, tmp_path):
    from hyperinf.models.causal import load_causal
    from hyperinf.models.lora import LoraSettings, add_lora

    settings = LoraSettings(rank=2, targets=("q_proj", "v_proj"))
    add_lora(load_causal(str(tiny_llama)), settings, "CAUSAL_LM").save_pretrained(str(tmp_path))
    a = Attributor.from_pretrained(str(tiny_llama), str(tmp_path), method="tracin")
    ids = torch.arange(20).reshape(4, 5)
    batches = [{"input_ids": ids, "labels": ids}]
    with pytest.warns(UserWarning, match="zero"):  # B of a fresh adapter is zero, and so is the gradient of A
        scores = a.fit(batches).score(batches)
    own = a.self_influence()["self_influence"].to_numpy()
    assert own == pytest.approx(scores["grad_norm"].to_numpy() ** 2, rel=1e-5)
    with pytest.raises(ValueError, match="family"):
        Attributor.from_pretrained(str(tiny_llama), family="other")


def test_rows_of_model_inputs_are_put_into_batches(tiny_llama):
    a = Attributor.from_pretrained(str(tiny_llama), method="tracin", layers=["model.layers.0.self_attn.q_proj.weight"])
    ids = [[row, row + 1, 2 * row, 3] for row in range(11)]
    rows = [{"input_ids": each, "labels": each, "text": "w"} for each in ids]
    batch = [{"input_ids": torch.tensor(ids), "labels": torch.tensor(ids)}]
    expected = a.fit(batch).score(batch)["influence"]
    actual = a.fit(rows).score(rows)["influence"]
    assert actual.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-3, abs=1e-6)
    with pytest.raises(ValueError, match=r"^train: got rows of different lengths"):
        a.fit([*rows, {"input_ids": [1], "labels": [1], "text": "w"}])
    with pytest.raises(ValueError, match=r"^train: got rows of text, expected model inputs"):
        a.fit([{"text": "w"}])


@pytest.mark.parametrize("form", [None, "torch", "numpy"])
def test_a_dataset_is_read_as_rows_whatever_its_format(form):
    from datasets import Dataset

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    x, y = torch.randn(10, 4), torch.randint(0, 3, (10,))
    rows = Dataset.from_dict({"input": x.tolist(), "labels": y.tolist(), "note": ["text"] * 10}).with_format(form)
    found = Attributor(model, "tracin").fit(rows).score(rows)
    pairs = [([str(i) for i in range(10)], (x, y))]
    expected = Attributor(model, "tracin").fit(pairs).score(pairs)
    assert list(found.index) == list(expected.index)
    assert abs(found - expected).to_numpy().max() < 1e-5
