"""futex: sleeping in the kernel until a word changes, and where that cannot be."""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
import threading
import time
from typing import Any

import pytest
from helpers import DEADLINE

from multiprocessing_intenum.memory import futex


@pytest.fixture
def anew() -> Any:
    """Ask the platform anew, before and after."""
    futex._calls.cache_clear()
    yield
    futex._calls.cache_clear()


def test_a_sleeper_is_woken() -> None:
    word = ctypes.c_uint32(7)
    thread = threading.Thread(target=futex.wait, args=(ctypes.addressof(word), 7, DEADLINE))
    thread.start()
    deadline = time.monotonic() + DEADLINE
    while not futex.wake(ctypes.addressof(word)):
        assert time.monotonic() < deadline
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_nobody_sleeps_on_another_value_nor_past_the_time() -> None:
    word = ctypes.c_uint32(7)
    futex.wait(ctypes.addressof(word), 8, DEADLINE)
    futex.wait(ctypes.addressof(word), 7, 0.001)


def test_an_error_of_the_kernel_is_raised_by_its_name() -> None:
    with pytest.raises(OSError, match="EFAULT") as caught:
        futex.wait(8, 0, 0)
    assert caught.value.errno == errno.EFAULT


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("module", "name", "found"),
    [(sys, "platform", "darwin"), (platform, "machine", lambda: "i686"), (sys, "maxsize", 2**31 - 1)],
)
def test_elsewhere_it_is_not_available_and_says_so(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, found: Any
) -> None:
    monkeypatch.setattr(module, name, found)
    assert not futex.is_available()
    for call in (lambda: futex.wait(8, 0, 0), lambda: futex.wake(8)):
        with pytest.raises(NotImplementedError, match="is_available"):
            call()


@pytest.mark.usefixtures("anew")
def test_a_kernel_that_refuses_the_call_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(futex._NUMBERS, platform.machine(), 10**6)  # no such call: ENOSYS, as in a sandbox
    assert not futex.is_available()
