"""What models and methods are exact, through the library and through the command line: the table of the docs.

python tests/compatibility/table.py > docs/compatibility.md
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "unit" / "gradients")]

from adapters import METHODS, Method  # noqa: E402
from architectures import ARCHITECTURES, Architecture  # noqa: E402
from through_commands import through_commands  # noqa: E402

RELATIVE = 1e-7  # in float64; some models have a softmax or a norm in float32 within

HEAD = """# Compatibility

Made by `python tests/compatibility/table.py` from tiny random models; a test keeps it in step. Versions: {versions}.

**Per-sample gradients** are compared with autograd on each sample alone, without padding, in float64: "exact" means the
same to {relative} for every weight. "One at a time" are weights whose gradient is not what their module's forward call
saw (they are shared, used directly, changed on the way, or see all samples at once): it is taken by a backward pass for
each sample, which is exact and slow. A refusal is the line that the check of the first batch ends with, before any
number is taken.

**Command line** says what happens to a folder with such a model without a head, as the hub has them: as which family
`hyperinf finetune` trains it with LoRA and saves the adapter, and `hyperinf score` loads it again and scores; "library"
stands where they do not take such a model.
"""


@dataclass(frozen=True)
class Outcome:
    """What came of taking gradients.

    Attributes:
        exact: whether they are autograd's; None where they were refused.
        layers: weights taken.
        one_at_a_time: of them.
        refusal: the line.
    """

    exact: bool | None
    layers: int = 0
    one_at_a_time: int = 0
    refusal: str = ""


def outcome(row: Architecture | Method) -> Outcome:
    """Take the gradients of the row's model, and hold them against autograd."""
    import torch
    from oracles import alone

    from hyperinf.gradients import adapted_layers
    from hyperinf.gradients.losses import default_loss
    from hyperinf.gradients.per_sample import Extraction

    base = row.base if isinstance(row, Method) else row
    model = row.model()
    extraction = Extraction(model, default_loss, adapted_layers(model))
    try:
        factors, _ = extraction(base.batch())
    except ValueError as error:
        return Outcome(None, refusal=str(error))
    expected = alone(model, base.samples(), base.loss, list(factors))
    exact = True
    for name, value in expected.items():
        size = float(value.abs().max())
        exact &= torch.allclose(factors[name].dense(), value, rtol=RELATIVE, atol=RELATIVE * size)
    return Outcome(exact, len(factors), len(extraction.one_at_a_time))


def rendered(outcomes: dict[str, Outcome], commands: dict[str, str]) -> str:
    """The page."""
    import peft
    import torch
    import transformers

    versions = (
        f"torch {torch.__version__.partition('+')[0]}, transformers {transformers.__version__}, peft {peft.__version__}"
    )
    lines = [HEAD.format(versions=versions, relative=f"{RELATIVE:g}")]
    for title, rows in (("Architectures", ARCHITECTURES), ("Methods of PEFT", METHODS)):
        lines += [f"## {title}", "", "| | per-sample gradients | command line |", "| --- | --- | --- |"]
        lines += [
            f"| {row.name} | {_said(outcomes[row.name])} | {_without_numbers(commands[row.name])} |" for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _said(found: Outcome) -> str:
    if found.exact is None:
        return f"refused: {_without_numbers(found.refusal)}"
    slow = f", {found.one_at_a_time} of {found.layers} weights one at a time" if found.one_at_a_time else ""
    return ("exact" if found.exact else "**wrong**") + slow


def _without_numbers(line: str) -> str:
    """Losses differ in their last digits from machine to machine."""
    import re

    return re.sub(r"-?\d+\.\d+", "x", line)


def main() -> None:
    import logging

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("hyperinf").setLevel(logging.ERROR)
    rows: list[Any] = [*ARCHITECTURES, *METHODS]
    print(rendered({row.name: outcome(row) for row in rows}, {row.name: through_commands(row) for row in rows}), end="")


if __name__ == "__main__":
    main()
