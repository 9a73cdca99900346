"""Calls what the C core gives Python in any order, with wrong types, dying objects, signals and the garbage collector.

python tests/stress/fuzz_core.py [SECONDS] [SEED]: it ends with the number of calls, or dies of a signal.
"""

from __future__ import annotations

import enum
import gc
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from enums import Paint, Perm, WorkerStatus, WorkerStatusEnum

from multiprocessing_intenum import EnumAttribute, EnumValue, IntEnumValue, RobustRLock, history, snapshot, wait_for
from multiprocessing_intenum.core import Attribute, Reads, core

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE = WorkerStatusEnum.IDLE


class Odd:
    """An operand that does anything when it is compared or hashed."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __eq__(self, other: object) -> Any:
        return self.world.step()

    def __lt__(self, other: object) -> Any:
        return self.world.step()

    __gt__ = __ne__ = __le__ = __ge__ = __lt__

    def __hash__(self) -> int:
        self.world.step()
        return 1


class OddStr(str):
    """A name that does anything when it is looked up."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    __hash__ = str.__hash__


class State:
    """An object with an attribute."""

    status = EnumAttribute(WorkerStatus)

    def __init__(self) -> None:
        self.status = IDLE


class Own(IntEnumValue[WorkerStatusEnum]):
    """A value with a set() of its own."""

    def set(self, value: Any) -> None:
        super().set(value)


class Guarded(IntEnumValue[WorkerStatusEnum], transitions={"IDLE": ["CALCULATING"], "CALCULATING": ["IDLE"]}):
    """A value with transitions."""


class World:
    """The objects that the calls work on. They are replaced all the time."""

    def __init__(self, seed: int, path: str) -> None:
        self.random = random.Random(seed)
        self.path = path
        self.depth = self.calls = 0
        self.things: list[Any] = []
        self.things += [self.new() for _ in range(12)]

    def new(self) -> Any:
        forged = int.__new__(WorkerStatusEnum, 99)
        makers: list[Callable[[], Any]] = [
            lambda: WorkerStatus(IDLE),
            lambda: IntEnumValue(Perm.R | Perm.W),
            lambda: EnumValue(next(iter(Paint))),
            lambda: IntEnumValue(self.local_enum().A),
            lambda: WorkerStatus.__new__(WorkerStatus),  # not initialised
            lambda: Own(IDLE),
            lambda: Guarded(IDLE),
            lambda: WorkerStatus(IDLE, at=self.path),
            lambda: WorkerStatus(IDLE, lock=RobustRLock(self.pick)),
            State,
            lambda: State.__new__(State),
            lambda: Odd(self),
            lambda: self.random.choice(list(WorkerStatusEnum)),
            lambda: forged,
            lambda: self.random.choice(
                [None, 0, 2**70, -(2**63), "IDLE", OddStr("IDLE"), "", (1, 2), [], {}, 1.5, b"x", int]
            ),
        ]
        return self.random.choice(makers)()

    @staticmethod
    def local_enum() -> Any:
        return enum.IntEnum("Local", "A B C")

    def pick(self, *_: Any) -> Any:
        return self.random.choice(self.things)

    def step(self) -> Any:
        """Do one call with any objects, and swallow what it raises."""
        if self.depth > 3:
            return NotImplemented
        self.depth += 1
        self.calls += 1
        try:
            return self.random.choice(self.CALLS)(self, self.pick(), self.pick())
        except Exception:
            return NotImplemented
        finally:
            self.depth -= 1

    def replace(self, *_: Any) -> None:
        self.things[self.random.randrange(len(self.things))] = self.new()

    CALLS: tuple[Callable[..., Any], ...] = (
        replace,
        replace,
        lambda self, a, b: a == b,
        lambda self, a, b: a != b,
        lambda self, a, b: a < b,
        lambda self, a, b: a >= b,
        lambda self, a, b: hash(a),
        lambda self, a, b: a.name,
        lambda self, a, b: a.value,
        lambda self, a, b: setattr(a, "value", b),
        lambda self, a, b: delattr(a, "value"),
        lambda self, a, b: snapshot(a),
        lambda self, a, b: a.set(b),
        lambda self, a, b: a.set(value=b),
        lambda self, a, b: a.set(a, b),
        lambda self, a, b: a.set(**{str(b): a}),
        lambda self, a, b: a.__init__(b),
        lambda self, a, b: wait_for(a, b, 0.0001),
        lambda self, a, b: history(a),
        lambda self, a, b: a.status,
        lambda self, a, b: setattr(a, "status", b),
        lambda self, a, b: delattr(a, "status"),
        lambda self, a, b: a.__dict__.clear(),
        lambda self, a, b: a.__dict__.__setitem__("status", b),
        lambda self, a, b: State.__dict__["status"].__get__(a, b),
        lambda self, a, b: State.__dict__["status"].__set__(a, b),
        lambda self, a, b: Reads.__eq__(a, b),
        lambda self, a, b: Reads.__hash__(a),
        lambda self, a, b: vars(Reads)["name"].__get__(a, b),
        lambda self, a, b: vars(Reads)["value"].__set__(a, b),
        lambda self, a, b: vars(Reads)["set"](a, b),
        lambda self, a, b: Reads(),
        lambda self, a, b: type("Rogue", (Reads, type(a)), {})(b) == b,
        lambda self, a, b: Attribute().__get__(a, b),
        lambda self, a, b: Attribute().__set__(a, b),
        lambda self, a, b: type("Sub", (type(a),), {})(b) == a,
        lambda self, a, b: core.Table(a),
        lambda self, a, b: core.Table([a, b], True),
        lambda self, a, b: core.Table([(1, a, b, a), (1, b, b, b), (2**64, a, a, a)], b),
        lambda self, a, b: core.Table([(1, a, b, a), (-5, b, b, b)], False),
        lambda self, a, b: core.Core(a, b, a, b, a, b, 0, 0, 0, 0, 0),
        lambda self, a, b: core.Core(core.Table([(1, a, b, a)], True), a, b, a, b, a, 0, 0, 0, 0, 0),
        lambda self, a, b: core.Core(core.Table([(1, a, b, a)], True), a, b, a, b"\1", a, 0, 0, 0, 0, 0).wait(
            b"12345678", self.random.random() < 0.5, 0, 0.0
        ),
        lambda self, a, b: core.use_files(a, b, a),
        lambda self, a, b: core.use_files(type(a), type(b), type(a)),
        lambda self, a, b: core.use_attribute(type(a), type(b)),
        lambda self, a, b: a._self_core.wait(b, a, 1, 0.0001),
        lambda self, a, b: a._self_core.wait(b"1234567", False, 2**70, a),
        lambda self, a, b: a._self_core.wait(
            b"\0" * 24, self.random.random() < 0.5, 1, self.random.choice([-1.0, float("nan"), 1e-5, 1e-4])
        ),
        lambda self, a, b: setattr(a._self_cell, "lock", b),
        lambda self, a, b: setattr(a.get_lock(), "_idle", b),
        lambda self, a, b: a.get_lock()._idle.append(b),
        lambda self, a, b: setattr(a.get_lock(), "_named_at", b),
        lambda self, a, b: setattr(a._self_cell.described, "_read", b),
        lambda self, a, b: setattr(a._self_cell.described, "_read", (b, None)),
        lambda self, a, b: setattr(a.get_lock()._idle[-1], "_mark", b),
        lambda self, a, b: a.__self_setattr__("_self_core", b),
        lambda self, a, b: a.__self_setattr__("_self_cell", b),
        lambda self, a, b: object.__delattr__(a, "_self_core"),
        lambda self, a, b: core.drop_dict(a),
        lambda self, a, b: setattr(a, "_self_note", b),
        lambda self, a, b: gc.collect() if self.random.random() < 0.01 else None,
        lambda self, a, b: repr(a),
        lambda self, a, b: self.things.append(a) or self.things.pop(0),
    )


def main(seconds: float, seed: int) -> None:
    """Run for some seconds."""
    assert core is not None, "there is no C core to fuzz"
    directory = tempfile.TemporaryDirectory()
    world = World(seed, str(Path(directory.name, "status")))

    def interrupt(*_: object) -> None:
        world.step()
        signal.setitimer(signal.ITIMER_REAL, 0.002)  # anew each time: a slow machine would do nothing else

    signal.signal(signal.SIGALRM, interrupt)
    interrupt()
    end = time.monotonic() + seconds
    others = [World(seed + 1 + each, world.path) for each in range(2)]

    def run(other: World) -> None:
        while time.monotonic() < end:
            other.things[0] = world.things[0]  # shared by the threads
            other.step()

    threads = [threading.Thread(target=run, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    gc.collect()
    gc.freeze()  # the modules: to look through them each time would take most of the time
    gc.set_threshold(50)
    sys.setswitchinterval(1e-5)
    for turn in itertools.count():
        world.step()
        if turn % 100 == 0:
            pid = os.fork() if turn % 10_000 == 0 else -1
            if pid == 0:
                for _ in range(200):
                    world.step()
                os._exit(0)
            if pid > 0:
                _, status = os.waitpid(pid, 0)
                assert status == 0, f"a forked child ended with {status}"
            if time.monotonic() >= end:
                break
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for thread in threads:
        thread.join()
    print(f"{world.calls + sum(other.calls for other in others)} calls, seed {seed}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
