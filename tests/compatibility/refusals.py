"""What the library refuses to take gradients or scores of, each with the line that says so: a page of the docs.

python tests/compatibility/refusals.py > docs/refusals.md
"""

import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from hyperinf.gradients import LiveSource, TensorSource, adapted_layers, per_sample_gradients
from hyperinf.influence import influence_scores
from hyperinf.influence.statistics import gradient_statistics

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from architectures import SMALL  # noqa: E402

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 2, 0, 1, 2, 1, 0])

HEAD = """# What is refused

Made by `python tests/compatibility/refusals.py`; a test keeps it in step. Every line below is what a `ValueError` of the
library says before any number is given out; through the command line it is printed after `hyperinf: error:` with exit code 2,
before anything is trained. Numbers that differ from machine to machine are written as x.
"""


@dataclass(frozen=True)
class Refusal:
    """Something that is not done.

    Attributes:
        what: in words.
        do: the call that is refused.
        instead: what to do.
    """

    what: str
    do: Callable[[], Any]
    instead: str


def line(refusal: Refusal) -> str:
    """The line that it ends with.

    Raises:
        AssertionError: it was not refused, or in more than one line.
    """
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            refusal.do()
        except ValueError as error:
            found = str(error)
        else:
            raise AssertionError(f"{refusal.what}: was not refused")
    assert "\n" not in found, found
    return re.sub(r"(?<!')-?\d+\.\d+(e-?\d+)?", "x", found)


def _transformers(auto: str, kind: str, **options: Any) -> Any:
    import transformers

    config = transformers.AutoConfig.for_model(kind, **{**SMALL, **options})
    return getattr(transformers, auto).from_config(config)


def _text(padded: bool = False, labels: Tensor | None = None) -> dict[str, Tensor]:
    ids = torch.randint(3, 40, (4, 6), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 3:] = mask[2, 5:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": Y[:4] if labels is None else labels}


def _language() -> dict[str, Tensor]:
    batch = _text()
    return {**batch, "labels": batch["input_ids"]}


class _Again(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(checkpoint(self.body, x, use_reentrant=True))


class _Overwrites(_Again):
    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        out = self.head(hidden)
        hidden.zero_()
        return out


def _share(model: nn.Module, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1], reduction="none") / len(batch[1])


def _frozen_adapter() -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(_transformers("AutoModelForCausalLM", "llama"), LoraConfig(target_modules=["q_proj"]))
    per_sample_gradients(model.requires_grad_(False), _language())


def _batches(order: list[int]) -> list[Any]:
    groups = [order[start : start + 4] for start in range(0, len(order), 4)]
    return [([str(index) for index in group], (X[group], Y[group])) for group in groups]


class _Shuffled:
    sweep = 0

    def __iter__(self) -> Any:
        self.sweep += 1
        yield from _batches(list(range(8)) if self.sweep < 3 else list(range(7, -1, -1)))


class _ShuffledBeneath(_Shuffled):
    def __iter__(self) -> Any:
        for place, (_, batch) in enumerate(super().__iter__()):
            yield [f"{place}.{row}" for row in range(4)], batch


def _twice(source: LiveSource) -> None:
    for _ in range(2):
        for _block in source:
            pass


def _batch_statistics() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3))
    per_sample_gradients(model, (X, Y))


def _inference_weight() -> None:
    with torch.inference_mode():
        model = nn.Linear(5, 3)
    per_sample_gradients(model, (X, Y), layers=["weight"])


def _large_layer() -> None:
    class Large(TensorSource):
        layers = {"lm_head.weight": (4096, 400_000)}  # noqa: RUF012

    gradient_statistics(Large({"lm_head.weight": torch.ones(1, 1, 1)}))


def _gradients(value: float) -> dict[str, Tensor]:
    found = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(3))
    found[2, 0, 0] = value
    return {"layer": found}


torch.manual_seed(0)
LINEAR = nn.Linear(5, 3)
REFUSALS = [
    Refusal(
        "a model that reads padding",
        lambda: per_sample_gradients(_transformers("AutoModelForSequenceClassification", "fnet", num_labels=3), _text(True)),
        "batches of one length, or of one sample",
    ),
    Refusal("a norm over the samples of the batch", _batch_statistics, "running statistics, or another norm"),
    Refusal("a loss that is a share of the batch", lambda: per_sample_gradients(LINEAR, (X, Y), _share), "each sample's own loss"),
    Refusal(
        "a model that sees the answers it is judged by",
        lambda: per_sample_gradients(_transformers("AutoModelForCausalLM", "bert", is_decoder=False), _language()),
        "`is_decoder=True`, or the `token_type_ids` that tell prompt from answer",
    ),
    Refusal(
        "a transformers model whose own loss is another",
        lambda: per_sample_gradients(
            _transformers("AutoModelForCausalLM", "bart", d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=8),
            _language(),
        ),
        "`loss_fn`",
    ),
    Refusal(
        "token labels of a model whose loss is not known",
        lambda: per_sample_gradients(nn.Embedding(40, 7), (_text()["input_ids"], _text()["input_ids"])),
        "`loss_fn`",
    ),
    Refusal(
        "several samples packed into one row",
        lambda: per_sample_gradients(
            _transformers("AutoModelForCausalLM", "llama"), {**_language(), "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2]] * 4)}
        ),
        "a collator that pads",
    ),
    Refusal(
        "a text without a token that counts",
        lambda: per_sample_gradients(
            _transformers("AutoModelForCausalLM", "llama"), {**_text(), "labels": torch.full((4, 6), -100)}
        ),
        "leave the sample out",
    ),
    Refusal("numbers as labels of a plain module", lambda: per_sample_gradients(LINEAR, (X, X[:, 0])), "`loss_fn`"),
    Refusal("a batch without labels", lambda: per_sample_gradients(LINEAR, {"input": X}), "a key `labels`, or `loss_fn`"),
    Refusal("one loss for the whole batch", lambda: per_sample_gradients(LINEAR, (X, Y), lambda m, b: m(b[0]).sum()), "one loss a sample"),
    Refusal("reentrant checkpointing", lambda: per_sample_gradients(_Again(), (X, Y)), "`use_reentrant=False`"),
    Refusal("an input that is overwritten", lambda: per_sample_gradients(_Overwrites(), (X, Y), layers=["head.weight"], check=False), "an operation that is not in place"),
    Refusal("a weight made for inference", _inference_weight, "build the model outside `torch.inference_mode`"),
    Refusal("an adapter loaded frozen", _frozen_adapter, "`is_trainable=True`"),
    Refusal("a model without a trainable weight", lambda: per_sample_gradients(nn.Linear(5, 3).requires_grad_(False), (X, Y)), "an adapter, or `layers=`"),
    Refusal("a layer that is not there", lambda: adapted_layers(LINEAR, ["head.weight"]), "a name of `named_parameters()`"),
    Refusal("one weight under two names", lambda: adapted_layers(LINEAR, ["weight", "weight"]), "one of them"),
    Refusal(
        "another first axis than the samples, unchecked",
        lambda: per_sample_gradients(
            nn.Sequential(nn.Flatten(0, 1), nn.Linear(1, 3)), (X, Y), lambda m, b: m(b[0][..., None]).view(8, 15).sum(1), check=False
        ),
        "leave the check on",
    ),
    Refusal("a plain DataLoader", lambda: LiveSource(LINEAR, DataLoader(TensorDataset(X, Y), 4)), "pairs of ids and batches"),
    Refusal("a loader that gives other samples at the next sweep", lambda: _twice(LiveSource(LINEAR, _Shuffled())), "`shuffle=False`"),
    Refusal("a loader whose ids stay while its samples move", lambda: _twice(LiveSource(LINEAR, _ShuffledBeneath())), "`shuffle=False`"),
    Refusal("a sample id twice", lambda: LiveSource(LINEAR, _batches([0, 1, 2, 1])), "distinct ids"),
    Refusal("a GFIM larger than the memory", _large_layer, "`layers=`, or `gfim_axis='smaller'`"),
    Refusal("gradients that are not finite", lambda: influence_scores(_gradients(float("nan")), _gradients(1.0)), "a lower learning rate, or float32"),
    Refusal("target gradients that are not finite", lambda: influence_scores(_gradients(1.0), _gradients(float("inf"))), "the same"),
]  # fmt: skip


def rendered() -> str:
    """The page."""
    rows = [f"| {refusal.what} | `{line(refusal)}` | {refusal.instead} |" for refusal in REFUSALS]
    return "\n".join([HEAD, "| | line | instead |", "| --- | --- | --- |", *rows, ""])


if __name__ == "__main__":
    print(rendered(), end="")
