"""How a group of commands and a command are added to the parser."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from hyperinf.runtime.redaction import redacted

Add = Callable[..., Any]


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, like those of all other mistakes."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {redacted(one_line(message))} (see {self.prog} --help)\n")


def one_line(message: object) -> str:
    """The message without the line breaks that a path or a library may have put into it."""
    return " ".join(str(message).splitlines())


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Show defaults, but not those that only say that there is none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default == [] or action.required:
            return action.help or ""
        if isinstance(action.default, list):
            joined = " ".join(map(str, action.default)).replace("%", "%%")
            return f"{action.help or ''} (default: {joined})".strip()
        return super()._get_help_string(action) if action.help else "(default: %(default)s)"


def add_group(commands: Any, name: str, what: str) -> Any:
    """A group of commands: ``hyperinf NAME COMMAND``."""
    parser = commands.add_parser(name, help=what, description=sentence(what))
    parser.set_defaults(group=parser)
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def add_command(commands: Any, name: str, what: str, run: Callable[[argparse.Namespace], None], **more: Any) -> Add:
    """A command that calls ``run``; returns what adds an argument to it."""
    parser = commands.add_parser(
        name,
        help=what,
        description=sentence(what),
        formatter_class=Defaults,
        **more,
    )
    parser.set_defaults(run=run)
    add: Add = parser.add_argument
    return add


def sentence(what: str) -> str:
    """The words as a sentence."""
    return what[0].upper() + what[1:] + "."
