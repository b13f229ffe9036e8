import numpy as np
import pandas as pd
import pytest

from hyperinf.errors import InputError
from hyperinf.reporting import report_simulation
from hyperinf.reporting.simulation_inputs import (
    CONVERGENCE,
    read_convergence,
    read_fisher_cases,
    read_fisher_summary,
    read_timing,
)

HEAD = ",".join(CONVERGENCE.columns)


def refused(match):
    return pytest.raises(InputError, match=match)


def test_what_is_not_there_is_named_in_one_line(tmp_path):
    with refused(r"absent\.csv: no such file") as error:
        read_convergence([tmp_path / "absent.csv"])
    assert "\n" not in str(error.value)
    with refused("got no input file"):
        report_simulation([], None, None, tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "got no CSV file"),
        ("method,dim\n", "got no column"),
        ("a,b\n1,2\n", "expected columns method"),
        (f"{HEAD}\n", "got no rows"),
        (f"{HEAD}\ncg,ok,x,1,1,1,1,1,1\n", "column dim, row 1: got 'x'"),
        (f"{HEAD}\ncg,ok,1.5,1,1,1,1,1,1\n", "expected a whole number"),
        (f"{HEAD}\ncg,bad,1,1,1,1,1,1,1\n", "expected ok or diverged"),
        (f"{HEAD}\ncg,ok,1,1,1,1,1,,1\n", "expected a number >= 0"),
        (f"{HEAD}\n,ok,1,1,1,1,1,1,1\n", "column method, row 1: got an empty cell"),
    ],
)
def test_a_convergence_file_that_does_not_fit_is_refused_in_one_line(tmp_path, content, said):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with refused(said) as error:
        read_convergence([path])
    assert "\n" not in str(error.value)
    assert "bad.csv" in str(error.value)


def test_the_same_run_given_twice_is_refused(convergence_files):
    files = convergence_files()
    with refused("given twice"):
        read_convergence([*files, files[0]])


def test_two_dampings_are_refused(convergence_files):
    files = convergence_files(dims=(512,), seeds=(11, 12))
    pd.read_csv(files[1]).assign(damping=0.1).to_csv(files[1], index=False)
    with refused("dampings 0.01, 0.1"):
        read_convergence(files)


def test_a_time_of_zero_is_refused(timing_file):
    pd.read_csv(timing_file).assign(seconds=0.0).to_csv(timing_file, index=False)
    with refused("seconds: got 0, expected positive"):
        read_timing(timing_file)


def test_fisher_files_that_do_not_fit_are_refused(fisher_folder):
    np.save(fisher_folder / "gfim.npy", np.eye(3))
    with refused("expected one shape"):
        read_fisher_cases(fisher_folder)
    np.save(fisher_folder / "fim.npy", np.ones((2, 3)))
    with refused("finite square matrix"):
        read_fisher_cases(fisher_folder)
    (fisher_folder / "fim.npy").write_bytes(b"not an array")
    with refused("got no NumPy array"):
        read_fisher_cases(fisher_folder)
    (fisher_folder / "summary.csv").unlink()
    with refused(r"summary\.csv: no such file"):
        read_fisher_summary(fisher_folder)


def test_a_pickled_array_is_refused(fisher_folder):
    with (fisher_folder / "fim.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        file.write(b"(lp0\nI1\na.")
    with refused("got no NumPy array"):
        read_fisher_cases(fisher_folder)
