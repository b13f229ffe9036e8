"""Commands that take a file without a flag, and share their name with a stage."""

import pytest

from hyperinf.cli import commands
from hyperinf.cli.commands import Stage
from hyperinf.cli.main import main
from hyperinf.settings.base import Settings, setting
from hyperinf.settings.types import FilePath


class Taking(Settings):
    """Take a file."""

    file: FilePath = setting(help="table to read", metavar="FILE", positional=True)
    text: str = setting(help="column of the text")
    target: str | None = setting(None, help="file of targets")
    out: FilePath = setting(help="file to write", metavar="FILE")


def take(settings: Taking) -> None:
    print("taken", settings.file, settings.text, settings.target)


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        Stage(name, "take a file", f"{__name__}:Taking", f"{__name__}:take", (), "FILE ") for name in ("take", "score")
    ]
    monkeypatch.setattr(commands, "ON_FILES", tuple(made))


@pytest.mark.parametrize(
    "words",
    [
        ["take", "a.csv", "--text", "t", "--out", "o"],
        ["take", "--text", "t", "--out", "o", "a.csv"],
        ["take", "--text", "t", "a.csv", "--out", "o"],
        ["take", "--text=t", "--out=o", "--config", '{"file": "a.csv"}'],
        ["score", "a.csv", "--text", "t", "--out", "o"],
        ["score", "--text", "t", "--target", "d", "--out", "o", "a.csv"],
        ["score", "--text", "t", "--target=d", "--out", "o", "a.csv"],
        ["score", "--config", '{"file": "a.csv", "text": "t", "target": "d", "out": "o"}'],
    ],
    ids=" ".join,
)
def test_a_file_stands_where_its_user_puts_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("taken a.csv t ")


def test_a_flag_without_a_file_means_the_stage_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--seed", "1"]) == 2
    assert "--finetuned: got nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["take", "--text", "t", "--out", "o"], ["FILE"]),
        (["take", "a.csv", "b.csv", "--out", "o"], ["--text", "hyperinf take"]),
        (["take", "a.csv", "--txt", "b", "--out", "o"], ["--text", "--txt"]),
        (["take"], ["--out", "--text", "FILE"]),
    ],
    ids=str,
)
def test_every_mistake_is_a_line(words: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err.splitlines()
    assert sorted(line.removeprefix("hyperinf: error: ").partition(":")[0] for line in err) == lines


def test_help_shows_the_file_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: hyperinf score FILE ")
    assert "table to read" in shown
