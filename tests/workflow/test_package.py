"""The sdist and the wheel, and a workflow that ``hyperinf init`` writes out of the installed wheel."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from workspaces import GIVEN

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = (
    "Snakefile",
    "workflow/rules/run.smk",
    "workflow/config/smoke.yaml",
    "profiles/slurm/partitions.yaml",
    "config.yaml",
    "envs/hyperinf.yaml",
    "docs/settings.md",
    "tests/unit/test_rooms.py",
    "tests/workflow/stub_commands.py",
    "benchmarks/grid_cost.py",
    "requirements.lock",
    "requirements-cu130.lock",
    "packaging/torch.sh",
    "Makefile",
    ".ci/run",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
)


def run(*words: object, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    kept = (key for key in os.environ if not key.startswith(("PYTHONPATH", "MAKE")) and key not in GIVEN)
    environment = {key: os.environ[key] for key in kept}
    environment["PATH"] = path or os.environ["PATH"]
    return subprocess.run([*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def build(kind: str, source: Path, out: Path) -> Path:
    code = f"import setuptools.build_meta as backend; print(backend.build_{kind}({str(out)!r}))"
    made = run(sys.executable, "-c", code, cwd=source)
    assert made.returncode == 0, made.stderr
    return out / made.stdout.split()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy, as building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("sdist")
    ignored = shutil.ignore_patterns(".git", ".venv*", ".snakemake", ".*_cache", ".hypothesis", "results", "*.egg-info")
    shutil.copytree(ROOT, folder / "copy", ignore=ignored)
    return build("sdist", folder / "copy", folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """Made of the sdist alone."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return build("wheel", sdist.parent / sdist.name.removesuffix(".tar.gz"), sdist.parent)


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The programs of an environment that has the wheel, and finds everything else where this one has it."""
    folder = wheel.parent / "environment"
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others))
    program = folder / "bin" / "hyperinf"
    program.write_text(f"#!{folder}/bin/python\nimport sys\nfrom hyperinf.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return folder / "bin"


@pytest.fixture(scope="module")
def paper(installed: Path) -> Path:
    folder = installed.parents[1] / "paper"
    made = run(installed / "hyperinf", "init", folder.name, cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    assert "make" in made.stderr
    return folder


def test_the_sdist_has_whatever_a_contributor_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(SOURCES) - names == set()
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|^results/.+/|^\.venv|^\.git/", name)]


def test_the_wheel_is_typed_and_has_its_data_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hyperinf").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "README.md"
    ]
    assert {"hyperinf/py.typed", "hyperinf/__init__.pyi", *data} - names == set()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"hyperinf"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_page_of_an_index_has_no_link_or_picture_that_leads_nowhere(metadata: Message) -> None:
    text = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "# hyperinf" in text
    assert not re.findall(r"\]\((?!https?:|#|mailto:)[^)]*\)", text)
    assert not re.findall(r"""(?:src|srcset|href)=["'](?!https?:|#)""", text)


def test_with_a_repository_links_and_pictures_of_the_page_lead_there(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(wheel.parent / sdist.name.removesuffix(".tar.gz"), copy)
    pyproject = copy / "pyproject.toml"
    address = "https://example.org/of/hyperinf"
    pyproject.write_text(
        pyproject.read_text().replace("[project.urls]\n", f'[project.urls]\nRepository = "{address}"\n')
    )
    (copy / "README.md").write_text('![a](docs/a.png) [b](docs/b.md#c) [d](#e)\n<img src="docs/f.svg">\n')
    made = build("sdist", copy, tmp_path)
    with tarfile.open(made) as archive:
        file = archive.extractfile(f"{made.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert file
        text = str(email.message_from_bytes(file.read()).get_payload())
    first, second = text.splitlines()
    assert first == f"![a]({address}/raw/main/docs/a.png) [b]({address}/blob/main/docs/b.md#c) [d](#e)"
    assert second == f'<img src="{address}/raw/main/docs/f.svg">'


def test_the_metadata_names_pythons_licence_addresses_and_extras(metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(PROJECT["classifiers"]) == set(metadata.get_all("Classifier") or ())
    assert [f"{name}, {address}" for name, address in PROJECT["urls"].items()] == metadata.get_all("Project-URL")
    assert set(metadata.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])


def test_an_installed_package_writes_the_workflow_as_it_stands(paper: Path, installed: Path) -> None:
    files = [
        path for part in ("workflow", "profiles", "envs") for path in (ROOT / part).rglob("*") if path.suffix != ".pyc"
    ]
    for path in [*files, ROOT / "Snakefile", ROOT / "config.yaml"]:
        if path.is_file():
            assert (paper / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    makefile = (paper / "Makefile").read_text()
    assert "@" not in re.sub(r"^\t@", "\t", makefile, flags=re.M)
    assert str(installed / "python") in makefile


def test_a_folder_that_holds_something_is_refused_in_one_line_and_stays_as_it_is(paper: Path, installed: Path) -> None:
    before = sorted(paper.rglob("*"))
    done = run(installed / "hyperinf", "init", paper, cwd=paper)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(paper) in line
    (paper / "empty").mkdir()
    assert run(installed / "hyperinf", "init", ".", cwd=paper / "empty").returncode == 0, "an empty one will do"
    shutil.rmtree(paper / "empty")
    file = run(installed / "hyperinf", "init", "Makefile", cwd=paper)
    assert file.returncode == 2
    assert len(file.stderr.splitlines()) == 1
    assert sorted(paper.rglob("*")) == before


def test_make_plans_the_default_experiment_and_makes_a_part_of_the_small_one(paper: Path) -> None:
    planned = run("make", "run", "ARGS=-n", cwd=paper)
    assert planned.returncode == 0, planned.stderr
    assert "report_page" in planned.stdout + planned.stderr
    made = run("make", "smoke", "CORES=2", "ARGS=--until simulation_fisher", cwd=paper)
    assert made.returncode == 0, made.stderr
    assert list((paper / "results/smoke/simulation").rglob("*.csv"))
    again = run("make", "smoke", "CORES=2", "ARGS=--until simulation_fisher -n", cwd=paper)
    assert re.search(r"^total +0$", again.stdout, re.M), again.stdout


def test_code_of_the_installed_package_is_hashed_as_that_of_a_checkout_is(paper: Path, installed: Path) -> None:
    program = "import sys; sys.path[:0] = ['workflow/lib']; from code_hash import *; print(code_hash('hyperinf.cli'))"
    hashes = [run(installed / "python", "-c", program, cwd=folder) for folder in (paper, ROOT)]
    assert hashes[0].stdout == hashes[1].stdout != "", hashes[0].stderr


def test_a_folder_of_another_release_is_refused_in_one_line(paper: Path, tmp_path: Path) -> None:
    text = (paper / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(text.replace('!= "0.1.0"', '!= "0.0.1"'))
    done = run("make", "run", cwd=tmp_path)
    assert done.returncode != 0
    assert "hyperinf init FOLDER" in done.stderr.splitlines()[0]


def test_what_the_workflow_needs_beyond_the_library_is_fetched_where_it_is_missing(paper: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*" >> calls\ncase "$*" in *"import snakemake"*) exit 1;; esac\n')
    python.chmod(0o755)
    shutil.copy(paper / "Makefile", tmp_path)
    assert run("make", "run", "PYTHON=./python", cwd=tmp_path).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "hyperinf[workflow]==" in calls[2]
    assert "workflow/run.py" in calls[3]


def test_a_checkout_writes_the_same_folder(paper: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "hyperinf", "init", "own"], cwd=tmp_path, env=environment, check=True)
    listed = {path.relative_to(tmp_path / "own") for path in (tmp_path / "own").rglob("*")}
    assert {path.parts[0] for path in listed} == {
        "Snakefile",
        "config.yaml",
        "workflow",
        "profiles",
        "envs",
        "Makefile",
    }
    assert {path for path in listed if not (paper / path).exists()} == set()
