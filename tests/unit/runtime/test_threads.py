import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hyperinf.runtime.devices import set_threads


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_threads_are_those_of_torch_and_of_numpy():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = torch.get_num_threads()
    with threadpool_limits():
        try:
            set_threads(1)
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
            set_threads(2)
            assert blas_threads() == {2}
            set_threads(None)
            assert blas_threads() == {2}
        finally:
            torch.set_num_threads(before)
