"""A GFIM that memory has no room for lies on the disk, takes little memory, and gives the same scores."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scored_methods import LINEAR
from wide_gradients import SHAPES, error, gradients, means

from hyperinf.attributor import Attributor
from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, gradient_statistics, influence_scores, score_methods
from hyperinf.influence import memory as memory_of_gfim
from hyperinf.influence.matrix_file import MatrixFile
from hyperinf.influence.memory import GfimForm, planned
from hyperinf.settings.methods import METHODS

pytestmark = pytest.mark.usefixtures("own_allocator")
ON_GFIM = [name for name in LINEAR if "gfim" in METHODS[name].needs]


@pytest.fixture
def small(monkeypatch):
    """Buffers of two rows and tiles of three, so that every matrix is written often."""
    monkeypatch.setattr("hyperinf.influence.gfim.TILE", 3)
    monkeypatch.setattr(memory_of_gfim, "WAITING", 2)


def form(folder, rows=False):
    return GfimForm(rows=rows, scratch=folder, memory_bytes=0)


@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e18, 1e-140])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("block_size", [1, 4, 6])
def test_matrices_and_rows_on_the_disk_are_those_in_memory(tmp_path, small, scale, rows, block_size):
    source = TensorSource(gradients(scale=scale), block_size=block_size)
    there = gradient_statistics(source, form(tmp_path, rows))
    here = gradient_statistics(source, GfimForm(rows=rows))
    assert there.on_disk
    assert not here.on_disk
    assert set(there.rows) == set(here.rows) == ({"wide"} if rows else set())
    for name, matrix in here.gfim.items():
        assert error(there.gfim[name], matrix) < 1e-14
        assert torch.equal(there.gfim[name], there.gfim[name].T)
    for name, held in here.rows.items():
        assert torch.equal(there.rows[name], held)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("method", ON_GFIM)
def test_every_method_has_the_scores_of_memory(tmp_path, small, method, rows):
    source, target = TensorSource(gradients(dtype=torch.float32), block_size=4), gradients(3, 1)
    options = {"solver": "auto"} if method == "hyperinf" else {}
    there, here = (
        build_method(method, **options).fit(source, gradient_statistics(source, each))
        for each in (form(tmp_path, rows), True)
    )
    for name, product in here.precondition(means(target)).items():
        assert error(there.precondition(means(target))[name], product) < 1e-9
    for name, product in here.precondition_each(target).items():
        assert error(there.precondition_each(target)[name], product) < 1e-9


@pytest.mark.parametrize("solver", ["schulz", "cholesky"])
def test_factors_that_are_kept_for_many_queries_are_on_the_disk_and_made_once(tmp_path, solver, monkeypatch):
    source, queries = TensorSource(gradients()), gradients(5, 1)
    model = build_method("hyperinf", solver=solver).fit(source, gradient_statistics(source, form(tmp_path)))
    first = model.precondition_each(queries)
    kept = vars(model)["_kept"]
    assert isinstance(kept, MatrixFile)
    assert set(kept) == set(SHAPES)
    for name in ("torch.linalg.cholesky", "hyperinf.influence.methods.hyperinf.hyperpower_inverse"):
        monkeypatch.setattr(name, None)
    again = model.precondition_each(queries)
    assert all(torch.equal(first[name], again[name]) for name in SHAPES)


def test_how_often_a_matrix_is_written_does_not_grow_with_the_number_of_blocks(tmp_path, small, monkeypatch):
    mapped = []
    plain = MatrixFile.mapped

    def noted(self, *given):
        mapped.append(given[0])
        return plain(self, *given)

    monkeypatch.setattr(MatrixFile, "mapped", noted)

    def times(block_size, samples=12):
        mapped.clear()
        gradient_statistics(TensorSource(gradients(samples), block_size=block_size), form(tmp_path))
        return mapped.count("even")

    assert times(1) == times(3) == times(12)
    assert times(3, 24) > times(3, 12)


def test_nothing_is_left_in_the_folder_not_even_while_it_is_used(tmp_path):
    gc.collect()
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    folder = tmp_path / "made" / "anew"
    a = Attributor(None, "gfim", scratch=folder)
    a.method.fit(TensorSource(gradients()), gradient_statistics(TensorSource(gradients()), form(folder, rows=True)))
    gc.disable()  # nothing is in a circle, which would keep the disk until somebody looks for circles
    a.method.precondition_each(gradients(2, 1))
    assert len(list(Path("/proc/self/fd").iterdir())) > open_files
    assert list(folder.iterdir()) == []
    del a
    try:
        assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    finally:
        gc.enable()


class Room:
    """What is free, as a test says."""

    def __init__(self, monkeypatch):
        self.memory, self.disk = 10**12, 10**12
        monkeypatch.setattr(memory_of_gfim, "free_bytes", lambda device: self.memory)
        monkeypatch.setattr(memory_of_gfim, "_disk_bytes", lambda folder: self.disk)


@pytest.fixture
def room(monkeypatch):
    return Room(monkeypatch)


def test_memory_is_taken_where_it_suffices_else_the_disk_and_that_is_said_once(tmp_path, room, caplog):
    layers = {f"layer.{place}": (8, 1000) for place in range(20)}
    assert planned(layers, None, "cpu", GfimForm(scratch=tmp_path)).folder is None
    room.memory = 8 * 10**6 * (20 + 4)
    assert planned(layers, None, "cpu", GfimForm(scratch=tmp_path)).folder is None
    # Passes through the model need some of it at the same time.
    assert planned(layers, None, "cpu", GfimForm(scratch=tmp_path), beside=1).folder == tmp_path
    room.memory -= 1
    plan = planned(layers, None, "cpu", GfimForm(scratch=tmp_path))
    assert plan.folder == tmp_path
    assert plan.memory_bytes == max(8 * 10**6 * 4, room.memory // 4)
    plan.say()
    assert [record.message for record in caplog.records] == [
        "the GFIM of 20 layers takes 0.2 GiB with its inversion, more than is free: 0.1 GiB of it are on the disk, in"
        f" {tmp_path}"
    ]


def test_what_fits_nowhere_is_refused_with_what_both_would_need(tmp_path, room):
    layers = {f"layer.{place}": (8, 10_000) for place in range(20)}
    room.memory = 8 * 10**8 * 10
    with pytest.raises(ValueError, match=r"layer 'layer.0': .* 17.9 GiB, expected at most the 7.5 GiB that are free"):
        planned(layers, None, "cpu", GfimForm())
    room.disk = 8 * 10**8 * 39
    with pytest.raises(ValueError, match=r"free 29.8 GiB of disk and 3.0 GiB of memory for .*, where 29.1 GiB of disk"):
        planned(layers, None, "cpu", GfimForm(scratch=tmp_path))
    room.disk = 8 * 10**8 * 40
    assert planned(layers, None, "cpu", GfimForm(scratch=tmp_path)).folder == tmp_path
    room.memory = 8 * 10**8 * 4
    assert planned(layers, None, "cpu", GfimForm(scratch=tmp_path)).folder == tmp_path
    room.memory -= 1
    with pytest.raises(ValueError, match=r"layer 'layer.0': got a gradient of 8 x 10,000"):
        planned(layers, None, "cpu", GfimForm(scratch=tmp_path))


def test_an_attributor_uses_the_disk_where_its_matrices_do_not_fit_and_says_how_it_got_there(tmp_path, room):
    shapes = {f"w{place}": (3, 100) for place in range(30)}
    train, target = gradients(50, shapes=shapes), gradients(3, 1, shapes=shapes)
    here = Attributor(None).fit(TensorSource(train)).score(TensorSource(target))
    room.memory = 8 * 100**2 * 20
    with pytest.raises(ValueError, match="or let an Attributor keep it on the disk with scratch"):
        Attributor(None).fit(TensorSource(train))
    a = Attributor(None, scratch=str(tmp_path)).fit(TensorSource(train))
    there = a.score(TensorSource(target))
    assert a.method.report() == {"solver": "auto", "on_disk": True}
    assert (there["influence"] - here["influence"]).abs().max() < 1e-9 * here["influence"].abs().max()
    other = a.with_options(damping=1.0).score(TensorSource(target))["influence"]
    room.memory = 10**12
    expected = influence_scores(train, target, "gfim", damping=1.0)
    assert error(torch.tensor(other.tolist(), dtype=torch.float64), expected) < 1e-9


def test_matrices_that_are_made_of_rows_later_go_to_the_disk_where_they_do_not_fit(tmp_path, room):
    shapes = {f"w{place}": (1, 100) for place in range(30)}
    train, target = gradients(5, shapes=shapes), gradients(3, 1, shapes=shapes)
    room.memory = 8 * 100**2 * 10
    a = Attributor(None, scratch=tmp_path).fit(TensorSource(train))
    assert len(a.method.statistics.rows) == 30
    assert not a.method.statistics.on_disk
    schulz = a.with_options(solver="schulz", tol=1e-6)
    assert schulz.method.statistics.on_disk
    found = torch.tensor(schulz.score(TensorSource(target))["influence"].tolist(), dtype=torch.float64)
    room.memory = 10**12
    assert error(found, influence_scores(train, target, "gfim")) < 1e-9
    with pytest.raises(ValueError, match="GFIM takes"):
        room.memory = 8 * 100**2 * 10
        Attributor(None).fit(TensorSource(train)).with_options(solver="schulz")


def test_several_methods_share_matrices_on_the_disk(tmp_path, room):
    shapes = {f"w{place}": (3, 100) for place in range(30)}
    train, target = gradients(50, shapes=shapes), gradients(3, 1, shapes=shapes)
    here = score_methods(train, target, ["gfim", "hyperinf", "lissa_gfim", "datainf"])
    room.memory = 8 * 100**2 * 20
    there = score_methods(train, target, ["gfim", "hyperinf", "lissa_gfim", "datainf"], scratch=tmp_path)
    for name, expected in here.influence.items():
        assert error(there.influence[name], expected) < 1e-9


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_told_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=rf"^{tmp_path}/file: got .*, expected a folder for matrices on the disk$"):
        (tmp_path / "file").write_text("")
        MatrixFile(tmp_path / "file")

    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=rf"^{tmp_path}: got No space left on device for 12,800 bytes of 'wide'"):
        gradient_statistics(TensorSource(gradients()), form(tmp_path))


def test_more_samples_than_were_told_are_refused_and_fewer_leave_no_empty_rows(tmp_path):
    class Told(TensorSource):
        known_length = 6

    form_ = form(tmp_path, rows=True)
    fewer = gradient_statistics(Told(gradients(4)), form_)
    assert fewer.rows["wide"].shape == (8, 40)
    with pytest.raises(ValueError, match="train: got more than 6 samples in a sweep, expected as many as were told"):
        gradient_statistics(Told(gradients(7)), form_)


PROGRAM = """
import sys, torch
from pathlib import Path
from hyperinf.gradients import TensorSource
from hyperinf.influence import build_method, gradient_statistics
from hyperinf.influence.memory import GfimForm

def peak():
    # Not of getrusage, which begins with what the process that started this one had.
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

train = {f"w{place}": torch.randn(3, 2, 1500) for place in range(30)}
build_method("gfim").fit(TensorSource({"w": torch.randn(90, 2, 90)})).precondition({"w": torch.randn(2, 90).double()})
before = peak()
form = GfimForm(scratch=Path(sys.argv[1]), memory_bytes=0) if len(sys.argv) > 1 else True
method = build_method("gfim").fit_statistics(gradient_statistics(TensorSource(train), form))
method.precondition_each({name: g.double() for name, g in train.items()})
print(peak() - before)
"""


def test_a_process_takes_a_quarter_of_its_matrices_at_the_most_and_in_memory_more_than_them(tmp_path):
    """Matrices of 30 layers are 540 MB; one layer's inversion works with 72 MB."""
    taken = [
        int(subprocess.run([sys.executable, "-c", PROGRAM, *given], check=True, capture_output=True, text=True).stdout)
        for given in ([str(tmp_path)], [])
    ]
    matrices = 30 * 8 * 1500**2
    assert taken[0] < matrices / 4 < matrices < taken[1]
