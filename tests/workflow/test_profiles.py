"""What the profiles say of the rules must hold for the rules that there are."""

import dataclasses
import re
from typing import Any

import pytest
import yaml
from workspaces import ROOT, SMOKE, Workspace, job_counts

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


def body(rule: str) -> str:
    """A rule's text, without its name."""
    found = re.search(rf"^rule {rule}:\n((?:    .*\n|\n)+)", RULES, re.M)
    assert found, f"there is no rule {rule}"
    return found[1]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_rules_that_exist(name: str) -> None:
    settings = profile(name)
    named = {*settings.get("groups", {}), *settings.get("set-resources", {})}
    made_in_a_loop = {f"report_{study}" for study in ("mislabel", "llm", "vlm")}
    for rule in named - made_in_a_loop:
        body(rule)


def test_every_rule_asks_for_more_with_each_attempt_and_leaves_retries_to_the_profile() -> None:
    rules = re.split(r"^ *rule\b.*:$", RULES, flags=re.M)[1:]
    assert len(rules) > 20
    # What is asked for in this way grows: test_asking.py. A rule without a command is nothing to run.
    assert [text for text in rules if ("shell:" in text) != (text.count("**asked(") == 1)] == []
    assert not re.search(r"^ {4,8}(?:mem_mb|runtime)=", "".join(rules), re.M)
    assert "retries:" not in RULES


@pytest.mark.parametrize("name", ["slurm", "generic"])
def test_a_dry_run_with_the_profile_shows_the_same_jobs(pristine: Workspace, name: str) -> None:
    executor = profile(name)["executor"].replace("-", "_")
    pytest.importorskip(f"snakemake_executor_plugin_{executor}")
    plain = pristine.snakemake("--dry-run", "--configfile", SMOKE)
    printed = pristine.snakemake("--dry-run", "--configfile", SMOKE, "--workflow-profile", f"profiles/{name}")
    assert f"Using workflow specific profile profiles/{name}" in printed
    assert job_counts(printed) == job_counts(plain) != {}


def test_what_the_profile_and_its_page_name_of_the_executors_is_theirs() -> None:
    texts = [
        (ROOT / name).read_text()
        for name in ("docs/cluster.md", *(f"profiles/{each}/config.yaml" for each in PROFILES))
    ]
    for kind in ("slurm", "cluster_generic"):
        plugin = pytest.importorskip(f"snakemake_executor_plugin_{kind}")
        known = {each.name.replace("_", "-") for each in dataclasses.fields(plugin.ExecutorSettings)}
        prefix = kind.replace("_", "-")
        named = {word for text in texts for word in re.findall(rf"(?<![\w/-])(?:--)?{prefix}-([a-z-]+)(?=:|`| )", text)}
        assert named
        assert named <= known


def test_images_install_what_make_setup_installs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in ("Dockerfile", "hyperinf.def"):
        recipe = (ROOT / "packaging/container" / name).read_text()
        for part in ("--no-deps --require-hashes --requirement requirements.lock", "--no-deps --no-build-isolation"):
            assert part in makefile
            assert part in recipe
        assert "packaging/torch.sh python" in recipe
        assert re.search(r"python:3\.11", recipe)
