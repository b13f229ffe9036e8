"""Pages of what was measured are those that the committed results give."""

import json
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


def read(name):
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def written(name):
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_memory_foretold():
    from benchmarks.foretold import page

    result = read("foretold_cpu")
    assert written("memory") == page(result)
    assert max(abs(row["ratio"] - 1) for row in result["rows"] + result["held_out"] + result["training"]) < 0.25
    for row in result["card"]["rows"]:
        assert row["foretold_mib"] == pytest.approx(row["peak_mib"], rel=0.01)


def test_wide_layers():
    from benchmarks.wide import page

    result = read("wide")
    assert written("wide") == page(result)
    exact = {(row["what"], row["samples"], row["form"]): row for row in result["exact"]}
    rounded = {"triangles in float32": 2e-3, "triangles in bfloat16": 0.6}
    assert all(row["error"] < rounded.get(form, 1e-9) for (_, _, form), row in exact.items())
    *_, llama = result["exact"]
    ours = [exact[llama["what"], 100, form] for form in ("matrices", "rows where fewer", "matrices on the disk")]
    assert ours[1]["row layers"] == 2
    assert ours[1]["peak MiB"] < ours[0]["peak MiB"] / 10
    assert ours[2]["peak MiB"] < ours[0]["peak MiB"]


def test_growth():
    from benchmarks.growth import page

    assert written("growth") == page(read("growth_cpu"))


def test_speed():
    from benchmarks.cpu_table import page

    assert written("speed") == page()
    for row in read("choices_cpu")["rows"]:
        assert row["shared_tokens"] + row["trial_tokens"] < row["plain_tokens"]
        assert row["picks_that_differ"] == 0
        assert row["largest_relative_difference"] < 2e-5


def test_other_tools():
    from benchmarks.peers.table import markdown

    assert markdown(read("peers_cpu")).strip() in written("comparison")


def test_where_the_time_of_a_run_goes(tmp_path):
    from benchmarks.run_time import by_rule, page

    assert written("run-time") == page(read("run_time"))
    for name, seconds in (("llm/a/b/lora-8/seed-1/fraction-0.2", 3), ("llm/a/b/lora-8/seed-1/fraction-0.4", 4)):
        file = tmp_path / f"{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:03\t{10 * seconds}\t{seconds + 1}\n")
    found = {"jobs": 2.0, "seconds": 7.0, "cpu_seconds": 9.0, "largest_mib": 40.0}
    assert by_rule(tmp_path) == {"llm: fine-tune on selections": found}


def test_damping_and_scale():
    from benchmarks.sensitivity.report import choose, confirmation, page

    result = read("sensitivity")
    table = pd.DataFrame(result["rows"])
    table["scale"] = table["scale"].fillna("")
    chosen = choose(table)
    assert chosen == result["chosen"]
    assert written("sensitivity") == page(table, chosen) + confirmation(result["confirmed"])
