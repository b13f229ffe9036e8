import hashlib
import json
import shutil
import sys
import zipfile

import pytest
from rocrate.rocrate import ROCrate

from hyperinf.cli import main

CONFIG = "settings.yaml"


@pytest.fixture
def crate(run, tmp_path):
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate")]) == 0
    return tmp_path / "crate"


def entities(crate):
    return {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}


def test_the_crate_has_what_the_specification_requires(crate):
    # https://www.researchobject.org/ro-crate/1.1/root-data-entity.html
    found = entities(crate)
    descriptor, root = found["ro-crate-metadata.json"], found["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert descriptor["about"] == {"@id": "./"}
    assert root["@type"] == "Dataset"
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)


def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_reference_leads_to_an_entity(crate):
    found = entities(crate)
    assert set(references(list(found.values()))) - set(found) == {"https://w3id.org/ro/crate/1.1"}


def test_every_file_is_listed_with_its_hash_and_size(crate):
    listed = {name: entity for name, entity in entities(crate).items() if entity["@type"] == "File"}
    there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    assert set(listed) == there - {"ro-crate-metadata.json"}
    assert {"report.html", "tables/mislabel.csv", CONFIG, "assets/minilm.json"} <= set(listed)
    for name, entity in listed.items():
        content = (crate / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert entity["contentSize"] == str(len(content)), name


def test_the_settings_are_those_of_the_results(crate, run):
    assert (crate / CONFIG).read_bytes() == (run / CONFIG).read_bytes()
    assert not (crate / "config").exists()


def test_inputs_and_software_are_named(crate):
    found = entities(crate)
    assert found["#asset-minilm"]["license"] == "MIT"
    run = found["#run"]
    assert {"@id": "#asset-minilm"} in run["object"]
    assert {"@id": CONFIG} in run["object"]
    assert {found[each["@id"]]["name"] for each in run["instrument"]} >= {"hyperinf", "torch", "transformers"}


def test_an_archive_holds_the_same(crate, run, tmp_path):
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "crate.zip") as archive:
        there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
        assert set(archive.namelist()) == there
        assert archive.testzip() is None


def test_the_library_reads_what_it_wrote(crate):
    read = ROCrate(str(crate))
    assert read.root_dataset["name"] == "Results of a hyperinf run"
    assert {entity.id for entity in read.data_entities} >= {"report.html", "tables/mislabel.csv"}
    assert read.dereference("#run").type == "CreateAction"


def test_two_archives_of_a_run_are_the_same_to_the_byte(run, tmp_path):
    for name in ("first.zip", "second.zip"):
        assert main(["crate", "--results", str(run), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_without_the_library_one_line_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate")]) == 2
    error = capsys.readouterr().err
    assert "hyperinf[crate]" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "crate").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"--results": "nowhere"}, "nowhere: got no settings.yaml"),
        ({"--out": "."}, ".: got a path that exists"),
    ],
)
def test_what_cannot_be_a_crate_is_refused_in_one_line(run, tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    options = {"--results": str(run), "--out": "crate", **flags}
    assert main(["crate", *(word for pair in options.items() for word in pair)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "crate").exists()


RUN = "mislabel/words/bert/lora-2/seed-1"


@pytest.mark.parametrize(
    "name",
    [
        "report.html",
        "settings.yaml",
        "tables/mislabel.csv",
        "tables/mislabel_manifest.json",
        "figures/mislabel_words_bert_cost.png",
        f"{RUN}/detection/metrics.csv",
        f"{RUN}/scores/epoch-1/scores.parquet",
        f"{RUN}/scores/epoch-1",
        f"{RUN}/finetuned/epoch-1/adapter_model.safetensors",
        f"{RUN}/finetuned",
        "mislabel/words/data/seed-1",
        "mislabel/words/data/seed-1/test.parquet",
    ],
)
def test_results_that_lack_something_are_refused_by_its_name(run, tmp_path, capsys, name):
    there = run / name
    shutil.rmtree(there) if there.is_dir() else there.unlink()
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(run) in error
    if there.suffix:
        assert there.name in error
    assert not (tmp_path / "crate.zip").exists()


@pytest.mark.parametrize("name", [f"{RUN}/detection/metrics.csv", "mislabel/words/data/seed-1/train.parquet"])
def test_results_that_have_changed_since_are_refused_by_their_name(run, tmp_path, capsys, name):
    (run / name).write_bytes((run / name).read_bytes() + b" ")
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert "CHANGED" in error


def test_settings_that_ask_for_more_than_there_is_are_refused_by_what_is_missing(run, tmp_path, capsys):
    settings = run / "settings.yaml"
    settings.write_text(settings.read_text().replace('"run": [', '"run": ["simulation", '))
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 2
    assert "figures/simulation" in capsys.readouterr().err


def test_settings_that_are_none_are_refused_by_their_key(run, tmp_path, capsys):
    (run / "settings.yaml").write_text("device: gpu\n")
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 2
    assert "settings.yaml: device: got" in capsys.readouterr().err


def test_a_table_of_one_s_own_that_has_gone_its_way_is_not_missed(run, tmp_path):
    (run.parent / "words.csv").unlink()
    assert main(["crate", "--results", str(run), "--out", str(tmp_path / "crate.zip")]) == 0
