"""Other forms of a method's score: relative to the size of what a sample does, or of the sample on itself.

With ``hvp = H^-1 v`` and ``p_i = H^-1 g_i``, where positive is harmful as everywhere:

- ``unit``: ``-<hvp, g_i> / (|hvp| |g_i|)``; of TracIN the cosine of two gradients.
- ``theta_relative``: ``-<hvp, g_i> / |p_i|``, by how far the sample moves the weights (theta-RelatIF of Barshan et al.
  2020).
- ``loss_relative``: ``-<hvp, g_i> / sqrt(<g_i, p_i>)``, by how much it changes the losses (their l-RelatIF).
- ``self_influence``: ``<g_i, p_i>``; a sample that only itself explains has a large one.

A sample without a gradient scores zero in all of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinf.influence.methods import InfluenceMethod, SweepingMethod
from hyperinf.influence.queries import queries_at_once, query_vectors
from hyperinf.influence.sweeps import Vectors
from hyperinf.settings.scores import FORMS, ScoreName

ENOUGH_BYTES = 2**29
"""Of vectors at a time for products that need no sweep."""


@dataclass(frozen=True)
class OwnProducts:
    """What the inverse curvature makes of each training sample's own gradient.

    Attributes:
        lengths: ``Tensor[n]``, ``|H^-1 g_i|`` over all layers, float64.
        self_influence: ``Tensor[n]``, ``<g_i, H^-1 g_i>``, float64.
    """

    lengths: Tensor
    self_influence: Tensor


def own_products(
    method: InfluenceMethod, memory_bytes: int | None = None
) -> Iterator[tuple[list[str], Vectors, Vectors]]:
    """Multiply each training sample's gradient by the inverse curvature, as many at a time as fit into memory.

    Args:
        method: fitted.
        memory_bytes: see :func:`queries_at_once`.

    Yields:
        Ids, ``g`` and ``H^-1 g``, ``{layer: Tensor[k, r, d]}`` each.
    """
    most = queries_at_once(method, method.source.layers, memory_bytes)
    for names, held in query_vectors(method.source, "train", most, method.statistics.devices):
        vectors = {layer: held.pop(layer).double() for layer in list(held)}
        yield names, vectors, method.precondition_each(vectors)


def taken_own_products(method: InfluenceMethod) -> OwnProducts:
    """Sum :func:`own_products` up over the layers, in the order of the training samples."""
    lengths, dots = [], []
    # More at a time save sweeps, and nothing where there are none.
    most = None if isinstance(method, SweepingMethod) else ENOUGH_BYTES
    for _, vectors, products in own_products(method, most):
        lengths.append(torch.stack([x.flatten(1).norm(dim=1).cpu() for x in products.values()]).norm(dim=0))
        dots.append(sum((products[layer] * g).sum(dim=(1, 2)).cpu() for layer, g in vectors.items()))
    return OwnProducts(torch.cat(lengths), torch.cat([torch.as_tensor(each) for each in dots]))


def lengths_of(products: Mapping[str, Mapping[str, Tensor]], wanted: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Compute ``|hvp|`` over all layers, of each method that a form is wanted of."""
    return {name: float(_length(products[name])) for name, forms in wanted.items() if forms}


def _length(product: Mapping[str, Tensor]) -> Tensor:
    parts = [vector.double().norm().cpu() for vector in product.values()]
    return torch.stack(parts).norm() if parts else torch.zeros(())


def with_forms(
    influence: Mapping[str, Tensor],
    wanted: Mapping[str, Sequence[str]],
    lengths: Mapping[str, float],
    grad_norm: Tensor,
    own: Mapping[str, OwnProducts] | None = None,
) -> dict[str, Tensor]:
    """Add the forms that are wanted of each method to the methods' own scores; see :func:`in_form`."""
    made = {
        str(ScoreName(name, form)): in_form(form, influence[name], lengths[name], grad_norm, (own or {}).get(name))
        for name, forms in wanted.items()
        for form in forms
    }
    return {**influence, **made}


def in_form(form: str, influence: Tensor, length: float, grad_norm: Tensor, own: OwnProducts | None) -> Tensor:
    """Take a method's scores to another form.

    Args:
        form: a name in ``FORMS``.
        influence: ``Tensor[n]``, the method's own.
        length: ``|hvp|``.
        grad_norm: ``Tensor[n]``, the norm of each sample's gradient.
        own: of the method, where the form needs it.

    Returns:
        ``Tensor[n]``, float64.
    """
    influence = influence.double().cpu()
    if form == "unit":
        return _ratio(_ratio(influence, grad_norm.double().cpu()), torch.full_like(influence, length))
    assert own is not None, form
    if form == "self_influence":
        return own.self_influence
    return _ratio(influence, own.lengths if form == "theta_relative" else own.self_influence.clamp(min=0).sqrt())


def _ratio(values: Tensor, sizes: Tensor) -> Tensor:
    return torch.where(sizes > 0, values / torch.where(sizes > 0, sizes, 1), 0)


def forms_asked(scores: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """List the forms that scores ask of each method at a checkpoint, beside its own."""
    names = [ScoreName.of(score) for score in scores]
    return {
        method: tuple(dict.fromkeys(each.form for each in names if each.method == method and each.form))
        for method in dict.fromkeys(each.method for each in names)
    }


def needs_each(forms: Sequence[str]) -> bool:
    """Tell whether forms need :func:`own_products`."""
    return any(FORMS[form].each for form in forms)
