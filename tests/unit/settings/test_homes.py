"""``~`` in a path means a home wherever a path can be given: no shell reads a file, or what follows ``--flag=``."""

from pathlib import Path
from typing import Annotated, Any, get_args

import pydantic
import pytest

from hyperinf.cli import main
from hyperinf.cli.commands import STAGES
from hyperinf.cli.main import named
from hyperinf.data.sources.models import resolve_cache
from hyperinf.errors import InputError
from hyperinf.settings.base import Settings, kind_of
from hyperinf.settings.experiment import ExperimentSettings
from hyperinf.settings.runtime import CacheSettings
from hyperinf.settings.types import Home

ROOTS = [ExperimentSettings, *(named(stage.settings) for stage in STAGES)]


def marked(annotation: Any) -> bool:
    """Whether an annotation, or what it is made of, is that of a path."""
    return annotation is Home or any(marked(each) for each in (*get_args(annotation), *metadata(annotation)))


def metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def sections(model: type[Settings]) -> set[type[Settings]]:
    found = {model}
    for field in model.model_fields.values():
        for each in (kind_of(field.annotation), *map(kind_of, get_args(kind_of(field.annotation)))):
            if isinstance(each, type) and issubclass(each, Settings):
                found |= sections(each)
    return found


PATHS = {
    (model, name, "tuple" in str(field.annotation))
    for root in ROOTS
    for model in sections(root)
    for name, field in model.model_fields.items()
    if marked(field.annotation) or Home in field.metadata
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_every_setting_that_is_a_path_is_known():
    names = {name for _, name, _ in PATHS}
    assert {"results", "cache", "launcher", "wheels", "images", "path", "data", "out", "state", "scores"} <= names


@pytest.mark.parametrize(
    ("model", "name", "many"), sorted(PATHS, key=str), ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_path_of_a_home_is_one_whatever_it_is_of(model, name, many, home):
    field = model.model_fields[name]
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Annotated[(field.annotation, *field.metadata, None)])
    given, expected = ("~/x/y", f"{home}/x/y")
    assert adapter.validate_python((given,) if many else given) == ((expected,) if many else expected)


@pytest.mark.parametrize("text", ["path:~/mine.csv", {"path": "~/mine.csv"}])
def test_a_source_is_one_as_well(text, home):
    from hyperinf.settings.sources import DataSource

    assert DataSource.model_validate(text).path == f"{home}/mine.csv"


@pytest.mark.parametrize("path", ["x/~y", "./~/x", "x~", "/a/~"])
def test_elsewhere_in_a_path_it_means_nothing(path):
    assert CacheSettings(cache=path).cache == path


def test_the_home_of_nobody_is_refused_by_its_name(capsys):
    out = "~nobody-is-called-this/x"
    assert main(f"prepare --source path:{__file__} --text a --label b --seed 1 --out {out}".split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out" in error
    assert "~nobody-is-called-this" in error


@pytest.mark.parametrize("flag", ["--record=~nobody-is-called-this/r.json", "--cache=~nobody-is-called-this"])
def test_arguments_that_are_no_settings_refuse_it_too(flag, capsys):
    assert main(["assets", "list"]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["assets", "fetch", "minilm", flag])
    assert ended.value.code == 2
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_the_variable_of_the_cache_may_have_it(monkeypatch, home):
    monkeypatch.setenv("HYPERINF_CACHE", "~/cache")
    assert resolve_cache(CacheSettings()) == home / "cache"
    monkeypatch.setenv("HYPERINF_CACHE", "~nobody-is-called-this")
    with pytest.raises(InputError, match="HYPERINF_CACHE"):
        resolve_cache(CacheSettings())


def test_a_command_reads_and_writes_in_a_home_and_makes_no_folder_of_that_name(home, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    rows = [f"text {i},{'ab'[i % 2]}" for i in range(40)]
    (home / "mine.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (home / "mine.yaml").write_text("source: path:~/mine.csv\nout: ~/run/data\ncache: ~/cache\n")
    sizes = "--text text --label label --train 20 --validation 5 --test 5 --seed 1"
    assert main(f"prepare --config=~/mine.yaml {sizes}".split()) == 0
    assert (home / "run" / "data" / "train.parquet").is_file()
    assert main(["provenance", "~/run/data/train.parquet", "--results=~/run"]) == 0
    assert list(Path().iterdir()) == []
