import json
import subprocess
import sys

import numpy as np
import torch
from threadpoolctl import threadpool_info

from hyperinf.runtime.devices import set_threads


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_threads_are_those_of_torch_and_of_numpy():
    np.ones((2, 2)) @ np.ones((2, 2))
    set_threads(1)
    assert torch.get_num_threads() == 1
    assert blas_threads() == {1}
    set_threads(2)
    assert blas_threads() == {2}
    set_threads(None)
    assert blas_threads() == {2}


def test_threads_are_those_of_what_is_loaded_later():
    program = (
        "from hyperinf.runtime.devices import set_threads; set_threads(1)\n"
        "import json, scipy.linalg, sklearn.decomposition, threadpoolctl\n"
        "print(json.dumps([each['num_threads'] for each in threadpoolctl.threadpool_info()"
        " if each['user_api'] == 'blas']))"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert len(found) >= 2
    assert set(found) == {1}
