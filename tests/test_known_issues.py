"""What docs/known-issues.md says of the standard library, where its examples cannot show it."""

import asyncio
import enum
import inspect
import io
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import typing
import weakref
from unittest import mock

import pytest
from helpers import DEADLINE, SAFE_LOCKS, SHORT

from multiprocessing_intenum import EnumValue, IntEnumValue, compare_and_set, snapshot, wait_for


class Status(enum.IntEnum):
    IDLE = 2
    CALCULATING = 3


@pytest.fixture
def status():
    return IntEnumValue(Status.IDLE)


def to_file(data, **options):
    file = io.StringIO()
    json.dump(data, file, **options)
    return file.getvalue()


NESTED = [lambda s: s, lambda s: [s], lambda s: {"jobs": [{"status": s}]}]


@pytest.mark.parametrize("data", NESTED)
def test_json_dumps_takes_default_int(status, data):
    assert json.dumps(data(status), default=int) == json.dumps(data(Status.IDLE))


@pytest.mark.parametrize("data", NESTED)
def test_json_dumps_with_an_indent_takes_it_since_python_3_13(status, data):
    if sys.version_info >= (3, 13):
        assert json.dumps(data(status), default=int, indent=2) == json.dumps(data(Status.IDLE), indent=2)
    else:
        with pytest.raises(TypeError):
            json.dumps(data(status), default=int, indent=2)


@pytest.mark.parametrize("data", NESTED)
def test_json_dump_never_takes_it(status, data):
    with pytest.raises(TypeError):
        to_file(data(status), default=int)
    assert to_file(data(snapshot(status))) == to_file(data(Status.IDLE))


@pytest.mark.parametrize("dump", [json.dumps, to_file])
@pytest.mark.parametrize("options", [{}, {"default": int}, {"default": int, "indent": 2}])
def test_a_shared_value_is_no_key_for_json(status, dump, options):
    with pytest.raises(TypeError):
        dump({status: "ready"}, **options)
    assert json.loads(dump({snapshot(status): "ready"}, **options)) == {"2": "ready"}


def test_isinstance_of_optional_asks_for_the_class_only_in_newer_pythons(status):
    class Claims:
        __class__ = int

    answers_yes = isinstance(Claims(), typing.Optional[int])  # noqa: UP045
    assert answers_yes in ({True} if sys.version_info >= (3, 14) else {True, False})
    for union in (typing.Optional[int], typing.Union[int, str], typing.Optional[Status]):  # noqa: UP007, UP045
        assert isinstance(Status.IDLE, union)
        assert isinstance(status, union) is answers_yes
    for union in (int | None, int | str, Status | None, (int, type(None))):
        assert isinstance(status, union)


def test_neither_mock_nor_monkeypatch_can_restore_the_value_of_a_shared_value(status):
    with pytest.raises(AttributeError), mock.patch.object(status, "value", Status.CALCULATING):
        pass
    status.set("IDLE")
    with pytest.raises(TypeError), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(status, "value", Status.CALCULATING)
    assert snapshot(status) is Status.CALCULATING


EXIT = """
import enum, sys
from multiprocessing_intenum import IntEnumValue, snapshot
class Status(enum.IntEnum):
    IDLE = 2
status = IntEnumValue(Status.IDLE)
sys.exit({})
"""


@pytest.mark.parametrize(
    ("argument", "code", "printed"),
    [("status", 1, str(Status.IDLE)), ("snapshot(status)", Status.IDLE, ""), ("int(status)", Status.IDLE, "")],
)
def test_sys_exit_takes_a_shared_value_for_a_message(argument, code, printed):
    done = subprocess.run(
        [sys.executable, "-c", EXIT.format(argument)], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (code, printed)


def test_a_queue_prints_the_error_and_drops_the_shared_value(status, capsys):
    queue = multiprocessing.Queue()
    queue.put(status)
    queue.put("the next one")
    assert queue.get(timeout=DEADLINE) == "the next one"
    queue.close()
    queue.join_thread()
    assert "RuntimeError: IntEnumValue[Status] can only be sent" in capsys.readouterr().err


def test_simple_queue_pipe_and_pool_raise_it(status):
    with pytest.raises(RuntimeError, match="can only be sent"):
        multiprocessing.SimpleQueue().put(status)
    with pytest.raises(RuntimeError, match="can only be sent"):
        multiprocessing.Pipe()[0].send(status)
    with multiprocessing.Pool(1) as pool, pytest.raises(RuntimeError, match="can only be sent"):
        pool.apply(abs, [status])


def waited_for_in_a_cancelled_task(status, timeout):
    """Wait in `asyncio.to_thread`, cancel that, and return the thread that goes on waiting."""
    waiting = threading.Event()
    threads = []

    def is_calculating(member):
        threads.append(threading.current_thread())
        waiting.set()
        return member is Status.CALCULATING

    async def main():
        task = asyncio.create_task(asyncio.to_thread(wait_for, status, is_calculating, timeout=timeout))
        await asyncio.to_thread(waiting.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return threads[0]

    return main()


def test_a_cancelled_wait_in_a_thread_goes_on_and_the_loop_waits_for_it(status):
    async def main():
        thread = await waited_for_in_a_cancelled_task(status, None)
        assert thread.is_alive()
        assert not thread.daemon  # so that the interpreter waits for it, too
        closed = asyncio.create_task(asyncio.get_running_loop().shutdown_default_executor())
        done, _ = await asyncio.wait([closed], timeout=SHORT)
        assert not done
        assert thread.is_alive()
        status.set("CALCULATING")
        await closed
        assert not thread.is_alive()

    asyncio.run(main())


def test_with_a_timeout_the_cancelled_wait_ends_by_itself(status):
    thread = asyncio.run(waited_for_in_a_cancelled_task(status, SHORT))
    assert not thread.is_alive()


@pytest.mark.parametrize("make_lock", [*SAFE_LOCKS, threading.RLock])
def test_another_coroutine_of_the_thread_writes_while_one_awaits_with_the_lock(make_lock):
    lock = make_lock()
    status = IntEnumValue(Status.IDLE, lock=lock)

    async def main():
        taken, written = asyncio.Event(), asyncio.Event()

        async def hold():
            with lock:
                taken.set()
                await written.wait()
                return snapshot(status)

        async def write():
            await taken.wait()
            assert compare_and_set(status, "IDLE", "CALCULATING")
            written.set()

        found, _ = await asyncio.gather(hold(), write())
        return found

    assert asyncio.run(main()) is Status.CALCULATING


def test_a_protocol_with_a_data_member_does_not_see_it_from_python_3_12_on():
    class Planet(enum.Enum):
        EARTH = 5.97e24

        def __init__(self, mass):
            self.mass = mass

    @typing.runtime_checkable
    class HasMass(typing.Protocol):
        mass: float

    earth = EnumValue(Planet.EARTH)
    assert isinstance(Planet.EARTH, HasMass)
    assert isinstance(earth, HasMass) is (sys.version_info < (3, 12))
    assert earth.mass == 5.97e24
    assert inspect.getattr_static(earth, "mass", None) is None


def test_enums_of_a_list_a_dict_and_an_exception():
    class Lists(list, enum.Enum):
        A = [1, 2]  # noqa: RUF012

    class Dicts(dict, enum.Enum):
        A = {"x": 1}  # noqa: RUF012

    class WrongError(ValueError, enum.Enum):
        A = "wrong"

    some = numbers = [0]
    with pytest.raises(TypeError):
        some + EnumValue(Lists.A)
    some += EnumValue(Lists.A)
    assert some is numbers
    assert numbers == [0, 1, 2]
    match EnumValue(Dicts.A):
        case {"x": _}:
            found = True
        case _:
            found = False
    assert not found
    with pytest.raises(TypeError, match="BaseException"):
        raise EnumValue(WrongError.A)


def test_an_enum_that_changes_its_own_values():
    class Counter(enum.Enum):
        A = 1

        def bump(self):
            self._value_ += 1

    counter = EnumValue(Counter.A)
    counter.bump()
    assert (snapshot(counter).value, counter.value) == (2, 1)


def test_a_weak_reference_works_and_its_repr_leaves_an_error_behind(status):
    assert weakref.ref(status)() is status
    # In a process of its own: the error is left to whatever runs next.
    code = """
import enum, weakref
from multiprocessing_intenum import IntEnumValue

class Status(enum.IntEnum):
    IDLE = 2

status = IntEnumValue(Status.IDLE)
repr(weakref.ref(status))
print("no error")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=DEADLINE, env=environment, text=True
    )
    if sys.version_info < (3, 11):
        assert (done.returncode, done.stdout) == (0, "no error\n")
    else:
        assert done.returncode != 0
        assert "has no attribute '__name__'" in done.stderr
