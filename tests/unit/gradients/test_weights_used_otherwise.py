"""Weights whose gradient is not what their own module's forward call saw: shared, used directly, changed on the way."""

import pytest
import torch
from oracles import alone, assert_same
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

from hyperinf.gradients import per_sample_gradients

FEATURES, CLASSES = 6, 3


def pairs(samples=5, *shape):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(samples, *(shape or (FEATURES,)), generator=generator, dtype=torch.float64)
    return x, torch.randint(0, CLASSES, (samples,), generator=generator)


def tokens(samples=5, width=4, vocabulary=FEATURES):
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, vocabulary, (samples, width), generator=generator)
    return ids, torch.randint(0, CLASSES, (samples,), generator=generator)


def singles(batch):
    x, y = batch
    return [(x[row : row + 1], y[row : row + 1]) for row in range(len(y))]


def loss(model, batch):
    return functional.cross_entropy(model(batch[0]), batch[1])


class TwoLinearsOneWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)
        self.second.weight = self.first.weight
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


class TiedHead(nn.Module):
    """The class of a text's last token, by the embeddings themselves."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(FEATURES, FEATURES)
        self.body = nn.Linear(FEATURES, FEATURES)
        self.head = nn.Linear(FEATURES, FEATURES, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.body(self.embedding(ids)))).mean(1)[:, :CLASSES]


class UsedDirectly(nn.Module):
    """The weight of a module that is also called is used through ``functional.linear`` as well."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)) + functional.linear(x, self.body.weight.T))


class NeverCalled(nn.Module):
    """The module only holds the weight, as Mamba's ``dt_proj`` does."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(x @ self.body.weight.t()))


class Regularised(nn.Module):
    """A weight that each sample's output depends on beside its own product."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x))) * (1 + self.body.weight.square().mean())


class Attention(nn.Module):
    """``out_proj`` is used by a function, not called."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(FEATURES, 2, batch_first=True)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Masked(nn.Linear):
    mask: torch.Tensor

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("mask", (torch.arange(self.weight.numel()) % 3 > 0).double().view_as(self.weight))

    def forward(self, x):
        return functional.linear(x, self.weight * self.mask, self.bias)


class Scaled(nn.Linear):
    def forward(self, x):
        return 0.25 * functional.linear(x, self.weight, self.bias)


class RoundedInputs(nn.Linear):
    """Quantisation-aware: inputs in steps of 1/8, gradients straight through."""

    def forward(self, x):
        return functional.linear(x + ((8 * x).round() / 8 - x).detach(), self.weight, self.bias)


class RoundedWeights(nn.Linear):
    def forward(self, x):
        return functional.linear(x, self.weight + ((8 * self.weight).round() / 8 - self.weight).detach(), self.bias)


class Normalised(nn.Module):
    def forward(self, weight):
        return weight / weight.norm(dim=1, keepdim=True)


def of_layer(layer):
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(FEATURES, CLASSES))


def parametrised():
    layer = nn.Linear(FEATURES, FEATURES).double()
    parametrize.register_parametrization(layer, "weight", Normalised())
    return of_layer(layer)


class Routed(nn.Module):
    """Experts that see the tokens of all samples together, in the order of the experts' choices."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(FEATURES, 2)
        self.experts = nn.ModuleList([nn.Linear(FEATURES, FEATURES) for _ in range(2)])
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        flat = x.flatten(0, 1)
        gates = self.router(flat).softmax(-1)
        out = torch.zeros_like(flat)
        for index, expert in enumerate(self.experts):
            mine = (gates.argmax(-1) == index).nonzero()[:, 0]
            order = mine[torch.argsort(gates[mine, index])]
            out = out.index_add(0, order, gates[order, index, None] * torch.tanh(expert(flat[order])))
        return self.head(out.view_as(x).mean(1))


MODELS = {
    "one parameter in two linears": (TwoLinearsOneWeight, pairs()),
    "a head tied to its embedding": (TiedHead, tokens()),
    "a head tied to its embedding, as many tokens as samples": (TiedHead, tokens(4, 4)),
    "a weight used through functional.linear as well": (UsedDirectly, pairs()),
    "a module that is never called": (NeverCalled, pairs()),
    "a weight that scales the output too": (Regularised, pairs()),
    "multi-head attention": (Attention, pairs(5, 4, FEATURES)),
    "multi-head attention, as many places as samples": (Attention, pairs(4, 4, FEATURES)),
    "a masked linear": (lambda: of_layer(Masked(FEATURES, FEATURES)), pairs()),
    "a scaled linear": (lambda: of_layer(Scaled(FEATURES, FEATURES)), pairs()),
    "rounded inputs": (lambda: of_layer(RoundedInputs(FEATURES, FEATURES)), pairs()),
    "rounded weights": (lambda: of_layer(RoundedWeights(FEATURES, FEATURES)), pairs()),
    "a parametrised weight": (parametrised, pairs()),
    "routed experts": (Routed, pairs(5, 4, FEATURES)),
    "routed experts, as many tokens as samples": (Routed, pairs(4, 4, FEATURES)),
    "a recurrent network": (lambda: Recurrent(nn.LSTM), pairs(5, 4, FEATURES)),
    "a gated recurrent network": (lambda: Recurrent(nn.GRU), pairs(4, 4, FEATURES)),
    "a bilinear layer": (lambda: Bilinear(), pairs()),
}


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.body, self.head = kind(FEATURES, FEATURES, batch_first=True), nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.body(x)[0][:, -1])


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Bilinear(FEATURES, FEATURES, CLASSES)

    def forward(self, x):
        return self.body(x, torch.tanh(x))


@pytest.mark.parametrize("name", MODELS)
def test_a_weight_that_its_module_s_calls_do_not_explain_has_autograd_s_gradient(name):
    build, batch = MODELS[name]
    torch.manual_seed(0)
    model = build().double()
    assert_same(per_sample_gradients(model, batch), alone(model, singles(batch), loss), 1e-10)


def test_a_plain_model_is_not_taken_one_sample_at_a_time(caplog):
    model = of_layer(nn.Linear(FEATURES, FEATURES)).double()
    per_sample_gradients(model, pairs())
    assert not caplog.records


def test_what_is_taken_one_sample_at_a_time_is_said(caplog):
    per_sample_gradients(NeverCalled().double(), pairs())
    assert "body.weight are taken one sample at a time" in caplog.text


class Kept(nn.Module):
    """An expert that the first samples do not reach."""

    def __init__(self):
        super().__init__()
        self.body = nn.ParameterList([nn.Parameter(torch.randn(FEATURES, CLASSES)) for _ in range(2)])

    def forward(self, x):
        return torch.where(x[:, :1] > 0, x @ self.body[0], x @ self.body[1])


class Skipped(nn.Module):
    """A module that is called only where a sample asks for it."""

    def __init__(self):
        super().__init__()
        self.always, self.seldom = nn.Linear(FEATURES, CLASSES), nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        wanted = x[:, 0] > 0
        out = self.always(x)
        if bool(wanted.any()):
            out = out + wanted[:, None] * self.seldom(x)
        return out


@pytest.mark.parametrize("build", [Kept, Skipped])
def test_a_weight_that_the_first_batch_does_not_reach_is_reached_by_the_next(build):
    from hyperinf.gradients import LiveSource, TensorSource

    torch.manual_seed(0)
    model = build().double()
    x, y = pairs(8)
    x[:, 0] = -x[:, 0].abs()
    x[4:, 0] = -x[4:, 0]
    batches = [([str(i) for i in range(0, 4)], (x[:4], y[:4])), ([str(i) for i in range(4, 8)], (x[4:], y[4:]))]
    held = TensorSource.gather(LiveSource(model, batches))
    expected = alone(model, singles((x, y)), loss)
    assert_same({name: held.layer(name) for name in expected}, expected, 1e-10)
    both: dict[str, list[torch.Tensor]] = {}
    for _, batch in batches:
        for name, value in per_sample_gradients(model, batch).items():
            both.setdefault(name, []).append(value)
    assert_same({name: torch.cat(values) for name, values in both.items()}, expected, 1e-10)


@pytest.mark.parametrize("places", [3, 5], ids=["other places than samples", "as many places as samples"])
def test_lora_on_multi_head_attention_has_autograd_s_gradient(places):
    from oracles import off_zero
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    lora = LoraConfig(r=2, target_modules=["attention"])
    model = off_zero(get_peft_model(Attention().double(), lora).double())
    batch = pairs(5, places, FEATURES)
    found = per_sample_gradients(model, batch)
    assert any("out_proj.lora_A" in name for name in found)
    assert_same(found, alone(model, singles(batch), loss), 1e-9)


def test_an_adapter_that_no_loss_depends_on_is_refused():
    """On ``out_proj`` alone, whose forward call attention goes past, LoRA has no effect at all."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(Attention().double(), LoraConfig(r=2, target_modules=["attention.out_proj"]))
    with pytest.raises(ValueError, match="got losses that depend on no weight"):
        per_sample_gradients(model, pairs(5, 4, FEATURES))


@pytest.mark.parametrize("kind", ["xlnet", "longformer"])
def test_time_first_models_with_as_many_tokens_as_samples(kind):
    import transformers

    sizes = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
    if kind == "xlnet":
        sizes |= {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24}
    else:
        sizes |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
        sizes |= {"attention_window": 4, "max_position_embeddings": 64}
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **sizes, num_labels=3)
    model = transformers.AutoModelForSequenceClassification.from_config(config).double()
    ids, labels = tokens(8, 8, 40)
    names = [name for name, weight in model.named_parameters() if weight.ndim == 2 and "layer.0" in name]

    def own_loss(model, sample):
        return functional.cross_entropy(model(input_ids=sample[0]).logits, sample[1])

    found = per_sample_gradients(model, {"input_ids": ids, "labels": labels}, layers=names)
    unused = ("query_global", "r_s_bias", "seg_embed")  # without a second global token or segments
    silent = [name for name in names if any(part in name for part in unused)]
    assert_same(found, alone(model, singles((ids, labels)), own_loss, names), 1e-7, silent)
