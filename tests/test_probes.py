"""What docs/howto/probes.md tells Docker, systemd, Kubernetes and a shell to ask, while the web workers live on."""

import enum
import re
import shlex

import pytest
from pages import DOCS, commands_of_settings, run_as_installed
from path_targets import strangers

from multiprocessing_intenum import IntEnumValue, history

PAGE = (DOCS / "howto" / "probes.md").read_text(encoding="utf-8")


class WorkerStatusEnum(enum.IntEnum):
    UNAVAILABLE = enum.auto()
    IDLE = enum.auto()
    CALCULATING = enum.auto()


class DaemonEnum(enum.IntEnum):
    GONE = 0
    LIVES = 1


BE_THE_DAEMON = """
import enum
from multiprocessing_intenum import IntEnumValue, compare_and_set
Daemon = enum.IntEnum('Daemon', {'GONE': 0, 'LIVES': 1})
daemon = IntEnumValue[Daemon]('GONE', at=path)
assert compare_and_set(daemon, 'GONE', 'LIVES', on_death='GONE')
"""


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def probes():
    """Return the name and the command of each probe of the page."""
    (shell,) = fences("text")
    yield "shell", ["sh", "-c", shell]
    (docker,) = fences("dockerfile")
    yield "Docker", ["sh", "-c", docker.partition("CMD ")[2]]
    (start,) = re.findall(r"^ExecStartPost=\S*/(.*)$", PAGE, re.MULTILINE)
    yield "systemd", shlex.split(start)
    liveness, readiness = commands_of_settings(fences("yaml")[0])
    yield "liveness", liveness
    yield "readiness", readiness


PROBES = dict(probes())


@pytest.fixture
def ask(tmp_path):
    def ask(name):
        in_place = [part.replace("/run/worker", str(tmp_path)) for part in PROBES[name]]
        # systemd waits for a daemon that is about to come: here there is none
        return run_as_installed([{"30": "0"}.get(part, part) for part in in_place], tmp_path)

    return ask


@pytest.mark.parametrize("name", PROBES)
def test_the_probe_says_yes_while_the_daemon_lives_and_no_when_it_was_killed(name, ask, tmp_path):
    status = IntEnumValue[WorkerStatusEnum]("IDLE", at=tmp_path / "status")  # this process is a web worker
    daemon = IntEnumValue[DaemonEnum]("GONE", at=tmp_path / "daemon")
    assert ask(name) == 1
    with strangers(1) as [process]:
        process.ask(f"path = {str(tmp_path / 'daemon')!r}")
        assert process.ask(f"exec({BE_THE_DAEMON!r})") == "None"
        assert ask(name) == 0
        process.kill()
        assert ask(name) == 1
    assert status == WorkerStatusEnum.IDLE
    assert [change.after.name for change in history(daemon)] == ["GONE", "LIVES", "GONE"]


@pytest.mark.parametrize("name", PROBES)
def test_the_probe_says_no_where_there_is_no_file(name, ask):
    assert ask(name) == 1


@pytest.mark.parametrize("name", [name for name in PROBES if name != "systemd"])
def test_the_probe_is_right_while_another_process_holds_the_lock(name, ask, tmp_path):
    status = IntEnumValue[WorkerStatusEnum]("IDLE", at=tmp_path / "status")
    daemon = IntEnumValue[DaemonEnum]("GONE", at=tmp_path / "daemon")
    with strangers(1) as [process]:
        process.ask(f"path = {str(tmp_path / 'daemon')!r}")
        assert process.ask(f"exec({BE_THE_DAEMON!r})") == "None"
        with daemon.get_lock():
            assert ask(name) == 0
            process.kill()
            assert ask(name) == 1
            assert daemon == DaemonEnum.LIVES  # nobody could change it
    assert status == WorkerStatusEnum.IDLE


def test_the_page_has_a_probe_for_each_supervisor():
    assert list(PROBES) == ["shell", "Docker", "systemd", "liveness", "readiness"]
