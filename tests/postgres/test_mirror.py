"""The mirror: what it knows of the record, and by which clock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import history
from multiprocessing_intenum.by_path import mirror
from multiprocessing_intenum.by_path.mirror import Row, RowChange
from multiprocessing_intenum.memory.words import SIZE
from multiprocessing_intenum.postgres import PostgresRecord

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Machine
    from postgres_server import Server

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def test_all_machines_know_who_made_the_record_and_when(machine: Machine, server: Server) -> None:
    one = WorkerStatus(IDLE, at=machine("one"))
    server.ask("UPDATE multiprocessing_intenum SET history = jsonb_set(history, '{0,3}', '4711')")
    two = WorkerStatus(at=machine("two"))
    one.set(CALCULATING)
    (made,) = history(two)[:1]
    assert (made.before, made.after, made.pid, made.number) == (None, IDLE, 4711, 0)
    assert made.at == history(one)[0].at


def test_a_mirror_is_of_one_database(machine: Machine, server: Server) -> None:
    one = WorkerStatus(IDLE, at=machine())
    with pytest.raises(ValueError, match="as the mirror of a record of another database, or with another"):
        WorkerStatus(at=machine(conninfo=f"{server.conninfo}?application_name=other"))
    one.set(CALCULATING)
    assert one == CALCULATING


def test_a_start_of_the_machine_is_known_by_a_number_that_is_not_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = mirror._boot_of_this_machine()
    assert here == mirror._boot_of_this_machine() > 1
    real = os.stat

    def stat_of_another_namespace(path: Any) -> os.stat_result:
        found = list(real(path))
        found[1] += 1  # the inode
        return os.stat_result(found)

    monkeypatch.setattr(os, "stat", stat_of_another_namespace)
    assert mirror._boot_of_this_machine() not in (here, 0)

    def no_proc(*_: object, **__: object) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(os, "stat", no_proc)
    monkeypatch.setattr("builtins.open", no_proc)
    assert mirror._boot_of_this_machine() == 1


def test_without_a_clock_that_counts_sleep_the_other_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_CLOCK", None)
    assert 0 < mirror.now() <= mirror.now()


def test_a_new_mirror_is_confirmed_as_of_the_moment_when_the_server_was_asked() -> None:
    made = mirror.Mirror(memoryview(bytearray(SIZE)))
    made.begin(Row({}, 2, 3, [RowChange(3, 2, 1000.0, 7)]), mirror.now() - 5_000_000_000, is_new=True)
    assert made.age() >= 5


def test_a_record_does_not_show_its_connection(server: Server, tmp_path: Path) -> None:
    record = PostgresRecord(server.conninfo, "mode", mirror=tmp_path / "one", create=True)
    assert repr(record) == f"PostgresRecord(..., 'mode', mirror=SharedFile('{tmp_path}/one'), create=True)"
