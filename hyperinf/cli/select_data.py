"""The command that draws questions to select from."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperinf.cli.arguments import SOURCE_HELP, add_cache
from hyperinf.cli.parser import Add, add_command

if TYPE_CHECKING:
    from hyperinf.data.questions import QuestionSource


def add_select_data(commands: Any) -> None:
    """``hyperinf select data``."""
    add = add_command(commands, "data", "draw a pool, a validation and a test set of questions", _run)
    add("--source", required=True, metavar="SRC", help=SOURCE_HELP)
    add(
        "--format",
        required=True,
        metavar="NAME",
        help="how a row of the source becomes a question: record for one's own",
    )
    add(
        "--template",
        default=None,
        metavar="NAME",
        help="prompt, a key of hyperinf/data/prompts.yaml; the format's own without it",
    )
    add("--subset", default=None, metavar="NAME", help="configuration of a hub data set")
    add("--revision", default=None, metavar="REV", help="branch, tag or commit of a hub data set")
    for role, size in (("pool", 1500), ("validation", 200), ("test", 400)):
        add(f"--split-{role}", default=None, metavar="NAME", help=f"split of the source that the {role} is drawn from")
        add(f"--{role}", type=int, default=size, metavar="N", help=f"{role} samples, at most")
    _add_images(add)
    _add_corruption(add)
    _add_other(add, "off-task", "off-task questions")
    _add_other(add, "test", "test questions, if from another source than the pool")
    add("--test-split", default=None, metavar="NAME", help="split of that source")
    add("--seed", type=int, required=True, help="of all that is drawn")
    add_cache(add)
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def _add_images(add: Add) -> None:
    add(
        "--images",
        type=Path,
        default=None,
        metavar="DIR",
        help="what paths of images are relative to; the file's folder without it",
    )
    add("--text-rows", action="store_true", help="of a format about images, use rows without an image, too")
    add(
        "--skip-bad-images", action="store_true", help="pass over and count questions whose image is missing or damaged"
    )


def _add_corruption(add: Add) -> None:
    add("--wrong-answers", type=float, default=0.0, metavar="F", help="share of the pool that gets a wrong answer")
    add("--wrong-mode", default="uniform", choices=["uniform", "next"], help="any wrong choice, or the next one")
    add(
        "--off-task",
        type=float,
        default=0.0,
        metavar="F",
        help="share of the pool replaced by another source's questions",
    )


def _add_other(add: Add, name: str, what: str) -> None:
    """Another source of questions; :func:`_other` reads it."""
    add(f"--{name}-source", default=None, metavar="SRC", help=f"where to take {what}")
    add(f"--{name}-format", default="record", metavar="NAME", help="their format")
    add(f"--{name}-template", default=None, metavar="NAME", help="their prompt template")
    add(f"--{name}-subset", default=None, metavar="NAME", help="their hub configuration")
    add(f"--{name}-revision", default=None, metavar="REV", help="their branch, tag or commit on the hub")
    add(f"--{name}-images", type=Path, default=None, metavar="DIR", help="their folder of images")


def _run(parsed: argparse.Namespace) -> None:
    from hyperinf.data.questions import QuestionTaskConfig, prepare_questions
    from hyperinf.data.sources import parse_source

    config = QuestionTaskConfig(
        source=parse_source(parsed.source),
        format=parsed.format,
        template=parsed.template,
        subset=parsed.subset,
        revision=parsed.revision,
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
        off_task_from=_other(parsed, "off_task"),
        cache=parsed.cache,
        wheels=tuple(parsed.wheel),
        images=parsed.images,
        text_rows=parsed.text_rows,
        skip_bad_images=parsed.skip_bad_images,
        test_from=_other(parsed, "test", parsed.test_split),
    )
    prepare_questions(config, parsed.out)


def _other(parsed: argparse.Namespace, name: str, split: str | None = None) -> "QuestionSource | None":
    from hyperinf.data.questions import QuestionSource
    from hyperinf.data.sources import parse_source

    given = {key: getattr(parsed, f"{name}_{key}") for key in ("format", "template", "subset", "revision", "images")}
    source = getattr(parsed, f"{name}_source")
    return None if source is None else QuestionSource(parse_source(source), split=split, **given)
