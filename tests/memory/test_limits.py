"""Limits that a kernel states in files: here laid out below a folder as a kernel does."""

from pathlib import Path

import pytest

from mematte_plugin.memory.limits import cpu_quota, memory_limits

GB = 10**9


def lay_out(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n" if isinstance(text, int) else str(text))
    return root


def limits(root: Path, reserved: int = 0) -> dict[str, tuple[int, int]]:
    return {limit.name: (limit.free, limit.total) for limit in memory_limits(reserved, root)}


def test_where_nothing_is_stated_nothing_is_limited(tmp_path):
    assert limits(tmp_path) == {}
    assert cpu_quota(tmp_path) is None


def test_every_group_above_counts_and_files_that_may_go_do_not(tmp_path):
    groups = "sys/fs/cgroup"
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/app.scope\n",
            f"{groups}/user.slice/app.scope/memory.max": "max\n",
            f"{groups}/user.slice/app.scope/memory.high": 8 * GB,
            f"{groups}/user.slice/app.scope/memory.current": 2 * GB,
            f"{groups}/user.slice/app.scope/memory.stat": "anon 9\ninactive_file 500000000\n",
            f"{groups}/user.slice/memory.max": 4 * GB,
            f"{groups}/user.slice/memory.high": "max\n",
            f"{groups}/user.slice/memory.current": 5 * GB,
            f"{groups}/user.slice/app.scope/cpu.max": "max 100000\n",
            f"{groups}/user.slice/cpu.max": "150000 100000\n",
        },
    )
    assert limits(root) == {
        "cgroup memory.high of /user.slice/app.scope": (6_500_000_000, 8 * GB),
        "cgroup memory.max of /user.slice": (0, 4 * GB),  # more is in use than it allows
    }
    assert cpu_quota(root) == 1.5


@pytest.mark.parametrize(
    "group",
    [
        "/",  # a namespace of its own
        "/docker/ab",  # the host's name, which is not there
        "/../../docker/ab",  # outside of the namespace
        "/..",
    ],
)
def test_a_container_finds_its_own_limit(tmp_path, group):
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{group}\n",
            "sys/fs/cgroup/memory.max": 3 * GB,
            "sys/fs/cgroup/memory.current": 1 * GB,
            "sys/fs/cgroup/cpu.max": "200000 100000\n",
        },
    )
    assert limits(root) == {"cgroup memory.max of /": (2 * GB, 3 * GB)}
    assert cpu_quota(root) == 2


def test_version_1_counts_what_it_shows_and_what_it_hides(tmp_path):
    memory, unlimited = "sys/fs/cgroup/memory", 9223372036854771712
    root = lay_out(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/jobs/7\n3:cpu,cpuacct:/jobs/7\n0::/\n",
            f"{memory}/jobs/7/memory.limit_in_bytes": unlimited,
            f"{memory}/jobs/7/memory.usage_in_bytes": 2 * GB,
            f"{memory}/jobs/7/memory.stat": (
                "inactive_file 1\nhierarchical_memory_limit 7000000000\n"
                "total_inactive_file 1000000000\n"
            ),
            f"{memory}/jobs/memory.limit_in_bytes": 6 * GB,
            f"{memory}/jobs/memory.usage_in_bytes": 5 * GB,
            f"{memory}/memory.limit_in_bytes": unlimited,
            "sys/fs/cgroup/cpu/jobs/7/cpu.cfs_quota_us": 50_000,
            "sys/fs/cgroup/cpu/jobs/7/cpu.cfs_period_us": 100_000,
            "sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us": -1,
            "sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us": 100_000,
        },
    )
    assert limits(root) == {
        "cgroup hierarchical_memory_limit of /jobs/7": (6 * GB, 7 * GB),
        "cgroup memory.limit_in_bytes of /jobs": (1 * GB, 6 * GB),
    }
    assert cpu_quota(root) == 0.5


def test_limits_of_the_process_leave_room_for_what_a_run_only_maps(tmp_path):
    root = lay_out(
        tmp_path,
        {
            "proc/self/limits": (
                "Limit                     Soft Limit           Hard Limit           Units     \n"
                "Max data size             2000000000           unlimited            bytes     \n"
                "Max stack size            8388608              unlimited            bytes     \n"
                "Max address space         3000000000           3000000000           bytes     \n"
            ),
            "proc/self/status": "Name:\tpython\nVmSize:\t 1000000 kB\nVmData:\t  500000 kB\n",
        },
    )
    assert limits(root, 400_000_000) == {
        "address-space limit (ulimit -v)": (1_576_000_000, 3 * GB),
        "data-segment limit (ulimit -d)": (1_088_000_000, 2 * GB),
    }
    (root / "proc/self/limits").write_text("Max address space  unlimited  unlimited  bytes\n")
    assert limits(root) == {}
