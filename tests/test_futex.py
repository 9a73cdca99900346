"""futex: sleeping in the kernel until a word changes, and where that cannot be."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from enums import WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, until

from multiprocessing_intenum.memory import futex


def no_library(*_: object, **__: object) -> None:
    """What ctypes.CDLL does in a static Python."""
    raise OSError("Dynamic loading not supported")


def no_function(*_: object, **__: object) -> None:
    raise AttributeError("undefined symbol: syscall")


def place_of(word: ctypes.c_uint32) -> ctypes.c_void_p:
    return ctypes.c_void_p(ctypes.addressof(word))


@pytest.fixture
def anew() -> Any:
    """Ask the platform anew, before and after."""
    futex._calls.cache_clear()
    yield
    futex._calls.cache_clear()


def test_a_sleeper_is_woken() -> None:
    word = ctypes.c_uint32(7)
    thread = threading.Thread(target=futex.wait, args=(place_of(word), 7, DEADLINE, 6))
    thread.start()
    deadline = time.monotonic() + DEADLINE
    while not futex.wake(place_of(word), 4):
        assert time.monotonic() < deadline
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_a_sleeper_is_not_woken_for_another_bit() -> None:
    word = ctypes.c_uint32(7)
    thread = threading.Thread(target=futex.wait, args=(place_of(word), 7, DEADLINE, 1 << 31))
    thread.start()
    asleep = Path(f"/proc/self/task/{thread.native_id}/stat")
    until(lambda: asleep.read_text().rpartition(")")[2].split()[0] == "S")
    assert futex.wake(place_of(word), 2**31 - 1) == 0
    assert thread.is_alive()
    until(lambda: futex.wake(place_of(word), 1 << 31) == 1)
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_nobody_sleeps_on_another_value_nor_past_the_time() -> None:
    word = ctypes.c_uint32(7)
    futex.wait(place_of(word), 8, DEADLINE, 1)
    futex.wait(place_of(word), 7, 0.001, 1)


def test_an_error_of_the_kernel_is_raised_by_its_name() -> None:
    with pytest.raises(OSError, match="EFAULT") as caught:
        futex.wait(ctypes.c_void_p(8), 0, 0, 1)
    assert caught.value.errno == errno.EFAULT


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("module", "name", "found"),
    [
        (sys, "platform", "darwin"),
        (sys, "maxsize", 2**31 - 1),
        (futex, "machine", lambda: "i686"),  # setarch i686
        (ctypes, "CDLL", no_library),
        (ctypes, "PyDLL", no_function),
    ],
)
def test_elsewhere_it_is_not_available_and_says_so(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, found: Any
) -> None:
    monkeypatch.setattr(module, name, found)
    assert not futex.is_available()
    with pytest.raises(NotImplementedError, match="is_available"):
        futex.wait(ctypes.c_void_p(8), 0, 0, 1)
    assert futex.wake(ctypes.c_void_p(8), 1) == -1  # there is nothing to wake with: the sleepers look by themselves


@pytest.mark.usefixtures("anew")
def test_a_kernel_that_refuses_the_call_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(futex._NUMBERS, futex.machine(), 10**6)  # no such call: ENOSYS, as in a sandbox
    assert not futex.is_available()


@pytest.mark.usefixtures("anew")
def test_a_process_without_futex_writes_while_another_one_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    status = WorkerStatus("IDLE")
    flags = status._self_cell.words.sleepers.flags
    flags[WorkerStatusEnum.CALCULATING] = 1  # as a process with futex has left it
    monkeypatch.setitem(futex._NUMBERS, futex.machine(), 10**6)
    status.set("CALCULATING")
    assert status == WorkerStatusEnum.CALCULATING
    assert flags[WorkerStatusEnum.CALCULATING] == 1  # a writer with futex will wake that process


def test_the_processor_is_named_without_the_module_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    assert futex.machine() == os.uname().machine
    monkeypatch.delattr(os, "uname")  # Windows
    for version, name in (
        ("3.13.2 (tags/v3.13.2:4f8bb39, Feb  4 2025, 15:23:48) [MSC v.1942 64 bit (AMD64)]", "amd64"),
        ("3.13.2 (tags/v3.13.2:4f8bb39, Feb  4 2025, 15:23:48) [MSC v.1942 64 bit (ARM64)]", ""),
    ):
        monkeypatch.setattr(sys, "version", version)
        assert futex.machine() == name
