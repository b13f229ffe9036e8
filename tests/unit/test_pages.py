"""What README and docs tell to do: programs run as they stand, commands are known, links lead somewhere."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import hyperinf
from hyperinf.cli.main import build_parser, main

ROOT = Path(__file__).parents[2]
sys.path.append(str(Path(__file__).parent / "attribution"))
sys.path.append(str(ROOT / "website"))
import command_page  # noqa: E402
import picture  # noqa: E402
from foreign import adapter, base, rows_of, write  # noqa: E402

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("**/*.md"))}
PAGES = {"README.md": (ROOT / "README.md").read_text("utf-8"), **PAGES}
EXTENDING = "docs/extending.md"  # its programs are parts of files: test_adding.py


def fenced(language: str) -> list[tuple[str, str]]:
    """The blocks of a language, each with the page it is on."""
    return [
        (page, text)
        for page, whole in PAGES.items()
        for text in re.findall(rf"^```{language}\n(.*?)^```", whole, re.DOTALL | re.MULTILINE)
    ]


def commands_in(block: str) -> list[str]:
    """The commands of hyperinf in a block of shell, with the block's own variables in their places."""
    block = block.replace("\\\n", " ")
    for name, value in re.findall(r'^(\w+)="([^"]*)"', block, re.MULTILINE):
        block = block.replace(f"${name}", value)
    return re.findall(r"^(?:\$ )?(hyperinf (?!\S*:).*?)(?: {3,}#.*)?$", block, re.MULTILINE)


PROGRAMS = [pytest.param(text, id=page) for page, text in fenced("python") if page != EXTENDING]
COMMANDS = [
    pytest.param(command, id=f"{page}: {command[:50]}") for page, text in fenced("") for command in commands_in(text)
]
# On files and models that the fixture has; names in capitals stand for anything.
SCORES = sorted(
    {
        command
        for _, text in fenced("")
        for command in commands_in(text)
        if re.match("hyperinf score train.* my-", command)
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the pages' names stand for."""
    made = tmp_path_factory.mktemp("pages")
    adapter(made / "my-adapter", base(made / "my-llm", "causal"), "causal")
    adapter(made / "my-head", base(made / "my-encoder", "classifier"), "classifier")
    for name, seed in (("train", 1), ("dev", 2)):
        write(made / f"{name}.jsonl", rows_of("causal", 12, seed))
        pd.DataFrame(rows_of("classifier", 12, seed)).to_csv(made / f"{name}.csv", index=False)
    return made


def test_there_are_programs_and_commands():
    assert len(PROGRAMS) >= 5
    assert len(SCORES) >= 3
    assert len(COMMANDS) >= 25
    assert {each.id for each in PROGRAMS} >= {"README.md", "docs/start.md", "docs/python.md", "docs/theory.md"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_runs_as_it_stands(program, folder):
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    environment = {**os.environ, **offline, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "influence" in ran.stdout


@pytest.mark.parametrize("command", SCORES)
def test_a_command_runs_as_it_stands(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(shlex.split(command)[1:]) == 0
    assert "look at scores.html" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_flags_that_there_are(command):
    words = shlex.split(command)[1:]
    parsed, unknown = build_parser(words).parse_known_args(words)
    assert isinstance(parsed, argparse.Namespace)
    assert [word for word in unknown if word.startswith("-")] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\":]+)\"", PAGES[page])
    for link in (first or second for first, second in links):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_the_readme_is_short_and_begins_with_what_to_do():
    lines = PAGES["README.md"].splitlines()
    assert len(lines) < 150
    screen = "\n".join(lines[:45])
    assert all(each in screen for each in ("pip install", "```python", "make run", "make test", "pipeline.svg"))


def test_every_page_stands_in_the_navigation():
    listed = set(re.findall(r": ([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs/notebooks").glob("*.ipynb")}
    pages = {page.removeprefix("docs/") for page in PAGES if page != "README.md"}
    assert listed == pages | notebooks | {"CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}


def test_the_page_of_commands_is_what_the_command_line_declares():
    assert PAGES["docs/commands.md"] == command_page.page(), "make it again: website/command_page.py"


def test_the_picture_is_what_its_program_draws():
    for name, colours in picture.COLOURS.items():
        assert (ROOT / "docs" / name).read_text("utf-8") == picture.drawn(**colours), "python website/picture.py"


def test_every_public_name_stands_on_the_page_of_the_api():
    named = set(re.findall(r"^::: hyperinf\.(\w+)$|^`hyperinf\.(\w+)`", PAGES["docs/api.md"], re.MULTILINE))
    assert {first or second for first, second in named} == set(vars(hyperinf)["__all__"])


@pytest.mark.assets
def test_the_first_commands_of_the_five_minutes_say_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = PAGES["docs/start.md"]
    for name in ("prepare", "mislabeled"):
        command = re.search(rf"^hyperinf {name} .*$", page, re.MULTILINE)
        assert command is not None
        assert main(shlex.split(command[0])[1:]) == 0
    said = capsys.readouterr().out
    counted = re.search(r"^by the truth .*$", page, re.MULTILINE)
    assert counted is not None
    assert re.search(r"by the truth 40 labels are wrong", said)
    assert abs(_roc_auc(said) - _roc_auc(counted[0])) < 0.02


def _roc_auc(text: str) -> float:
    found = re.search(r"ROC-AUC (\.?[\d.]+)", text)
    assert found is not None
    return float(found[1])


def test_the_configuration_of_the_site_loads_nothing_from_a_network():
    read = (ROOT / "mkdocs.yml").read_text()
    assert yaml.safe_load(read)["theme"]["font"] is False
    assert "- offline" in read
