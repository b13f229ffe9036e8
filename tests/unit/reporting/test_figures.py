import hashlib

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from hyperinf.reporting import expected, style
from hyperinf.reporting.accuracy_figure import _reference_text, accuracy_figure, spread
from hyperinf.reporting.convergence_figures import convergence_data, convergence_figure, datainf_figure
from hyperinf.reporting.cost_figure import cost_figure
from hyperinf.reporting.detection_figure import detection_figure
from hyperinf.reporting.detection_tables import detection_tables
from hyperinf.reporting.epochs_figure import epochs_figure
from hyperinf.reporting.manifest import expected_simulation
from hyperinf.reporting.published import published_convergence
from hyperinf.reporting.ranking import oracle_of
from hyperinf.reporting.selection_panels import tick_label
from hyperinf.reporting.settings_figure import settings_figure
from hyperinf.reporting.simulation_inputs import SimulationResults, read_convergence
from hyperinf.reporting.simulation_tables import first_below, simulation_frame

OURS, THEIRS = [0.65, 0.60, 0.72], [0.61, 0.57, 0.65]
ANY = expected_simulation()[0]
DRAWS = (convergence_figure, convergence_figure, datainf_figure)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(builder, read, name):
    entry = next(entry for entry in expected(read.shape) if entry.product.name == name)
    with style.house_style():
        drawing = builder(read, entry)
    drawing.figure.draw_without_rendering()
    return drawing


def bars(axis):
    return sum(len(bar.get_segments()) for bar in axis.collections)


def test_two_writes_of_a_figure_give_the_same_bytes_without_a_date(convergence_files, tmp_path):
    read = SimulationResults(read_convergence(convergence_files(iterations=2)))
    first, second = (style.save_figure(datainf_figure(read, ANY), tmp_path / place, "f") for place in ("a", "b"))
    assert [file.suffix for file in first] == [".csv", ".pdf", ".png"]
    assert [hashlib.sha256(a.read_bytes()).digest() for a in first] == [
        hashlib.sha256(b.read_bytes()).digest() for b in second
    ]
    assert b"CreationDate" not in first[1].read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(first[0]), datainf_figure(read, ANY).data)


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
    read = SimulationResults(read_convergence(convergence_files(**part)))
    for builder, entry, panels in zip(DRAWS, expected_simulation(), (1, 1, 2), strict=False):
        figure = builder(read, entry).figure
        figure.draw_without_rendering()
        assert len(figure.axes) == panels


def test_the_published_curve_is_in_the_panels_it_was_published_for(convergence_files):
    frame = read_convergence(convergence_files(dims=(96, 512), samples=(200,), iterations=2))
    data = convergence_data(frame, published_convergence(), "error_l2")
    published = data[data["series"] == "published"]
    assert set(published["dim"]) == {512}
    at = published[(published["method"] == "schulz_paper") & (published["iteration"] == 20)]
    assert at["mean"].item() == 1034.0


@pytest.mark.parametrize("rows_end", [False, True])
def test_a_diverged_seed_ends_the_mean_instead_of_leaving_the_others_average(convergence_files, rows_end):
    frame = read_convergence(convergence_files(dims=(512,), samples=(200,)))
    late = (frame["method"] == "lissa") & (frame["seed"] == 12) & (frame["iteration"] > 5)
    frame.loc[late, ["error_l2", "error_relative"]] = np.inf
    data = convergence_data(frame[~late] if rows_end else frame, published_convergence(), "error_relative")
    lissa = data[(data["method"] == "lissa") & (data["series"] == "this run")].set_index("iteration")
    assert lissa.loc[5, "mean"] == pytest.approx(0.99**5)
    assert np.isnan(lissa.loc[6, "mean"])
    assert lissa.loc[6, "diverged"] == 1


def test_the_simulation_table_counts_iterations_of_the_slowest_seed(convergence_files):
    rows = simulation_frame(read_convergence(convergence_files(dims=(512,), samples=(200,)))).set_index("method")
    assert rows.loc["schulz_paper", "iterations_to_target"] == 22  # 10 ** -(t - 19) <= 1e-3
    assert np.isnan(rows.loc["lissa", "iterations_to_target"])
    assert rows.loc["sor", "diverged"] == 3
    assert np.isnan(rows.loc["datainf", "iterations"])


def test_a_curve_that_rises_again_has_not_arrived():
    run = pd.DataFrame({"iteration": [1, 2, 3, 4], "error_relative": [1.0, 1e-4, 0.5, 1e-4]})
    assert first_below(run) == 4
    assert first_below(run.iloc[:3]) == np.inf


@pytest.mark.parametrize(("family", "panels"), [("classifier", 2), ("causal", 1)])
def test_published_curves_stand_beside_a_classifiers(study, family, panels):
    drawing = drawn(detection_figure, study(found={"hyperinf": OURS}, shape={"family": family}), "detection")
    assert len(drawing.figure.axes) == 2 * panels  # what is found below each
    assert ("published" in set(drawing.data["series"])) == (family == "classifier")
    ideal = drawing.data[drawing.data["method"] == "ideal"]
    assert ideal.set_index("inspected")["detected"][0.1] == pytest.approx(0.5)  # a fifth was harmed


def test_where_nothing_was_harmed_the_figure_says_so(study):
    read = study(found={"hyperinf": OURS})
    object.__setattr__(read, "curves", read.curves.iloc[:0])
    (axis,) = drawn(detection_figure, read, "detection").figure.axes
    assert "nothing to find" in axis.texts[0].get_text()


def test_no_interval_is_drawn_for_one_seed(study):
    several, single = (
        drawn(epochs_figure, study(found={"hyperinf": seeds}, checkpoints=("epoch-1", "epoch-3")), "epochs")
        for seeds in (OURS, OURS[:1])
    )
    assert [len(axis.collections) for axis in single.figure.axes] == [0, 0]
    assert [len(axis.collections) for axis in several.figure.axes] == [1, 1]
    assert single.data["half_width"].isna().all()


def test_the_cost_figure_has_a_row_for_every_method_and_shared_stage(study):
    axis = drawn(cost_figure, study(found={"hyperinf": OURS}), "cost").figure.axes[0]
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == ["HyperINF", "DataInf", "shared: gradients", "(of which GFIM)"]


def test_selections_have_a_panel_for_every_strategy_and_metric_and_their_references_beside(study):
    drawing = drawn(accuracy_figure, study({"hyperinf": OURS, "random": THEIRS}), "accuracy")
    assert len(drawing.figure.axes) == 6
    foot = drawing.figure.legends[0].get_title().get_text()
    assert "smol (Smol cut to 4 layers), LoRA rank 8; 3 seeds" in foot
    labels = {text.get_text().partition("\n")[0] for axis in drawing.figure.axes for text in axis.texts}
    assert labels == {
        "whole training set",
        "scored model",
        "before fine-tuning",
        "most frequent answer",
        "one answer only",
    }
    data = drawing.data[drawing.data["metric"] == "accuracy"]
    assert set(data.loc[data["strategy"] == "", "method"]) == {"full", "finetuned", "base", "majority"}
    ours = data[(data["method"] == "hyperinf") & (data["strategy"] == "stratified")]
    assert ours["fraction"].to_list() == [0.2, 0.4]
    assert ours["mean"].to_list() == pytest.approx([0.656666, 0.656666], rel=1e-5)


@pytest.mark.parametrize("metric", ["accuracy", "clean_fraction", "largest_answer_fraction"])
def test_a_line_of_reference_is_called_by_its_own_name_in_every_panel(metric):
    rows = [pd.Series({"metric": metric, "method": each, "mean": 0.5, "half_width": 0.1}) for each in ("full", "clean")]
    names = [_reference_text(row).partition("\n")[0] for row in rows]
    assert names == ["whole training set", "clean training samples"]


def test_one_seed_and_one_fraction_draw_points_without_bars(study):
    drawing = drawn(accuracy_figure, study({"hyperinf": [0.6]}, fractions=(0.2,), clean=False), "accuracy")
    assert len(drawing.figure.axes) == 4  # no clean samples
    assert [bars(axis) for axis in drawing.figure.axes] == [0, 0, 0, 0]
    assert "no interval" in drawing.figure.legends[0].get_title().get_text()


def test_bars_do_not_leave_zero_to_one(study):
    read = study({"hyperinf": [0.95, 0.55, 0.75]}, strategies=("stratified",))
    axis = drawn(accuracy_figure, read, "accuracy").figure.axes[0]
    ends = [segment for bar in axis.collections for segment in bar.get_segments()]
    assert np.concatenate(ends)[:, 1].max() == pytest.approx(1.0)


def test_settings_have_a_panel_each_on_one_scale(study):
    trained = "lora_projector-8"
    settings = [trained, *(f"{trained}.of-{part}" for part in ("lora", "projector", "last_layer")), "projector"]
    names = [{"setting": setting} for setting in settings]
    read = study({"hyperinf": OURS, "random": THEIRS}, names=names, shape={"settings": settings}, note="cut")
    figure = drawn(settings_figure, read, "settings").figure
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(panels) == len(settings) * 2
    assert {axis.get_ylim() for axis in panels} == {panels[0].get_ylim()}
    titles = [axis.get_title().replace("\n", " ") for axis in panels if axis.get_title()]
    assert (titles[0], titles[-1]) == ("LoRA rank 8 and projector", "projector")
    assert "smol (cut); 3 seeds" in figure.legends[0].get_title().get_text()


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


def test_ticks_less_than_a_percent_apart_have_labels_of_their_own():
    assert [tick_label(at) for at in (0.5, 0.575, 0.6166, 1.0)] == ["50%", "57.5%", "61.66%", "100%"]


def test_figures_show_the_main_methods_and_tables_all_of_them(study):
    names = ("hyperinf", "hyperinf_unit", "tracin", "tracin_cp", "kfac", "less", "loss")
    main = {"hyperinf", "tracin", "loss"}
    shape = {"family": "classifier", "checkpoint": "epoch-3"}
    read = study(found=dict.fromkeys(names, OURS), checkpoints=("epoch-1", "epoch-3"), shape=shape)
    for builder, name in ((detection_figure, "detection"), (epochs_figure, "epochs")):
        shown = set(drawn(builder, read, name).data["method"])
        assert shown & set(names) == main, name
    _, (means, differences) = detection_tables(read)
    labels = ["HyperINF", "HyperINF, cosine", "K-FAC", "TracIN", "TracIN, checkpoints by learning rate", "own loss"]
    assert [str(row[0]) for row in means.rows] == [*labels, "LESS"]
    assert len(differences.rows) == len(names) - 1


def test_where_only_tables_would_show_what_was_taken_figures_show_it_too(study):
    read = study(found=dict.fromkeys(("hyperinf_unit", "kfac"), OURS), shape={"family": "classifier"})
    assert {"hyperinf_unit", "kfac"} <= set(drawn(detection_figure, read, "detection").data["method"])


def test_an_oracle_s_form_is_that_of_the_form_it_checks():
    assert oracle_of("gfim_unit") == "hyperinf_unit"
    assert oracle_of("fim_cg_epochs") == "fim_epochs"
    assert oracle_of("hyperinf_unit") is oracle_of("less") is oracle_of("anything") is None
