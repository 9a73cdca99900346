"""The cell: 64 bits of shared memory, `snapshot()` of them, and the error of an integer that is no member."""

from __future__ import annotations

import threading
import traceback
from typing import Any

import pytest
from enums import WorkerState, WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import snapshot

IDLE = WorkerStatusEnum.IDLE


def test_the_cell_is_64_bits_of_shared_memory(status: WorkerStatus) -> None:
    assert status._self_view.itemsize * 8 == 64
    assert status._self_view[()] == int(IDLE)


@pytest.mark.parametrize("other", [IDLE, "IDLE", None, 2, WorkerState])
def test_snapshot_of_something_else_is_a_type_error(other: Any) -> None:
    with pytest.raises(TypeError, match=f"expected an IntEnumValue, not {type(other)}"):
        snapshot(other)


def test_an_integer_that_is_no_member_is_a_value_error_that_names_it(status: WorkerStatus) -> None:
    status._self_view[()] = 77  # another program wrote to it
    for read in (snapshot, repr, int, hash, lambda status: status.name, lambda status: status == IDLE):
        with pytest.raises(ValueError, match="77 is no member of '<enum 'WorkerStatusEnum'>': another program"):
            read(status)
    status.set(IDLE)
    assert snapshot(status) is IDLE


def test_the_error_of_a_foreign_number_shows_no_other_error(status: Any) -> None:
    status._self_view[()] = 99
    for read in (snapshot, repr, hash, lambda status: status == 1, lambda status: status.name, lambda s: s.value):
        with pytest.raises(ValueError, match=r"99 is no member of .*: another program may have written") as caught:
            read(status)
        assert "During handling of" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("restless")
def test_many_threads_each_read_what_they_have_written(status: WorkerStatus) -> None:
    def write_and_read() -> None:
        for member in list(WorkerStatusEnum) * 200:
            with status.get_lock():  # type: ignore[attr-defined]
                status.set(member)
                if not (snapshot(status) is member and status == member and status.name == member.name):
                    stale.append(member)

    stale: list[WorkerStatusEnum] = []
    threads = [threading.Thread(target=write_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not stale
