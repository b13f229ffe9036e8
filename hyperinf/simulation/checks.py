"""What the studies' configurations refuse, each mistake in one line that names the key."""

from hyperinf.errors import InputError


def check_counts(**counts: int) -> None:
    """Raise InputError unless every value is at least 1; the keyword is the key that the message names."""
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name}: {value} given, a whole number of at least 1 expected")


def check_damping(damping: float) -> None:
    """Raise InputError unless ``damping`` is a positive finite number."""
    if not 0 < damping < float("inf"):
        raise InputError(f"damping: {damping} given, a positive finite number expected")


def check_seed(seed: int) -> None:
    """Raise InputError unless ``seed`` is a whole number that is not negative."""
    if seed < 0:
        raise InputError(f"seed: {seed} given, a whole number of at least 0 expected")


def check_choices(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise InputError unless ``given`` is a non-empty list without repetition out of ``known``."""
    if not given:
        raise InputError(f"{name}: empty, at least one of {', '.join(known)} expected")
    for value in given:
        if value not in known:
            raise InputError(f"{name}: {value!r} given, one of {', '.join(known)} expected")
        if given.count(value) > 1:
            raise InputError(f"{name}: {value!r} given twice, each may stand once")


def check_sizes(name: str, given: tuple[int, ...]) -> None:
    """Raise InputError unless ``given`` is a non-empty list of different whole numbers of at least 1."""
    if not given:
        raise InputError(f"{name}: empty, at least one whole number expected")
    for value in given:
        if value < 1:
            raise InputError(f"{name}: {value} given, a whole number of at least 1 expected")
        if given.count(value) > 1:
            raise InputError(f"{name}: {value} given twice, each may stand once")
