"""The command line: what it prints, its exit codes, and that its errors are one line."""

from __future__ import annotations

import enum
import importlib.metadata
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from enums import Paint, Perm, Priority, PriorityValue, RecordType, WorkerStatus, WorkerStatusEnum
from forged import describe, forged, made_by_hand
from helpers import DEADLINE, held_elsewhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from path_targets import strangers
from versions import NewValue, Old, OldStrictValue, OldValue

from multiprocessing_intenum import (
    EnumValue,
    IntEnumValue,
    SharedFile,
    history,
    last_change,
    snapshot,
    value_at,
    waiting,
)
from multiprocessing_intenum.__main__ import main
from multiprocessing_intenum.by_path import users
from multiprocessing_intenum.core import core
from multiprocessing_intenum.memory import words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

COMMAND = [sys.executable, "-m", "multiprocessing_intenum"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "status")


@pytest.fixture
def status(path: str) -> WorkerStatus:
    return WorkerStatus(IDLE, at=path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=DEADLINE)


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_version_says_whether_it_has_the_c_core(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"the version of {name}")
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    kind = "pure Python" if core is None else "C core"
    assert capsys.readouterr().out == f"multiprocessing_intenum the version of multiprocessing-intenum ({kind})\n"


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in this process, and return its exit code, its output and its errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(str(end.code))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


# show


def test_show_says_state_time_writer_users_and_changes(path: str, status: WorkerStatus) -> None:
    status.set(CALCULATING)
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    expected = (
        rf"CALCULATING since {moment}, set by process {os.getpid()}\n"
        r"in use\n"
        r"the last changes of WorkerStatusEnum:\n"
        rf"  {moment}  made IDLE  pid {os.getpid()}\n"
        rf"  {moment}  IDLE -> CALCULATING  pid {os.getpid()}\n"
    )
    found = run("show", path)
    assert re.fullmatch(expected, found.stdout)
    assert (found.returncode, found.stderr) == (0, "")


def test_show_json_is_one_object(path: str, status: WorkerStatus, show: Any) -> None:
    status.set(CALCULATING)
    code, printed, _ = show("show", path, "--json")
    found = json.loads(printed)
    assert code == 0
    assert printed.count("\n") == 1
    assert {key: found[key] for key in ("path", "enum", "state", "value", "pid", "used")} == {
        "path": path,
        "enum": "WorkerStatusEnum",
        "state": "CALCULATING",
        "value": 3,
        "pid": os.getpid(),
        "used": True,
    }
    assert [(each["before"], each["after"], each["number"]) for each in found["changes"]] == [
        (None, "IDLE", 0),
        ("IDLE", "CALCULATING", 1),
    ]
    assert found["since"] == found["changes"][-1]["at"]


def test_show_does_not_count_as_a_user(path: str, show: Any) -> None:
    WorkerStatus(IDLE, at=path)
    assert "no process uses it" in show("show", path)[1]
    assert json.loads(show("show", path, "--json")[1])["used"] is False


def test_a_number_without_a_name_is_shown_as_it_is(path: str, show: Any) -> None:
    record = IntEnumValue(RecordType(65), at=path)
    assert show("show", path)[1].startswith("65 since ")
    assert record == 65


def test_flags_are_shown_and_set_by_their_names(path: str, show: Any) -> None:
    perm = IntEnumValue(Perm.R, at=path)
    assert show("set", path, "R|W")[:2] == (0, "R -> R|W\n")
    assert perm == Perm.R | Perm.W
    assert show("wait", path, "R|W")[:2] == (0, "R|W\n")
    assert "no member is named 'Z'" in show("set", path, "R|Z")[2]


@pytest.mark.parametrize(("variables", "bold"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=str)
def test_the_state_is_bold_on_a_terminal_only(
    path: str, status: WorkerStatus, variables: dict[str, str], bold: bool
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    terminal, other_end = pty.openpty()
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        subprocess.run([*COMMAND, "show", path], stdout=other_end, env=environment, check=True)
        os.close(other_end)
        assert screen.read(1000).startswith(b"\033[1mIDLE\033[0m since" if bold else b"IDLE since")


# watch


def test_watch_prints_a_line_for_each_change_until_it_is_interrupted(path: str, status: WorkerStatus) -> None:
    with started("watch", path) as process:
        assert process.stdout is not None
        lines = [status_changes_until(process, status)]
        for member, text in ((CALCULATING, "IDLE -> CALCULATING"), (IDLE, "CALCULATING -> IDLE")):
            status.set(member)
            lines.append(process.stdout.readline())
            assert f"  {text}  pid {os.getpid()}\n" in lines[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0


def status_changes_until(process: subprocess.Popen[str], status: WorkerStatus) -> str:
    """Change the state until the process has begun to watch, end with IDLE, and return the first line."""
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], 0.05)[0]:
        status.set(UNAVAILABLE)
        status.set(IDLE)
    line = process.stdout.readline()
    while "UNAVAILABLE -> IDLE" not in line:
        line = process.stdout.readline()
    return line


def test_watch_goes_on_with_the_file_that_has_taken_the_name(path: str, status: WorkerStatus) -> None:
    with started("watch", path) as process:
        assert process.stdout is not None
        status_changes_until(process, status)
        other = replaced(path, UNAVAILABLE)
        while "UNAVAILABLE -> CALCULATING" not in status_line(process, other):
            pass


def replaced(path: str, member: WorkerStatusEnum) -> WorkerStatus:
    """Give the name to another file, at once: a program that finds no file of this name ends."""
    WorkerStatus(member, at=f"{path}.other")
    os.replace(f"{path}.other", path)
    return WorkerStatus(member, at=path)


def status_line(process: subprocess.Popen[str], status: WorkerStatus) -> str:
    assert process.stdout is not None
    assert process.poll() is None
    status.set(CALCULATING)
    status.set(UNAVAILABLE)
    return process.stdout.readline() if select.select([process.stdout], [], [], 0.05)[0] else ""


def test_watch_waits_for_a_new_file_and_prints_each_change_of_it(path: str, status: WorkerStatus) -> None:
    with started("watch", "--json", path) as process:
        assert process.stdout is not None
        while "CALCULATING" not in status_line(process, status):
            pass
        os.unlink(path)
        other = WorkerStatus(IDLE, at=path)
        other.set(UNAVAILABLE)
        seen: Any = {}
        while seen.get("number") != 0:
            seen = json.loads(process.stdout.readline())
        assert (seen["before"], seen["after"], seen["pid"]) == (None, "IDLE", os.getpid())
        assert datetime.fromisoformat(seen["at"]) == history(other)[0].at
        assert json.loads(process.stdout.readline())["after"] == "UNAVAILABLE"


def test_watch_goes_on_from_the_old_file_to_a_new_one_of_a_newer_version(
    path: str, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[Any] = [OldValue("IDLE", at=path)]

    def first() -> None:
        values[0].set("BUSY")
        os.unlink(path)

    def second() -> None:
        values.append(OldStrictValue("UNAVAILABLE", at=path))

    def third() -> None:
        values.append(NewValue(at=path))
        values[-1].set("IDLE")
        values[-1].set("BUSY")

    steps = iter([first, third])

    def sleep(*_: object) -> None:
        try:
            next(steps)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(waiting.Sleeper, "sleep", sleep)
    monkeypatch.setattr("multiprocessing_intenum.__main__.time.sleep", lambda _: second())
    code, printed, errors = show("watch", path)
    assert (code, errors) == (0, "")
    assert [line.split("  ")[1] for line in printed.splitlines()] == [
        "IDLE -> BUSY",
        "made UNAVAILABLE",
        "UNAVAILABLE -> IDLE",
        "IDLE -> CALCULATING",
    ]


def test_watch_has_the_zone_of_its_times(path: str, status: WorkerStatus) -> None:
    with started("watch", path) as process:
        line = ""
        while not line:
            line = status_line(process, status)
        day, moment, *_ = line.split()
        at = datetime.strptime(f"{day} {moment}", "%Y-%m-%d %H:%M:%S.%f%z")
        assert abs(at - last_change(status).at) < timedelta(seconds=DEADLINE)
        assert moment.endswith(f"{datetime.now().astimezone():%z}")


def test_watch_knows_the_members_of_a_newer_version(path: str) -> None:
    status = OldValue("IDLE", at=path)
    with started("watch", path) as process:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], 0.05)[0]:
            status.set("BUSY")
            status.set("IDLE")
        NewValue(at=path).set("PAUSED")
        line = ""
        while "PAUSED" not in line:
            line = process.stdout.readline()
        assert " IDLE -> PAUSED  pid " in line


def test_get_prints_the_name_and_nothing_else(path: str, show: Any) -> None:
    assert show("get", path)[0] == 2
    status = WorkerStatus(IDLE, at=path)
    assert show("get", path) == (0, "IDLE\n", "")
    status.set(CALCULATING)
    assert show("get", path) == (0, "CALCULATING\n", "")


def test_transitions_of_the_file_hold_for_the_command_line(path: str, show: Any) -> None:
    status = OldStrictValue("IDLE", at=path)
    assert "\nit may go to BUSY\n" in show("show", path)[1]
    assert json.loads(show("show", path, "--json")[1])["allowed"] == ["BUSY"]
    code, printed, errors = show("set", path, "UNAVAILABLE")
    assert (code, printed) == (1, "")
    assert "from IDLE it goes only to BUSY; with --force it is set all the same" in errors
    assert status == Old.IDLE
    assert show("set", path, "UNAVAILABLE", "--force") == (0, "IDLE -> UNAVAILABLE\n", "")
    assert status == Old.UNAVAILABLE
    del status
    unstrict = OldValue("IDLE", at=path)
    assert json.loads(show("show", path, "--json")[1])["allowed"] is None
    assert "may go" not in show("show", path)[1]
    assert unstrict == Old.IDLE


def test_a_state_that_goes_nowhere_is_shown(path: str, show: Any) -> None:
    class Ends(IntEnumValue[Old], transitions={"IDLE": []}): ...

    status = Ends("IDLE", at=path)
    assert "\nit may go to no other\n" in show("show", path)[1]
    assert status == Old.IDLE


def test_a_reader_that_has_gone_ends_it_without_a_word(path: str, status: WorkerStatus) -> None:
    with started("watch", path, stderr=subprocess.PIPE) as process:
        status_changes_until(process, status)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        while process.poll() is None:
            status.set(CALCULATING)
            status.set(IDLE)
        assert process.stderr.read() == ""


# wait


def test_wait_ends_when_the_state_is_one_of_those(path: str, status: WorkerStatus) -> None:
    assert run("wait", path, "IDLE").stdout == "IDLE\n"
    with started("wait", path, "UNAVAILABLE", "CALCULATING") as process:
        assert process.poll() is None
        status.set(CALCULATING)
        assert process.communicate(timeout=DEADLINE)[0] == "CALCULATING\n"
        assert process.returncode == 0


def test_wait_goes_on_with_the_file_that_has_taken_the_name(path: str, status: WorkerStatus) -> None:
    with started("wait", path, "CALCULATING") as process:
        other = replaced(path, CALCULATING)
        assert process.wait(DEADLINE) == 0
        assert other == CALCULATING


def test_wait_waits_for_the_file(path: str, show: Any) -> None:
    assert show("wait", path, "IDLE", "--timeout", "0")[:2] == (1, "")
    code, _, errors = show("wait", path, "IDLE", "--timeout", "0.05")
    assert (code, errors.endswith(": there is no shared value here\n")) == (1, True)
    with started("wait", path, "CALCULATING") as process:
        status = WorkerStatus(IDLE, at=path)
        assert process.poll() is None
        status.set(CALCULATING)
        assert process.wait(DEADLINE) == 0


def test_wait_goes_on_if_the_file_is_removed(path: str, status: WorkerStatus) -> None:
    with started("wait", path, "CALCULATING") as process:
        os.unlink(path)
        other = WorkerStatus(CALCULATING, at=path)
        assert process.wait(DEADLINE) == 0
        assert other == CALCULATING


def test_wait_looks_at_the_file_that_has_the_name_now(
    path: str, status: WorkerStatus, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [status]

    def sleep(*_: object) -> None:
        os.unlink(path)
        values.append(WorkerStatus(CALCULATING, at=path))

    monkeypatch.setattr(waiting.Sleeper, "sleep", sleep)
    assert show("wait", path, "CALCULATING", "--timeout", str(DEADLINE)) == (0, "CALCULATING\n", "")


# Owners


def test_show_says_who_owns_the_state_and_lets_a_dead_owner_go(path: str, status: WorkerStatus, show: Any) -> None:
    assert json.loads(show("show", path, "--json")[1])["owner"] is None
    with strangers(1) as [stranger]:
        assert stranger.ask(f"status = WorkerStatus(at={path!r})") == "None"
        assert stranger.ask("exchange(status, 'CALCULATING', on_death='UNAVAILABLE')") == repr(IDLE)
        pid = stranger.process.pid
        assert f"\nowned by process {pid}, which lives; UNAVAILABLE follows its end\n" in show("show", path)[1]
        owner = {"pid": pid, "lives": True, "on_death": "UNAVAILABLE"}
        assert json.loads(show("show", path, "--json")[1])["owner"] == owner
        with held_elsewhere(status.get_lock()):  # then the holder of the lock sees to it
            stranger.kill()
            owner["lives"] = False
            while json.loads(show("show", path, "--json")[1])["owner"] != owner:
                pass
            assert status == CALCULATING
    found = json.loads(show("show", path, "--json")[1])
    assert (found["state"], found["pid"], found["owner"]) == ("UNAVAILABLE", pid, None)
    assert status == UNAVAILABLE


def test_help_says_what_the_exit_codes_mean() -> None:
    codes = run("--help").stdout.partition("exit codes:\n")[2]
    assert re.findall(r"^  (\d+) ", codes, re.MULTILINE) == ["0", "1", "2", "130"]


def test_wait_says_that_it_was_not_in_time(path: str, status: WorkerStatus, show: Any) -> None:
    for seconds in ("0", "0.05"):
        code, printed, errors = show("wait", path, "CALCULATING", "UNAVAILABLE", "--timeout", seconds)
        assert (code, printed) == (1, "")
        assert errors.endswith(": not in time: the state is IDLE\n")
    assert status == IDLE


def test_a_probe_can_ask_for_a_state_that_somebody_uses(path: str, show: Any) -> None:
    status = WorkerStatus(IDLE, at=path)
    assert show("wait", path, "IDLE", "--used", "--timeout", "0")[:2] == (0, "IDLE\n")
    del status
    assert show("wait", path, "IDLE", "--timeout", "0")[0] == 0
    code, _, errors = show("wait", path, "IDLE", "--used", "--timeout", "0.05")
    assert code == 1
    assert errors.endswith(": not in time: the state is IDLE, and no process uses it\n")


# set


def test_set_writes_and_says_what_it_was(path: str, status: WorkerStatus, show: Any) -> None:
    assert show("set", path, "CALCULATING") == (0, "IDLE -> CALCULATING\n", "")
    assert show("set", path, "IDLE", "--expect", "CALCULATING", "--timeout", "1") == (0, "CALCULATING -> IDLE\n", "")
    code, printed, errors = show("set", path, "UNAVAILABLE", "--expect", "CALCULATING")
    assert (code, printed) == (1, "")
    assert errors.endswith(": not set: the state is IDLE, expected CALCULATING\n")
    assert status == IDLE


def test_set_waits_for_the_lock_as_long_as_it_may(path: str, status: WorkerStatus) -> None:
    with status.get_lock():
        found = run("set", path, "CALCULATING", "--timeout", "0.05")
    assert (found.returncode, found.stdout) == (1, "")
    assert "the lock was not free within 0.05 s, the state is IDLE\n" in found.stderr
    assert status == IDLE


def test_set_writes_to_a_kept_file_that_nobody_uses(path: str, show: Any) -> None:
    WorkerStatus(IDLE, at=path)
    assert show("set", path, "CALCULATING")[0] == 0
    assert WorkerStatus(IDLE, at=SharedFile(path, keep=True)) == CALCULATING


# An enum that is stored by places


class Rule:
    """An object whose repr is no literal, and which is not equal to any other one."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Mood(enum.Enum):
    GOOD = "good"
    FINE = "good"  # noqa: PIE796 # an alias
    HALF = 0.5
    SEVEN = 7
    BIG = 2**70
    YES = True
    NONE = None
    PAIR = (1, "b")
    INFINITE = float("inf")
    RULE = Rule("Rule('\\d')")  # an escape that Python does not know
    SAME = Rule("Rule()")
    AGAIN = Rule("Rule()")  # noqa: PIE796


SHOWN: dict[str, Any] = {
    "GOOD": "good",
    "HALF": 0.5,
    "SEVEN": 7,
    "BIG": 2**70,
    "YES": True,
    "NONE": None,
    "PAIR": "(1, 'b')",
    "INFINITE": "inf",
    "RULE": "Rule('\\d')",
    "SAME": "Rule()",
    "AGAIN": "Rule()",
}


def test_show_json_has_the_value_if_json_knows_it_and_else_its_repr(path: str, show: Any) -> None:
    mood = EnumValue(Mood.GOOD, at=path)
    for member in Mood:
        mood.set(member)
        code, printed, errors = show("show", path, "--json")
        found = json.loads(printed)
        assert (code, errors) == (0, "")
        assert (found["enum"], found["state"], found["value"]) == ("Mood", member.name, SHOWN[member.name])
        assert type(found["value"]) is type(SHOWN[member.name])
        assert found["changes"][-1]["after"] == member.name


def test_show_prints_nothing_but_what_it_shows(path: str) -> None:
    mood = EnumValue(Mood.RULE, at=path)
    found = run("show", path, "--json")
    assert (json.loads(found.stdout)["value"], found.stderr) == ("Rule('\\d')", "")
    assert run("show", path).stdout.startswith("RULE since ")
    assert mood.name == "RULE"


def test_members_are_set_awaited_and_expected_by_their_names(path: str, show: Any) -> None:
    priority = PriorityValue(Priority.LOW, at=path)
    assert show("set", path, "HIGH") == (0, "LOW -> HIGH\n", "")
    assert snapshot(priority) is Priority.HIGH
    assert show("wait", path, "URGENT", "HIGH", "--timeout", "0") == (0, "HIGH\n", "")
    assert show("set", path, "LOW", "--expect", "HIGH") == (0, "HIGH -> LOW\n", "")
    code, _, errors = show("set", path, "LOW", "--expect", "URGENT")
    assert (code, errors.endswith(": not set: the state is LOW, expected URGENT\n")) == (1, True)
    code, _, errors = show("set", path, "high")  # a value
    assert (code, errors.count("\n")) == (2, 1)
    assert "no member is named 'high'; the names are LOW, HIGH, URGENT" in errors
    assert snapshot(priority) is Priority.LOW


def test_an_alias_is_set_and_shown_as_its_member(path: str, show: Any) -> None:
    mood = EnumValue(Mood.HALF, at=path)
    assert show("set", path, "FINE") == (0, "HALF -> GOOD\n", "")
    assert snapshot(mood) is Mood.GOOD
    assert show("wait", path, "FINE", "--timeout", "0") == (0, "GOOD\n", "")
    assert show("set", path, "NONE", "--expect", "FINE") == (0, "GOOD -> NONE\n", "")


def test_members_whose_reprs_are_equal_are_told_apart(path: str, show: Any) -> None:
    mood = EnumValue(Mood.SAME, at=path)
    assert show("set", path, "AGAIN", "--expect", "SAME") == (0, "SAME -> AGAIN\n", "")
    assert snapshot(mood) is Mood.AGAIN
    assert show("wait", path, "SAME", "--timeout", "0")[0] == 1
    assert show("wait", path, "AGAIN", "--timeout", "0")[0] == 0


def test_a_watch_and_a_wait_see_the_changes(path: str) -> None:
    mood = EnumValue(Mood.GOOD, at=path)
    with started("wait", path, "PAIR") as waits, started("watch", path) as watches:
        assert watches.stdout is not None
        while not select.select([watches.stdout], [], [], 0.05)[0]:
            mood.set(Mood.SAME)
            mood.set(Mood.AGAIN)
        assert re.search(r"  (SAME|AGAIN) -> (AGAIN|SAME)  pid ", watches.stdout.readline())
        mood.set("PAIR")
        assert waits.communicate(timeout=DEADLINE)[0] == "PAIR\n"
        assert waits.returncode == 0


def test_names_that_are_no_identifiers_are_shown_and_set(path: str, show: Any) -> None:
    kind: Any = enum.Enum("Wind", [("north west", "nw"), ("a|b", 2), ("-x", 3), ("set", 4), ("名", 5)])
    wind = EnumValue(kind["north west"], at=path)
    assert show("show", path)[1].startswith("north west since ")
    for before, after in (("north west", "a|b"), ("a|b", "set"), ("set", "名")):
        assert show("set", path, after, "--expect", before) == (0, f"{before} -> {after}\n", "")
        assert snapshot(wind) is kind[after]
    assert show("set", path, "--", "-x") == (0, "名 -> -x\n", "")
    code, _, errors = show("set", path, "north")
    assert (code, errors.count("\n")) == (2, 1)
    assert "no member is named 'north'; the names are north west, a|b, -x, set, 名" in errors


def test_a_flag_that_is_no_int_is_set_by_its_names(path: str, show: Any) -> None:
    paint: Any = EnumValue(Paint.BLUE, at=path)
    assert show("set", path, "RED|LIME") == (0, "BLUE -> RED|LIME\n", "")
    assert snapshot(paint) is Paint.RED | Paint.LIME
    assert json.loads(show("show", path, "--json")[1])["value"] == 6


DAMAGED: dict[str, tuple[Any, str]] = {
    "no values": (lambda found: found.pop("values"), "holds something that this version does not know"),
    "a list of values": (lambda found: found.update(values=["a"]), "holds something that this version does not know"),
    "a text of values": (lambda found: found.update(values="LOW"), "holds something that this version does not know"),
    "a value too few": (lambda found: found["values"].pop("HIGH"), "holds something that this version does not know"),
    "a value of another name": (
        lambda found: found.update(values={"LOW": 1, "HIGH": 2, "URG": 3}),
        "holds something that this version does not know",
    ),
    "another kind": (lambda found: found.update(kind="plain"), "holds something that this version does not know"),
    "places in another order": (
        lambda found: found["members"].update(LOW=1, HIGH=0),
        "LOW place 1 in the file, 0 here",
    ),
    "a place that is not there": (
        lambda found: found["members"].update(URGENT=9),
        "URGENT place 9 in the file, 2 here",
    ),
    "an alias of another value": (
        lambda found: found["members"].update(HIGH=0, URGENT=1),
        "HIGH = 'high' in the file, 'low' here",
    ),
    "no members": (lambda found: found.update(members={}, values={}), ""),
    "a name that enum refuses": (lambda found: found.update(members={"mro": 0}, values={"mro": 1}), "mro"),
}


@pytest.mark.parametrize(("change", "text"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_description_is_one_line(path: str, show: Any, change: Any, text: str) -> None:
    priority = PriorityValue(Priority.HIGH, at=path)
    describe(path, change)
    for command in (["show", path], ["set", path, "LOW"], ["wait", path, "LOW", "--timeout", "0"], ["watch", path]):
        code, printed, errors = show(*command)
        assert (code, printed, errors.count("\n")) == (2, "", 1)
        assert text in errors
    assert snapshot(priority) is Priority.HIGH


def test_values_of_any_json_are_shown_as_text(path: str, show: Any) -> None:
    priority = PriorityValue(Priority.HIGH, at=path)
    for value, shown in ((None, None), ([], "[]"), ({}, "{}"), ("(" * 9, "(" * 9), ("\0", "\0"), (-1, -1)):
        describe(path, lambda found, value=value: found["values"].update(HIGH=value))
        code, printed, errors = show("show", path, "--json")
        assert (code, json.loads(printed)["value"], errors) == (0, shown, "")
    assert show("set", path, "LOW")[:2] == (0, "HIGH -> LOW\n")
    assert snapshot(priority) is Priority.LOW


# Errors


WRONG: dict[str, tuple[list[str], str]] = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "unknown command": (["frobnicate"], "invalid choice: 'frobnicate'"),
    "no path": (["show"], "the following arguments are required: PATH"),
    "no name": (["wait", "{path}"], "the following arguments are required: NAME"),
    "unknown name": (
        ["wait", "{path}", "FOO"],
        "no member is named 'FOO'; the names are UNAVAILABLE, IDLE, CALCULATING",
    ),
    "unknown name to set": (["set", "{path}", "FOO"], "no member is named 'FOO'"),
    "unknown name to expect": (["set", "{path}", "IDLE", "--expect", "FOO"], "no member is named 'FOO'"),
    "no number": (["wait", "{path}", "IDLE", "--timeout", "soon"], "expected seconds, such as 2.5, not 'soon'"),
    "a negative number": (["wait", "{path}", "IDLE", "--timeout", "-1"], "expected seconds"),
    "no file": (["show", "{path}2"], "{path}2: there is no shared value here"),
    "no file to set": (["set", "{path}2", "IDLE"], "{path}2: there is no shared value here"),
    "no directory": (["show", "{path}2/status"], "{path}2: no such directory"),
    "a directory": (["show", "/dev"], "/dev: is a directory"),
    "another file": (["watch", __file__], "holds something else than a shared value"),
    "no text": (["show", ""], "expected the path of a file"),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG.values(), ids=WRONG)
def test_an_error_is_one_line_and_exit_code_2(
    path: str, status: WorkerStatus, show: Any, arguments: list[str], text: str
) -> None:
    code, printed, errors = show(*[each.format(path=path) for each in arguments])
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert text.format(path=path) in errors
    assert status == IDLE


def test_a_value_of_multiprocessing_is_no_state(path: str, show: Any) -> None:
    job = value_at(path, "q", 0)
    code, _, errors = show("show", path)
    assert (code, errors.count("\n")) == (2, 1)
    order = "<" if sys.byteorder == "little" else ">"
    assert f"holds a ctypes object, {order}q, not the state of an enum" in errors
    assert job.value == 0


def test_the_program_is_named_in_its_errors_as_it_was_called(
    path: str, monkeypatch: pytest.MonkeyPatch, show: Any
) -> None:
    assert run("show", path).stderr.startswith("python -m multiprocessing_intenum: ")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/intenum-value"])
    assert show("show", path)[2].startswith("intenum-value: ")


def test_an_interrupt_ends_it_without_a_traceback(path: str, status: WorkerStatus, show: Any, monkeypatch: Any) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("multiprocessing_intenum.waiting.Sleeper", interrupt)
    assert show("wait", path, "CALCULATING") == (130, "", "")
    assert status == IDLE


@pytest.mark.parametrize("command", ["show", "wait IDLE", "set CALCULATING"])
def test_a_closed_output_is_no_error(path: str, status: WorkerStatus, command: str) -> None:
    name, *rest = command.split()
    script = 'exec "$@" >&-'
    call = ["sh", "-c", script, "sh", *COMMAND, name, path, *rest]
    found = subprocess.run(call, stderr=subprocess.PIPE, timeout=DEADLINE)
    assert (found.returncode, found.stderr) == (0, b"")
    assert status in (IDLE, CALCULATING)


def test_names_that_the_terminal_does_not_know_are_escaped(path: str) -> None:
    status = IntEnumValue(enum.IntEnum("Zustand", ["MÜSSIG"])(1), at=path)
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    found = subprocess.run([*COMMAND, "show", path], stdout=subprocess.PIPE, env=environment, timeout=DEADLINE)
    assert found.stdout.startswith(b"M\\xdcSSIG since ")
    assert status == 1


def test_a_file_with_anything_in_it_is_one_line(path: str, show: Any) -> None:
    for members, body in (("{}", b""), ('{"_missing_":1}', b""), ('{"IDLE":1}', b"\xff" * 1088), ('{"IDLE":1}', b"")):
        text = f'{{"enum":"X","kind":"ints","members":{members}}}'.encode()
        with open(path, "wb") as file:
            file.write(forged(text, body.ljust(words.SIZE, b"\0")))
        os.chmod(path, 0o600)
        for command in (["show", path], ["set", path, "IDLE"], ["wait", path, "IDLE", "--timeout", "0"]):
            code, _, errors = show(*command)
            assert code == 0 or (code in (1, 2) and errors.count("\n") == 1)
        assert show("show", path)[0] == 2 or members == '{"IDLE":1}'


# What another program has written


EVIL = "\x1b]0;owned\x07\n\u202eEVIL\x9b2J"
"""A name that sets the title of a terminal, begins a line, turns the text round and clears the screen."""


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.removesuffix("\n").split("\n"))


@pytest.mark.parametrize("kind", ["ints", "flags", "places"])
def test_names_with_control_characters_are_printed_escaped(path: str, show: Any, kind: str) -> None:
    numbers = {f"A{EVIL}": int(kind != "places"), f"B{EVIL}": 1 + int(kind != "places")}
    description = {"enum": f"Enum{EVIL}", "kind": kind, "members": numbers, "values": dict.fromkeys(numbers, EVIL)}
    state = {"places": 0}.get(kind, 1)
    body = words.Words(memoryview(bytearray(words.SIZE)))
    body.begin(state)
    made_by_hand(path, description, bytes(body._bytes))
    one, other = numbers
    shown = [name.encode("unicode_escape").decode() for name in numbers]
    code, printed, errors = show("set", path, other)
    assert (code, printed, errors) == (0, f"{shown[0]} -> {shown[1]}\n", "")
    code, printed, errors = show("show", path)
    assert (code, errors, printed.count("\n")) == (0, "", 5)
    assert printed.startswith(f"{shown[1]} since ")
    assert f"the last changes of {f'Enum{EVIL}'.encode('unicode_escape').decode()}:\n" in printed
    assert f"  made {shown[0]}  pid" in printed
    assert f"  {shown[0]} -> {shown[1]}  pid" in printed
    assert is_harmless(printed)
    assert json.loads(show("show", path, "--json")[1])["state"] == other
    assert show("wait", path, other, "--timeout", "0") == (0, f"{shown[1]}\n", "")
    for command in (
        ["wait", path, one, "--timeout", "0"],
        ["set", path, one, "--expect", one],
        ["set", path, f"C{EVIL}"],
        ["wait", path, f"C{EVIL}"],
        ["show", f"{path}{EVIL}"],
        ["show", f"{path}/{EVIL}/status"],
        ["show", path, EVIL],
        [EVIL],
    ):
        code, printed, errors = show(*command)
        assert code in (1, 2)
        assert printed == ""
        assert is_harmless(errors)
        assert errors.count("\n") == 1
        assert "\\x1b" in errors
    # In an error of the library itself
    with pytest.raises(ValueError, match="holds another value") as caught:
        WorkerStatus(at=SharedFile(path, keep=True))
    assert is_harmless(str(caught.value))
    with pytest.raises(ValueError, match="holds the enum") as caught:
        value_at(SharedFile(path, keep=True), "q")
    assert is_harmless(str(caught.value))


def test_a_ctypes_object_and_a_record_of_such_a_name_are_printed_escaped(path: str, show: Any) -> None:
    made_by_hand(path, {"ctypes": EVIL})
    for command in (["show", path], ["set", path, "A"]):
        code, _, errors = show(*command)
        assert (code, is_harmless(errors), errors.count("\n")) == (2, True, 1)
    with pytest.raises(ValueError, match="holds another value") as caught:
        WorkerStatus(at=SharedFile(path, keep=True))
    assert is_harmless(str(caught.value))
    made_by_hand(path, {"enum": "E", "kind": "ints", "members": {"A": 1}, "record": EVIL})
    code, _, errors = show("set", path, "A")
    assert (code, is_harmless(errors), errors.count("\n")) == (2, True, 1)


def test_watch_prints_them_escaped_too(path: str) -> None:
    kind: Any = enum.IntEnum("Kind", [f"A{EVIL}", f"B{EVIL}"])
    status: Any = IntEnumValue(kind(1), at=path)
    with started("watch", path) as process:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], 0.05)[0]:
            status.set(kind(2))
            status.set(kind(1))
        line = process.stdout.readline()
        assert "\\x1b]0;owned" in line
        assert is_harmless(line)


NAMES = st.one_of(
    st.sampled_from(["mro", "_missing_", "__class__", "__new__", "_value_", "name", "value", "_ignore_", "_order_", "",
                     "__eq__", "__hash__", "__init__", "_generate_next_value_", "A", "B", "\ud800", "\0", "x" * 300]),
    st.text(max_size=5),
)  # fmt: skip
NUMBERS = st.one_of(st.integers(-2, 5), st.integers(-(2**70), 2**70))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=NAMES,
    kind=st.sampled_from(["ints", "flags", "places", "else"]),
    members=st.dictionaries(NAMES, NUMBERS, max_size=4),
    value=st.one_of(st.text(max_size=5), st.integers(), st.none(), st.just("(" * 300)),
    body=st.one_of(st.binary(max_size=64), st.binary(min_size=1088, max_size=1088)),
    broken=st.binary(max_size=8),
    at=st.integers(0, 1087),
)
def test_any_file_of_ours_is_an_answer_or_one_line(
    path: str, show: Any, name: str, kind: str, members: Any, value: Any, body: bytes, broken: bytes, at: int
) -> None:
    if len(body) < 64:  # one that is right but for some bytes
        block = bytearray(words.SIZE)
        words.Words(memoryview(block)).begin(next(iter(members.values()), 0) % 2**63)
        block[at : at + len(broken)] = broken
        body = bytes(block[: words.SIZE])
    description = {"enum": name, "kind": kind, "members": members, "values": dict.fromkeys(members, value)}
    made_by_hand(path, description, body)
    for command in (["show", path], ["show", path, "--json"], ["wait", path, *members, "A", "--timeout", "0"]):
        code, printed, errors = show(*command)
        assert (code == 0 and errors == "") or (code in (1, 2) and (printed, errors.count("\n")) == ("", 1))
        assert is_harmless(printed)
        assert is_harmless(errors)


@pytest.mark.parametrize(
    ("word", "number"), [("count", 2**64 - 1), ("count", 4), ("base", 2**64 - 1)], ids=["count", "number", "base"]
)
@pytest.mark.parametrize("command", ["show", "wait CALCULATING", "watch"])
def test_words_that_another_program_writes_while_they_are_read_end_the_command(
    path: str, show: Any, status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, command: str, word: str, number: int
) -> None:
    are_whole = words.Words.are_whole

    def scribble(self: words.Words) -> bool:
        answer = are_whole(self)
        getattr(status._self_cell.words, word)[()] = number
        return answer

    monkeypatch.setattr(words.Words, "are_whole", scribble)
    name, *rest = command.split()
    code, printed, errors = show(name, path, *rest)
    assert (code, printed, errors.count("\n")) == (2, "", 1)
    assert f"'{path}' is damaged: stop the processes that use it, and remove it" in errors
    assert status == IDLE


# A writer that was killed between the state and the count


@contextmanager
def killed_before_the_count(status: WorkerStatus, member: WorkerStatusEnum) -> Iterator[None]:
    cell = status._self_cell
    cell.words._write_entry(int(member), cell.words.count[()] + 1, 4711, 1000.0)
    cell.words.state[()] = int(member)
    yield


def test_after_a_kill_before_the_count_show_prints_the_state_that_a_reader_reads(
    path: str, status: WorkerStatus, show: Any
) -> None:
    status.set(UNAVAILABLE)
    with killed_before_the_count(status, CALCULATING):
        at = datetime.fromtimestamp(1000, timezone.utc)
        since = f"{at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]
        printed = show("show", path)[1]
        assert printed.startswith(f"CALCULATING since {since}, set by process 4711\n")
        assert printed.endswith(f"  {since}  UNAVAILABLE -> CALCULATING  pid 4711\n")
        found = json.loads(show("show", path, "--json")[1])
        assert (found["state"], found["value"], found["pid"], found["since"]) == (
            "CALCULATING",
            3,
            4711,
            at.isoformat(),
        )
        assert found["changes"][-1]["number"] == 2
        reader = WorkerStatus(at=SharedFile(path, readonly=True))
        assert last_change(reader).after is snapshot(reader) is CALCULATING
        assert show("wait", path, "CALCULATING", "--timeout", "0")[0] == 0


def test_watch_prints_the_change_of_a_killed_writer_once(path: str, status: WorkerStatus) -> None:
    with started("watch", path) as process:
        assert process.stdout is not None
        status_changes_until(process, status)
        with killed_before_the_count(status, CALCULATING):
            assert "  IDLE -> CALCULATING  pid 4711\n" in process.stdout.readline()
        status.set(UNAVAILABLE)
        assert f"  CALCULATING -> UNAVAILABLE  pid {os.getpid()}\n" in process.stdout.readline()


def test_show_does_not_say_that_a_process_of_the_number_0_has_written(
    path: str, status: WorkerStatus, show: Any
) -> None:
    status._self_view[()] = int(CALCULATING)
    assert re.match("CALCULATING since .*, set by an unknown process\n", show("show", path)[1])


def test_set_says_which_process_has_the_lock(path: str, status: WorkerStatus) -> None:
    with strangers(1) as (holder,):
        holder.ask(f"status = WorkerStatus(at={path!r})")
        assert holder.ask("status.get_lock().acquire()") == "True"
        found = run("set", path, "CALCULATING", "--timeout", "0.05")
        told = f" (process {holder.process.pid} has the lock)" * (sys.platform == "linux")
        assert found.returncode == 1
        assert f": not set{told}: the lock was not free within 0.05 s, the state is IDLE\n" in found.stderr
    assert status == IDLE


def test_where_the_holder_can_not_be_told_set_says_what_it_knows(
    path: str, status: WorkerStatus, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "holders_of", lambda path: [])
    with held_elsewhere(status.get_lock()):
        code, _, errors = show("set", path, "CALCULATING", "--timeout", "0.05")
    assert code == 1
    assert errors.endswith(": not set: the lock was not free within 0.05 s, the state is IDLE\n")
