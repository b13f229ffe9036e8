"""The command that draws questions to select from."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf.cli.arguments import (
    SOURCE_HELP,
    add_cache,
    out_folder,
    whole_number,
)
from hyperinf.cli.parser import Add, add_command

if TYPE_CHECKING:
    from hyperinf.data.questions import QuestionSource

# What says of questions, beside their source, where they come from and how they are asked.
_OF_QUESTIONS = ("format", "template", "subset", "revision", "images", "text_rows")


def add_select_data(commands: Any) -> None:
    """``hyperinf select data``."""
    add = add_command(commands, "data", "draw a pool, a validation and a test set of questions", _run)
    _add_questions(add, "", "the questions", required=True)
    add("--skip-bad-images", action="store_true", help="pass over questions whose image is missing or damaged")
    for role, size in (("pool", 1500), ("validation", 200), ("test", 400)):
        add(f"--split-{role}", default=None, metavar="NAME", help=f"split of the source that the {role} is drawn from")
        add(f"--{role}", type=int, default=size, metavar="N", help=f"{role} samples, at most")
    add("--wrong-answers", type=float, default=0.0, metavar="F", help="share of the pool that gets a wrong answer")
    add("--wrong-mode", default="uniform", choices=["uniform", "next"], help="any wrong choice, or the next one")
    add(
        "--off-task",
        type=float,
        default=0.0,
        metavar="F",
        help="share of the pool replaced by another source's questions",
    )
    _add_questions(add, "off-task-", "off-task questions")
    _add_questions(add, "test-", "test questions of another source")
    add("--seed", type=whole_number, required=True, help="of all that is drawn")
    add_cache(add)
    add("--out", type=out_folder, required=True, metavar="DIR", help="folder to write")


def _add_questions(add: Add, prefix: str, whose: str, required: bool = False) -> None:
    """Where questions come from; :func:`_questions` reads it."""

    def option(name: str, what: str, **more: Any) -> None:
        add(f"--{prefix}{name}", help=f"{whose}: {what}", **more)

    option("source", SOURCE_HELP, required=required, metavar="SRC")
    option(
        "format",
        "how a row becomes one: record for one's own",
        required=required,
        default=None if required else "record",
        metavar="NAME",
    )
    option("template", "prompt, a key of hyperinf/data/prompts.yaml; the format's own without it", metavar="NAME")
    option("subset", "configuration of a hub data set", metavar="NAME")
    option("revision", "branch, tag or commit of a hub data set", metavar="REV")
    option("images", "folder that paths of images start from; that of the file without it", type=Path, metavar="DIR")
    option("text-rows", "use those without an image, too", action="store_true")
    if not required:
        option("split", "split, or file of a folder, that they are drawn from", metavar="NAME")


def _run(parsed: argparse.Namespace) -> None:
    from hyperinf.data.questions import QuestionTaskConfig, prepare_questions

    config = QuestionTaskConfig(
        **_questions(parsed, ""),
        split_pool=parsed.split_pool,
        split_validation=parsed.split_validation,
        split_test=parsed.split_test,
        pool=parsed.pool,
        validation=parsed.validation,
        test=parsed.test,
        seed=parsed.seed,
        wrong_answers=parsed.wrong_answers,
        wrong_mode=parsed.wrong_mode,
        off_task=parsed.off_task,
        off_task_from=_other_questions(parsed, "off_task_"),
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
        skip_bad_images=parsed.skip_bad_images,
        test_from=_other_questions(parsed, "test_"),
    )
    prepare_questions(config, parsed.out)


def _questions(parsed: argparse.Namespace, prefix: str) -> dict[str, Any]:
    from hyperinf.data.sources import parse_source

    source = parse_source(getattr(parsed, f"{prefix}source"))
    return {"source": source, **{name: getattr(parsed, f"{prefix}{name}") for name in _OF_QUESTIONS}}


def _other_questions(parsed: argparse.Namespace, prefix: str) -> "QuestionSource | None":
    from hyperinf.data.questions import QuestionSource
    from hyperinf.errors import InputError

    if getattr(parsed, f"{prefix}source") is not None:
        return QuestionSource(**_questions(parsed, prefix), split=getattr(parsed, f"{prefix}split"))
    for name in (*_OF_QUESTIONS[1:], "split"):
        if getattr(parsed, f"{prefix}{name}"):
            flag = f"--{prefix}{name}".replace("_", "-")
            raise InputError(f"{flag} is given, but no --{prefix.replace('_', '-')}source")
    return None
