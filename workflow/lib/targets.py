"""Targets that are none, said before Snakemake plans."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hyperinf.settings.checking import suggestion

# Words of the command line that name rules or files, and those that name rules only.
_NAMING = {"targets": "", "until": "--until ", "omit_from": "--omit-from ", "forcerun": "--forcerun "}
_RULES = {"allowed_rules": "--allowed-rules "}


def mistyped(workflow: Any) -> Iterator[str]:
    """Write a line for each name on the command line that is neither a rule nor a file that a rule makes."""
    settings, rules = workflow.dag_settings, [rule.name for rule in workflow.rules]
    patterns = [output for rule in workflow.rules for output in rule.output]
    for kinds, what in ((_NAMING, "a rule, or a file that a rule makes"), (_RULES, "a rule")):
        for name, flag in kinds.items():
            for given in sorted(set(getattr(settings, name) or ()) - set(rules)):
                if kinds is _NAMING and _is_file(given, patterns):
                    continue
                yield (
                    f"{flag}{given}: got a name that is not known, expected {what}{suggestion(given, rules)}"
                    f" (snakemake --list names the rules)"
                )


def _is_file(name: str, patterns: Iterable[Any]) -> bool:
    return Path(name).exists() or any(pattern.match(name.removeprefix("./")) for pattern in patterns)
