"""No special method and no C slot of wrapt's type ever answers for a shared value."""

from __future__ import annotations

import inspect
import operator
import subprocess
import sys
import types
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import wrapt
from differential_enums import Perm, Plain

from multiprocessing_intenum import IntEnumValue
from multiprocessing_intenum.masquerade.forwarding import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


# What a shared value leaves to wrapt's type.
KEPT = {
    "__object_proxy__": "the class that wrapt makes of its results; it knows of no wrapped object",
    "__self_setattr__": "how a shared value sets its own attributes; it knows of no wrapped object",
    "__new__": "makes an empty proxy; there is no wrapped object yet",
    "__qualname__": "in C; a class can not redefine it; it finds no wrapped object",
    "__annotations__": "in C; a class has one of its own; it finds no wrapped object",
    "__module__": "in pure Python the metaclass gives it to each class; asks __wrapped__, which is ours",
    "__doc__": "like __module__",
    "__dict__": "like __module__",
    "__weakref__": "like __module__",
    "__self_dict__": "like __module__; the instance's own dict",
    "__slots__": "the class's",
    "__firstlineno__": "the class's",
    "__static_attributes__": "the class's",
    "_cls_real_doc": "the class's, in pure Python",
    "_cls_real_module": "the class's, in pure Python",
}

# What wrapt's type has and an int does not have, and a shared value still answers. docs/deviations.md has the rows.
ANSWERED = {
    "__bytes__": "wrapt's would answer bytes(status)",
    "__complex__": "wrapt's would answer complex(status)",
    "__matmul__": "the other side must get its turn",
    "__rmatmul__": "the other side must get its turn",
    **dict.fromkeys(
        (f"__i{name}__" for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow")), "a write"
    ),
    **dict.fromkeys((f"__i{name}__" for name in ("lshift", "rshift", "and", "xor", "or")), "a write"),
    "__copy__": "the member",
    "__deepcopy__": "the member",
    "__getattr__": "finds the member's",
    "__class_getitem__": "on the class",
    "__wrapped__": "the member's, if any",
    "__name__": "the member's, if any",
}


def wrapts_classes(proxy_class: type) -> list[type]:
    return [cls for cls in proxy_class.__mro__ if cls is not object]


def left_to_wrapt(shared: type, proxy_class: type) -> set[str]:
    """Return the names for which an instance of `shared` would find the attribute of one of wrapt's classes."""
    wrapts = wrapts_classes(proxy_class)
    names = {name for cls in wrapts for name in vars(cls)}
    theirs = {id(vars(cls)[name]) for cls in wrapts for name in names & set(vars(cls))}
    found = {}
    for name in names:
        owner = next(cls for cls in shared.__mro__ if name in vars(cls))
        found[name] = owner, vars(owner)[name]
    return {
        name for name, (owner, entry) in found.items() if owner in wrapts or (entry is not None and id(entry) in theirs)
    }


@pytest.mark.parametrize("shared", [IntEnumValue[Plain], IntEnumValue[Perm], type("Own", (IntEnumValue[Plain],), {})])
def test_all_that_wrapts_type_has_is_overridden_or_kept_for_a_reason(shared: type) -> None:
    assert left_to_wrapt(shared, wrapt.ObjectProxy) - set(KEPT) == set()


def test_what_a_future_wrapt_adds_is_found_by_its_name() -> None:
    class FutureProxy(wrapt.ObjectProxy):  # type: ignore[misc,type-arg]
        def __frobnicate__(self) -> None: ...

    shared = types.new_class("Shared", (IntEnumValue[Plain], FutureProxy))
    assert left_to_wrapt(shared, FutureProxy) - set(KEPT) == {"__frobnicate__"}


def special_methods() -> set[str]:
    return {name for cls in wrapts_classes(wrapt.ObjectProxy) for name, entry in vars(cls).items() if callable(entry)}


def test_what_an_int_has_not_is_refused_or_answered_for_a_reason() -> None:
    shared = IntEnumValue[Plain]
    extra = {name for name in special_methods() if name.startswith("__") and not hasattr(Plain.ONE, name)}
    refused = {
        name for name in extra if (found := inspect.getattr_static(shared, name)) is None or isinstance(found, Refused)
    }
    assert extra - refused - set(KEPT) - set(ANSWERED) == set()
    assert refused >= {"__iter__", "__len__", "__contains__", "__getitem__", "__enter__", "__mro_entries__"}


@pytest.mark.parametrize("name", ["__getitem__", "__setitem__", "__delitem__", "__instancecheck__", "__mro_entries__"])
def test_what_is_refused_says_so(name: str) -> None:
    status = IntEnumValue(Plain.ONE)
    assert not hasattr(status, name)
    assert not hasattr(type(status), name)
    with pytest.raises(TypeError, match=r"^'Plain' object does not support __getitem__$"):
        operator.getitem(status, 0)  # type: ignore[call-overload]


# wrapt's own implementation, called on a shared value: it would answer if an override had been forgotten.

NO_ANSWER = {
    "__new__", "__init__", "__class_getitem__", "__init_subclass__", "__getattribute__", "__self_setattr__",
    "__setattr__", "__delattr__", "__object_proxy__", "__self_dict__", "__reduce__", "__slots__",
}  # fmt: skip
"""These do not use the wrapped object."""


def implementations() -> Iterator[tuple[str, Any]]:
    for cls in wrapts_classes(wrapt.ObjectProxy):
        for name, entry in vars(cls).items():
            if hasattr(type(entry), "__get__") and name not in NO_ANSWER and cls.__name__ != "_ObjectProxyDictBase":
                yield name, entry


def answer(entry: Any, status: Any, *arguments: object) -> Any:
    """Return the result of wrapt's own method or attribute, or the exception that it raises."""
    try:
        result = entry.__get__(status, type(status))
        if callable(entry):
            result = result(*arguments)
        if isinstance(result, Awaitable):
            next(result.__await__())
    except Exception as error:
        return error
    return result


@pytest.mark.parametrize(("name", "entry"), list(implementations()))
def test_a_forgotten_slot_is_a_loud_error(name: str, entry: Any) -> None:
    status = IntEnumValue(Plain.ZERO)
    status.set(Plain.ONE)
    results = [answer(entry, status, *["x"] * count) for count in range(4)]
    assert all(isinstance(result, Exception) for result in results)
    # The errors are not only about the number of arguments: there is nothing to answer from, or it never answers.
    assert any(isinstance(result, (AttributeError, ValueError, NotImplementedError)) for result in results)


# Together with other wrapt proxies


@pytest.mark.parametrize(
    "operation",
    [
        operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
        operator.lshift, operator.rshift, operator.and_, operator.or_, operator.xor, divmod,
        operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    ],
)  # fmt: skip
def test_an_operator_of_another_proxy_sees_the_member(operation: Any) -> None:
    status = IntEnumValue(Plain.ZERO)
    status.set(Plain.ONE)
    foreign = wrapt.ObjectProxy(5)
    assert operation(foreign, status) == operation(5, Plain.ONE)
    assert operation(status, foreign) == operation(Plain.ONE, 5)
    wrapped = wrapt.ObjectProxy(status)
    assert operation(wrapped, 5) == operation(Plain.ONE, 5)
    assert operation(5, wrapped) == operation(5, Plain.ONE)


def test_another_proxy_that_is_changed_in_place_refuses_a_shared_value() -> None:
    """Row: `proxy += status` of another `wrapt.ObjectProxy`. Run in a subprocess, since wrapt before 2.2 crashed."""
    program = (
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "import wrapt\n"
        "from differential_enums import Plain\n"
        "from multiprocessing_intenum import IntEnumValue\n"
        "proxy = wrapt.ObjectProxy(5)\n"
        "try:\n"
        "    proxy += IntEnumValue(Plain.ONE)\n"
        "except AttributeError:\n"
        "    print('refused')\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent / "support")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_a_with_says_what_is_missing_and_is_no_context_manager() -> None:
    status: Any = IntEnumValue(Plain.ONE)
    message = "does not support __enter__"
    with pytest.raises(TypeError, match=message), status:
        pass

    async def use() -> None:
        async with status:
            pass

    with pytest.raises(TypeError, match="does not support __aenter__"):
        use().send(None)
    for abstract in (AbstractContextManager, AbstractAsyncContextManager):
        assert not isinstance(status, abstract)
    assert not hasattr(status, "__enter__")
