"""Judge how near the Fisher matrix of a model's own gradients is to what the GFIM makes of it."""

from collections.abc import Iterator

import numpy as np

from hyperinf.reporting.claims import Claim
from hyperinf.reporting.labels import counted
from hyperinf.reporting.published import ACCURATE
from hyperinf.reporting.study_inputs import StudyResults


def distance_claims(read: StudyResults) -> Iterator[Claim]:
    """Judge how near the exact Fisher matrix of a model's gradients is to what the GFIM makes of it, where known."""
    for cell in read.frame.cells:
        runs = {run.seed: run.gfim_distance for run in read.runs if run.cell == cell and run.gfim_distance}
        if not runs:
            continue
        values = {seed: float(np.mean(list(told.values()))) for seed, told in runs.items()}
        most = max(len(told) for told in runs.values())
        over = f", mean over {most} checkpoints" if most > 1 else ""
        yield Claim(
            "the GFIM approximates the FIM of a model's own gradients: FIM = I ⊗ GFIM / r",
            ACCURATE,
            read.where(cell) + over,
            "distance",
            "",
            values,
            measured=f"relative distance without sampling error {min(values.values()):.3f} to "
            f"{max(values.values()):.3f} (mean over layers, {counted(len(values), 'seed')})",
            rule="Frobenius distance without the samples' own error, mean over layers; the largest of the seeds",
        )
