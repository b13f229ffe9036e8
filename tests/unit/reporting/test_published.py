import pytest

from hyperinf.reporting.published import (
    published_convergence,
    published_detection,
    published_influence_seconds,
    published_inversion,
)


def test_published_convergence_covers_the_grid_with_the_names_used_here():
    frame = published_convergence()
    assert set(frame["method"]) == {"schulz_paper", "lissa"}
    assert len(frame) == 2 * 16 * 40


def test_published_values_stop_at_what_can_be_read():
    frame = published_convergence()
    cell = frame[(frame["dim"] == 512) & (frame["samples"] == 800) & (frame["method"] == "schulz_paper")]
    late = cell[cell["iteration"] == 40].iloc[0]  # -0.023 in the file: noise of the reading
    assert bool(late["below_reading_limit"])
    assert late["error_l2"] == pytest.approx(85.96e-3)
    early = cell[cell["iteration"] == 18].iloc[0]
    assert not early["below_reading_limit"]
    assert early["error_l2"] == 24.58


def test_published_relative_error_starts_at_one():
    frame = published_convergence()
    start = frame[(frame["iteration"] == 1)]
    assert start["error_relative"].between(0.9, 1.0001).all()


def test_only_the_schulz_timings_are_invalid():
    frame = published_inversion()
    assert set(frame.loc[~frame["valid"], "method"]) == {"schulz_paper"}
    row = frame[(frame["method"] == "schulz_paper") & (frame["dim"] == 4096)].iloc[0]
    assert row["seconds"] == 0.041564


def test_published_influence_times_leave_out_the_gradients():
    assert published_influence_seconds() == {"hyperinf": 25.634, "tracin": 0.00017, "datainf": 37.755, "lissa": 194.735}


def test_published_detection_has_the_four_methods():
    frame = published_detection()
    at = frame[frame["inspected_percent"] == 20].set_index("method")["detected_percent"]
    assert at.to_dict() == {"hyperinf": 44.89, "tracin": 22.0, "datainf": 23.56, "lissa": 20.47}
