"""Log-likelihoods of choices from shared prefixes, against one plain pass over each prompt with each choice."""

import random
import re

import pytest
import torch
from tiny_models import tiny_config
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from hyperinf.models.choices import EncodedChoices
from hyperinf.models.language import Tokenised
from hyperinf.models.prefix_cache import PrefixCache
from hyperinf.models.prefixes import token_count

WINDOW = {"sliding_window": 7, "num_key_value_heads": 1, "head_dim": 8}
MODELS = {
    "gpt2": {},  # positions are learnt
    "opt": {},
    "llama": {},  # rotary positions, one head of keys and values for two
    "bloom": {},  # ALiBi, from the mask
    "mpt": {},  # ALiBi, from the columns
    "mistral": {"sliding_window": 7},
    "gemma2": WINDOW,  # every other layer has a window
    "gpt_neo": {},  # the same in another way
    "falcon": {},
}


def tiny(kind, base=AutoModelForCausalLM.from_config, **changes):
    torch.manual_seed(0)
    model = base(tiny_config(kind, **changes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:  # so that it tells tokens and places apart
                weight.copy_(torch.randn_like(weight) * 0.3)
    return model


def asked():
    """Prompts with their choices: an instruction for some, another one's prompt, one choice within another.

    Segments are of three levels, and of several lengths at each.
    """
    draw = random.Random(0)

    def tokens(count):
        return tuple(draw.randrange(3, 64) for _ in range(count))

    instruction = tokens(12)
    found = [
        (
            (*instruction, *tokens(draw.randrange(10, 22))) if number < 6 else tokens(draw.randrange(9, 24)),
            [tokens(draw.randrange(1, 6)) for _ in range(draw.choice([2, 3, 4]))],
        )
        for number in range(9)
    ]
    found[2][1].append(found[2][1][0] + tokens(2))
    found.append((tokens(15), [tokens(1), tokens(1), tokens(1)]))
    found.append((found[3][0], [tokens(2), tokens(3)]))
    return found


def encoded(questions):
    prompts = [Tokenised(prompt, choice, False) for prompt, choices in questions for choice in choices]
    counts = [len(choices) for _, choices in questions]
    return EncodedChoices(prompts, counts, [1] * len(prompts), [0] * len(counts), 0)


def one_by_one(model, questions):
    found = []
    with torch.no_grad():
        for prompt, choices in questions:
            for choice in choices:
                logits = model(input_ids=torch.tensor([prompt + choice])).logits[0, len(prompt) - 1 : -1]
                picked = logits.float().log_softmax(dim=-1).gather(1, torch.tensor(choice)[:, None])
                found.append(float(picked.double().sum()))
    return torch.tensor(found, dtype=torch.float64)


class Passes:
    """What goes through a model: of each pass its rows, its tokens without padding and its logits."""

    def __init__(self, model):
        self.rows, self.tokens, self.logits = [], [], []
        model.register_forward_pre_hook(self._seen, with_kwargs=True)

    def _seen(self, model, arguments, named):
        ids = named["input_ids"]
        self.rows.append(len(ids))
        self.tokens.append(int(named["attention_mask"][:, -ids.shape[1] :].sum()))
        self.logits.append(len(ids) * named["logits_to_keep"])


def likelihoods(model, choices, batch_size):
    with torch.no_grad():
        return choices.likelihoods(model, batch_size)


def test_examples_before_questions_of_one_token_are_run_once():
    draw = random.Random(1)
    examples = tuple(draw.randrange(3, 64) for _ in range(25))
    questions = [((*examples, *(draw.randrange(3, 64) for _ in range(3 + n % 4))), [(5,), (6,)]) for n in range(12)]
    model, choices = tiny("llama"), encoded(questions)
    expected = one_by_one(model, questions)
    passes = Passes(model)
    found = likelihoods(model, choices, 8)
    assert torch.allclose(found, expected, atol=1e-5)
    assert sum(passes.tokens) < 0.5 * sum(map(len, choices.rows))


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("kind", MODELS)
def test_likelihoods_from_shared_prefixes_are_those_of_single_plain_passes(kind, batch_size):
    model, choices = tiny(kind, **MODELS[kind]), encoded(asked())
    expected = one_by_one(model, asked())
    passes = Passes(model)
    found = likelihoods(model, choices, batch_size)
    plan = choices.plan
    trial = sum(len(choices.rows[row]) for row in plan.tried) + token_count(plan.tried_segments)
    assert sum(passes.tokens) == token_count(plan.segments) + trial
    assert token_count(plan.segments) < 0.6 * sum(map(len, choices.rows))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-6)


def test_an_adapter_of_peft_is_heeded():
    from peft import LoraConfig, get_peft_model

    questions = asked()
    model = get_peft_model(tiny("llama"), LoraConfig(r=2, target_modules=["q_proj", "v_proj"])).eval()
    before = likelihoods(model, encoded(questions), 8)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    expected, choices = one_by_one(model, questions), encoded(questions)
    passes = Passes(model.get_base_model())
    found = likelihoods(model, choices, 8)
    assert sum(passes.tokens) < 0.85 * sum(map(len, choices.rows))
    assert (found - before).abs().max() > 1
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-6)


class Forgetful(LlamaForCausalLM):
    """Fills the cache and does not look at it."""

    def forward(self, input_ids=None, attention_mask=None, past_key_values=None, **more):
        if past_key_values is not None:
            states = input_ids[:, None, :, None].float()
            past_key_values.update(states, states, 0)
        return super().forward(input_ids, attention_mask[:, -input_ids.shape[1] :], **{**more, "use_cache": False})


class Refusing(LlamaForCausalLM):
    """Has no argument for a cache."""

    def forward(self, input_ids, attention_mask=None, position_ids=None, logits_to_keep=0):
        return super().forward(input_ids, attention_mask, position_ids, logits_to_keep=logits_to_keep)


@pytest.mark.parametrize(
    ("kind", "base", "reason"),
    [
        ("mamba", AutoModelForCausalLM.from_config, "cache: got 0 columns"),
        ("llama", Forgetful, "a log-likelihood is .* off"),
        ("llama", Refusing, "unexpected keyword argument"),
    ],
)
def test_a_model_without_a_cache_to_rely_on_is_told_of_and_gets_plain_passes(kind, base, reason, caplog):
    model, choices = tiny(kind, base), encoded(asked())
    found = likelihoods(model, choices, 4)
    assert torch.equal(found, likelihoods(model, choices, 4))
    choices.plan = None
    assert torch.equal(found, likelihoods(model, choices, 4))
    (record,) = (each for each in caplog.records if each.name.startswith("hyperinf"))
    name = "MambaForCausalLM" if kind == "mamba" else base.__name__
    assert f"the cache of {name} is not to be relied on" in record.getMessage()
    assert re.search(reason, record.getMessage())


def test_a_learnt_prefix_in_the_cache_is_not_taken_for_ours(caplog):
    from peft import PrefixTuningConfig, get_peft_model

    model = get_peft_model(tiny("llama"), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)).eval()
    choices = encoded(asked())
    found = likelihoods(model, choices, 4)
    assert "not to be relied on" in caplog.text
    choices.plan = None
    assert torch.equal(found, likelihoods(model, choices, 4))


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_passes_have_no_more_rows_and_logits_than_plain_ones(batch_size):
    model, choices = tiny("llama"), encoded(asked())
    passes = Passes(model)
    likelihoods(model, choices, batch_size)
    assert max(passes.rows) <= batch_size
    longest = max(len(choice) for _, options in asked() for choice in options)
    assert max(passes.logits) <= batch_size * longest


def test_a_cache_is_kept_of_half_as_many_rows_as_go_on_from_it(monkeypatch):
    kept = []
    taken = PrefixCache.taken

    def counted(cache, rows):
        kept.append(len(cache.lengths))
        return taken(cache, rows)

    monkeypatch.setattr(PrefixCache, "taken", counted)
    likelihoods(tiny("llama"), encoded(asked()), 8)
    assert 1 <= max(kept) <= 4


def test_questions_with_one_row_each_are_run_as_ever():
    questions = [(prompt, [choice[-1:] for choice in choices]) for prompt, choices in asked()]
    model, choices = tiny("gpt2"), encoded(questions)
    assert choices.plan is None
    passes = Passes(model)
    likelihoods(model, choices, 4)
    assert passes.tokens == [sum(sorted(map(len, choices.rows))[start : start + 4]) for start in range(0, 10, 4)]


def test_a_broken_model_is_not_told_to_have_a_bad_cache(caplog):
    model = tiny("llama")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    assert likelihoods(model, encoded(asked()), 8).isnan().all()
    assert not caplog.records


def test_rounding_of_half_precision_is_no_reason_to_fall_back(caplog):
    model, choices = tiny("llama").to(torch.bfloat16), encoded(asked())
    found = likelihoods(model, choices, 8)
    assert not caplog.records
    torch.testing.assert_close(found, one_by_one(model, asked()), atol=0.5, rtol=0.05)
