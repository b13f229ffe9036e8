"""Write the page of all commands: ``python website/command_page.py > docs/commands.md``."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hyperinf.cli.commands import GROUPS, ON_FILES, STAGES, Stage  # noqa: E402
from hyperinf.cli.flags import add_flags  # noqa: E402
from hyperinf.cli.main import named  # noqa: E402
from hyperinf.cli.others import OTHERS, Other  # noqa: E402
from hyperinf.cli.parser import Layout, Parser, sentence  # noqa: E402

HEAD = """\
# Commands

Made by `python website/command_page.py` of what `hyperinf COMMAND --help` shows; a test keeps it in step. Every flag of
a command on files and of a stage is a key of a file as well: `--config FILE` takes YAML or JSON with the same names,
dashes as underscores; flags win. A command ends with 0, or with 2 after one line on standard error for each thing that
cannot be used.
"""


def page() -> str:
    """Make the page."""
    parts = [HEAD, "## On files as people have them\n", *map(_stage, ON_FILES)]
    parts += ["## Stages of the pipeline\n", *_grouped(STAGES), "## Others\n", *_grouped(OTHERS)]
    return "\n".join(parts)


def _grouped(commands: Iterable[Stage | Other]) -> Iterator[str]:
    def group(each: Stage | Other) -> str:
        first, _, rest = each.name.partition(" ")
        return first if rest else ""

    for name, each in groupby(commands, group):
        if name:
            yield f"`hyperinf {name}`: {GROUPS[name]}.\n"
        yield from (_stage(one) if isinstance(one, Stage) else _other(one) for one in each)


def _stage(stage: Stage) -> str:
    parser = Parser(prog=f"hyperinf {stage.name}", add_help=False)
    add_flags(parser, named(stage.settings))
    return _section(stage.name, stage.takes, stage.help, parser)


def _other(other: Other) -> str:
    parser = Parser(prog=f"hyperinf {other.name}")
    other.add(parser.add_argument)
    return _section(other.name, "", other.help, parser)


def _section(name: str, takes: str, what: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"### `hyperinf {f'{name} {takes}'.strip()}`", "", sentence(what)]
    layout = Layout(parser.prog)
    for group in parser._action_groups:
        actions = [each for each in group._group_actions if each.help != argparse.SUPPRESS and each.dest != "help"]
        if [each.dest for each in actions] in ([], ["config"]):
            continue
        title = "" if group.title in ("options", "positional arguments") else str(group.title)
        lines += ["", *([f"*{title}*", ""] if title else []), "| | |", "| --- | --- |"]
        lines += [f"| `{_cell(layout._format_action_invocation(each))}` | {_told(layout, each)} |" for each in actions]
    return "\n".join(lines) + "\n"


def _told(layout: Layout, action: argparse.Action) -> str:
    return _cell(layout._expand_help(action)).replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
