import pytest
from matplotlib import pyplot as plt
from scipy import stats

from hyperinf.reporting.selection_frames import Cell, values_by_seed
from hyperinf.reporting.selection_inputs import read_selection
from hyperinf.reporting.selection_settings import families, settings_frame, settings_tables
from hyperinf.reporting.settings_figure import figure_settings, settings_data
from hyperinf.reporting.table_writers import plain

WHOLE = [0.65, 0.60, 0.72]
OF_PROJECTOR = [0.61, 0.57, 0.65]
TRAINED = "lora_projector-8"


@pytest.fixture
def read(seed_folder):
    def make(by_setting, **options):
        runs = [
            seed_folder(11 + k, {"hyperinf": value, "random": 0.5}, study="vlm", setting=setting, **options)
            for setting, values in by_setting.items()
            for k, value in enumerate(values)
        ]
        return read_selection("vlm", runs)

    return make


def test_settings_that_train_the_same_are_compared_in_pairs_over_seeds(read):
    frame = settings_frame(read({TRAINED: WHOLE, f"{TRAINED}.of-projector": OF_PROJECTOR}))
    rows = frame[(frame["method"] == "hyperinf") & (frame["strategy"] == "plain") & (frame["fraction"] == 0.4)]
    whole, part = (row for _, row in rows.iterrows())
    assert (whole["against"], part["against"]) == ("", TRAINED)
    differences = [a - b for a, b in zip(OF_PROJECTOR, WHOLE, strict=True)]
    assert part["setting_difference"] == pytest.approx(sum(differences) / 3)
    half_width = stats.t.ppf(0.975, 2) * stats.sem(differences)
    assert part["setting_difference_half_width"] == pytest.approx(half_width)


def test_settings_that_train_something_else_stand_side_by_side_but_are_not_subtracted(read):
    frame = settings_frame(read({"lora-8": WHOLE, "last_layer": OF_PROJECTOR}))
    assert set(frame["against"]) == {""}
    (table,) = settings_tables(frame)
    assert {row[2] for row in table.rows} == {"LoRA rank 8", "last layer"}


def test_a_task_with_one_setting_is_not_compared(seed_folder):
    several = [seed_folder(task="a", setting=setting) for setting in ("lora-8", "last_layer")]
    frame = settings_frame(read_selection("vlm", [*several, seed_folder(task="b")]))
    assert set(frame["task"]) == {"a"}


def test_the_tables_name_whose_gradients_are_used(read):
    parts = {f"{TRAINED}.of-{part}": values for part, values in (("projector", WHOLE), ("last_layer", OF_PROJECTOR))}
    accuracies, differences = settings_tables(settings_frame(read(parts, percents=(20,))))
    assert accuracies.headers == ("method", "selection", "gradients of", "20 % kept")
    assert all("smol, LoRA rank 8 and projector, 3 seeds" in table.title for table in (accuracies, differences))
    assert [row[:3] for row in accuracies.rows[:2]] == [
        ("HyperINF", "plain", "last layer"),
        ("HyperINF", "plain", "projector"),
    ]
    assert [(*row[:3], plain(row[3])[:6]) for row in differences.rows] == [
        ("HyperINF", "plain", "projector − last layer", "+0.047"),
        ("HyperINF", "stratified", "projector − last layer", "+0.047"),
    ]


def test_families_hold_what_trains_the_same_with_the_whole_first():
    cells = [("t", "m", "lora-8.of-projector"), ("t", "m", "last_layer"), ("t", "m", "lora-8")]
    assert families(cells) == {
        ("t", "m", "lora-8"): ["lora-8", "lora-8.of-projector"],
        ("t", "m", "last_layer"): ["last_layer"],
    }


def test_the_figure_has_a_panel_for_every_setting_and_strategy_on_one_scale(read):
    settings = [TRAINED, *(f"{TRAINED}.of-{part}" for part in ("lora", "projector", "last_layer")), "projector"]
    found = read(dict.fromkeys(settings, WHOLE))
    cells = [Cell._make(cell) for cell in found.cells]
    data = settings_data(values_by_seed(found.metrics), cells)
    figure = figure_settings(data, "headlines", "smol", "cut")
    drawn = [axis for axis in figure.axes if axis.axison]
    assert len(drawn) == len(settings) * 2
    assert {axis.get_ylim() for axis in drawn} == {drawn[0].get_ylim()}
    titles = [axis.get_title().replace("\n", " ") for axis in drawn if axis.get_title()]
    assert titles[0] == "LoRA rank 8 and projector"
    assert titles[-1] == "projector"
    assert "smol (cut); 3 seeds" in figure.legends[0].get_title().get_text()
    plt.close(figure)
