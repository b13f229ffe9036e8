import hashlib
import json
import sys
import zipfile

import pytest
from rocrate.rocrate import ROCrate

from hyperinf.cli import main

CONFIG = "config/mine.yaml"


@pytest.fixture
def crate(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("device: cpu\n")
    words = ["--results", str(run), "--config", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "crate")]
    assert main(["crate", *words]) == 0
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
        assert set(archive.namelist()) == there - {CONFIG}
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
        ({"--results": "nowhere"}, "nowhere: got no report.html"),
        ({"--config": "no.yaml"}, "no.yaml: got no such file"),
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
