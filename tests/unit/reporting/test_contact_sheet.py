import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from PIL import Image

from hyperinf.errors import InputError
from hyperinf.reporting import expected, report_study
from hyperinf.reporting.contact_figure import contact_figure, draw_samples
from hyperinf.reporting.extreme_samples import extreme_samples, read_pixels, read_sheet
from hyperinf.reporting.study_inputs import read_study
from hyperinf.reporting.style import Drawing, house_style, save_figure

METHODS = ["hyperinf", "datainf"]
SCORES = "scores/last/scores.parquet"


@pytest.fixture
def run(run_folder):
    return run_folder(11, {"hyperinf": 0.6}, pictures=METHODS)


@pytest.fixture
def data(run):
    return run.parents[2] / "data/seed-11"


def extremes(run, methods=METHODS, shown=4):
    return extreme_samples(pd.read_parquet(run / SCORES), methods, shown)


def read(run, methods=METHODS):
    return read_sheet(run, "last", 11, methods)


def sheet(samples, data, where="shapes, llava (new weights), projector; seed 11"):
    with house_style():
        return draw_samples(samples, read_pixels(data, samples), where)


def rewritten(run, change):
    path = run / SCORES
    change(pd.read_parquet(path)).to_parquet(path)


def refused(match):
    return pytest.raises(InputError, match=match)


def test_helpful_are_the_smallest_influences_and_harmful_the_largest(run):
    samples = extremes(run, ["datainf"], 3)
    helpful, harmful = (samples[samples["side"] == side] for side in ("helpful", "harmful"))
    assert helpful["sample_id"].to_list() == ["row-0", "row-1", "row-2"]
    assert helpful["influence"].to_list() == [-5.0, -4.0, -3.0]
    assert harmful["sample_id"].to_list() == ["row-11", "row-10", "row-9"]
    assert harmful["rank"].to_list() == [1, 2, 3]
    assert helpful["corruption"].to_list() == ["wrong_answer", "", ""]


def test_of_equal_scores_the_first_in_the_file_comes_first(run):
    rewritten(run, lambda scores: scores.assign(influence_hyperinf=0.0))
    samples = extremes(run, ["hyperinf"], 2)
    assert samples["sample_id"].to_list() == ["row-0", "row-1", "row-0", "row-1"]


def test_a_small_set_shows_no_sample_on_both_sides(run):
    rewritten(run, lambda scores: scores.iloc[:5])
    samples = extremes(run, ["hyperinf"])
    assert samples["sample_id"].to_list() == ["row-0", "row-1", "row-4", "row-3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda scores: scores.drop(columns="influence_hyperinf"), "influence_hyperinf"),
        (lambda scores: scores.assign(influence_hyperinf=np.nan), "sample row-0 by hyperinf: got no finite"),
    ],
)
def test_scores_that_cannot_be_shown_are_refused_in_one_line(run, change, said):
    rewritten(run, change)
    with refused(said) as error:
        read(run)
    assert "scores.parquet" in str(error.value)
    assert "\n" not in str(error.value)


def test_where_no_sample_has_an_image_the_sheet_says_so(run, shape, tmp_path):
    rewritten(run, lambda scores: scores.assign(image=""))
    assert read(run) is None
    study = shape(has_images=True, detection=False)
    (entry,) = (entry for entry in expected(study) if entry.product.name == "contact")
    figure = contact_figure(read_study(study, [run], tmp_path), entry).figure
    assert "no training sample has an image" in figure.axes[0].texts[0].get_text()


def test_scores_that_are_not_there_or_not_whole_are_refused(run):
    (run / SCORES).write_bytes(b"PAR1")
    with refused(r"scores\.parquet: got damaged content"):
        read(run)
    (run / SCORES).unlink()
    with refused(r"scores\.parquet: no such file"):
        read(run)


def test_the_data_of_a_run_is_known_by_its_content(run, data):
    assert read(run).pixels.keys() == set(extremes(run)["image"])
    (data / "info.json").write_text(json.dumps({"content_sha256": "another"}))
    with refused("seed-11: got other data, expected what .*seed-11 was scored on"):
        read(run)


def test_scores_that_have_changed_since_they_were_written_are_refused(run):
    record = json.loads((run / "scores/last/info.json").read_text())
    outputs = {"scores.parquet": hashlib.sha256(b"other scores").hexdigest()}
    (run / "scores/last/info.json").write_text(json.dumps({**record, "outputs": outputs}))
    with refused(r"^\S+scores\.parquet: has changed since it was written"):
        read(run)


def test_a_missing_image_is_named_with_its_sample_and_nothing_is_written(run, data, shape, tmp_path):
    (data / "images/11.png").unlink()
    with refused(r"sample row-11: .*images/11\.png: no such image") as error:
        report_study(shape(has_images=True, detection=False), [run], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named_with_its_sample(run, data, content):
    (data / "images/0.png").write_bytes(content)
    with refused(r"sample row-0: .*images/0\.png: got ") as error:
        read_pixels(data, extremes(run))
    assert "\n" not in str(error.value)


def test_a_large_image_is_reduced_and_keeps_its_shape(run, data):
    Image.new("L", (2000, 1000), 7).save(data / "images/0.png")
    pixels = read_pixels(data, extremes(run))["images/0.png"]
    assert pixels.shape == (128, 256, 3)
    assert set(pixels.ravel()) == {7}


def test_a_small_image_is_enlarged_without_blur(run, data, tmp_path):
    samples = extremes(run, ["hyperinf"], 1)
    figure = sheet(samples, data)
    box = figure.axes[0].get_position()
    png = save_figure(Drawing(samples, figure), tmp_path, "sheet")[2]
    drawn = np.asarray(Image.open(png).convert("RGB"))
    height, width = drawn.shape[:2]
    rows = slice(round((1 - box.y1) * height) + 4, round((1 - box.y0) * height) - 4)
    columns = slice(round(box.x0 * width) + 4, round(box.x1 * width) - 4)
    colours = {tuple(int(part) for part in colour) for colour in drawn[rows, columns].reshape(-1, 3)}
    assert colours == {(0, 0, 0), (255, 255, 0)}  # the two colours of the checkerboard, none between them


def test_corrupted_samples_have_a_frame_and_their_true_answer(run, data):
    samples = extremes(run, ["hyperinf"])
    figure = sheet(samples, data)
    frames = [colors.to_hex(axis.spines["left"].get_edgecolor()) for axis in figure.axes]
    assert [frame == "#c2410c" for frame in frames] == list(samples["corruption"] == "wrong_answer")
    texts = [text.get_text() for text in figure.texts]
    assert texts.count("truth: blue") == texts.count("✗ red") == sum(samples["corruption"] != "")
    assert "most helpful: kept first" in texts
    assert any("llava (new weights), projector; seed 11" in text.replace("\n", " ") for text in texts)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["answer was changed"]
    plt.close(figure)


def test_a_question_without_an_image_is_shown_as_such_and_dollars_are_no_mathematics(run, data):
    rewritten(run, lambda scores: scores.assign(image=["", *scores["image"][1:]], question="is it $5 or ${x_?"))
    samples = extremes(run, ["hyperinf"])
    figure = sheet(samples, data)
    figure.draw_without_rendering()
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == ["no image"]
    plt.close(figure)


def test_no_text_leaves_the_sheet_or_meets_the_next_image(run, data):
    long = "which of the many things in this rather crowded picture is the one that nobody would expect there at all"
    rewritten(run, lambda scores: scores.assign(question=long, answer=long, influence_hyperinf=scores.index * 1.23e-9))
    samples = extremes(run)
    figure = sheet(samples, data, "a note that is " + "long " * 30)
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1 for box in boxes)
    images = [axis.get_window_extent() for axis in figure.axes]
    assert not any(text.overlaps(image) for text in boxes for image in images)
    plt.close(figure)


def test_sheets_are_of_the_first_seed_four_methods_at_a_time_in_the_house_order(run_folder, shape, tmp_path):
    names = ["tracin", "hyperinf", "gfim", "datainf", "lissa"]
    runs = [run_folder(seed, {"hyperinf": 0.6}, pictures=names) for seed in (12, 11)]
    study = shape(has_images=True, detection=False, methods=names)
    read = read_study(study, runs, tmp_path)
    drawn = [contact_figure(read, entry).data for entry in expected(study) if entry.product.name == "contact"]
    assert [list(dict.fromkeys(data["method"])) for data in drawn] == [
        ["hyperinf", "gfim", "datainf", "lissa"],
        ["tracin"],
    ]
    assert {seed for data in drawn for seed in data["seed"]} == {11}
    plt.close("all")
