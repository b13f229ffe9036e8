"""``hyperinf score TRAIN``: scores against a loop of autograd, by family; what it writes, shows and refuses."""

import json
import os
import re
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from foreign import KINDS, adapter, base, by_hand, rows_of, score, write
from killable import killed_once_there, start

from hyperinf import Attributor
from hyperinf.attribution import tokens
from hyperinf.attribution.command import score_rows
from hyperinf.cli.main import main
from hyperinf.errors import InputError
from hyperinf.gradients import GradientStore, foretold
from hyperinf.influence.memory import planned
from hyperinf.settings.scored import ScoreRows


class Place:
    def __init__(self, folder, family):
        self.folder, self.family = folder, family
        self.rows = {"train": rows_of(family, 9, 1), "target": rows_of(family, 4, 2)}
        self.train, self.target = (write(folder / f"{role}.jsonl", each) for role, each in self.rows.items())
        self.base = base(folder / "base", family)
        head = {"classifier": ["classifier"], "tagger": ["classifier"]}.get(family)
        self.adapter = adapter(folder / "adapter", self.base, family, **({"modules_to_save": head} if head else {}))

    def score(self, **settings):
        given = {"adapter": str(self.adapter), **settings}
        return score(self.folder, self.train, self.target, self.base, **given)

    def words(self, *more):
        named = ["--adapter", str(self.adapter), "--out", str(self.folder / "out.csv")]
        return ["score", self.train, "--target", self.target, "--model", str(self.base), *named, *more]


@pytest.fixture(scope="module", params=list(KINDS))
def place(request, tmp_path_factory):
    return Place(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("causal"), "causal")


@pytest.mark.parametrize("method", ["hyperinf", "tracin"])
def test_scores_are_those_of_a_loop_of_autograd(place, method):
    expected = sum(by_hand(method, place.family, place.base, place.adapter, place.rows).values())
    table = place.score(method=method, each=True)
    assert table["sample_id"].tolist() == [f"train.jsonl:{row}" for row in range(1, 10)]
    queries = table[[f"target.jsonl:{row}" for row in range(1, 5)]].to_numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(queries, expected, atol=2e-4 * scale)
    np.testing.assert_allclose(table["influence"], expected.mean(axis=1), atol=2e-4 * scale)
    assert table["rank"].tolist() == (np.argsort(np.argsort(table["influence"])) + 1).tolist()


def test_rows_that_do_not_fit_into_memory_are_one_line_before_anything_is_computed(causal, monkeypatch, capsys):
    monkeypatch.setattr(foretold, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(foretold, "map_large_tensors", lambda: False)
    assert main(causal.words("--gradient-batch-size", "5")) == 2
    told = capsys.readouterr().err
    [line] = [line for line in told.splitlines() if "error" in line]
    assert "batches: got " in line
    assert "GiB that are free; take shorter samples" in line
    assert not [each.name for each in causal.folder.iterdir() if each.name.startswith("out.")]


def test_layers_and_tokens_sum_to_the_whole(place):
    table = place.score(per_layer=True, per_token=True).set_index("sample_id")
    layers = pd.read_parquet(place.folder / "scores.layers.parquet").set_index("sample_id")
    tokens = pd.read_parquet(place.folder / "scores.tokens.parquet")
    scale = table["influence"].abs().max()
    assert (layers.columns.str.contains("lora_") | layers.columns.str.contains("modules_to_save")).all()
    np.testing.assert_allclose(layers.sum(axis=1), table["influence"], atol=1e-6 * scale)
    sums = tokens.groupby("sample_id")["influence"].sum().loc[table.index]
    np.testing.assert_allclose(sums, table["influence"], atol=1e-5 * scale)
    # Every word of a row is there as text, and only a head that sees whole texts leaves a rest.
    first = tokens[tokens["sample_id"] == "train.jsonl:1"]
    row = place.rows["train"][0]
    words = " ".join(row["tokens"]) if place.family == "tagger" else row.get("text", row.get("prompt", "")).strip()
    shown = " ".join(first[first["part"] == "input"]["text"])
    assert words.split() == [word for word in shown.split() if word.startswith("w")][: len(words.split())]
    assert ("rest" in set(tokens["part"])) == (place.family == "classifier")
    assert ("answer" in set(tokens["part"])) == (place.family == "seq2seq")


def test_another_token_at_the_end_changes_no_score_of_tokens_that_do_not_see_it(causal):
    """A decoder's last token is what the loss counts, and is itself no input of anything that is judged."""
    causal.score(per_token=True)
    tokens = pd.read_parquet(causal.folder / "scores.tokens.parquet")
    last = tokens.groupby("sample_id").tail(1)
    assert (last["influence"] == 0).all()
    assert (tokens["influence"] != 0).mean() > 0.5


def test_a_trained_model_is_scored_by_weights_that_are_named(place):
    names = {
        "classifier": ["bert.encoder.layer.1.attention.self.query.weight", "classifier.weight"],
        "tagger": ["bert.encoder.layer.1.attention.self.query.weight", "classifier.weight"],
        "causal": ["model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"],
        "seq2seq": [
            "encoder.block.1.layer.0.SelfAttention.q.weight",
            "decoder.block.1.layer.1.EncDecAttention.v.weight",
        ],
    }[place.family]
    expected = sum(by_hand("hyperinf", place.family, place.base, None, place.rows, names).values())
    table = place.score(adapter=None, layers=tuple(name.removesuffix(".weight") for name in names), each=True)
    np.testing.assert_allclose(table.iloc[:, -4:], expected, atol=2e-4 * np.abs(expected).max())
    tokens = place.score(adapter=None, layers=tuple(names), per_token=True)
    parts = pd.read_parquet(place.folder / "scores.tokens.parquet").groupby("sample_id")["influence"].sum()
    np.testing.assert_allclose(
        parts.loc[tokens["sample_id"]], tokens["influence"], atol=1e-5 * tokens["influence"].abs().max()
    )


def test_the_best_rows_of_each_query_are_shown_like_a_search_result(place, capsys):
    table = place.score(top=2, each=True)
    shown = capsys.readouterr().out
    for query in place.rows["target"]:
        words = " ".join(query.get("tokens", ())) or query.get("text") or query["prompt"].strip()
        assert re.search(rf"^query target.jsonl:\d: .*{words[:20]}", shown, re.MULTILINE)
    first = table.sort_values("target.jsonl:1", kind="stable")["sample_id"]
    block = shown.split("query target.jsonl:1")[1].split("query target.jsonl:2")[0]
    assert re.findall(r"train.jsonl:\d", block) == [*first[:2], *first[::-1][:2]]
    page = (place.folder / "scores.html").read_text(encoding="utf-8")
    assert page.count("<h2>Query") == 4
    assert "http" not in page


def test_the_page_of_scores_is_fit_for_every_reader(causal, faults_of):
    causal.score(top=2, per_token=True)
    assert faults_of(causal.folder / "scores.html") == []


def test_batches_and_where_gradients_are_kept_change_nothing(causal):
    expected = causal.score()
    for store in ("live", "memory", "disk"):
        found = causal.score(store=store, gradient_batch_size=3)
        np.testing.assert_allclose(found["influence"], expected["influence"], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("own_allocator")
@pytest.mark.parametrize("method", ["hyperinf", "gfim_cg"])
def test_a_gfim_that_memory_has_no_room_for_lies_in_the_folder_of_the_state(causal, monkeypatch, caplog, method):
    expected = causal.score(method=method, each=True)

    def without_memory(layers, samples, device, form, beside=0):
        return planned(layers, samples, device, replace(form, memory_bytes=0), beside)

    monkeypatch.setattr("hyperinf.influence.statistics.planned", without_memory)
    found = causal.score(method=method, each=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    assert re.search("GiB of it are on the disk, in .*scores.parquet.state", caplog.text)
    record = json.loads((causal.folder / "scores.info.json").read_text())
    assert ("on_disk" in record["report"]) == (method == "hyperinf")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables_of_every_suffix_say_the_same(causal, suffix):
    expected = causal.score()
    out = str(causal.folder / f"other{suffix}")
    assert main([*causal.words()[:-1], out, "--device", "cpu"]) == 0
    read = {".csv": pd.read_csv, ".tsv": lambda path: pd.read_csv(path, sep="\t"), ".parquet": pd.read_parquet}
    found = read.get(suffix, lambda path: pd.read_json(path, lines=True))(out)
    assert found.columns.tolist() == expected.columns.tolist()
    np.testing.assert_allclose(found["influence"], expected["influence"], rtol=1e-9)
    record = json.loads((causal.folder / "other.info.json").read_text())
    assert set(record["outputs"]) == {f"other{suffix}"}
    assert not [path for path in causal.folder.iterdir() if path.name.endswith((".tmp", ".state"))]


def test_the_command_says_what_it_read_and_what_may_follow(causal, capsys):
    assert main(causal.words()) == 0
    out = capsys.readouterr().out
    assert "train.jsonl: 9 rows (9 as prompt)" in out
    assert out.count("  helps -") + out.count("  harms +") == 6
    following = next(line for line in out.splitlines() if line.startswith("next: "))
    words = shlex.split(following.partition("hyperinf ")[2])
    assert main(words) == 0
    assert "query target.jsonl:4" in capsys.readouterr().out


def test_a_tokenizer_and_tokens_that_came_with_the_adapter_are_used(tmp_path):
    """As LLaMA-Factory and Axolotl leave it: embeddings of tokens that were added are in the adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = base(tmp_path / "base", "causal")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<think>"])
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer) + 1)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=2,
        target_modules=["q_proj"],
        modules_to_save=["embed_tokens", "lm_head"],
        init_lora_weights=False,
    )
    get_peft_model(model, config).save_pretrained(str(tmp_path / "adapter"))
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }} <think> {{ m.content }} {% endfor %}"
    tokenizer.save_pretrained(tmp_path / "adapter")
    rows = [
        {"messages": [{"role": "user", "content": "w1 w2"}, {"role": "assistant", "content": f"w{number}"}]}
        for number in range(4, 9)
    ]
    train, target = (write(tmp_path / f"{name}.jsonl", rows) for name in ("train", "target"))
    table = score(tmp_path, train, target, folder, adapter=str(tmp_path / "adapter"), method="tracin", per_token=True)
    assert np.isfinite(table["influence"]).all()
    texts = set(pd.read_parquet(tmp_path / "scores.tokens.parquet")["text"])
    assert "<think>" in texts


def test_labels_are_names_of_classes_where_they_are_told_and_columns_have_any_name(tmp_path):
    place = Place(tmp_path, "classifier")
    expected = place.score()
    names = ("low", "middle", "high")
    for role, rows in place.rows.items():
        table = pd.DataFrame({"Headline": [row["text"] for row in rows], "Mood": [names[row["label"]] for row in rows]})
        table.to_csv(tmp_path / f"{role}.csv", index=False)
    place.train, place.target = (str(tmp_path / f"{role}.csv") for role in place.rows)
    found = place.score(text="Headline", label="Mood", classes=names)
    np.testing.assert_allclose(found["influence"], expected["influence"])
    with pytest.raises(InputError, match=r"^classes: got 2, expected 3"):
        place.score(text="Headline", label="Mood", classes=names[:2])
    with pytest.raises(InputError, match=r"train.csv:2: got the label 'high|middle|low', expected one of 0 to 2"):
        place.score(text="Headline", label="Mood")


def score_in_small_parts(settings, folder):
    """Parts of a sweep are of one sample, so that there is something to go on from in few samples."""
    write = partial(GradientStore.write, shard_bytes=1)
    tokens._SAMPLES = 1
    os.chdir(folder)
    with mock.patch.object(GradientStore, "write", write):
        score_rows(settings)


STEPS = (
    "train",
    "gradients-train/gradients.part/shard-00005*",
    "gradients-target/gradients.part/shard-00002*",
    "tokens/00003.json",
)


def test_a_run_that_was_killed_at_every_step_goes_on_and_ends_in_the_same_files(causal, tmp_path):
    settings = ScoreRows(
        train=(causal.train,), target=(causal.target,), model=f"path:{causal.base}", adapter=str(causal.adapter),
        gradient_batch_size=2, device="cpu", threads=1, per_token=True, top=2, out="s.parquet",
    )  # fmt: skip
    undisturbed, killed = (tmp_path / name for name in ("undisturbed", "killed"))
    undisturbed.mkdir()
    killed.mkdir()
    state = killed / settings.state_folder
    made: dict[Path, int] = {}
    for step in STEPS:
        assert killed_once_there((state, step), score_in_small_parts, settings, killed), step
        for path, when in made.items():  # what was whole before is there still, and was not made again
            assert not path.exists() or path.stat().st_mtime_ns == when
        made = {path: path.stat().st_mtime_ns for path in state.rglob("shard-*.safetensors")}
        assert [path.name for path in killed.iterdir()] == [state.name]
    # In processes of their own, too: what other tests have told torch in this one may change the last bits.
    for process in [start(score_in_small_parts, settings, folder) for folder in (undisturbed, killed)]:
        process.join()
        assert process.exitcode == 0
    assert sorted(path.name for path in killed.iterdir()) == ["s.html", "s.info.json", "s.parquet", "s.tokens.parquet"]
    for name in ("s.html", "s.parquet", "s.tokens.parquet"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()


def test_other_rows_or_settings_after_a_kill_are_not_mixed_with_what_is_kept(causal, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("hyperinf.attribution.command._write", killed)
        score(tmp_path, causal.train, causal.target, causal.base, adapter=str(causal.adapter), max_length=8)
    assert (tmp_path / "scores.parquet.state" / "gradients-train").is_dir()
    table = score(tmp_path, causal.train, causal.target, causal.base, adapter=str(causal.adapter))
    pd.testing.assert_frame_equal(table, causal.score())
    assert not (tmp_path / "scores.parquet.state").exists()


def test_the_library_gives_the_scores_of_the_command_from_the_same_files(place):
    """But for a causal model's texts, whose end the command has the model learn, too."""
    if place.family == "causal":
        pytest.skip("rows are put otherwise")
    a = Attributor.from_pretrained(str(place.base), str(place.adapter)).fit(place.train)
    scores = a.score(place.target)
    np.testing.assert_allclose(scores["influence"], place.score()["influence"], rtol=1e-3, atol=1e-6)


def refused(words, capsys):
    assert main(words) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (["--layers", "nowhere.*"], ("layers", "nowhere.*", "lora_")),
        (["--out", "scores.xlsx"], ("--out", "scores.xlsx", ".parquet")),
        (["--top", "0"], ("--top", "0")),
        (["--bits", "3"], ("--bits", "3", "4")),
        (["--template", __file__], ("--template", ".yaml")),
        (["--family", "vision"], ("--family", "vision", "causal")),
        (["--target", "nowhere.jsonl"], ("nowhere.jsonl",)),
        (["--adapter", "."], ("adapter_config.json",)),
    ],
    ids=lambda each: " ".join(each),
)
def test_mistakes_are_a_line_each(causal, more, shown, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    err = refused(causal.words(*more), capsys)
    assert all(each in err for each in shown)
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_model_without_an_adapter_needs_names_of_weights(causal, capsys, tmp_path):
    words = ["score", causal.train, "--target", causal.target, "--model", str(causal.base)]
    err = refused([*words, "--out", str(tmp_path / "s.csv")], capsys)
    assert "layers" in err
    assert "--adapter" in err


def test_quantised_models_need_their_package_and_say_so(causal, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setattr("hyperinf.models.pretrained.find_spec", lambda name: None)
    err = refused(causal.words("--bits", "4"), capsys)
    assert "bits" in err
    assert "pip install bitsandbytes" in err


@pytest.mark.parametrize(
    ("family", "row", "shown"),
    [
        ("classifier", {"text": "w1 w2", "label": 7}, "label 7"),
        ("classifier", {"text": "w1 w2", "label": "what"}, "label 'what'"),
        ("classifier", {"title": "w1"}, "--text"),
        ("tagger", {"tokens": ["w1", "w2"], "tags": [0]}, "1 tags"),
        ("tagger", {"tokens": "w1 w2", "tags": [0, 1]}, "list"),
        ("tagger", {"tokens": ["w1"], "tags": [9]}, "label 9"),
        ("seq2seq", {"text": "w1 w2"}, "prompt"),
        ("causal", {"words": "w1"}, "prompt"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(family, row, shown, tmp_path, capsys):
    place = Place(tmp_path, family)
    place.train = write(tmp_path / "train.jsonl", [*place.rows["train"], row])
    err = refused(place.words(), capsys)
    assert f"{place.train}:10: " in err
    assert shown in err
    assert main(place.words("--skip-bad-rows")) == 0
    assert len(pd.read_csv(tmp_path / "out.csv")) == 9
