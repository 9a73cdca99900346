"""An enum that grows while processes of two versions use a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from helpers import DEADLINE, until
from path_targets import strangers
from versions import (
    New,
    NewStrictValue,
    NewValue,
    Old,
    OldStrictValue,
    OldValue,
    OldValueWithStandIn,
    Other,
)

from multiprocessing_intenum import (
    IntEnumValue,
    SharedFile,
    TransitionError,
    UnknownMemberError,
    compare_and_set,
    snapshot,
    wait_for,
)
from multiprocessing_intenum.__main__ import main
from multiprocessing_intenum.by_path.life import description_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres_server import Server

    from multiprocessing_intenum.postgres import PostgresRecord

    Machine = Callable[..., PostgresRecord]


def described(server: Server) -> Any:
    ((enum,),) = server.ask("SELECT enum::text FROM multiprocessing_intenum")
    return json.loads(enum)


def members(status: Any) -> Any:
    return description_in(status._self_cell.open_file)["members"]


@pytest.mark.parametrize(("first", "second"), [(OldValue, NewValue), (NewValue, OldValue)])
def test_the_row_and_each_mirror_describe_the_larger_version(
    machine: Machine, server: Server, first: Any, second: Any
) -> None:
    one = first("IDLE", at=machine("one"))
    two = second(at=machine("two"))
    assert described(server)["members"] == {name: int(each) for name, each in New.__members__.items()}
    assert described(server)["aliases"] == ["BUSY"]
    until(lambda: members(one) == members(two) == described(server)["members"])
    two.set("BUSY")
    assert wait_for(one, "BUSY", timeout=DEADLINE).name == one.EnumType["BUSY"].name


def test_a_process_that_only_attaches_with_a_larger_enum_describes_the_row(machine: Machine, server: Server) -> None:
    one = OldValue("IDLE", at=machine())
    assert described(server)["members"] == {name: int(each) for name, each in Old.__members__.items()}
    assert NewValue(at=machine()) == New.IDLE  # the mirror is fresh, but does not say all about the enum
    assert described(server)["members"]["PAUSED"] == 4
    assert one == Old.IDLE


def test_an_enum_that_does_not_go_together_is_refused(machine: Machine, server: Server) -> None:
    one = OldValue("IDLE", at=machine())
    before = described(server)
    with pytest.raises(ValueError, match=r"BUSY = 2 in the record 'mode', 5 here.*It was left as it is"):
        IntEnumValue[Other](at=machine("two"))
    assert described(server) == before
    assert one == Old.IDLE


def test_a_state_that_only_the_newer_version_knows(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    old = OldValue("IDLE", at=machine("one"))
    stand_in = OldValueWithStandIn(at=machine("one"))
    new = NewValue(at=machine("two"))
    new.set("PAUSED")
    assert wait_for(stand_in, Old.UNAVAILABLE, timeout=DEADLINE) is Old.UNAVAILABLE
    with pytest.raises(UnknownMemberError, match="PAUSED") as caught:
        snapshot(old)
    assert (caught.value.number, caught.value.name) == (4, "PAUSED")
    with pytest.raises(UnknownMemberError):
        compare_and_set(old, "IDLE", "BUSY")
    assert wait_for(new, New.PAUSED, timeout=DEADLINE) is snapshot(new)
    mirror = old._self_cell.open_file.path  # type: ignore[attr-defined]
    assert (main(["get", mirror]), capsys.readouterr().out) == (0, "PAUSED\n")
    assert IntEnumValue[New](at=SharedFile(mirror, readonly=True)) == New.PAUSED
    assert compare_and_set(stand_in, "UNAVAILABLE", "BUSY")
    assert wait_for(new, New.CALCULATING, timeout=DEADLINE) is New.CALCULATING
    new.set("PAUSED")
    assert wait_for(stand_in, "UNAVAILABLE", timeout=DEADLINE) is Old.UNAVAILABLE
    old.set("IDLE")
    assert wait_for(new, New.IDLE, timeout=DEADLINE) is New.IDLE
    mirror = new._self_cell.open_file.path  # type: ignore[attr-defined]
    new.set("BUSY")
    assert (main(["get", mirror]), capsys.readouterr().out) == (0, "CALCULATING\n")  # BUSY is an alias


def test_transitions_live_in_the_row_and_the_last_class_decides(machine: Machine, server: Server) -> None:
    old = OldValue("IDLE", at=machine("one"))
    assert "transitions" not in described(server)
    strict = NewStrictValue(at=machine("two"))
    assert described(server)["transitions"] == {"1": [2, 4], "2": [1], "3": [1], "4": [1]}
    with pytest.raises(TransitionError) as caught:
        old.set("UNAVAILABLE")
    assert caught.value.allowed == (Old.BUSY,)
    old.set("BUSY")
    OldStrictValue(at=machine("three"))
    assert described(server)["transitions"] == {"1": [2], "2": [1], "3": [1]}
    assert wait_for(strict, New.CALCULATING, timeout=DEADLINE)
    strict.set("IDLE")
    strict.set("PAUSED")  # its own class allows that
    assert described(server)["transitions"] == {"1": [2], "2": [1], "3": [1]}  # written once, when it was opened
    with pytest.raises(UnknownMemberError):
        old.set("IDLE")  # the transitions of the row do not have it


def test_a_mirror_that_is_opened_while_the_database_is_away_is_described_at_the_next_write(
    machine: Machine, server: Server
) -> None:
    old = OldValue("IDLE", at=machine())
    server.stop()
    try:
        new = NewValue(at=machine())
    finally:
        server.start()
    until(lambda: server._answers())
    new.set("PAUSED")
    assert described(server)["members"]["PAUSED"] == 4
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        snapshot(old)


def test_a_rolling_deploy_on_two_machines_loses_no_change(machine: Machine, server: Server) -> None:
    conninfo = server.conninfo
    with strangers(6) as all_of_them:
        paths = [machine(name).mirror.path for name in ("one", "two")]
        for number, each in enumerate(all_of_them):
            each.ask("from versions import *; from multiprocessing_intenum.postgres import PostgresRecord")
            kind = ("OldValueWithStandIn", "NewValue")[number % 2]
            at = f"PostgresRecord({conninfo!r}, 'mode', mirror={paths[number % 3 % 2]!r})"
            assert each.ask(f"status = {kind}('IDLE', at={at})") == "None"
        for each in all_of_them:
            each.tell("made = sum(exchange(status, new) is not new for new in list(status.EnumType) * 6)")
        answers = [each.answer() for each in all_of_them]
        assert answers == ["None"] * 6
        made = sum(int(each.ask("made")) for each in all_of_them)
        ((version,),) = server.ask("SELECT version FROM multiprocessing_intenum")
        # An unknown state counts as the stand-in, so writing that over it is no change.
        assert made == version
    assert described(server)["members"] == {name: int(each) for name, each in New.__members__.items()}
