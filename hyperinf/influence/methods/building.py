"""Methods by name, with options that were checked."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from hyperinf.errors import InputError
from hyperinf.influence.methods.base import InfluenceMethod
from hyperinf.settings.checking import SettingsError, checked
from hyperinf.settings.methods import METHODS as SPECS
from hyperinf.settings.methods import HyperInfOptions, MethodOptions

DEFAULTS = HyperInfOptions()
"""Of the options that are given to all methods at once."""


class _Classes(Mapping[str, type[InfluenceMethod]]):
    """The methods' classes by name; a class is imported when it is asked for."""

    def __getitem__(self, name: str) -> type[InfluenceMethod]:
        module, _, attribute = SPECS[name].implementation.partition(":")
        found: type[InfluenceMethod] = getattr(import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(SPECS)

    def __len__(self) -> int:
        return len(SPECS)

    def __repr__(self) -> str:
        return f"<influence methods {', '.join(SPECS)}>"


METHODS: Mapping[str, type[InfluenceMethod]] = _Classes()


def build_method(name: str, **options: Any) -> InfluenceMethod:
    """Make the method called ``name`` with its options.

    Raises:
        InputError: an unknown method, an option that it does not have, or a value out of range.
    """
    if name not in SPECS:
        raise InputError(f"method: got {name!r}, expected one of {', '.join(SPECS)}")
    try:
        return METHODS[name](checked(SPECS[name].options, options))
    except SettingsError as error:
        raise InputError(str(error.mistakes[0])) from None


def build_methods(
    methods: Iterable[str] | Mapping[str, MethodOptions | Mapping[str, Any]],
    damping: float = DEFAULTS.damping,
    gfim_scale: str = DEFAULTS.gfim_scale,
    solver: str = DEFAULTS.solver,
) -> dict[str, InfluenceMethod]:
    """Make several methods.

    Args:
        methods: names; or ``{name: its options}``, all of them as its spec's model has them, or as a mapping that goes
            before the common ones.
        damping: of every method.
        gfim_scale: of every method.
        solver: of the methods that have one; checked in any case, as a wrong value is a mistake anywhere.

    Raises:
        InputError: no method, an unknown one, or an option that cannot be.
    """
    common: dict[str, Any] = {"damping": damping, "gfim_scale": gfim_scale, "solver": solver}
    build_method("hyperinf", **common)
    built = {}
    for name in methods:
        own = methods[name] if isinstance(methods, Mapping) else {}
        if isinstance(own, MethodOptions):
            own, shared = own.model_dump(), {}
        else:
            shared = {key: value for key, value in common.items() if name in SPECS and key in options_of(name)}
        built[name] = build_method(name, **{**shared, **own})
    if not built:
        raise InputError("methods: got none, expected at least one")
    return built


def options_of(name: str) -> tuple[str, ...]:
    """Name the options that a method takes."""
    return tuple(SPECS[name].options.model_fields)
