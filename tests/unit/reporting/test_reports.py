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

from hyperinf.reporting import expected_outputs, report_mislabel, report_page
from hyperinf.reporting.convergence_figures import convergence_data, datainf_data, figure_convergence, figure_datainf
from hyperinf.reporting.inputs import read_convergence, read_mislabel
from hyperinf.reporting.manifest import file_label
from hyperinf.reporting.mislabel_figures import epochs_data, figure_epochs
from hyperinf.reporting.mislabel_frames import detection_frame
from hyperinf.reporting.published import published_convergence
from hyperinf.reporting.simulation_tables import first_below, simulation_frame
from hyperinf.reporting.style import save_figure


def relative(files, out):
    return sorted(file.relative_to(out).as_posix() for file in files)


def hashes(files):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_simulation_writes_what_it_declares(reported):
    assert relative(reported["simulation"], reported["root"]) == sorted(expected_outputs("simulation"))


def test_mislabel_writes_what_it_declares(reported):
    declared = expected_outputs("mislabel", pairs=[("sarcasm", "minilm")])
    assert relative(reported["mislabel"], reported["root"]) == sorted(declared)


def test_the_order_in_which_runs_are_given_changes_no_byte(reported):
    before = hashes(reported["mislabel"])
    assert hashes(report_mislabel(list(reversed(reported["runs"])), 3, reported["root"])) == before


def test_two_writes_of_a_figure_give_the_same_bytes_without_a_date(convergence_files, tmp_path):
    data = datainf_data(read_convergence(convergence_files(iterations=2)))
    first, second = (save_figure(figure_datainf(data), data, tmp_path / place, "f") for place in ("a", "b"))
    assert [file.suffix for file in first] == [".csv", ".pdf", ".png"]
    assert hashes(first) == hashes(second)
    assert b"CreationDate" not in first[1].read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(first[0]), data)


@pytest.mark.parametrize(
    "part",
    [
        {"dims": (512,), "samples": (800,), "seeds": (11,)},
        {"dims": (96,), "samples": (50,), "methods": ["sor"]},
        {"dims": (512,), "samples": (200,), "methods": ["datainf"]},
        {"dims": (512,), "samples": (200,), "methods": ["lissa"]},
    ],
)
def test_any_part_of_the_grid_can_be_drawn(convergence_files, part):
    frame = read_convergence(convergence_files(**part))
    for column in ("error_l2", "error_relative"):
        figure = figure_convergence(convergence_data(frame, published_convergence(), column), column)
        figure.draw_without_rendering()
        assert len(figure.axes) == 1
        plt.close(figure)
    figure = figure_datainf(datainf_data(frame))
    figure.draw_without_rendering()
    plt.close(figure)


def test_no_interval_is_drawn_for_one_seed(scores_folder):
    metrics = read_mislabel([scores_folder()], 3).metrics
    data = epochs_data(detection_frame(metrics))
    assert data["half_width"].isna().all()
    single, several = figure_epochs(data), figure_epochs(data.assign(half_width=0.1))
    assert [len(axis.collections) for axis in single.axes] == [0, 0]
    assert [len(axis.collections) for axis in several.axes] == [3, 1]
    plt.close(single)
    plt.close(several)


def test_the_published_curve_is_in_the_panels_it_was_published_for(convergence_files):
    frame = read_convergence(convergence_files(dims=(96, 512), samples=(200,), iterations=2))
    data = convergence_data(frame, published_convergence(), "error_l2")
    published = data[data["series"] == "published"]
    assert set(published["dim"]) == {512}
    at = published[(published["method"] == "schulz_paper") & (published["iteration"] == 20)]
    assert at["mean"].item() == 1034.0


def test_a_diverged_seed_ends_the_mean_instead_of_leaving_the_others_average(convergence_files):
    frame = read_convergence(convergence_files(dims=(512,), samples=(200,)))
    late = (frame["method"] == "lissa") & (frame["seed"] == 12) & (frame["iteration"] > 5)
    frame.loc[late, ["error_l2", "error_relative"]] = np.inf
    data = convergence_data(frame, published_convergence(), "error_relative")
    lissa = data[(data["method"] == "lissa") & (data["series"] == "this run")].set_index("iteration")
    assert lissa.loc[5, "mean"] == pytest.approx(0.99**5)
    assert np.isnan(lissa.loc[6, "mean"])
    assert lissa.loc[6, "diverged"] == 1


def test_a_seed_whose_rows_end_in_divergence_ends_the_mean_too(convergence_files):
    frame = read_convergence(convergence_files(dims=(512,), samples=(200,)))
    ended = (frame["method"] == "lissa") & (frame["seed"] == 12) & (frame["iteration"] > 5)
    data = convergence_data(frame[~ended], published_convergence(), "error_relative")
    lissa = data[(data["method"] == "lissa") & (data["series"] == "this run")].set_index("iteration")
    assert lissa.loc[5, "mean"] == pytest.approx(0.99**5)
    assert np.isnan(lissa.loc[6, "mean"])


def test_the_simulation_table_counts_iterations_of_the_slowest_seed(convergence_files):
    frame = read_convergence(convergence_files(dims=(512,), samples=(200,)))
    rows = simulation_frame(frame).set_index("method")
    assert rows.loc["schulz_paper", "iterations_to_target"] == 22  # 10 ** -(t - 19) <= 1e-3
    assert np.isnan(rows.loc["lissa", "iterations_to_target"])
    assert rows.loc["sor", "diverged"] == 3
    assert np.isnan(rows.loc["datainf", "iterations"])


def test_a_curve_that_rises_again_has_not_arrived():
    run = pd.DataFrame({"iteration": [1, 2, 3, 4], "error_relative": [1.0, 1e-4, 0.5, 1e-4]})
    assert first_below(run) == 4
    assert first_below(run.iloc[:3]) == np.inf


def test_expected_outputs_import_neither_matplotlib_nor_torch():
    code = (
        "import sys; from hyperinf.reporting import expected_outputs\n"
        "expected_outputs('mislabel', pairs=[('a', 'b')])\n"
        "sys.exit(bool({'matplotlib', 'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="simulation, mislabel, selection, page"):
        expected_outputs("figures")


def test_file_labels_keep_plain_names_and_tame_others():
    assert file_label("easy_vqa-1.0") == "easy_vqa-1.0"
    assert file_label("owner/model name") == "owner-model-name"


@pytest.fixture
def results(reported, tmp_path):
    return Path(shutil.copytree(reported["root"], tmp_path / "results"))


def test_the_page_is_one_file_with_nothing_from_outside(results):
    page = results / "report.html"
    written = report_page(results, page)
    assert relative(written, results) == sorted(["report.html", *expected_outputs("page")])
    html = page.read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html


def test_the_page_is_the_same_twice_and_escapes_what_it_shows(results):
    report_page(results, results / "a.html")
    report_page(results, results / "b.html")
    assert (results / "a.html").read_bytes() == (results / "b.html").read_bytes()
    assert "<script>" not in (results / "a.html").read_text()
    assert "&lt;script&gt;" in (results / "a.html").read_text()


def test_the_page_says_what_it_measured_in_numbers_of_the_tables(results):
    report_page(results, results / "report.html")
    html = results.joinpath("report.html").read_text()
    assert (
        "HyperINF&#39;s ROC-AUC is 0.800 ± 0.000 (2 seeds). It is above DataInf (by 0.100), own loss (by 0.050)."
        in html
    )
    assert "HyperINF, published start reached a relative error of 0.001 on all 2 (d, N) in 22 iterations" in html
    assert "Nothing of the studies that were reported" in html


def test_the_page_names_what_is_missing(results):
    for simulation in (*results.glob("figures/simulation*"), results / "tables/simulation.csv"):
        simulation.unlink()
    (results / "figures/mislabel_sarcasm_minilm_cost.png").unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    for missing in (
        "figures/simulation_convergence.png",
        "tables/simulation.csv",
        "figures/mislabel_sarcasm_minilm_cost.png",
    ):
        assert f"<li>{missing}</li>" in html
    assert "No figure of the synthetic study was made" in html


def test_an_empty_results_folder_gives_a_page_that_says_so(tmp_path):
    report_page(tmp_path, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "No claims were judged" in html
    assert "No study was reported" in html
    assert "Nothing of the studies that were reported" in html


@pytest.mark.parametrize("study", ["simulation", "mislabel"])
def test_a_study_that_was_left_out_is_neither_shown_nor_missing(results, study):
    for file in results.glob(f"*/*{study}*"):
        if file.is_file():
            file.unlink()
    report_page(results, results / "report.html")
    html = (results / "report.html").read_text()
    assert f'id="{study}"' not in html
    assert f"{study}_" not in html
    assert "Nothing of the studies that were reported" in html


def test_runs_left_over_from_earlier_do_not_reach_the_page(results):
    leftover = results / "mislabel/sarcasm/minilm/rank-16/seed-99/scores"
    leftover.mkdir(parents=True)
    (leftover / "info.json").write_text('{"device": "a machine of the past"}')
    report_page(results, results / "report.html")
    assert "a machine of the past" not in (results / "report.html").read_text()
