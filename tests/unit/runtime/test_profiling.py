import time

import pytest
import torch

from hyperinf.runtime.profiling import metered


def test_time_and_the_peak_above_the_start_are_measured():
    with metered() as cost:
        block = torch.ones(30 * 2**20)  # 120 MiB
        del block
        time.sleep(0.05)
    assert cost.seconds >= 0.05
    if cost.peak_memory_mib is None:
        pytest.skip("this system does not tell a process's peak memory")
    assert 110 < cost.peak_memory_mib < 200


def test_an_error_inside_still_leaves_the_time():
    with pytest.raises(RuntimeError), metered() as cost:
        raise RuntimeError
    assert cost.seconds > 0
