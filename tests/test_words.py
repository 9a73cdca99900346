"""words: the order in which a change is stored, who is woken, and what a processor that reorders needs."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from enums import Big, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE

from multiprocessing_intenum import IntEnumValue, changes, history
from multiprocessing_intenum.memory import words

if TYPE_CHECKING:
    from collections.abc import Callable

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum


def test_the_layout_is_the_documented_one(status: WorkerStatus) -> None:
    status.set(CALCULATING)
    block = bytes(memoryview(status._self_cell._block).cast("B"))[: words.SIZE]
    assert words.SIZE == 64 + 32 * 32 + 128
    state, count, ticket, settled = (
        int.from_bytes(block[start:end], sys.byteorder) for start, end in ((0, 8), (8, 16), (16, 20), (24, 32))
    )
    assert (state, count, ticket, settled) == (int(CALCULATING), 1, 0, int(CALCULATING))
    assert block[1176:1209] == bytes(33)


def test_the_outermost_numbers_are_in_the_history_too() -> None:
    big = IntEnumValue(Big.SMALL)
    for member in (Big.LARGEST, Big.SMALLEST):
        big.set(member)
    assert [change.after for change in history(big)] == [Big.SMALL, Big.LARGEST, Big.SMALLEST]


@pytest.mark.usefixtures("in_python")
def test_with_fences_all_is_the_same(status: WorkerStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_NEEDS_FENCE", True)
    feed = changes(status, timeout=0)
    status.set(CALCULATING)
    status.set(IDLE)
    status._self_cell.words.replay(int(UNAVAILABLE), 1000.0, 7)  # what a mirror does
    assert [change.after for change in feed] == [CALCULATING, IDLE, UNAVAILABLE]
    assert [change.after for change in history(status)] == [IDLE, CALCULATING, IDLE, UNAVAILABLE]


def test_readers_beside_writers_see_only_changes_that_were_made(status: WorkerStatus) -> None:
    order = [UNAVAILABLE, IDLE, CALCULATING]  # each follows the one before it
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for member in (CALCULATING, UNAVAILABLE, IDLE):
                status.set(member)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            for change in history(status):
                if change.before is not None:
                    assert change.after is order[(order.index(change.before) + 1) % 3]
    finally:
        stop.set()
        writer.join(DEADLINE)


@pytest.mark.usefixtures("in_python")
@pytest.mark.parametrize("after", ["the clock", "the new entry"])
def test_a_signal_handler_that_writes_in_the_middle_of_a_write_is_in_the_history(
    after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Callable[[], None]] = []
    real_time, real_fence = time.time, words._fence

    def handle_signals() -> None:
        while handlers:
            handlers.pop()()

    def be_interrupted() -> float:
        if after == "the clock":
            handle_signals()
        return real_time()

    def be_interrupted_later() -> None:
        if after == "the new entry":
            handle_signals()
        real_fence()

    monkeypatch.setattr(words.time, "time", be_interrupted)
    monkeypatch.setattr(words, "_NEEDS_FENCE", True)
    monkeypatch.setattr(words, "_fence", be_interrupted_later)
    status = WorkerStatus(IDLE)  # its writer takes the patched clock
    handlers.append(lambda: status.set(UNAVAILABLE))
    status.set(CALCULATING)
    assert [(change.number, change.after) for change in history(status)] == [
        (0, IDLE),
        (1, UNAVAILABLE),
        (2, CALCULATING),
    ]


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("stores", range(5))
def test_a_mirrored_change_is_whole_wherever_its_writer_is_killed(
    status: WorkerStatus, monkeypatch: pytest.MonkeyPatch, stores: int, gap: bool
) -> None:
    """`stores`: what the writer has stored before it is killed: nothing, the entry, the state, the count, `settled`."""

    class KilledError(Exception):
        pass

    class Word:
        """A word that can be stored only while the writer lives."""

        def __init__(self, word: Any) -> None:
            self.word = word

        def __getitem__(self, _: object) -> int:
            found: int = self.word[()]
            return found

        def __setitem__(self, _: object, value: int) -> None:
            nonlocal stores
            if stores == 0:
                raise KilledError
            stores -= 1
            self.word[()] = value

    class Entries:
        def pack_into(self, *values: Any) -> None:
            nonlocal stores
            if stores == 0:
                raise KilledError
            stores -= 1
            entry.pack_into(*values)

        unpack_from = staticmethod(words._ENTRY.unpack_from)

    entry = words._ENTRY
    mine = status._self_cell.words
    mine.replay(int(CALCULATING), 1000.0, 7)
    real = {name: getattr(mine, name) for name in ("state", "count", "settled")}
    with monkeypatch.context() as patch:
        patch.setattr(words, "_ENTRY", Entries())
        for name, word in real.items():
            patch.setattr(mine, name, Word(word))
        if stores < 4:
            with pytest.raises(KilledError):
                mine.replay(int(UNAVAILABLE), 2000.0, 8, gap=gap)
        else:
            mine.replay(int(UNAVAILABLE), 2000.0, 8, gap=gap)
    # The next one stores it again, as a mirror does, which knows only what it has noted; and then another.
    mine.replay(int(UNAVAILABLE), 2000.0, 8, gap=gap)
    mine.replay(int(IDLE), 3000.0, 9)
    found = [(each.before, each.after, each.at.timestamp(), each.pid) for each in history(status)[1:]]
    assert found == [
        (IDLE, CALCULATING, 1000.0, 7),
        (None if gap else CALCULATING, UNAVAILABLE, 2000.0, 8),
        (UNAVAILABLE, IDLE, 3000.0, 9),
    ]
    assert [each.number for each in history(status)] == [0, 1, 3, 4] if gap else [0, 1, 2, 3]


def test_a_word_that_there_is_not_is_an_attribute_error(status: WorkerStatus) -> None:
    with pytest.raises(AttributeError, match="settle_d"):
        status._self_cell.words.settle_d  # type: ignore[attr-defined]  # noqa: B018
