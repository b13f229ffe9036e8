"""How a command line is parsed, and how its help is laid out."""

import argparse
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hyperinf.cli.screen import refuse

Add = Callable[..., Any]
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_VALUES = re.compile(r"argument ([^:]+): (got .+|expected .+)")


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are lines like those of all other mistakes; flags cannot be abbreviated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Layout, "allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Print the lines and exit with status 2."""
        if missing := _REQUIRED.fullmatch(message):
            lines = [f"{name}: got nothing, expected a value" for name in missing[1].split(", ")]
        elif wrong := _VALUES.fullmatch(message):
            lines = [f"{wrong[1]}: {'' if wrong[2].startswith('got ') else 'got nothing, '}{wrong[2]}"]
        else:
            lines = [message]
        raise SystemExit(refuse(lines))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            from hyperinf.settings.checking import suggestion

            known = list(action.choices)
            where = action.metavar or "/".join(action.option_strings)
            expected = f"expected one of {', '.join(known)}{suggestion(value, known)}"
            raise argparse.ArgumentError(None, f"{where}: got {value!r}, {expected}")

    def unknown(self, words: Sequence[str]) -> list[str]:
        """Say what is wrong with the words of a command line that no argument takes."""
        from hyperinf.settings.checking import suggestion

        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        lines = []
        after_flag = False
        for word in words:
            name = word.partition("=")[0]
            if word.startswith("-") and len(word) > 1:
                expected = f"expected one of those that '{self.prog} --help' lists{suggestion(name, known)}"
                lines.append(f"{name}: got an unknown flag, {expected}")
                after_flag = True
            elif not after_flag:
                lines.append(f"{self.prog}: got {word!r}, which no flag takes, expected a flag before it")
        return lines


class Layout(argparse.HelpFormatter):
    """Short forms: ``--[no-]flag`` for both flags of a switch, ``NAME ...`` for several values."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"--[no-]{action.option_strings[0].removeprefix('--')}"
        return super()._format_action_invocation(action)

    def _split_lines(self, text: str, width: int) -> list[str]:
        # No flag is broken at its dashes.
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs in ("*", "?"):
            (name,) = self._metavar_formatter(action, default_metavar)(1)
            return f"{name} ..." if action.nargs == "*" else name
        return super()._format_args(action, default_metavar)


def path(text: str) -> Path:
    """The path that an argument names."""
    from hyperinf.settings.types import at_home

    try:
        return Path(at_home(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def sentence(what: str) -> str:
    """The words as a sentence."""
    return what[0].upper() + what[1:] + "."
