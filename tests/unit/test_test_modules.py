"""Folders of tests can be run together, whichever they are."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
MODULES = [path for path in TESTS.rglob("*.py") if path.name != "conftest.py"]


def test_no_two_modules_of_the_tests_have_one_name():
    counted = Counter(path.name for path in MODULES)
    assert [name for name, number in counted.items() if number > 1] == []


def test_nothing_imports_a_conftest_as_every_folder_has_its_own():
    importing = re.compile(r"^\s*(from|import) conftest\b", re.M)
    assert [path for path in TESTS.rglob("*.py") if importing.search(path.read_text())] == []


def test_what_no_settings_are_handed_to_is_type_checked_whole():
    """``mypy.ini`` can only name modules: a new one of these folders is to be added there."""
    text = (TESTS / "mypy.ini").read_text()
    named = {name for line in re.findall(r"^\[mypy-(.+)\]$", text, re.M) for name in line.split(",")}
    folders = [TESTS / "workflow", TESTS / "faults", TESTS.parent / "examples"]
    modules = {path.stem for folder in folders for path in folder.rglob("*.py")}
    assert modules <= named


def test_folders_are_collected_together_in_another_order_than_that_of_all():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "workflow",
        "bad_input",
    ]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:]
