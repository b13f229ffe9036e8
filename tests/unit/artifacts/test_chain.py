import contextlib
import hashlib
import os
import shutil
import subprocess
import sys

import pandas as pd
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


NAMED = "--text sentence --label label --validation 10 --seed 1"


@pytest.fixture(scope="module")
def ran_by_hand(tmp_path_factory, tiny_bert):
    """The four commands of the README in a folder of one's own, with relative paths; nothing is flipped."""
    base = tmp_path_factory.mktemp("by_hand")
    rows = [f"w{i % 5} w{i % 7} w{i % 11},{'low' if i % 2 else 'high'}" for i in range(0, 300, 3)]
    (base / "words.csv").write_text("\n".join(["sentence,label", *rows]) + "\n")
    model = f"path:{tiny_bert} --family classifier --rank 2 --epochs 1 --seed 1 --device cpu"
    methods = "--methods hyperinf tracin --device cpu --seed 1"
    with contextlib.chdir(base):
        for command in (
            f"prepare --source path:words.csv {NAMED} --train 40 --test 20 --out run/data",
            f"finetune --data run/data --model {model} --out run/finetuned",
            f"score --data run/data --finetuned run/finetuned {methods} --out run/scores",
            "detect --finetuned run/finetuned --scores run/scores --out run/detection",
        ):
            assert main(command.split()) == 0, command
    return base


@pytest.fixture
def by_hand(ran_by_hand, tmp_path, monkeypatch):
    """A copy of it, as the folder that commands are given in."""
    monkeypatch.chdir(shutil.copytree(ran_by_hand, tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def ran_and_reported(ran_by_hand, tmp_path_factory):
    """The same with a report of it."""
    base = shutil.copytree(ran_by_hand, tmp_path_factory.mktemp("reported") / "mine")
    with contextlib.chdir(base):
        assert main(f"report study {SHAPE} --runs run --out report".split()) == 0
        assert main(["report", "page", "--results", "report", "--out", "report/report.html"]) == 0
    return base


@pytest.fixture
def reported(ran_and_reported, tmp_path):
    return shutil.copytree(ran_and_reported, tmp_path / "mine")


SHAPE = "--name mine --title Mine --family classifier --tasks task --models model --settings lora-2 --methods hyperinf"


@pytest.mark.parametrize("out", ["run", "report"])
@pytest.mark.parametrize("detection", ["--detection", "--no-detection"])
def test_what_was_run_by_hand_has_its_report_where_nothing_was_flipped(by_hand, out, detection):
    assert main(f"report study {SHAPE} {detection} --runs run --out {out}".split()) == 0
    assert main(f"report page --results {out} --out {out}/report.html".split()) == 0
    page = (by_hand / out / "report.html").read_text()
    assert "words.csv" in page
    if detection == "--detection":
        numbers = pd.read_csv(by_hand / out / "tables/mine.csv")
        assert set(numbers["method"]) == {"model"}


@pytest.mark.parametrize("asked", ["report/tables/mine_sources.csv", "report/report.html", "run/scores/scores.parquet"])
@pytest.mark.parametrize("where", [".", "run/data", "report/tables", "/"])
def test_the_chain_holds_from_whatever_folder_it_is_asked(reported, asked, where, monkeypatch, capsys):
    monkeypatch.chdir(reported / where)
    file = os.path.relpath(reported / asked)
    assert main(["provenance", file]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "words.csv: matches" in lines
    assert f"{reported}/run/data/train.parquet: matches" in lines
    (reported / "words.csv").write_text("another\n")
    assert main(["provenance", file]) == 2
    assert "words.csv: CHANGED" in [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_results_that_lie_elsewhere_know_where_their_table_lies(by_hand, tmp_path_factory, monkeypatch, capsys):
    far = tmp_path_factory.mktemp("far") / "away" / "data"
    assert main(f"prepare --source path:words.csv {NAMED} --train 40 --test 20 --out {far}".split()) == 0
    monkeypatch.chdir(far)
    capsys.readouterr()
    assert main(["provenance", "train.parquet", "--results", ".."]) == 0
    assert "words.csv: matches" in capsys.readouterr().out


def test_other_sets_that_samples_came_from_are_part_of_the_chain(by_hand, capsys):
    (by_hand / "other.csv").write_text((by_hand / "words.csv").read_text().replace("w1 ", "v1 "))
    other = "--test-data.source path:other.csv --test-data.text sentence --test-data.label label"
    sizes = "--train 15 --test 5 --out run/more"
    assert main(f"prepare --source path:words.csv {NAMED} {other} {sizes}".split()) == 0
    capsys.readouterr()
    assert main(["provenance", "run/more/test.parquet"]) == 0
    assert "other.csv: matches" in capsys.readouterr().out
