"""SHA-256 of tensors: a disk's error must not become a result."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def tensor_sha256(tensor: Tensor) -> str:
    """The SHA-256 of a tensor's bytes, dtype and shape, in hexadecimal."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)} ".encode())
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """The SHA-256 of a text and of named tensors, whatever their order, in hexadecimal."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensor_sha256(tensors[name])} ".encode())
    return digest.hexdigest()
