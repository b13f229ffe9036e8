"""Prepare tasks in a few words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hyperinf.data.samples import SPLITS, Sample, read_samples
from hyperinf.errors import InputError
from hyperinf.pipeline.prepare import prepare
from hyperinf.settings.stages import Prepare

Splits = Mapping[str, tuple[Sample, ...]]


def write_task(out: Path, source: str | Path, **settings: Any) -> Path:
    """Prepare a task; gives its folder."""
    text = source if isinstance(source, str) else f"path:{source}"
    prepare(Prepare(**{"source": text, "seed": 11, "cache": str(out.parent / "cache"), "out": str(out), **settings}))
    return out


def prepared(out: Path, source: str | Path, **settings: Any) -> Splits:
    """Prepare a task; gives its samples."""
    write_task(out, source, **settings)
    return {split: read_samples(out, split) for split in SPLITS}


def by_id(splits: Splits) -> dict[str, Sample]:
    return {each.sample_id: each for samples in splits.values() for each in samples}


def refusal(out: Path, source: str | Path, **settings: Any) -> str:
    """Expect that a task is refused in one line, and that nothing is left behind; gives the line."""
    with pytest.raises(InputError) as error:
        write_task(out, source, **settings)
    assert "\n" not in str(error.value)
    assert not out.exists()
    return str(error.value)
