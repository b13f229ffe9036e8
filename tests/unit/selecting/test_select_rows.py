"""The whole command on tiny models."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from killable import killed_once_there, start
from selecting_place import Place, add, chat, lines, shout, write

from hyperinf.cli.main import main
from hyperinf.errors import InputError
from hyperinf.gradients import LiveSource
from hyperinf.influence import influence_scores
from hyperinf.influence.memory import planned
from hyperinf.models.encoding import Batches
from hyperinf.selecting import command


def scores(out):
    return pd.read_parquet(out.with_suffix(".scores.parquet"))


def test_what_is_kept_are_rows_of_the_pool_as_they_stand_there_with_the_smallest_influence(finished):
    out = finished.folder / "kept.jsonl"
    kept = out.read_text().splitlines()
    pool = Path(finished.pool).read_text().splitlines()
    table = scores(out)
    assert len(kept) == 6
    assert kept == [line for line, is_kept in zip(pool, table["kept"], strict=True) if is_kept]
    assert set(table["rank"][table["kept"]]) == set(range(1, 7))
    assert table["influence_dev"][table["kept"]].max() <= table["influence_dev"][~table["kept"]].min()
    assert table["sample_id"].tolist() == [f"pool.jsonl:{number}" for number in range(1, 25)]
    assert (table["answer_tokens"] < table["tokens"]).all()


def test_the_page_of_a_selection_is_fit_for_every_reader(finished, faults_of):
    assert faults_of(finished.folder / "kept.html") == []


def test_scores_are_those_of_the_library_on_the_adapter_that_was_warmed_up(place):
    out = place.select(warmup=False)
    settings = place.settings(warmup=False)
    state = Path(f"{out}.state")
    opened = command.open_model(settings, state)
    rows = {name: command.Rows.read(state / name).encoded(opened.pad, None) for name in ("pool", "target")}
    model = opened.family.adapted(command_adaptation(settings, opened), settings.seed).eval()
    layers = [name for name, _ in model.named_parameters() if "lora_B" in name]
    pool, target = (LiveSource(model, Batches(each, 24, by_length=False), layers=layers) for each in rows.values())
    expected = influence_scores(pool, target, solver="cholesky")
    assert np.allclose(scores(out)["influence_dev"], expected, rtol=1e-3, atol=1e-9)


@pytest.mark.usefixtures("own_allocator")
def test_a_gfim_that_memory_has_no_room_for_lies_beside_the_gradients(place, monkeypatch, caplog):
    expected = scores(place.select(quota="queries"))

    def without_memory(layers, samples, device, form, beside=0):
        return planned(layers, samples, device, replace(form, memory_bytes=0), beside)

    monkeypatch.setattr("hyperinf.influence.statistics.planned", without_memory)
    found = scores(place.select("again.jsonl", quota="queries"))
    assert np.allclose(found["influence_dev"], expected["influence_dev"], rtol=1e-5)
    assert "GiB of it are on the disk, in " in caplog.text


def command_adaptation(settings, opened):
    from hyperinf.selecting.opening import adaptation_of

    return adaptation_of(settings, opened.folder)


def test_the_page_shows_rows_of_both_ends_and_what_the_loss_counts(finished):
    page = (finished.folder / "kept.html").read_text()
    table = scores(finished.folder / "kept.jsonl").sort_values("influence_dev")
    for sample in (*table["sample_id"][:10], *table["sample_id"][-10:]):
        assert sample in page
    assert 'class="answer"' in page
    assert "Whether it helped" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_an_evaluation_holds_out_half_of_the_target_and_compares_by_pairs(finished):
    record = json.loads((finished.folder / "kept.info.json").read_text())
    (helped,) = record["helped"]
    assert helped["target"] == "dev"
    assert len(helped["kept"]) == len(helped["random"]) == 2
    assert len(set(helped["untrained"])) == 1
    assert len({*helped["kept"], *helped["random"]}) == 4


def test_choosing_again_needs_no_scoring_and_gives_what_choosing_so_at_first_gives(place, monkeypatch):
    before = place.select(keep="25%").read_bytes()
    expected = place.select("other.jsonl", keep="12", stratified="task").read_bytes()
    for name in ("hyperinf.selecting.command.score_pool", "hyperinf.selecting.scoring.train"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("not needed"))
    assert place.select(keep="25%").read_bytes() == before
    assert place.select(keep="12", stratified="task").read_bytes() == expected


def test_a_pool_of_several_files_and_formats_knows_its_sources(place, capsys):
    rows = [{"instruction": f"Add {i}", "input": "", "output": str(i)} for i in range(6)]
    table = place.folder / "more.csv"
    table.write_text("prompt,completion\n" + "".join(f"{i}:, {i}\n" for i in range(6)))
    pool = (place.pool, write(place.folder / "alpaca.jsonl", rows), str(table))
    out = place.select(pool=pool, keep="12", stratified="source")
    kept = scores(out)
    sources = kept["source"][kept["kept"]].value_counts().to_dict()
    assert sources == {"pool.jsonl": 8, "alpaca.jsonl": 2, "more.csv": 2}
    assert len(lines(out)) == 12
    assert "alpaca.jsonl" in capsys.readouterr().out


def test_targets_choose_in_turn_or_together_or_query_by_query(place):
    other = write(place.folder / "other.jsonl", [shout(number) for number in range(4)])
    both = (place.target, other)
    turns = scores(place.select(target=both, keep="8"))
    best = {name: set(turns[f"influence_{name}"].nsmallest(4).index) for name in ("dev", "other")}
    assert best["dev"] | best["other"] <= set(turns.index[turns["kept"]])
    mean = scores(place.select(target=both, keep="8", quota="none"))
    assert set(mean["rank"][mean["kept"]]) == set(range(1, 9))
    assert np.allclose(mean["influence_dev"], turns["influence_dev"])
    queries = scores(place.select(target=both, keep="10", quota="queries"))
    assert queries["kept"].sum() == 10
    each = np.load(Path(f"{place.folder / 'kept.jsonl'}.state") / "scores" / "queries.npy")
    assert np.allclose(each[:, :6].mean(axis=1), queries["influence_dev"], rtol=1e-3, atol=1e-7)
    assert {int(each[:, query].argmin()) for query in range(10)} <= set(queries.index[queries["kept"]])


def test_a_column_keeps_its_shares_and_so_does_length(place):
    kept = lines(place.select(keep="8", stratified="task"))
    assert [row["task"] for row in kept].count("add") == 4
    assert scores(place.select(keep="8", stratified="length"))["stratum"].nunique() > 1
    with pytest.raises(InputError, match="stratified"):
        place.select(stratified="colour")


def test_of_rows_that_are_nearly_the_same_one_is_kept(place, capsys):
    words = " ".join(f"word{number}" for number in range(9))
    rows = [chat(words, f"{words} end") for _ in range(10)] + [add(number) for number in range(10)]
    pool = (write(place.folder / "copies.jsonl", rows),)
    place.select(pool=pool, keep="100%", max_length=256)
    assert "--diverse" in capsys.readouterr().out
    kept = lines(place.select(pool=pool, keep="100%", max_length=256, diverse=True))
    assert sum(words in row["messages"][0]["content"] for row in kept) == 1


def test_an_adapter_of_one_s_own_is_scored_at(place):
    out = place.select()
    adapter = Path(f"{out}.state") / "warm"
    own = place.select("own.jsonl", adapter=str(adapter))
    assert np.allclose(scores(own)["influence_dev"], scores(out)["influence_dev"])
    fresh = place.select("fresh.jsonl", warmup=False)
    assert not np.allclose(scores(fresh)["influence_dev"], scores(out)["influence_dev"])
    with pytest.raises(InputError, match="adapter_config"):
        place.select("no.jsonl", adapter=str(place.folder))


@pytest.mark.parametrize("method", ["tracin", "datainf", "lissa"])
def test_any_method_scores(place, method):
    assert scores(place.select(method=method, store="live"))["influence_dev"].nunique() > 2


def test_where_gradients_are_kept_changes_nothing(place):
    found = [scores(place.select(f"{store}.jsonl", store=store)) for store in ("disk", "memory", "live")]
    for other in found[1:]:
        assert np.allclose(other["influence_dev"], found[0]["influence_dev"], rtol=1e-4)


def test_long_rows_are_cut_by_the_rule_and_counted(place, capsys):
    pool = (write(place.folder / "long.jsonl", [chat("x" * 200, str(number)) for number in range(10)]),)
    out = place.select(pool=pool, keep="5")
    assert scores(out)["cut"].all()
    assert (scores(out)["tokens"] == 64).all()
    assert "10 rows of more than 64 tokens" in capsys.readouterr().out


def test_a_template_of_columns_reads_a_table_of_one_s_own(place):
    template = place.folder / "mine.yaml"
    template.write_text('prompt: "{a} + 1 ="\nanswer: " {b}"\n')
    files = []
    for name, numbers in (("pool", range(10)), ("dev", range(10, 14))):
        files.append(place.folder / f"{name}.csv")
        pd.DataFrame({"a": numbers, "b": [number + 1 for number in numbers]}).to_csv(files[-1], index=False)
    out = place.select("kept.csv", pool=(str(files[0]),), target=(str(files[1]),), template=str(template), keep="3")
    assert pd.read_csv(out).columns.tolist() == ["a", "b"]
    assert len(pd.read_csv(out)) == 3


def test_pictures_come_as_paths_in_parquet_and_in_a_folder_and_score_alike(place, tiny_llava):
    from PIL import Image

    folder = place.folder / "pictures"
    folder.mkdir()
    colours = [(name, 40 * place % 256) for name in ("red", "blue") for place in range(6)]
    rows = []
    for number, (name, shade) in enumerate(colours):
        Image.new("RGB", (40, 40), (200, shade, 0) if name == "red" else (0, shade, 200)).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "question": "Which colour?", "answer": name})
    write(folder / "metadata.jsonl", rows)
    packed = [{**row, "image": {"bytes": (folder / row["file_name"]).read_bytes(), "path": None}} for row in rows]
    pd.DataFrame(packed).drop(columns="file_name").to_parquet(place.folder / "packed.parquet")
    turns = [{"from": "human", "value": "<image>\nWhich colour?"}, {"from": "gpt", "value": ""}]
    chats = [
        {"image": f"pictures/{row['file_name']}", "conversations": [turns[0], {**turns[1], "value": row["answer"]}]}
        for row in rows
    ]
    given = {"family": "vision", "model": f"path:{tiny_llava}", "target": (str(folder),), "keep": "4", "chat": False}
    found = {
        name: scores(place.select(f"{name}{suffix}", **given, pool=(str(pool),)))["influence_pictures"]
        for name, suffix, pool in (
            ("folder", ".jsonl", folder),
            ("packed_kept", ".parquet", place.folder / "packed.parquet"),
            ("kept_chats", ".jsonl", write(place.folder / "chats.jsonl", chats)),
        )
    }
    assert np.allclose(found["folder"], found["packed_kept"], rtol=1e-3)
    assert found["kept_chats"].notna().all()
    kept = pd.read_parquet(place.folder / "packed_kept.parquet")
    assert kept["image"][0]["bytes"].startswith(b"\x89PNG")
    assert "data:image/png" in (place.folder / "folder.html").read_text()
    with pytest.raises(InputError, match="--family vision"):
        place.select("text.jsonl", pool=(str(folder),), keep="4")
    (folder / "3.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"metadata\.jsonl:4: image 3\.png"):
        place.select("bad.jsonl", **given, pool=(str(folder),))


BAD = [{"messages": "x"}, {"messages": [{"role": "user"}]}, {"other": 1}]


def test_every_bad_line_is_a_line_that_names_file_and_line(place, capsys):
    pool = write(place.folder / "bad.jsonl", [add(1), BAD[0], add(2), BAD[1], BAD[2]])
    words = [
        "select",
        pool,
        "--target",
        place.target,
        "--model",
        str(place.model),
        "--out",
        str(place.folder / "k.jsonl"),
    ]
    assert main(words) == 2
    err = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in err[:3]] == [f"{pool}:{number}" for number in (2, 4, 5)]
    assert "--skip-bad-rows" in err[3]
    assert len(err) == 4
    assert {path.name for path in place.folder.iterdir()} == {"pool.jsonl", "dev.jsonl", "bad.jsonl"}


def test_bad_rows_are_passed_over_where_that_is_asked_for(place, capsys):
    pool = (write(place.folder / "bad.jsonl", [*[add(number) for number in range(8)], *BAD]),)
    out = place.select(pool=pool, skip_bad_rows=True, keep="4")
    assert len(lines(out)) == 4
    assert "3 rows left out" in capsys.readouterr().out


def test_a_few_rows_without_an_answer_are_left_out_and_counted_but_not_many(place, capsys):
    rows = [add(number) for number in range(100)]
    place.select(pool=(write(place.folder / "few.jsonl", [*rows, chat("x", " ")]),), keep="4")
    assert "1 rows left out" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"many\.jsonl:101"):
        place.select(pool=(write(place.folder / "many.jsonl", [*rows, chat("x", " "), chat("y", "")]),), keep="4")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "a"\n', "a.jsonl:1"),
        ("a.jsonl", b"", "a.jsonl"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', "a.jsonl:1"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1"),
        ("a.csv", b"text\n", "a.csv"),
        ("a.parquet", b"no", "a.parquet"),
        ("a.xlsx", b"no", "a.xlsx"),
    ],
    ids=str,
)
def test_a_pool_that_cannot_be_read_is_refused_by_name(place, name, content, said):
    (place.folder / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(said)):
        place.select(pool=(str(place.folder / name),))


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({"--out": "kept.txt"}, {"--out"}),
        ({"--out": "dev.jsonl"}, {"--out"}),
        ({"--keep": "0%"}, {"keep"}),
        ({"--keep": "120%"}, {"--keep"}),
        ({"--keep": "99"}, {"keep"}),
        ({"--template": "mine.txt"}, {"--template"}),
        ({"--adapter": ".", "--no-warmup": None}, {"--warmup"}),
        ({"--adapter": "a"}, {"--adapter"}),
        ({"--test": "dev.jsonl"}, {"--test"}),
        ({"--target": "no.jsonl"}, {"--target"}),
        ({"--target": "."}, {"."}),
        ({"--model": "./no-folder"}, {"path"}),
        ({"--model": "asset:minilm"}, {"--family"}),
        ({"--model": "asset:nothing"}, {"--model"}),
        ({"--model": "path:no-folder"}, {"--model"}),
        ({"--model": ""}, {"--model"}),
        ({"--target-modules": "nothing"}, {"target_modules"}),
    ],
    ids=str,
)
def test_a_mistake_is_a_line_that_names_the_flag_or_the_file(place, monkeypatch, capsys, change, flags):
    monkeypatch.chdir(place.folder)
    flags_of = {"--target": "dev.jsonl", "--model": str(place.model), "--out": "k.jsonl", "--device": "cpu", **change}
    words = [word for flag, value in flags_of.items() for word in ([flag] if value is None else [flag, value])]
    assert main(["select", "pool.jsonl", *words]) == 2
    err = capsys.readouterr().err.splitlines()
    assert {line.removeprefix("hyperinf: error: ").partition(":")[0].partition(" ")[0] for line in err} == flags
    assert not (place.folder / "k.jsonl").exists()


def test_the_command_line_takes_several_pools_before_the_flags_or_after(place, monkeypatch, capsys):
    monkeypatch.chdir(place.folder)
    shutil.copy("pool.jsonl", "more.jsonl")
    quick = ["--target", "dev.jsonl", "--model", str(place.model), "--device", "cpu", "--keep", "10"]
    assert main(["select", "pool.jsonl", "more.jsonl", *quick]) == 0
    assert len(lines("kept.jsonl")) == 10
    out = capsys.readouterr()
    assert "next: " in out.out
    assert "wrote kept.jsonl" in out.err
    assert main(["select", *quick, "--no-diverse", "pool.jsonl", "more.jsonl"]) == 0


STEPS = (
    "pool",
    "warm-up.safetensors",
    "warm",
    "gradients.part",
    "scores",
    "evaluation/*.safetensors",
    "evaluation/*.json",
)


def test_a_run_that_was_killed_at_every_step_ends_in_the_same_files(place, tmp_path, tiny_llama):
    # All in processes of their own: what other tests have told torch in this one may change the last bits.
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Place(tmp_path / "undisturbed", tiny_llama)
    theirs, settings = (each.settings(keep="25%", evaluate=True, store="disk") for each in (undisturbed, place))
    state = Path(settings.state_folder)
    for step in STEPS:
        assert killed_once_there((state, step), command.select_rows, settings, 0.0), step
    for process in [start(command.select_rows, each, 0.0) for each in (theirs, settings)]:
        process.join()
        assert process.exitcode == 0
    for name in ("kept.jsonl", "kept.scores.parquet"):
        assert (place.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
    assert not [path.name for path in state.glob(".*") if path.name != ".lock"]


def test_what_a_disk_has_damaged_is_made_again(place, caplog):
    out = place.select(keep="5")
    before = out.read_bytes()
    tokens = Path(f"{out}.state") / "scores" / "scores.parquet"
    content = bytearray(tokens.read_bytes())
    content[40] ^= 1
    tokens.write_bytes(content)
    assert place.select(keep="5").read_bytes() == before
    assert "made again" in caplog.text


def test_another_model_method_or_pool_is_scored_anew(place):
    first = scores(place.select())
    assert not np.allclose(scores(place.select(damping=10.0))["influence_dev"], first["influence_dev"])
    write(Path(place.pool), [add(number) for number in range(9)])
    assert len(scores(place.select())) == 9


def test_a_state_folder_that_is_something_else_is_refused(place):
    (place.folder / "kept.jsonl.state").mkdir()
    (place.folder / "kept.jsonl.state" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="thesis"):
        place.select()
