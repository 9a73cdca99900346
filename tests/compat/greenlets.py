"""`python greenlets.py gevent|eventlet [late]`: print as JSON what locks do between the greenlets of a patched process.

With "late" the process imports the library before it is patched.
"""

import importlib
import sys

LIBRARY = sys.argv[1]
if "late" in sys.argv:
    importlib.import_module("multiprocessing_intenum").RobustRLock().acquire()  # in use already, too

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
import gc  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

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


def excludes(lock):
    """What two greenlets do that both want the lock, where the first one switches while it holds it."""
    order = []

    def hold():
        with lock:
            order.append("in")
            time.sleep(SHORT)
            order.append("out")

    def come_second():
        with lock:
            order.append("second")

    for greenlet in [spawn(hold), spawn(come_second)]:
        join(greenlet)
    return order


def ended(lock, deaths):
    """Whether the lock can be taken from a greenlet that has ended with it, and how often a death was told."""
    join(spawn(lock.acquire))
    gc.collect()
    taken = lock.acquire(timeout=DEADLINE)
    lock.release()
    return [taken, len(deaths)]


def hold_for_a_while(lock, held):
    with lock:
        held.value = 1
        time.sleep(0.3)


def while_another_process_holds(lock):
    """Whether a greenlet gets a lock that another process holds for a while, and others run meanwhile; both times."""
    fork = multiprocessing.get_context("fork")
    held = fork.RawValue("b", 0)
    process = fork.Process(target=hold_for_a_while, args=(lock, held))
    process.start()
    while not held.value:
        time.sleep(SHORT)
    found = ran_meanwhile(lambda: lock.acquire(timeout=DEADLINE))
    lock.release()
    process.join(DEADLINE)
    return [*found, process.exitcode]


deaths = []
plain, shared = multiprocessing.Lock(), RobustRLock()
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
            "RobustRLock, waiting": while_another_greenlet_holds(
                shared, lambda: ran_meanwhile(lambda: shared.acquire(timeout=SHORT))
            ),
            "RobustRLock, order": excludes(shared),
            "RobustRLock, ended": ended(RobustRLock(deaths.append), deaths),
            "RobustRLock, another process": while_another_process_holds(shared),
            "default lock, order": excludes(IntEnumValue(Status.IDLE).get_lock()),
            "no switch, RLock": without_a_switch(multiprocessing.RLock()),
            "no switch, RobustRLock": without_a_switch(RobustRLock()),
        }
    )
)
