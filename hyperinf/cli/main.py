"""The command line. Whatever is heavy is imported by the command that needs it."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from hyperinf import __version__
from hyperinf.cli.commands import GROUPS, STAGES, Stage
from hyperinf.cli.others import OTHERS
from hyperinf.cli.parser import Parser, add_command, one_line
from hyperinf.errors import InputError
from hyperinf.runtime.redaction import redacted

# Of modules that are imported late: a matrix that cannot be inverted; a tensor file on a disk that is full.
_TOLD = ("ConvergenceError", "SafetensorError")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 2 after one line on standard error for each thing that cannot be used.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser(words)
    parsed = parser.parse_args(words)
    if not hasattr(parsed, "run"):
        parsed.group.print_help()
        print(f"{parsed.group.prog}: error: expected a command", file=sys.stderr)
        return 2
    # Deprecations inside the libraries are theirs to mend; a user of this command can do nothing about them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft)")
    try:
        parsed.run(parsed)
    except InputError as error:
        return _refused(error)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        # A full disk, a folder that may not be written: the machine's state, which only its user can mend.
        name = error.filename or "a file"
        return _refused(f"{name}: {error.strerror}" if error.strerror else error)
    except Exception as error:
        if type(error).__name__ not in _TOLD:
            raise
        return _refused(one_line(error))
    except KeyboardInterrupt:
        print("hyperinf: interrupted", file=sys.stderr)
        return 130
    return 0


def _refused(reason: object) -> int:
    for line in str(reason).splitlines():
        print(f"hyperinf: error: {redacted(line)}", file=sys.stderr)
    return 2


def build_parser(words: Sequence[str] = ()) -> Parser:
    """Make the parser of all commands.

    Args:
        words: those of the command line: flags are made for the command that they name, and for all without any.
    """
    parser = Parser(
        prog="hyperinf",
        description="Which training samples help or harm a model: influence functions by the generalised Fisher "
        "information (GFIM) and Schulz's iteration, with the baselines they are compared with.",
        epilog="Every step of the pipeline is one of these commands. 'hyperinf COMMAND --help' explains each.",
    )
    parser.add_argument("--version", action="version", version=f"hyperinf {__version__}")
    parser.set_defaults(group=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    groups: dict[str, Any] = {}
    for stage in STAGES:
        _add_stage(_room(stage.name, commands, groups), stage, words)
    for other in OTHERS:
        add = add_command(_room(other.name, commands, groups), other.name.split()[-1], other.help, other.run)
        other.add(add)
    return parser


def _room(name: str, commands: Any, groups: dict[str, Any]) -> Any:
    """The commands that a command stands among: those of its group, which is made when it is first met."""
    group, _, rest = name.partition(" ")
    if not rest:
        return commands
    if group not in groups:
        what = GROUPS[group]
        made = commands.add_parser(group, help=what, description=f"{what[0].upper()}{what[1:]}.")
        made.set_defaults(group=made)
        groups[group] = made.add_subparsers(title="commands", metavar="COMMAND")
    return groups[group]


def _add_stage(commands: Any, stage: Stage, words: Sequence[str]) -> None:
    def run(parsed: Any) -> None:
        from hyperinf.cli.flags import settings_of

        settings = settings_of(parsed, named(stage.settings))
        named(stage.run)(settings)

    own = stage.name.split()
    add = add_command(
        commands, own[-1], stage.help, run, usage=f"hyperinf {stage.name} [--config FILE] [--FLAG VALUE ...]"
    )
    # Nobody asks for the flags of other commands, and making all of them takes its time.
    if not words or list(words[: len(own)]) == own:
        from hyperinf.cli.flags import add_flags

        add_flags(add.__self__, named(stage.settings))  # type: ignore[attr-defined]


def named(path: str) -> Any:
    """Import what ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
