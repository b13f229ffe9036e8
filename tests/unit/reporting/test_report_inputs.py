import numpy as np
import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import report_mislabel, report_page, report_simulation
from hyperinf.reporting.inputs import (
    read_convergence,
    read_fisher_cases,
    read_fisher_summary,
    read_mislabel,
    read_timing,
)


def refused(match):
    return pytest.raises(InputError, match=match)


def one_line(error):
    return "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with refused(r"absent\.csv: no such file") as error:
        read_convergence([tmp_path / "absent.csv"])
    assert one_line(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a CSV file"),
        ("method,dim\n", "no column"),
        ("a,b\n1,2\n", "expected columns method"),
        ("method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\n", "no rows"),
        (
            "method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\ncg,ok,x,1,1,1,1,1,1\n",
            "column dim, row 1: 'x'",
        ),
        (
            "method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\ncg,ok,1.5,1,1,1,1,1,1\n",
            "whole number",
        ),
        (
            "method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\ncg,bad,1,1,1,1,1,1,1\n",
            "ok or diverged",
        ),
        (
            "method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\ncg,ok,1,1,1,1,1,,1\n",
            "number >= 0",
        ),
        (
            "method,status,dim,samples,seed,iteration,damping,error_l2,error_relative\n,ok,1,1,1,1,1,1,1\n",
            "column method, row 1: empty",
        ),
    ],
)
def test_a_convergence_file_that_does_not_fit_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with refused(said) as error:
        read_convergence([path])
    assert one_line(error)
    assert "bad.csv" in str(error.value)


def test_the_same_run_given_twice_is_refused(convergence_files):
    files = convergence_files()
    with refused("given twice"):
        read_convergence([*files, files[0]])


def test_two_dampings_are_refused(convergence_files, tmp_path):
    files = convergence_files(dims=(512,), seeds=(11, 12))
    other = pd.read_csv(files[1]).assign(damping=0.1)
    other.to_csv(files[1], index=False)
    with refused("dampings 0.01, 0.1"):
        read_convergence(files)


def test_a_time_of_zero_is_refused(timing_file):
    pd.read_csv(timing_file).assign(seconds=0.0).to_csv(timing_file, index=False)
    with refused("seconds"):
        read_timing(timing_file)


def test_fisher_files_that_do_not_fit_are_refused(fisher_folder):
    np.save(fisher_folder / "gfim.npy", np.eye(3))
    with refused("expected one shape"):
        read_fisher_cases(fisher_folder)
    np.save(fisher_folder / "fim.npy", np.ones((2, 3)))
    with refused("finite square matrix"):
        read_fisher_cases(fisher_folder)
    (fisher_folder / "fim.npy").write_bytes(b"not an array")
    with refused("not a NumPy array"):
        read_fisher_cases(fisher_folder)
    (fisher_folder / "summary.csv").unlink()
    with refused(r"summary\.csv: no such file"):
        read_fisher_summary(fisher_folder)


def test_a_pickled_array_is_refused(fisher_folder):
    with (fisher_folder / "fim.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        file.write(b"(lp0\nI1\na.")
    with refused("not a NumPy array"):
        read_fisher_cases(fisher_folder)


def test_a_run_without_the_epoch_is_refused_with_the_epochs_it_has(scores_folder):
    with refused("not scored at epoch 2; it has 1, 3"):
        read_mislabel([scores_folder()], 2)


def test_a_metric_outside_its_range_is_refused(scores_folder):
    folder = scores_folder(values={"hyperinf": 61.0})
    with refused("hyperinf is 61; expected a share in 0..1"):
        read_mislabel([folder], 3)


def test_scores_folders_must_be_there(tmp_path):
    with refused("no folder given"):
        report_mislabel([], 3, tmp_path)
    with refused("no such folder"):
        report_mislabel([tmp_path / "scores"], 3, tmp_path)
    with refused("no input file given"):
        report_simulation([], None, None, tmp_path)
    with refused("expected the results folder"):
        report_page(tmp_path / "none", tmp_path / "report.html")


def test_a_refused_input_leaves_nothing_written(scores_folder, tmp_path):
    (scores_folder() / "cost.csv").write_text("")
    with refused(r"cost\.csv"):
        report_mislabel(
            [scores_folder(seed=12), tmp_path / "mislabel/sarcasm/minilm/rank-16/seed-11/scores"], 3, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_flipped_share_is_that_of_the_scores_file(scores_folder):
    read = read_mislabel([scores_folder()], 3)
    assert read.flipped["share"].to_list() == [0.2]


def test_without_the_scores_file_the_flipped_share_is_unknown(scores_folder):
    folder = scores_folder()
    (folder / "epoch-3.parquet").unlink()
    assert read_mislabel([folder], 3).flipped.empty
