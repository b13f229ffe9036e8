"""The benchmark of a GPU, all of it at tiny sizes on the CPU; how long anything takes is never looked at."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SECTIONS = ("card", "extraction", "scores", "queries", "frozen", "inverses", "dots", "memory")
CPU = torch.device("cpu")


def run(*arguments):
    """The command, as a user gives it."""
    command = [sys.executable, "-m", "benchmarks.gpu", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A whole run: its JSON and its lines."""
    path = tmp_path_factory.mktemp("gpu") / "gpu.json"
    done = run("--sizes", "tiny", "--device", "cpu", "--out", path)
    return json.loads(path.read_text()), done.stdout, path


@pytest.fixture
def part(monkeypatch):
    """Modules of the benchmark, imported from the project's folder."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.gpu.{name}")


def rows(content, section):
    return content["sections"][section]["rows"]


def test_every_section_has_rows_and_none_fails(result):
    content, printed, _ = result
    assert tuple(content["sections"]) == SECTIONS
    for name, section in content["sections"].items():
        assert section["rows"]
        assert not section["left_out"]
        assert name in printed
        for row in section["rows"]:
            assert "error" not in row["notes"]
            for times in row["times"].values():
                assert times["low"] <= times["median"] <= times["high"]
                assert times["repeats"] >= 1


def test_the_result_says_what_it_depends_on(result):
    content, _, _ = result
    for key in ("device", "torch", "cuda", "transformers", "peft", "hyperinf", "date", "seed", "sizes", "seconds"):
        assert key in content


def test_gradients_are_those_of_autograd_and_never_taken_one_by_one(result):
    for row in rows(result[0], "extraction"):
        assert next(iter(row["times"])) == "training step"
        assert row["notes"]["difference from autograd"] < (0.05 if row["what"]["precision"] == "bfloat16" else 1e-5)
        assert row["notes"]["weights taken one by one"] == 0
        assert row["notes"]["attention"] == "sdpa"


def test_scores_by_hand_are_ours(result):
    for row in rows(result[0], "scores"):
        if row["what"]["method"] != "LiSSA":  # whose scale is estimated in two ways
            assert row["notes"]["largest difference"] < 2e-3
        assert row["notes"]["rank correlation"] > 0.9


def test_scores_on_each_query_by_hand_are_ours(result):
    compared = [row for row in rows(result[0], "queries") if "by hand" in row["times"]]
    assert len(compared) == 4
    for row in compared:
        if row["what"]["method"] != "LiSSA":
            assert row["notes"]["largest difference"] < 2e-3
        assert row["notes"]["rank correlation"] > 0.9


def test_what_a_frozen_part_gives_is_less_than_gradients_and_changes_no_score(result):
    found = rows(result[0], "frozen")
    assert len(found) == 2
    for row in found:
        assert 0 < row["notes"]["outputs, MiB"] < row["notes"]["gradients, MiB"]
        assert row["notes"]["largest difference"] < 1e-5


def test_dot_products_and_inverses_are_right(result):
    for row in rows(result[0], "dots"):
        assert row["notes"]["largest difference"] < 1e-5
    for row in rows(result[0], "inverses"):
        found = [value for name, value in row["notes"].items() if name.startswith("residual")]
        assert len(found) >= 4
        assert max(found) < 1e-2


def test_published_loops_are_the_formulas(part):
    generator = torch.Generator().manual_seed(0)
    train, target = ({"a": torch.randn(n, 2, 5, generator=generator)} for n in (7, 3))
    by_hand, loops = part("by_hand"), part("loops")
    for method in ("TracIN", "DataInf"):
        torch.testing.assert_close(loops.LOOPS[method](train, target), by_hand.BY_HAND[method](train, target))
    large = {"a": 30 * train["a"]}  # thirty updates from 5e-5 I reach no eigenvalue's inverse above 5e-5 2^30
    expected = by_hand.BY_HAND["HyperINF, Cholesky"](large, target)
    torch.testing.assert_close(loops.LOOPS["HyperINF, Schulz"](large, target), expected, rtol=1e-3, atol=1e-4)


def test_what_runs_out_of_memory_is_recorded_beside_the_others(part):
    def too_much():
        raise torch.OutOfMemoryError("CUDA out of memory")

    def wrong():
        raise ValueError("a\nb")

    works = {"fits": lambda: torch.ones(3), "large": too_much, "wrong": wrong}
    times = part("timing").compared(works, CPU, repeats=3, until=time.monotonic() + 60)
    assert times["fits"]["repeats"] == 3
    assert "memory" in times["large"]["error"]
    assert "ValueError" in times["wrong"]["error"]


def test_rows_are_on_disk_as_soon_as_they_are_there(part, tmp_path):
    path = tmp_path / "gpu.json"
    section = part("record").Record(path, {}).section("card", CPU, time.monotonic() + 60)
    row = section.compare({"d": 1}, {"z": lambda: 1, "a": lambda: 2}, repeats=1)
    section.note(row, lambda: {"residual": float("nan")})
    [written] = json.loads(path.read_text())["sections"]["card"]["rows"]
    assert list(written["times"]) == ["z", "a"]
    assert written["notes"] == {"residual": "nan"}


def test_what_there_is_no_time_for_is_named(tmp_path):
    path = tmp_path / "gpu.json"
    run("--sizes", "tiny", "--device", "cpu", "--budget", 0, "--sections", "dots", "card", "--out", path)
    sections = json.loads(path.read_text())["sections"]
    assert list(sections) == ["card", "dots"]
    assert all(not section["rows"] and section["left_out"] for section in sections.values())


def test_the_table_has_all_that_was_measured(result, part, tmp_path):
    content, _, path = result
    run("--table", path, "--out", tmp_path / "gpu.md")
    page = (tmp_path / "gpu.md").read_text()
    assert page == part("table").table(content)
    for text in (content["device"], "HyperINF, Schulz", "Llama", "published loop", "bfloat16"):
        assert text in page
    content["sections"]["card"]["left_out"].append("d 3, precision float8")
    content["sections"]["dots"]["rows"].append(
        {"what": {"q": 1}, "times": {"": {"error": "out of memory"}}, "notes": {}}
    )
    page = part("table").table(content)
    assert "float8" in page
    assert "out of memory" in page


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks" / "results").glob("gpu_*.json")), ids=lambda path: path.stem
)
def test_the_page_in_docs_is_that_of_a_committed_result(path, part):
    pages = [part("table").table(json.loads(each.read_text())) for each in path.parent.glob("gpu_*.json")]
    assert (ROOT / "docs" / "gpu.md").read_text() in pages
