"""``hyperinf mislabeled FILE`` from end to end, on a tiny model."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from killable import killed_once_there

from hyperinf import find_mislabeled, influence_scores
from hyperinf.cli.main import main
from hyperinf.errors import InputError
from hyperinf.gradients import TensorSource
from hyperinf.mislabeled.reading import with_columns
from hyperinf.settings.mislabeled import Mislabeled

WRONG = (3, 50, 77, 104)


def table(rows: int = 120, wrong: tuple[int, ...] = WRONG) -> pd.DataFrame:
    """Texts of two vocabularies, and which of them is meant; a few are wrong."""
    draw = np.random.default_rng(0)
    true = [("low", "high")[row % 2] for row in range(rows)]
    texts = [" ".join(f"w{draw.integers(0, 15) + 15 * (name == 'high')}" for _ in range(8)) for name in true]
    given = [("high" if name == "low" else "low") if row in wrong else name for row, name in enumerate(true)]
    return pd.DataFrame({"id": range(1000, 1000 + rows), "text": texts, "label": given, "true": true})


@pytest.fixture
def words(tiny_bert: Path) -> list[str]:
    return ["--text", "text", "--label", "label", "--model", str(tiny_bert), "--device", "cpu", "--folds", "3"]


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=path.suffix == ".jsonl")
    return path


def test_the_page_of_suspects_is_fit_for_every_reader(
    words: list[str], tmp_path: Path, faults_of: Callable[[Path], list[str]]
) -> None:
    file = write(table(), tmp_path / "mine.csv")
    assert main(["mislabeled", str(file), *words]) == 0
    assert faults_of(tmp_path / "mine.suspects/suspects.html") == []


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_wrong_labels_stand_first_whatever_the_file(
    suffix: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(table(), tmp_path / f"mine{suffix}")
    before = file.read_bytes()
    assert main(["mislabeled", str(file), *words, "--truth", "true"]) == 0
    out = tmp_path / "mine.suspects"
    with (out / "suspects.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["row"]) - 1 for row in rows[:4]} == set(WRONG)
    assert [int(row["rank"]) for row in rows] == list(range(1, 121))
    for row in rows:
        own = table().iloc[int(row["row"]) - 1]
        assert (row["id"], row["text"], row["label"]) == (str(own["id"]), own["text"], own["label"])
        assert row["given_label"] == own["label"]
    assert all(row["suggested_label"] == row["true"] for row in rows[:4])
    assert all(row["reasons"] and float(row["probability_wrong"]) > 0.5 for row in rows[:4])
    page = (out / "suspects.html").read_text()
    assert rows[0]["text"] in page
    assert "http" not in page.replace("http-equiv", "")
    assert "0.40 of the first 10" in capsys.readouterr().out
    assert file.read_bytes() == before
    assert not (tmp_path / "mine.suspects.state").exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_columns_called_as_usual_need_not_be_named_and_others_are_listed(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = with_columns(
        Mislabeled(file=str(write(table().rename(columns={"label": "labels"}), tmp_path / f"a{suffix}")))
    )
    assert (usual.text, usual.label) == (("text",), "labels")
    others = write(table().rename(columns={"text": "Headline", "label": "Mood"}), tmp_path / f"b{suffix}")
    assert main(["mislabeled", str(others), "--label", "Mood"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ("--text", f"b{suffix}", "id, Headline, Mood, true"))
    named = with_columns(Mislabeled(file=str(others), text=("Headline",), label="Mood"))
    assert (named.text, named.label) == (("Headline",), "Mood")


def test_json_is_all_that_is_printed(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(table(), tmp_path / "mine.csv")
    out = ["--out", str(tmp_path / "o")]
    assert main(["mislabeled", str(file), *words, "--json", "--truth", "true", "--no-calibrate", *out]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((tmp_path / "o" / "summary.json").read_text())
    assert summary["truth"]["wrong"] == 4
    assert summary["truth"]["roc_auc"] > 0.99
    assert summary["likely_wrong"] is None


def test_trusted_rows_are_no_suspects_and_contradictions_are_named(words: list[str], tmp_path: Path) -> None:
    frame = table()
    frame["sure"] = ["yes" if row in WRONG else "" for row in range(len(frame))]
    frame = pd.concat([frame, frame.iloc[[10]].assign(label="high", true="high")], ignore_index=True)
    file = write(frame, tmp_path / "mine.csv")
    assert main(["mislabeled", str(file), *words, "--trusted", "sure", "--ranking", "loss"]) == 0
    found = pd.read_csv(tmp_path / "mine.suspects" / "suspects.csv")
    assert set(found["row"].tail(4) - 1) == set(WRONG)
    assert (found.loc[found["sure"] == "yes", "probability_wrong"] == 0).all()
    assert found.loc[found["sure"] != "yes", "probability_wrong"].is_monotonic_decreasing
    assert "row 11" in found.set_index("row").loc[121, "reasons"]


def test_a_table_of_trusted_rows_is_learned_from(words: list[str], tmp_path: Path) -> None:
    file = write(table(), tmp_path / "mine.csv")
    sure = write(table(240, ()).iloc[120:], tmp_path / "sure.csv")
    assert main(["mislabeled", str(file), *words, "--trusted", str(sure), "--no-calibrate"]) == 0
    found = pd.read_csv(tmp_path / "mine.suspects" / "suspects.csv")
    assert len(found) == 120
    assert set(found["row"].head(4) - 1) == set(WRONG)


def test_two_columns_of_text_and_columns_called_as_ours(words: list[str], tmp_path: Path) -> None:
    frame = table().rename(columns={"id": "rank"})
    frame["more"] = "w1"
    file = write(frame, tmp_path / "mine.csv")
    assert main(["mislabeled", str(file), *words[2:], "--text", "more", "text", "--no-calibrate"]) == 0
    found = pd.read_csv(tmp_path / "mine.suspects" / "suspects.csv")
    assert found["rank_hyperinf"].tolist() == list(range(1, 121))
    assert set(found["row"].head(4) - 1) == set(WRONG)


def test_a_killed_command_goes_on_and_ends_in_the_same_table(words: list[str], tmp_path: Path) -> None:
    file = write(table(600), tmp_path / "mine.csv")
    assert main(["mislabeled", str(file), *words, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "killed"
    state = tmp_path / "killed.state"
    command = ["mislabeled", str(file), *words, "--out", str(out)]
    assert killed_once_there((state, "*.npz"), main, command, number=9)
    assert len(list(state.glob("*.npz"))) == 9
    assert not out.exists()
    assert main(command) == 0
    assert (out / "suspects.csv").read_bytes() == (tmp_path / "whole" / "suspects.csv").read_bytes()
    assert not state.exists()


def test_from_python_the_same_rows_come_first(tiny_bert: Path) -> None:
    frame = table().set_index("id")
    found = find_mislabeled(frame, text="text", label="label", model=str(tiny_bert), folds=3, calibrate=False)
    assert set(found.index[:4]) == {1000 + row for row in WRONG}
    assert found["label"].to_dict() == frame["label"].to_dict()


def test_of_many_rows_samples_are_learned_from(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in {
        "linear._MOST": 60,
        "nearest._MOST": 40,
        "influential._MOST_TRAINED": 40,
        "words._MOST_ROWS": 80,
    }.items():
        monkeypatch.setattr(f"hyperinf.mislabeled.{name}", most)
    found = find_mislabeled(table(), text="text", model=str(tiny_bert), folds=3)
    assert set(found["row"].head(4) - 1) == set(WRONG)
    assert (found["probability_wrong"].head(4) > 0.5).all()


def test_a_dataset_names_its_classes(tiny_bert: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    frame = table()
    features = Features({"text": Value("string"), "label": ClassLabel(names=["low", "high"])})
    rows = {"text": list(frame["text"]), "label": [("low", "high").index(name) for name in frame["label"]]}
    data = Dataset.from_dict(rows, features=features)
    found = find_mislabeled(data, text="text", model=str(tiny_bert), folds=3, calibrate=False)
    assert set(found["row"].head(4) - 1) == set(WRONG)
    assert set(found["given_label"]) == {"low", "high"}


def test_ones_own_probabilities_and_gradients() -> None:
    import torch

    frame, draw = table(), np.random.default_rng(1)
    high = np.where(frame["true"] == "high", 0.9, 0.1) + draw.normal(0, 0.01, len(frame))
    probabilities = np.stack([high, 1 - high], axis=1)  # classes are sorted: high, low
    residual = probabilities - np.stack([frame["label"] == "high", frame["label"] == "low"], axis=1)
    gradients = {"head": torch.tensor(residual[:, :, None] * draw.normal(1, 0.1, (len(frame), 1, 6))).float()}
    found = find_mislabeled(frame, label="label", probabilities=probabilities, gradients=TensorSource(gradients))
    assert set(found["row"].head(4) - 1) == set(WRONG)
    assert found["probability_wrong"].head(4).min() > 0.1 > 10 * found["probability_wrong"].tail(116).max()
    right = torch.tensor(np.abs(residual).max(axis=1) < 0.5)
    own = probabilities[np.arange(len(frame)), (frame["label"] == "low").astype(int)]
    names = frame["label"].to_numpy()
    clean = right.numpy() & (own >= np.array([own[names == each].mean() for each in names]))
    expected = influence_scores(gradients, {"head": gradients["head"][torch.from_numpy(clean)]}, solver="auto")
    by_row = found.sort_values("row")["score_hyperinf"].to_numpy()
    assert by_row == pytest.approx(expected.numpy(), abs=1e-5 + 1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"text": "words"}, ["data", "'words'"]),
        ({"label": "class"}, ["data", "'class'"]),
        ({"probabilities": [[0.5, 0.5]]}, ["probabilities", "[120, 2]"]),
        ({"probabilities": np.full((120, 2), 0.9)}, ["probabilities", "sum to 1"]),
        ({"text": "text", "gradients": {}}, ["gradients", "probabilities"]),
        ({"text": "text", "ranking": "luck"}, ["ranking", "margin"]),
        ({"text": "text", "foldz": 3}, ["foldz"]),
        ({"text": "text", "trusted": "label"}, ["row 1", "'label'"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_used_is_named(options: dict, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        find_mislabeled(table(), **options)
    assert "\n" not in str(error.value)
    assert all(part in str(error.value) for part in parts), error.value


def test_images_in_folders(tmp_path: Path) -> None:
    from PIL import Image
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ViTModel(ViTConfig(image_size=16, patch_size=8, **sizes)).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "vit")
    draw = np.random.default_rng(0)
    for row in range(40):
        red = row % 2
        folder = tmp_path / "pictures" / (("red", "blue") if row in (7, 20) else ("blue", "red"))[red]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        pixels[:, :, 0 if red else 2] += 180
        Image.fromarray(pixels).save(folder / f"{row:02}.png")
    out = ["--out", str(tmp_path / "o"), "--no-calibrate", "--folds", "4"]
    assert main(["mislabeled", str(tmp_path / "pictures"), "--image", "--model", str(tmp_path / "vit"), *out]) == 0
    found = pd.read_csv(tmp_path / "o" / "suspects.csv")
    assert {Path(name).stem for name in found["image"].head(2)} == {"07", "20"}
    assert "data:image/png;base64," in (tmp_path / "o" / "suspects.html").read_text()
