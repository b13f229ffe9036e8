"""How many updates a training makes, and the learning rate of each."""

import math

from hyperinf.settings.training import TrainingSettings


def steps_per_epoch(settings: TrainingSettings, samples: int) -> int:
    """Count the updates of one pass over so many samples; the last one may be of a smaller batch."""
    return math.ceil(samples / settings.batch_size)


def total_steps(settings: TrainingSettings, samples: int) -> int:
    """Count the updates of a training on so many samples."""
    return settings.max_steps or (settings.epochs or 0) * steps_per_epoch(settings, samples)


def schedule(step: int, total: int, warmup_ratio: float) -> float:
    """Give the factor on the learning rate: linearly up over ``warmup_ratio * total`` steps, then down to 0."""
    rising = math.ceil(warmup_ratio * total)
    if step < rising:
        return (step + 1) / (rising + 1)
    return (total - step) / max(1, total - rising)
