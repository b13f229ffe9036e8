"""What is said of a release in several places is the same in all of them: version, date, needs, licence."""

import datetime
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import jinja2
import pytest
import yaml
from packaging.requirements import Requirement

from hyperinf import __version__

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
OF_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def recipe():
    """The recipe as conda-build reads it: a template of YAML."""
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (ROOT / "packaging/recipe/meta.yaml").read_text()
    )
    return yaml.safe_load(template.render(PYTHON="python"))


def in_conda(line):
    requirement = Requirement(line)
    bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
    return f"{OF_CONDA.get(requirement.name, requirement.name)} {bounds}"


def test_the_recipe_needs_what_the_package_needs(recipe):
    python, *needed = recipe["requirements"]["run"]
    assert python == f"python {PROJECT['requires-python']}"
    assert needed == [in_conda(line) for line in PROJECT["dependencies"]]
    assert set(map(in_conda, PYPROJECT["build-system"]["requires"])) <= set(recipe["requirements"]["host"])


def test_the_recipe_is_of_this_release(recipe):
    assert recipe["package"] == {"name": PROJECT["name"], "version": __version__}
    assert recipe["build"]["entry_points"] == [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    about = recipe["about"]
    assert (about["license"], about["summary"]) == (PROJECT["license"], PROJECT["description"])
    assert (ROOT / about["license_file"]).is_file()
    assert (ROOT / "packaging/recipe" / recipe["source"]["path"] / "pyproject.toml").is_file()


def test_the_changelog_has_this_release_with_its_date_and_the_citation_says_the_same():
    releases = re.findall(r"^## \[(\d[\w.]*)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == (CITATION["version"], str(CITATION["date-released"]))
    assert CITATION["version"] == __version__
    assert [*map(datetime.date.fromisoformat, (date for _, date in releases))] == sorted(
        (datetime.date.fromisoformat(date) for _, date in releases), reverse=True
    )


def test_the_citation_names_the_paper_and_the_licence_that_the_package_names():
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["preferred-citation"]["url"] in PROJECT["urls"].values()


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="pip install 'hyperinf[dev]'")
@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("citation-file-format", "CITATION.cff"),
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_a_file_has_the_form_that_its_readers_expect(kind, pattern):
    files = [str(path) for path in sorted(ROOT.glob(pattern))]
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_a_hosted_service_runs_is_what_the_project_runs_itself():
    """Every make of the jobs is a target, and .ci/run makes the same ones; the wheel, which a test builds, apart."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    steps = " ; ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    made, own = (set(re.findall(r"make (?:--\S+ (?:\d+ )?)*([a-z]+)", text)) for text in (steps, _ci()))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert made <= targets | {"docs"}
    assert own - {"docs"} <= made
    assert made - {"docs", "wheel"} <= own
    assert {"3.11", "3.12", "3.13"} == set(jobs["tests"]["strategy"]["matrix"]["python"])


def _ci():
    return re.sub(r"#.*", "", (ROOT / ".ci/run").read_text())


def test_the_workflow_catalogue_finds_what_it_asks_for():
    """Of standardized usage: https://snakemake.github.io/snakemake-workflow-catalog."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"software-stack-deployment", "mandatory-flags", "report"} == set(usage)
    assert all((ROOT / name).is_file() for name in ("workflow/Snakefile", "config/README.md"))
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    links = re.findall(r"\]\((\.\./[^)]+)\)", (ROOT / "config/README.md").read_text())
    assert links
    assert all((ROOT / "config" / link).is_file() for link in links)
