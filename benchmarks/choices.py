"""Accuracy on multiple-choice questions on a CPU: each choice's prompt run anew, against what they share run once.

``python -m benchmarks.choices``, a Llama of SmolLM2-135M's shape with random weights and random tokens, in one process
on one thread, the two ways in turns that alternate, after one turn of each on a few questions; written to
``benchmarks/results/choices_cpu.json``. Seconds are the process's own CPU time; a peak is that of its resident set
above the start of a pass. Cases, number of questions and batch size were fixed before the first run.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.growth import measured, versions
from benchmarks.scores_cpu import summary
from hyperinf.artifacts.files import write_json
from hyperinf.models.choices import EncodedChoices
from hyperinf.models.language import Tokenised
from hyperinf.models.prefixes import token_count

RESULT = Path(__file__).parent / "results" / "choices_cpu.json"
SEED = 11
QUESTIONS = 32
BATCH = 32
"""Rows of a batch, as a run of the pipeline has."""
VOCABULARY = 49152
WAYS = ("plain", "shared")


@dataclass(frozen=True)
class Case:
    """Questions of one size, in tokens.

    Attributes:
        name: of the case.
        prefix: that all prompts begin with.
        own: of each question, after them.
        choices: of each question, a number.
        choice: of each choice.
    """

    name: str
    prefix: int
    own: int
    choices: int
    choice: int


CASES = (
    Case("prompts of their own", 0, 100, 4, 10),
    Case("short prompts", 0, 30, 2, 20),
    Case("five examples before each", 400, 40, 4, 5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = smollm2()
    rows = [measure(model, case, arguments.questions, arguments.repeats) for case in CASES]
    about = {**versions(), "seed": SEED, "repeats": arguments.repeats, "batch_size": BATCH}
    write_json(RESULT, {**about, "questions": arguments.questions, "rows": rows})


def smollm2() -> nn.Module:
    """Make a Llama of SmolLM2-135M's shape with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            tie_word_embeddings=True,
        )
    ).eval()


def asked(case: Case, questions: int) -> EncodedChoices:
    """Questions of random tokens."""
    generator = torch.Generator().manual_seed(SEED)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(VOCABULARY, (count,), generator=generator).tolist())

    prefix = tokens(case.prefix)
    prompts = [
        Tokenised(prompt, tokens(case.choice), False)
        for prompt in [prefix + tokens(case.own) for _ in range(questions)]
        for _ in range(case.choices)
    ]
    return EncodedChoices(prompts, [case.choices] * questions, [1] * len(prompts), [0] * questions, 0)


def measure(model: nn.Module, case: Case, questions: int, repeats: int) -> dict[str, Any]:
    """Both ways in turns, and how far the likelihoods are apart."""
    costs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    likelihoods: dict[str, Tensor] = {}
    for way in WAYS:
        run(model, told(asked(case, 8), way))
    for turn in range(repeats):
        for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
            encoded = told(asked(case, questions), way)
            with measured() as cost:
                likelihoods[way] = run(model, encoded)
            costs[way].append(cost)
            print(f"{case.name}, {way}, {turn + 1} of {repeats}: {cost['seconds']:.1f} s", flush=True)
    row = {**asdict(case), **{way: _summed(costs[way]) for way in WAYS}}
    row["ratio"] = round(row["shared"]["median"] / row["plain"]["median"], 3)
    return {**row, **tokens_run(asked(case, questions)), **differences(asked(case, questions), likelihoods)}


def run(model: nn.Module, encoded: EncodedChoices) -> Tensor:
    with torch.inference_mode():
        return encoded.likelihoods(model, BATCH)


def told(encoded: EncodedChoices, way: str) -> EncodedChoices:
    """The same, to be run as ``way`` says."""
    if way == "plain":
        encoded.plan = None
    return encoded


def tokens_run(encoded: EncodedChoices) -> dict[str, int]:
    """Tokens of both ways, those of the trial apart."""
    plan = encoded.plan
    assert plan is not None, "too few tokens are shared"
    return {
        "plain_tokens": sum(map(len, encoded.rows)),
        "shared_tokens": token_count(plan.segments),
        "trial_tokens": sum(len(encoded.rows[row]) for row in plan.tried) + token_count(plan.tried_segments),
    }


def differences(encoded: EncodedChoices, likelihoods: Mapping[str, Tensor]) -> dict[str, Any]:
    plain, shared = (likelihoods[way] for way in WAYS)
    picks = [encoded.accuracy(each).chosen for each in (plain, shared)]
    return {
        "largest_relative_difference": float(((shared - plain) / plain).abs().max()),
        "picks_that_differ": sum(map(int.__ne__, *picks)),
    }


def _summed(costs: Sequence[dict[str, float]]) -> dict[str, float]:
    peak = statistics.median(cost["peak_mib"] for cost in costs)
    return {**summary([cost["seconds"] for cost in costs]), "peak_mib": round(peak, 1)}


if __name__ == "__main__":
    main()
