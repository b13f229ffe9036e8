"""Read the rule that verdicts are drawn by (package data ``rule.yaml``): it is the same for every run."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

FILE = "rule.yaml"


@dataclass(frozen=True)
class Rule:
    """The numbers of the rule.

    Attributes:
        level: probability of a wrong decision.
        units: fewest seeds or repeats that a verdict is drawn from.
        most: the largest number of seeds that an undecided claim names.
        margins: the largest difference that does not matter, by what is measured.
        distance: relative distances up to which two matrices are near, and above which they are far from each other.
    """

    level: float
    units: int
    most: int
    margins: Mapping[str, float]
    distance: tuple[float, float]


def rule_text() -> str:
    """Give the file as it is."""
    return resources.files("hyperinf.reporting").joinpath(FILE).read_text(encoding="utf-8")


def rule_hash() -> str:
    """Compute the SHA-256 of the file."""
    return hashlib.sha256(rule_text().encode()).hexdigest()


@cache
def rule() -> Rule:
    """Read the file."""
    content = yaml.safe_load(rule_text())
    return Rule(**{**content, "distance": tuple(content["distance"])})
