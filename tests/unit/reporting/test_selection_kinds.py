import pytest
from scipy import stats

from hyperinf.errors import InputError
from hyperinf.reporting.selection_inputs import read_selection
from hyperinf.reporting.selection_kinds import kind_tables, kinds_frame
from hyperinf.reporting.table_writers import plain

KINDS = {"yes_no": -0.1, "colour": 0.2}
OURS = (0.65, 0.60, 0.72)


def read(seed_folder, **options):
    runs = [
        seed_folder(11 + k, {"hyperinf": value, "random": 0.5}, study="vlm", **options) for k, value in enumerate(OURS)
    ]
    return read_selection("vlm", runs)


def test_accuracy_by_kind_is_a_mean_with_its_interval_over_seeds(seed_folder):
    frame = kinds_frame(read(seed_folder, kinds=KINDS))
    own = frame[(frame["method"] == "hyperinf") & (frame["strategy"] == "stratified") & (frame["fraction"] == 0.2)]
    by_kind = own.set_index("kind")
    assert list(by_kind.index) == ["all", "colour", "yes_no"]  # accuracy by likelihood per character is no kind
    mean = sum(OURS) / 3
    assert by_kind["accuracy"].to_list() == pytest.approx([mean, mean + 0.2, mean - 0.1])
    assert by_kind["accuracy_half_width"].to_list() == pytest.approx([stats.t.ppf(0.975, 2) * stats.sem(OURS)] * 3)
    whole = frame[frame["method"] == "full"].set_index("kind")
    assert whole["accuracy"].to_dict() == pytest.approx({"all": 0.55, "colour": 0.75, "yes_no": 0.45})


def test_the_table_has_a_column_for_every_kind_and_a_dash_where_it_is_unknown(seed_folder):
    tables = kind_tables(kinds_frame(read(seed_folder, kinds=KINDS)))
    assert [table.title.partition(":")[0] for table in tables] == [
        "Accuracy by kind of question at 20 % kept",
        "Accuracy by kind of question at 40 % kept",
    ]
    assert tables[0].headers == ("method", "selection", "all questions", "colour", "yes/no")
    rows = {row[:2]: [plain(cell) for cell in row[2:]] for row in tables[0].rows}
    assert rows["whole pool", "–"] == ["0.550 ± 0.000", "0.750 ± 0.000", "0.450 ± 0.000"]
    assert rows["most frequent answer", "–"] == ["0.510 ± 0.000", "–", "–"]


def test_questions_without_kinds_have_a_table_that_says_so(seed_folder):
    (table,) = kind_tables(kinds_frame(read(seed_folder)))
    assert table.rows == ()
    assert "not told apart by kind" in table.note


def test_an_accuracy_of_a_kind_outside_0_to_1_is_refused(seed_folder):
    with pytest.raises(InputError, match="accuracy_colour of hyperinf plain is 1.55; expected a share"):
        read_selection("vlm", [seed_folder(accuracy={"hyperinf": 0.65}, kinds={"colour": 1.0})])
