"""Odd surroundings of a process on Linux: options of Python, environments, a zip, refused calls, namespaces, limits."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import DEADLINE
from path_targets import strangers

import multiprocessing_intenum

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
PACKAGE = Path(multiprocessing_intenum.__file__).parent
ROBUST, NOT_ROBUST = "ok: from files, robust, process ", "ok: from files, not robust, process "


def last_line(
    directory: Path, *prefix: str, options: str = "", methods: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """The last line that the program prints, or its last error."""
    command = [sys.executable, *options.split(), str(HERE / "program.py"), str(PACKAGE.parent), str(directory)]
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        [*prefix, *command, *methods.split()],
        env={"PATH": os.environ["PATH"]} if environment is None else environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return (done.stdout.splitlines() or [""])[-1]


def refusing(call: str, error: str) -> list[str]:
    return [sys.executable, str(HERE / "refusing.py"), call, error]


WITHOUT_FUTEX = [refusing("futex", "ENOSYS")]
if os.uname().machine == "x86_64":  # of the other processors, few have a second name
    WITHOUT_FUTEX.append(["setarch", "i686"])  # the library has no number of futex for this name


def can_unshare() -> bool:
    try:
        done = subprocess.run(["unshare", "-mpf", "--mount-proc", "true"], stderr=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@pytest.mark.parametrize("options", ["-O", "-OO", "-W error", "-X dev", "-I", "-bb", "-X frozen_modules=off"])
def test_it_works_with_each_option_of_python(options: str, tmp_path: Path) -> None:
    assert last_line(tmp_path, options=options).startswith(ROBUST)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
    ],
    ids=["empty", "no UTF-8", "no home"],
)
def test_it_works_in_each_environment(environment: dict[str, str], tmp_path: Path) -> None:
    assert last_line(tmp_path, environment=environment).startswith(ROBUST)


def test_the_package_can_be_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for path in PACKAGE.rglob("*.py"):
            archive.write(path, path.relative_to(PACKAGE.parent))
    script = [sys.executable, str(HERE / "program.py"), str(tmp_path / "app.zip"), str(tmp_path)]
    # Without coverage, which does not find the source in the zip.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(script, capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment)
    assert done.stdout.startswith("ok: from a zip, robust, "), done.stderr


def test_a_kernel_without_robust_lists_gives_an_ordinary_lock(tmp_path: Path) -> None:
    # so does qemu-user
    assert last_line(tmp_path, *refusing("get_robust_list", "ENOSYS")).startswith(NOT_ROBUST)


# The first way is not one for this test: it would refuse the calls of the C library, too.
@pytest.mark.parametrize("prefix", WITHOUT_FUTEX[1:] or [[]])
def test_where_the_processor_has_another_name_a_waiter_looks(prefix: list[str], tmp_path: Path) -> None:
    assert last_line(tmp_path, *prefix).startswith(ROBUST)


@pytest.mark.parametrize("prefix", WITHOUT_FUTEX)
def test_a_process_without_futex_writes_while_another_one_sleeps(prefix: list[str], tmp_path: Path) -> None:
    opens = f"status = WorkerStatus('IDLE', at={str(tmp_path / 'status')!r})"
    with strangers(1) as [sleeper], strangers(1, *prefix) as [writer]:
        assert sleeper.ask(opens) == writer.ask(opens) == "None"
        sleeper.tell(f"wait_for(status, 'CALCULATING', timeout={DEADLINE}).name")
        is_asleep = "any(status._self_cell.words.sleepers.flags)"
        while writer.ask(is_asleep) == "False":
            pass
        assert writer.ask("status.set('CALCULATING')") == "None"
        assert sleeper.answer() == "'CALCULATING'"


@pytest.mark.parametrize("error", ["EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_fallocate_will_do(error: str, tmp_path: Path) -> None:
    assert last_line(tmp_path, *refusing("fallocate", error)).startswith(ROBUST)


@pytest.mark.parametrize("error", ["EINVAL", "OK"])
def test_a_kernel_that_empties_no_page_at_a_fork_will_do(error: str, tmp_path: Path) -> None:
    # qemu-user says that it will, and does not
    assert last_line(tmp_path, *refusing("madvise", error)).startswith(ROBUST)


@pytest.mark.parametrize("limit", ["-n 40", "-v 500000"])
def test_it_works_within_limits(limit: str, tmp_path: Path) -> None:
    assert last_line(tmp_path, "sh", "-c", f'ulimit {limit}; exec "$@"', "sh").startswith(ROBUST)


if can_unshare():  # this needs the rights of root

    @pytest.mark.parametrize("process_id", [1, 2, 132, 144, 176])
    def test_the_lock_excludes_whatever_the_process_id_is(process_id: int, tmp_path: Path) -> None:
        # 132 is the type of such a mutex with musl; 144 and 176 are the types that glibc gives it.
        namespace = ["unshare", "-pf", "--mount-proc"]
        prefix = [] if process_id == 1 else [sys.executable, str(HERE / "at_pid.py"), str(process_id)]
        line = last_line(tmp_path, *namespace, *prefix, methods="fork")
        assert line == f"{ROBUST}{process_id}"

    @pytest.mark.parametrize(
        "mounts",
        [
            "mount -t tmpfs -o size=1m x /dev/shm",
            "mount -t tmpfs -o size=4k x /dev/shm; head -c 4096 /dev/zero >/dev/shm/full",
            "mount -t tmpfs -o noexec,nosuid x /dev/shm",
            "mount -t tmpfs x /proc",
        ],
        ids=["little shared memory", "no shared memory left", "noexec", "no /proc"],
    )
    def test_it_works_with_other_mounts(mounts: str, tmp_path: Path) -> None:
        assert last_line(tmp_path, "unshare", "-m", "sh", "-c", f'{mounts}; exec "$@"', "sh").startswith(ROBUST)

    def test_by_path_two_pid_namespaces_exclude_each_other(tmp_path: Path) -> None:
        opens = f"status = WorkerStatus('IDLE', at={str(tmp_path / 'status')!r})"
        with strangers(2, "unshare", "-pf", "--mount-proc", "--kill-child") as [holder, other]:
            assert holder.ask(opens) == other.ask(opens) == "None"
            assert holder.ask("os.getpid()") == other.ask("os.getpid()") == "1"
            assert holder.ask("status.get_lock().acquire()") == "True"
            assert other.ask("status.get_lock().acquire(timeout=0.1)") == "False"
            assert holder.ask("status.get_lock().release()") == "None"
            assert other.ask(f"status.get_lock().acquire(timeout={DEADLINE})") == "True"
