import pytest
import torch

from hyperinf.errors import InputError
from hyperinf.runtime.devices import resolve_device, torch_dtype

HAS_GPU = torch.cuda.is_available()


def test_without_a_choice_a_gpu_is_taken_where_there_is_one():
    assert resolve_device("auto") == ("cuda" if HAS_GPU else "cpu")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:99", "", *([] if HAS_GPU else ["cuda", "cuda:0"])])
def test_a_device_that_is_not_there_is_refused_by_its_name(name):
    with pytest.raises(InputError, match=f"^device: .*{name!r}"):
        resolve_device(name)


def test_each_of_several_processes_on_a_machine_has_a_gpu_of_its_own(monkeypatch):
    for name, value in {"ACCELERATE_MIXED_PRECISION": "no", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == "cuda:1"
    assert resolve_device("cuda:0") == "cuda:0"


def test_a_dtype_that_is_not_known_is_refused():
    assert torch_dtype("bfloat16") is torch.bfloat16
    with pytest.raises(InputError, match="^dtype: "):
        torch_dtype("int8")
