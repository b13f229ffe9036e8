import hashlib
import subprocess
import sys

import pytest

from hyperinf.artifacts.files import read_json, write_json
from hyperinf.artifacts.lineage import chain
from hyperinf.cli import main
from hyperinf.errors import InputError

SCORES = "mislabel/words/bert/lora-2/seed-1/scores/epoch-1"
FOUND = "mislabel/words/bert/lora-2/seed-1/detection"
ADAPTER = "mislabel/words/bert/lora-2/seed-1/finetuned"
DATA = "mislabel/words/data/seed-1"


def states(results, name):
    """State by name, with folders above the results left out."""
    links = chain(results / name, results)
    return {link.name.removeprefix(f"{results}/"): link.state for link in links}


@pytest.mark.parametrize("name", ["tables/mislabel.csv", "figures/mislabel_words_bert_cost.pdf", "report.html"])
def test_a_table_a_figure_and_the_page_lead_back_to_scores_adapter_data_and_the_table_they_came_from(run, name):
    found = states(run, name)
    for file in (f"{FOUND}/metrics.csv", f"{SCORES}/scores.parquet", f"{DATA}/train.parquet"):
        assert found[file] == "matches", file
    assert found[f"{ADAPTER}/epoch-1/adapter_model.safetensors"] == "matches"
    (own,) = (state for file, state in found.items() if file.endswith("words.csv"))
    assert own == "matches"
    (weights,) = (state for file, state in found.items() if file.endswith("tiny-bert/model.safetensors"))
    assert weights == "matches"


def test_scores_lead_back_without_any_report(run):
    found = states(run, f"{SCORES}/scores.parquet")
    assert found[f"{DATA}/train.parquet"] == "matches"
    assert "seed 1" in found[f"{SCORES}/info.json"]
    assert "torch" in found[f"{ADAPTER}/info.json"]


def test_the_tables_of_the_simulation_lead_back_to_their_records(run):
    found = states(run, "tables/simulation.csv")
    assert found["simulation/convergence/dim-8_seed-1.csv"] == "matches"
    assert "torch" in found["simulation/convergence/dim-8_seed-1.info.json"]


@pytest.mark.parametrize("changed", [f"{FOUND}/metrics.csv", f"{ADAPTER}/training.csv", f"{DATA}/train.parquet"])
def test_a_file_that_has_changed_since_is_named_in_its_line_and_by_the_exit_code(run, changed, capsys):
    (run / changed).write_bytes((run / changed).read_bytes() + b" ")
    assert main(["provenance", str(run / "tables/mislabel.csv")]) == 2
    printed = capsys.readouterr()
    lines = [line.strip() for line in printed.out.splitlines()]
    assert f"{run / changed}: CHANGED" in lines
    assert printed.err.count("\n") == 1
    assert "is CHANGED" in printed.err


def test_a_file_that_is_gone_is_named(run):
    (run / DATA / "test.parquet").unlink()
    assert states(run, "tables/mislabel.csv")[f"{DATA}/test.parquet"] == "MISSING"


def test_an_unchanged_chain_ends_well(run, capsys):
    assert main(["provenance", str(run / "tables/mislabel.csv")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith(hashlib.sha256((run / "tables/mislabel.csv").read_bytes()).hexdigest())


def test_an_asset_is_named_with_origin_and_licence(run):
    record = run / ADAPTER / "info.json"
    info = read_json(record)
    info["settings"]["model"] = {"asset": "minilm", "hub": None, "path": None, "shape": None}
    write_json(record, info)
    assert states(run, f"{FOUND}/metrics.csv")["asset:minilm"] == f"o; MIT; wheel sha256 {'0' * 64}"


def test_a_file_of_which_nothing_is_known_is_refused(run):
    (run / "notes.parquet").write_bytes(b"x")
    (run / "tables").rename(run / "elsewhere")
    with pytest.raises(InputError, match=r"notes\.parquet: got no record beside or above it"):
        chain(run / "notes.parquet", run)
    with pytest.raises(InputError, match="no such file"):
        chain(run / "nothing.csv")


def test_the_chain_needs_no_torch(run):
    code = f"import sys; from hyperinf.cli import main; main(['provenance', {str(run / 'report.html')!r}]); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
