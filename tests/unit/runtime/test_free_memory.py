"""What is free is what the machine has left, or a control group where that is less: of either version, own or above."""

import pytest

from hyperinf.runtime import memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``/proc`` and ``/sys/fs/cgroup`` of a machine with 1,000 MiB left."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {1000 * 1024} kB\n")
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "GROUPS", groups)
    return proc, groups


def group(folder, limit, used, cached=0, first=False):
    """A control group's files, sizes in MiB."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    most, now, of_files = names if first else ("memory.max", "memory.current", "inactive_file")
    (folder / most).write_text(f"{limit if limit == 'max' else limit * MIB}\n")
    (folder / now).write_text(f"{used * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{of_files} {cached * MIB}\n")


def free():
    found = memory.free_bytes("cpu")
    assert found is not None
    return found / MIB


def test_without_a_group_it_is_what_the_machine_has_left(machine):
    proc, _ = machine
    assert free() == 1000
    (proc / "self" / "cgroup").write_text("0::/\n")
    assert free() == 1000
    (proc / "meminfo").unlink()
    assert memory.free_bytes("cpu") is None


def test_a_group_of_the_second_version_is_asked_and_its_cached_files_count_as_free(machine):
    proc, groups = machine
    (proc / "self" / "cgroup").write_text("0::/job/task\n")
    group(groups / "job" / "task", 500, 200, cached=50)
    assert free() == 350
    group(groups / "job" / "task", 5000, 200)
    assert free() == 1000


def test_a_limit_of_a_group_above_holds_where_the_own_has_none(machine):
    proc, groups = machine
    (proc / "self" / "cgroup").write_text("0::/slurm/job_7/step_0/task_0\n")
    group(groups / "slurm" / "job_7" / "step_0" / "task_0", "max", 100)
    group(groups / "slurm" / "job_7", 400, 150)
    assert free() == 250


def test_groups_of_the_first_version_are_asked_too(machine):
    proc, groups = machine
    (proc / "self" / "cgroup").write_text("5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n")
    group(groups / "memory" / "job", 300, 100, cached=20, first=True)
    group(groups / "memory", 2**33, 5000, first=True)  # as it tells of none
    assert free() == 220


def test_in_a_container_whose_path_is_that_outside_its_root_is_asked(machine):
    proc, groups = machine
    (proc / "self" / "cgroup").write_text("4:memory:/docker/0a1b\n")
    group(groups / "memory", 600, 100, first=True)
    assert free() == 500


def test_files_that_nobody_understands_say_nothing(machine):
    proc, groups = machine
    (proc / "self" / "cgroup").write_text("0::/odd\n")
    group(groups / "odd", 10, 5)
    (groups / "odd" / "memory.stat").write_text("one two three\n")
    assert free() == 1000
