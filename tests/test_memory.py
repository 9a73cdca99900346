"""memory: what is kept alive, and from when on. What that is good for is in test_memory_reuse.py."""

from __future__ import annotations

import gc
import os
import weakref
from multiprocessing.sharedctypes import RawValue
from typing import TYPE_CHECKING, Any

import pytest

from multiprocessing_intenum import memory

if TYPE_CHECKING:
    from collections.abc import Iterator


class Thing:
    pass


MAKERS: dict[str, Any] = {"object": Thing, "ctypes object": lambda: RawValue("q", 1)}


@pytest.fixture(autouse=True)
def _nothing_stays_pinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "_pinned", {})
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
    tracked = len(memory._tracked)
    memory.track(thing)
    assert len(memory._tracked) == tracked + 1
    ref = weakref.ref(thing)
    del thing
    assert not lives(ref)
    assert len(memory._tracked) == tracked


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_is_tracked_and_alive_at_a_fork_stays_alive(make: Any) -> None:
    thing = make()
    memory.track(thing)
    ref = weakref.ref(thing)
    fork()
    del thing
    assert lives(ref)
    assert not memory._tracked


def test_what_is_made_after_a_fork_is_freed_as_usual() -> None:
    fork()
    thing = Thing()
    memory.track(thing)
    ref = weakref.ref(thing)
    del thing
    assert not lives(ref)


def test_what_is_pinned_stays_alive_and_pinning_it_again_costs_nothing() -> None:
    thing = Thing()
    memory.pin(thing)
    memory.pin(thing)
    assert len(memory._pinned) == 1
    ref = weakref.ref(thing)
    del thing
    assert lives(ref)


@pytest.mark.parametrize("thing", [1, "text", None])
def test_what_can_not_be_weakly_referenced_can_not_be_tracked(thing: object) -> None:
    tracked = set(memory._tracked)
    with pytest.raises(TypeError, match="weak reference"):
        memory.track(thing)
    assert memory._tracked == tracked
