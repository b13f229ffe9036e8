import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from hyperinf.reporting import expected_outputs, report_page, report_selection
from hyperinf.reporting.labels import ordered_settings, setting_label
from hyperinf.reporting.manifest import contact_groups
from hyperinf.reporting.selection_figure import figure_selection, percent, selection_data, spread
from hyperinf.reporting.selection_frames import Cell, values_by_seed
from hyperinf.reporting.selection_inputs import read_selection

CELL = Cell("headlines", "smol", "lora-8")
VISUAL = [("shapes", "llava", "last_layer"), ("shapes", "llava", "last_layer.of-projector")]
DECLARED = {
    "llm": expected_outputs("selection", study="llm", cells=[CELL]),
    "vlm": expected_outputs("selection", study="vlm", cells=VISUAL, methods=["hyperinf", "datainf"]),
}


def hashes(files):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def data_of(runs, cell=CELL):
    return selection_data(values_by_seed(read_selection("llm", runs).metrics), cell)


def bars(axis):
    return sum(len(bar.get_segments()) for bar in axis.collections)


@pytest.mark.parametrize("study", ["llm", "vlm"])
def test_selection_writes_what_it_declares(selected, study):
    written = sorted(file.relative_to(selected["root"]).as_posix() for file in selected[study])
    assert written == sorted(DECLARED[study])


def test_declared_names_are_those_of_the_layout():
    declared = expected_outputs("selection", study="llm", cells=[("a", "m", "lora-8"), ("b", "m/x", "lora-8")])
    assert "figures/llm_a_m_lora-8_accuracy.pdf" in declared
    assert "figures/llm_b_m-x_lora-8_accuracy.csv" in declared
    tables = [name for name in declared if name.startswith("tables/") and name.endswith(".csv")]
    assert tables == [
        "tables/llm_lora-8.csv",
        "tables/llm_lora-8_details.csv",
        "tables/llm_lora-8_cost.csv",
        "tables/claims_llm.csv",
        "tables/llm_sources.csv",
    ]


def test_only_questions_about_images_have_a_table_by_kind_and_only_several_settings_are_compared():
    one = expected_outputs("selection", study="vlm", cells=[("a", "m", "lora-8"), ("b", "m", "lora-8")])
    assert "tables/vlm_lora-8_kinds.md" in one
    assert not [name for name in one if "settings" in name or "contact" in name]
    two = expected_outputs("selection", study="llm", cells=[("a", "m", "lora-8"), ("a", "m", "last_layer")])
    assert {"figures/llm_a_m_settings.csv", "tables/llm_settings.tex"} <= set(two)
    assert not [name for name in two if "kinds" in name]


def test_a_contact_sheet_has_four_methods_and_the_rest_follow_on_a_second_one():
    methods = ["tracin", "lissa", "hyperinf", "datainf", "gfim"]
    declared = expected_outputs("selection", study="vlm", cells=[("a", "m", "lora-8")], methods=methods)
    sheets = [name for name in declared if "contact" in name and name.endswith(".png")]
    assert sheets == ["figures/vlm_a_m_lora-8_contact.png", "figures/vlm_a_m_lora-8_contact-2.png"]
    assert contact_groups(methods) == [["hyperinf", "gfim", "datainf", "lissa"], ["tracin"]]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lora-8", "LoRA rank 8"),
        ("last_layer", "last layer"),
        ("projector", "projector"),
        ("lora_projector-16", "LoRA rank 16 and projector"),
        ("lora_projector-8.of-last_layer", "LoRA rank 8 and projector, gradients of the last layer only"),
        ("lora_projector-8.of-lora", "LoRA rank 8 and projector, gradients of the LoRA adapter only"),
        ("projector.of-mine", "projector, gradients of the mine only"),
        ("mine-8", "mine-8"),
    ],
)
def test_a_setting_is_said_in_words(setting, words):
    assert setting_label(setting) == words


def test_settings_stand_by_rank_and_parts_after_the_whole():
    settings = ["lora-16", "lora-8.of-projector", "projector", "lora-8", "lora-8"]
    assert ordered_settings(settings) == ["lora-8", "lora-8.of-projector", "lora-16", "projector"]


def test_an_unknown_study_is_refused():
    with pytest.raises(ValueError, match="not one of llm, vlm"):
        expected_outputs("selection", study="audio")


def test_the_report_loads_no_torch():
    code = (
        "import sys; from hyperinf.reporting import expected_outputs\n"
        "expected_outputs('selection', study='llm', cells=[('a', 'b', 'c')])\n"
        "assert not {'matplotlib', 'torch', 'pandas'} & set(sys.modules)\n"
        "import hyperinf.reporting.selection_figure, hyperinf.reporting.selection_tables, hyperinf.reporting.page\n"
        "import hyperinf.reporting.sheets, hyperinf.reporting.settings_figure\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_order_in_which_runs_are_given_changes_no_byte(selected):
    before = hashes(selected["llm"])
    assert hashes(report_selection("llm", list(reversed(selected["runs"])), selected["root"])) == before


def test_the_figure_holds_methods_by_strategy_and_references_without(selected):
    data = data_of(selected["runs"])
    accuracy = data[data["quantity"] == "accuracy"]
    assert set(accuracy.loc[accuracy["strategy"] == "", "method"]) == {"full", "warmup", "base", "majority"}
    ours = accuracy[(accuracy["method"] == "hyperinf") & (accuracy["strategy"] == "stratified")]
    assert ours["fraction"].to_list() == [0.2, 0.4]
    assert ours["mean"].to_list() == pytest.approx([0.61, 0.61])
    shares = data[data["quantity"] == "largest_answer_share"]
    assert shares[shares["strategy"] == "plain"].set_index("method")["mean"]["hyperinf"].to_list() == [1.0, 1.0]


def test_the_figure_has_a_panel_for_every_strategy_and_quantity(selected):
    figure = figure_selection(data_of(selected["runs"]), CELL, "cut")
    assert len(figure.axes) == 6
    assert "smol (cut), LoRA rank 8; 3 seeds" in figure.legends[0].get_title().get_text()
    labels = {text.get_text().partition("\n")[0] for axis in figure.axes for text in axis.texts}
    assert labels == {
        "whole pool",
        "after the warm-up",
        "before fine-tuning",
        "most frequent answer",
        "one answer only",
    }
    plt.close(figure)


def test_one_seed_and_one_share_draw_points_without_bars(seed_folder):
    runs = [seed_folder(percents=(20,), clean=False)]
    figure = figure_selection(data_of(runs), CELL)
    figure.draw_without_rendering()
    assert len(figure.axes) == 4  # no clean shares
    assert [bars(axis) for axis in figure.axes] == [0, 0, 0, 0]
    assert "no interval" in figure.legends[0].get_title().get_text()
    plt.close(figure)


def test_bars_do_not_leave_zero_to_one(seed_folder):
    accuracy = [0.95, 0.55, 0.75]
    runs = [seed_folder(11 + k, {"hyperinf": value}, strategies=("stratified",)) for k, value in enumerate(accuracy)]
    figure = figure_selection(data_of(runs), CELL)
    ends = [segment for bar in figure.axes[0].collections for segment in bar.get_segments()]
    assert ends
    assert np.concatenate(ends)[:, 1].max() == pytest.approx(1.0)
    plt.close(figure)


@pytest.mark.parametrize(
    ("wanted", "gap", "places"),
    [
        ([0.1, 0.5, 0.9], 0.2, [0.1, 0.5, 0.9]),
        ([0.5, 0.5], 0.2, [0.4, 0.6]),
        ([0.1, 0.5, 0.52, 0.54], 0.2, [0.1, 0.32, 0.52, 0.72]),
        ([], 0.2, []),
    ],
)
def test_labels_are_moved_apart_as_little_as_possible(wanted, gap, places):
    assert spread(wanted, gap) == pytest.approx(places)


def test_sources_name_every_run_and_its_hashes(selected):
    sources = pd.read_csv(selected["root"] / "tables/llm_sources.csv")
    assert sources["folder"].to_list() == [f"llm/headlines/smol/lora-8/seed-{seed}" for seed in (11, 12, 13)]
    assert set(sources["model_note"]) == {"Smol cut to 4 layers"}
    assert sources["fractions_sha256"].nunique() == 3


@pytest.fixture
def results(selected, tmp_path):
    return Path(shutil.copytree(selected["root"], tmp_path / "results"))


@pytest.fixture
def page(results):
    report_page(results, results / "report.html")
    return (results / "report.html").read_text()


def test_the_page_has_a_section_for_each_study(page):
    assert re.findall(r'<h2 id="(llm|vlm)">([^<]*)<', page) == [
        ("llm", "Selection: language model"),
        ("vlm", "Selection: vision-language model"),
    ]
    assert page.count('<img src="data:image/png;base64,') == 1 + 2 * 2 + 1  # accuracy and sheet by setting, settings
    assert "smol is Smol cut to 4 layers." in page
    assert "llava is" not in page
    assert (
        "Language model, plain selection: what HyperINF keeps trains a more accurate model than random selection"
        in page
    )


def test_the_page_shows_settings_side_by_side_kinds_and_contact_sheets(page):
    for shown in (
        "<summary>Settings side by side</summary>",
        "<summary>Accuracy by kind of question</summary>",
        'id="vlm_shapes_llava_last_layer.of-projector_contact"',
        'id="vlm_shapes_llava_settings"',
        "last layer, gradients of the projector only",
    ):
        assert shown in page


def test_the_page_says_what_the_accuracies_stand_beside(page):
    assert "Those accuracies stand beside whole pool 0.550, after the warm-up 0.520, before fine-tuning 0.500" in page


def test_the_page_says_what_was_measured_of_the_selection(page):
    assert "20 % kept: 0.610 ± 0.025 (above random selection)" in page
    assert "Plain selection collapsed" in page
    assert "<h3>Language model: headlines, smol (Smol cut to 4 layers), LoRA rank 8</h3>" in page


def test_a_study_that_is_absent_is_neither_shown_nor_missing(results):
    for file in results.glob("*/*vlm*"):
        file.unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    assert "vision-language" not in html.lower()
    assert "vlm_" not in html
    assert 'id="vlm"' not in html


def test_a_part_of_a_study_that_is_gone_is_missing(results):
    (results / "tables/llm_lora-8_details.csv").unlink()
    (results / "figures/llm_headlines_smol_lora-8_accuracy.png").unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    assert "<li>tables/llm_lora-8_details.csv</li>" in html
    assert "<li>figures/llm_headlines_smol_lora-8_accuracy.png</li>" in html


def test_the_ledger_of_the_page_holds_the_studies_claims(results, page):
    assert page
    claims = pd.read_csv(results / "tables/claims.csv")
    studies = claims["statement"].str.extract("^([A-Z][a-z-]* ?[a-z]*)")[0]
    assert set(studies) == {"Language model", "Vision-language model"}


def test_ticks_less_than_a_percent_apart_have_labels_of_their_own():
    assert [percent(share) for share in (0.5, 0.575, 0.6166, 1.0)] == ["50%", "57.5%", "61.66%", "100%"]
