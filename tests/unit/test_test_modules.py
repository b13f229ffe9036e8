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


def test_the_workflow_and_bad_input_are_collected_together():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    for folders in (["workflow", "bad_input"], ["bad_input", "workflow"]):
        done = subprocess.run(
            [*command, *folders], cwd=TESTS, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout[-2000:]
