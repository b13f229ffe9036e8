"""The slow way to per-sample gradients: each sample alone, autograd on the weights themselves."""

from functools import partial

import torch


def laid_out(name, gradient, of_kernel=False):
    """Rank first, as a matrix: a kernel is (out, the rest), a vector (1, features), experts (all rows, columns)."""
    if gradient.ndim == 1:
        matrix = gradient[None]
    elif not of_kernel:
        matrix = gradient.flatten(0, -2)
    else:
        matrix = gradient.flatten(1)
    if "lora_A" in name or "lora_embedding_A" in name:
        return matrix
    if "lora_B" in name or "lora_embedding_B" in name or matrix.shape[0] > matrix.shape[1]:
        return matrix.T
    return matrix


def names_of(model):
    return [name for name, weight in model.named_parameters() if weight.requires_grad and weight.ndim >= 2]


def alone(model, samples, loss, names=None):
    """``{name: Tensor[b, r, d]}`` of samples, each a batch of one, and ``loss(model, sample)``, a number."""
    model.eval()
    names = names_of(model) if names is None else names
    weights = dict(model.named_parameters(remove_duplicate=False))
    frozen = [weights[name] for name in names if not weights[name].requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    kernels = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.modules.conv._ConvNd)}
    for sample in samples:
        gradients = torch.autograd.grad(loss(model, sample), [weights[name] for name in names], allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            value = torch.zeros_like(weights[name]) if gradient is None else gradient
            found[name].append(laid_out(name, value.to_dense(), id(weights[name]) in kernels))
    for weight in frozen:
        weight.requires_grad_(False)
    return {name: torch.stack(values) for name, values in found.items()}


def assert_same(actual, expected, rtol=1e-9, silent=()):
    """The same layers, shapes and values; all but the ``silent`` ones are not zero."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].shape == value.shape, name
        size = float(value.abs().max())
        assert size > 0 or name in silent, f"{name} is zero: nothing is compared"
        torch.testing.assert_close(actual[name], value, rtol=rtol, atol=rtol * size, msg=partial("{}: {}".format, name))


def off_zero(model, scale=0.3):
    """LoRA B starts at zero, where half of all gradients vanish: move every trainable weight off its start."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += scale * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return model
