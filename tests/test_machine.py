import pytest

from swinir_jax import machine


@pytest.mark.parametrize(
    ("line", "controller", "limit", "use"),
    [
        ("0::/system.slice/job.scope", "", "memory.max", "memory.current"),
        ("4:cpu,memory:/system.slice/job.scope", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
@pytest.mark.parametrize("limited", ["", "system.slice", "system.slice/job.scope"])
def test_limits_of_all_control_groups_around_the_process_count(
    monkeypatch, tmp_path, line, controller, limit, use, limited
):
    (tmp_path / "list").write_text(f"9:name=systemd:/\n{line}\n")
    job = tmp_path / "groups" / "system.slice" / "job.scope"
    job.mkdir(parents=True)
    for folder in (job, job.parent, job.parent.parent):
        (folder / limit).write_text("max\n")
        (folder / use).write_text("300\n")
        (folder / "memory.stat").write_text("anon 7\ninactive_file 100\n")
    (tmp_path / "groups" / limited / limit).write_text("1000\n")
    monkeypatch.setattr(machine, "_CGROUP_LIST", tmp_path / "list")
    monkeypatch.setattr(machine, "_CGROUPS", ((tmp_path / "groups", controller, (limit, use)),))
    assert machine.free_machine_bytes() == 800


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: avx2 avx512_bf16", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: avx2", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx2 avx512_bf16 amx_bf16", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx2 avx512_bf16", False),
        ("Features\t: asimd bf16", True),
        ("Features\t: asimd", False),
        ("hart\t: 0", True),
    ],
)
def test_processors_that_gain_by_bfloat16(tmp_path, monkeypatch, text, expected):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\n")
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "cpuinfo")
    assert machine.gains_by_bfloat16() == expected
