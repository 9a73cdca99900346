"""`python greenlets.py gevent|eventlet`: print as JSON what the locks do between the greenlets of a patched process."""

import importlib
import sys

LIBRARY = sys.argv[1]
if LIBRARY == "gevent":
    from gevent import event, monkey

    monkey.patch_all()
    spawn, Event = importlib.import_module("gevent").spawn, event.Event

    def join(greenlet):
        greenlet.get()
else:
    import eventlet
    from eventlet.event import Event as OneShot

    eventlet.monkey_patch()
    spawn = eventlet.spawn

    class Event(OneShot):
        set = OneShot.send

    def join(greenlet):
        greenlet.wait()


import enum  # noqa: E402 - the patch comes first
import json  # noqa: E402
import multiprocessing  # noqa: E402
import threading  # noqa: E402

from multiprocessing_intenum import IntEnumValue, RobustRLock, snapshot, wait_for  # noqa: E402

DEADLINE = 60.0
SHORT = 0.01


class Status(enum.IntEnum):
    IDLE = 2
    CALCULATING = 3


def while_another_greenlet_holds(lock, action):
    """Call `action` in a greenlet while another one holds the lock; return its result, and how the release ends."""
    taken, done, outcome = Event(), Event(), []

    def hold():
        lock.acquire()
        taken.set()
        done.wait()
        try:
            lock.release()
        except RuntimeError:
            outcome.append("RuntimeError")
        else:
            outcome.append("released")

    def act():
        taken.wait()
        outcome.append(action())
        done.set()

    for greenlet in [spawn(hold), spawn(act)]:
        join(greenlet)
    return outcome


def writes(lock):
    status = IntEnumValue(Status.IDLE, lock=lock)

    def write():
        status.set("CALCULATING")
        return snapshot(status).name

    return while_another_greenlet_holds(lock, write)


def ran_meanwhile(action):
    """Return what `action` returns, and whether another greenlet runs before it does."""
    ran = []
    greenlet = spawn(ran.append, True)
    result = action()
    meanwhile = bool(ran)
    join(greenlet)
    return [result, meanwhile]


def waits():
    status = IntEnumValue(Status.IDLE)
    greenlet = spawn(status.set, "CALCULATING")
    found = wait_for(status, "CALCULATING", timeout=DEADLINE)
    join(greenlet)
    return found.name


def without_a_switch(lock):
    """Two greenlets that hold the lock one after the other, each writing inside."""
    status = IntEnumValue(Status.IDLE, lock=lock)

    def write(name):
        with lock:
            status.set(name)

    for greenlet in [spawn(write, "CALCULATING"), spawn(write, "IDLE")]:
        join(greenlet)
    return [status.name, lock.acquire(block=False)]


plain = multiprocessing.Lock()
print(
    json.dumps(
        {
            "wait_for": waits(),
            "RLock": while_another_greenlet_holds(lock := multiprocessing.RLock(), lambda: lock.acquire(block=False)),
            "RobustRLock": while_another_greenlet_holds(robust := RobustRLock(), lambda: robust.acquire(block=False)),
            "Lock": while_another_greenlet_holds(plain, lambda: ran_meanwhile(lambda: plain.acquire(timeout=SHORT))),
            "write, RLock": writes(multiprocessing.RLock()),
            "write, Lock": writes(multiprocessing.Lock()),
            "threading.RLock": while_another_greenlet_holds(
                local := threading.RLock(), lambda: ran_meanwhile(lambda: local.acquire(timeout=SHORT))
            ),
            "no switch, RLock": without_a_switch(multiprocessing.RLock()),
            "no switch, RobustRLock": without_a_switch(RobustRLock()),
        }
    )
)
