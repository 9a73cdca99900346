"""The module `memory`: what it keeps alive, and from when on. test_memory_reuse.py tests the effect on values."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Any

import pytest
from helpers import DEADLINE

from multiprocessing_intenum.memory import keepalive

if TYPE_CHECKING:
    from collections.abc import Iterator


class Thing:
    pass


MAKERS: dict[str, Any] = {"object": Thing, "ctypes object": lambda: RawValue("q", 1)}


@pytest.fixture(autouse=True)
def _nothing_stays_pinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(keepalive, "_pinned", {})
    gc.collect()  # what the tests before have left
    yield
    gc.collect()


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def lives(ref: weakref.ref[Any]) -> bool:
    gc.collect()
    return ref() is not None


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_only_tracked_is_freed_as_usual(make: Any) -> None:
    thing = make()
    tracked = len(keepalive._tracked)
    keepalive.track(thing)
    assert len(keepalive._tracked) == tracked + 1
    ref = weakref.ref(thing)
    del thing
    assert not lives(ref)
    assert len(keepalive._tracked) == tracked


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_tracked_and_alive_at_a_fork_stays_alive(make: Any) -> None:
    thing = make()
    keepalive.track(thing)
    ref = weakref.ref(thing)
    fork()
    del thing
    assert lives(ref)
    assert not keepalive._tracked


def test_what_other_hooks_drop_or_make_at_a_fork_stays_alive() -> None:
    """Hooks registered before ours: their `before` hooks run after ours, their `after` hooks run before ours."""
    code = """
import gc, os, sys, weakref

class Thing: pass

def make():
    made.append(Thing())
    keepalive.track(made[0])

made, dropped = [], [Thing()]
os.register_at_fork(before=make, after_in_parent=dropped.clear)
from multiprocessing_intenum.memory import keepalive

keepalive.track(dropped[0])
first = weakref.ref(dropped[0])
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
second = weakref.ref(made.pop())
gc.collect()
assert not dropped and not made
sys.exit(first() is None or second() is None)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE, env=environment)


def test_what_is_made_after_a_fork_is_freed_as_usual() -> None:
    fork()
    thing = Thing()
    keepalive.track(thing)
    ref = weakref.ref(thing)
    del thing
    assert not lives(ref)


def test_what_is_pinned_stays_alive_and_pinning_it_again_costs_nothing() -> None:
    thing = Thing()
    keepalive.pin(thing)
    keepalive.pin(thing)
    assert len(keepalive._pinned) == 1
    ref = weakref.ref(thing)
    del thing
    assert lives(ref)


@pytest.mark.parametrize("thing", [1, "text", None])
def test_what_can_not_be_weakly_referenced_can_not_be_tracked(thing: object) -> None:
    tracked = set(keepalive._tracked)
    with pytest.raises(TypeError, match="weak reference"):
        keepalive.track(thing)
    assert keepalive._tracked == tracked
