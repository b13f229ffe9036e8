"""The command line. Whatever is heavy is imported by the command that needs it."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hyperinf import __version__
from hyperinf.cli.commands import GROUPS, STAGES, Stage, stages
from hyperinf.cli.others import OTHERS
from hyperinf.cli.outcome import outcome
from hyperinf.cli.parser import Parser, sentence
from hyperinf.cli.screen import refuse, say, show_warnings, show_written
from hyperinf.errors import InputError
from hyperinf.runtime.gpus import take_for

# Of modules that are imported late: a matrix that cannot be inverted; a tensor file on a disk that is full.
_TOLD = ("ConvergenceError", "SafetensorError")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 2 after one line on standard error for each thing that cannot be used.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed, unknown = build_parser(words).parse_known_args(words)
    show_warnings()
    try:
        _run(parsed, unknown)
    except InputError as error:
        return refuse(str(error).splitlines())
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        # A full disk, a folder that may not be written: the machine's state, which only its user can mend.
        name = error.filename or "a file"
        return refuse([f"{name}: {error.strerror}" if error.strerror else error])
    except Exception as error:
        if type(error).__name__ not in _TOLD:
            raise
        return refuse([error])
    except KeyboardInterrupt:
        print("hyperinf: interrupted", file=sys.stderr)
        return 130
    return 0


def _run(parsed: argparse.Namespace, left: Sequence[str]) -> None:
    """Run the command that was named, if no words are left that it does not know.

    Raises:
        InputError: there are, or what the command is given cannot be used.
    """
    if not hasattr(parsed, "run"):
        parsed.parser.print_help()
        raise InputError("COMMAND: got nothing, expected one of these")
    if isinstance(parsed.run, Stage):
        _run_stage(parsed.run, parsed, left)
    elif mistakes := parsed.parser.unknown(left):
        raise InputError("\n".join(mistakes))
    else:
        parsed.run(parsed)


def _run_stage(stage: Stage, parsed: argparse.Namespace, left: Sequence[str]) -> None:
    from hyperinf.cli.flags import settings_of, take_positional
    from hyperinf.runtime.progress import at_work

    model = named(stage.settings)
    mistakes = parsed.parser.unknown(take_positional(parsed, model, left))
    try:
        settings = settings_of(parsed, model, look=True)
    except InputError as error:
        mistakes = [*mistakes, *str(error).splitlines()]
    if mistakes:
        raise InputError("\n".join(mistakes))
    if "device" in type(settings).model_fields:
        take_for(settings.device)
    with at_work(f"hyperinf {stage.name}"):
        named(stage.run)(settings)
    if stage in STAGES:  # those on files say themselves what they came to
        for line in outcome(Path(settings.out)):
            say(line)
    quoted = {name: shlex.quote(str(value)) for name, value in settings}
    show_written(Path(settings.out), [each.format_map(quoted) for each in stage.then])


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
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    groups: dict[str, Any] = {}
    for stage in stages(words):
        _add_stage(_room(stage.name, commands, groups), stage, words)
    for other in OTHERS:
        made = _add_command(_room(other.name, commands, groups), other.name, other.help, other.run)
        other.add(made.add_argument)
    return parser


def _room(name: str, commands: Any, groups: dict[str, Any]) -> Any:
    """The commands that a command stands among: those of its group, which is made when it is first met."""
    group, _, rest = name.partition(" ")
    if not rest:
        return commands
    if group not in groups:
        made = commands.add_parser(group, help=GROUPS[group], description=sentence(GROUPS[group]))
        made.set_defaults(parser=made)
        groups[group] = made.add_subparsers(title="commands", metavar="COMMAND")
    return groups[group]


def _add_stage(commands: Any, stage: Stage, words: Sequence[str]) -> None:
    usage = f"hyperinf {stage.name} {stage.takes}[--config FILE] [--FLAG VALUE ...]"
    made = _add_command(commands, stage.name, stage.help, stage, usage=usage, add_help=False)
    own = stage.name.split()
    # Nobody asks for the flags of other commands, and making all of them takes its time.
    if not words or list(words[: len(own)]) == own:
        from hyperinf.cli.flags import add_flags

        add_flags(made, named(stage.settings))


def _add_command(
    commands: Any, name: str, what: str, run: Stage | Callable[[argparse.Namespace], None], **more: Any
) -> Parser:
    made: Parser = commands.add_parser(name.split()[-1], help=what, description=sentence(what), **more)
    made.set_defaults(run=run, parser=made)
    return made


def named(path: str) -> Any:
    """Import what ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
