import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import code_hash as module
import pytest
from code_hash import DISTRIBUTIONS, code_hash, imported_packages, reached_modules, release
from locks import locked
from packaging.utils import canonicalize_name
from processor_time import quickest
from workspaces import ROOT

PACKAGE = {
    "pack/__init__.py": '"""The package."""\n__version__ = "1"\n',
    "pack/entry.py": '"""Entry."""\nfrom pack.middle import step\n\ndef run():\n    """Run."""\n    return step()\n',
    "pack/middle.py": (
        "from . import leaf\n\ndef step():\n    from pack.late import value\n    return leaf.number + value\n"
    ),
    "pack/leaf.py": "number = 1\n",
    "pack/late.py": "value = 2\n",
    "pack/other.py": "unused = 3\n",
    "pack/room/__init__.py": "from pack.room.inner import thing\n",
    "pack/room/inner.py": "thing = 4\n",
    "pack/room/deep.py": "from ..leaf import number\n\n\nclass Deep:\n    '''Doc.'''\n\n    size = number\n",
    "pack/room/data.csv": "a,b\n1,2\n",
}
Edit = Callable[[str, str, str], None]


def forget() -> None:
    """A run of Snakemake reads every file once; these tests edit files in between."""
    for each in (module._read, module._imported, module._code_hash, module.release):
        each.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def edit(root: Path) -> Edit:
    def change(name: str, old: str, new: str) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))
        forget()

    return change


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pack/entry.py", "return step()", "return step() + 1"),
        ("pack/middle.py", "leaf.number + value", "leaf.number - value"),
        ("pack/leaf.py", "number = 1", "number = 10"),
        ("pack/late.py", "value = 2", "value = 20"),
        ("pack/__init__.py", '"1"\n', '"1"\nsetting = 1\n'),
    ],
    ids=["itself", "imported", "imported from a package", "imported inside a function", "its package"],
)
def test_an_edit_of_anything_that_is_reached_changes_the_hash(
    root: Path, edit: Edit, name: str, old: str, new: str
) -> None:
    before = code_hash("pack.entry", root=root)
    edit(name, old, new)
    assert code_hash("pack.entry", root=root) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pack/entry.py", '"""Run."""', '"""Run it, in other words."""'),
        ("pack/entry.py", '"""Entry."""\n', ""),
        ("pack/leaf.py", "number = 1", "# one\nnumber  =  1  # the only one"),
        ("pack/__init__.py", '"1"', '"2"'),
        ("pack/other.py", "unused = 3", "unused = 30"),
    ],
    ids=["docstring", "no docstring", "comments and layout", "version", "unrelated module"],
)
def test_an_edit_without_consequence_keeps_the_hash(root: Path, edit: Edit, name: str, old: str, new: str) -> None:
    before = code_hash("pack.entry", root=root)
    edit(name, old, new)
    assert code_hash("pack.entry", root=root) == before


def test_a_docstring_of_a_class_does_not_count_but_its_body_does(root: Path, edit: Edit) -> None:
    before = code_hash("pack.room.deep", root=root)
    edit("pack/room/deep.py", "'''Doc.'''", "'''Other.'''")
    assert code_hash("pack.room.deep", root=root) == before
    edit("pack/room/deep.py", "size = number", "size = 2 * number")
    assert code_hash("pack.room.deep", root=root) != before


def test_imports_are_followed_through_relative_names_and_through_the_packages_above(root: Path) -> None:
    assert reached_modules("pack.entry", root=root) == {"pack", "pack.entry", "pack.middle", "pack.leaf", "pack.late"}
    # Importing pack.room.deep runs pack/room/__init__.py, which imports pack.room.inner.
    deep = {"pack", "pack.leaf", "pack.room", "pack.room.deep", "pack.room.inner"}
    assert reached_modules("pack.room.deep", root=root) == deep


def test_data_files_count_by_their_bytes_and_names(root: Path) -> None:
    without = code_hash("pack.leaf", root=root)
    before = code_hash("pack.leaf", data=["pack/room/*.csv"], root=root)
    assert before != without
    (root / "pack/room/data.csv").write_text("a,b\n1,3\n")
    forget()
    changed = code_hash("pack.leaf", data=["pack/room/*.csv"], root=root)
    assert changed != before
    (root / "pack/room/more.csv").write_text("a,b\n")
    forget()
    assert code_hash("pack.leaf", data=["pack/room/*.csv"], root=root) not in (before, changed)


def test_a_name_that_is_not_there_is_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"pack\.nothing"):
        code_hash("pack.nothing", root=root)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        code_hash("pack.leaf", data=["pack/none.csv"], root=root)


def test_packages_count_by_their_release_wherever_they_are_imported(
    root: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("pack/late.py", "value = 2", "import json\nimport thing.deep\nfrom other.part import x\nvalue = 2")
    assert imported_packages("pack.entry", root=root) == {"thing", "other"}
    assert imported_packages("pack.leaf", root=root) == set()
    hashes = set()
    for thing, other in (("1.0", "2.0"), ("1.1", "2.0"), ("1.0", "2.1")):
        versions = {"thing": thing, "other": other}
        monkeypatch.setattr(module, "version", versions.__getitem__)
        forget()
        hashes.add(code_hash("pack.entry", root=root))
    assert len(hashes) == 3
    monkeypatch.setattr(module, "version", {"thing": "1.0+cu130", "other": "2.0"}.__getitem__)
    forget()
    assert code_hash("pack.entry", root=root) in hashes


def test_every_package_that_the_library_imports_has_a_release_in_the_lock() -> None:
    lock = locked()
    files = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "hyperinf").rglob("[!_]*.py")]
    imported = imported_packages(*(path.as_posix().replace("/", ".") for path in files))
    assert {"torch", "PIL", "yaml", "matplotlib"} <= imported
    for package in imported:
        assert release(package) is not None, package
        assert canonicalize_name(DISTRIBUTIONS.get(package, package)) in lock


def test_scoring_depends_on_what_takes_scores_and_fine_tuning_does_not() -> None:
    scoring, training = reached_modules("hyperinf.pipeline.score"), reached_modules("hyperinf.pipeline.finetune")
    assert "hyperinf.influence.sweeps" in scoring
    assert not {name for name in training if name.startswith(("hyperinf.influence", "hyperinf.linalg"))}
    assert "hyperinf.training.loop" in training - scoring


def test_how_settings_are_declared_counts_only_where_it_is_asked_for() -> None:
    assert not {name for name in reached_modules("hyperinf.pipeline.score") if name.startswith("hyperinf.settings")}
    assert "hyperinf.settings.methods" in reached_modules("hyperinf.reporting.stages", "hyperinf.settings.methods")


def test_hashing_the_whole_library_takes_less_than_a_second_of_processor_time_and_imports_nothing_heavy() -> None:
    program = (
        "import sys, time; sys.path.insert(0, 'workflow/lib'); begin = time.process_time();"
        "from code_hash import code_hash;"
        "names = ('hyperinf.pipeline.score', 'hyperinf.pipeline.select', 'hyperinf.reporting.stages');"
        "[code_hash(name) for name in names];"
        "assert 'torch' not in sys.modules and 'hyperinf' not in sys.modules; print(time.process_time() - begin)"
    )
    command = [sys.executable, "-c", program]
    assert quickest(lambda: float(subprocess.check_output(command, cwd=ROOT)), 1.0) < 1.0
