"""The public names: those of the package, and those that a shared value adds to its member's."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import wrapt
from enums import Perm, Permissions, WorkerStatus, WorkerStatusEnum
from helpers import DEADLINE, NEED_PSYCOPG

import multiprocessing_intenum
from multiprocessing_intenum import IntEnumAttribute, IntEnumValue, RobustRLock, aio

PUBLIC = {
    "Change",
    "EnumAttribute",
    "EnumValue",
    "IntEnumAttribute",
    "IntEnumValue",
    "RobustRLock",
    "SharedFile",
    "TransitionError",
    "UnknownMemberError",
    "adopt",
    "changes",
    "compare_and_exchange",
    "compare_and_set",
    "exchange",
    "history",
    "last_change",
    "mermaid",
    "reap",
    "snapshot",
    "update",
    "value_at",
    "wait_for",
}
LAZY = {"value_at"}
"""Loaded when it is first asked for."""
PACKAGE = Path(inspect.getfile(multiprocessing_intenum)).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)
"""Those of the rooms with the names of their rooms: "locks.robust"."""
ALL = [*MODULES, "masquerade.declared"]
"""With what only type checkers read."""
ROOMS = {name.partition(".")[0] for name in MODULES}
"""A module that is in no room counts as one."""


def test_the_package_has_exactly_the_names_of_its_design() -> None:
    names = {name for name in vars(multiprocessing_intenum) if not name.startswith("_")}
    assert names - ROOMS - {"Any", "TYPE_CHECKING"} == PUBLIC - LAZY
    assert multiprocessing_intenum.__all__ == sorted(PUBLIC)
    assert set(dir(multiprocessing_intenum)) >= PUBLIC
    with pytest.raises(AttributeError, match="has no attribute 'shared_flie'"):
        multiprocessing_intenum.shared_flie  # noqa: B018


def test_the_package_itself_only_reexports() -> None:
    text, *statements = ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body
    assert isinstance(text, ast.Expr)
    kinds = {type(statement) for statement in statements if not isinstance(statement, ast.If)}
    assert kinds == {ast.ImportFrom, ast.Assign, ast.FunctionDef}
    for name in PUBLIC:
        assert getattr(multiprocessing_intenum, name).__module__.startswith("multiprocessing_intenum.")


@pytest.mark.parametrize("name", sorted({*MODULES} - NEED_PSYCOPG))  # the others: tests/postgres/test_docs.py
def test_each_module_says_what_it_is_for_and_what_it_gives(name: str) -> None:
    module = import_module(f"multiprocessing_intenum.{name}")
    assert (module.__doc__ or "").split("\n")[0].endswith(".")
    assert set(module.__all__) <= set(vars(module))
    assert sorted(module.__all__) == sorted(set(module.__all__))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_public_name_is_documented_with_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(multiprocessing_intenum, name)) or ""
    assert doctest.DocTestParser().get_examples(text), f"{name} has no example"
    for section in ("Args:", "Raises:"):
        assert section in text


def public_functions() -> dict[str, Any]:
    """The functions, and the methods of the classes, by their names."""
    public = {name: getattr(multiprocessing_intenum, name) for name in sorted(PUBLIC)}
    public |= {f"aio.{name}": getattr(aio, name) for name in aio.__all__}
    found = {name: thing for name, thing in public.items() if inspect.isfunction(thing)}
    for cls in public.values():
        for name, method in vars(cls).items() if isinstance(cls, type) else ():
            function = getattr(method, "fget", getattr(method, "__func__", method))
            if inspect.isfunction(function) and function.__module__.startswith("multiprocessing_intenum"):
                found[f"{cls.__name__}.{name}"] = function
    return found


@pytest.mark.parametrize("function", public_functions().values(), ids=public_functions())
def test_the_annotations_of_each_public_function_can_be_read_at_run_time(function: Any) -> None:
    assert set(get_type_hints(function)) == set(function.__annotations__)


def test_the_annotations_of_the_classes_can_be_read_at_run_time() -> None:
    for cls in IntEnumAttribute, RobustRLock:
        assert isinstance(get_type_hints(cls), dict)
    if sys.version_info < (3, 14):
        assert get_type_hints(IntEnumValue)
    else:  # wrapt's C type has an `__annotations__` that annotationlib refuses: see docs/known-issues.md
        with pytest.raises(ValueError, match="ObjectProxy"):
            get_type_hints(wrapt.ObjectProxy)


@pytest.mark.parametrize("name", ["set", "get_lock", "name", "value"])
def test_each_public_name_of_a_shared_value_is_documented(name: str) -> None:
    assert inspect.getdoc(inspect.getattr_static(IntEnumValue, name))


def public(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_a_shared_value_has_five_public_names_of_its_own() -> None:
    own: set[str] = set()
    for base in WorkerStatus.__mro__:
        if base.__module__.startswith(("multiprocessing_intenum", "enums")):
            own |= public(vars(base))
    assert own == {"set", "get_lock", "name", "value", "EnumType"}


@pytest.mark.parametrize("status", [WorkerStatus("IDLE"), IntEnumValue(Perm.R), Permissions("X")], ids=repr)
def test_an_instance_has_the_members_names_and_those(status: Any) -> None:
    member = status.EnumType(int(status))
    assert set(dir(status)) == {*dir(member), "set", "get_lock"}
    assert public(dir(type(status))) - {"set", "get_lock", "name", "value", "EnumType"} == set()


def test_the_enum_is_the_class_attribute() -> None:
    assert WorkerStatus.EnumType is WorkerStatusEnum


# The modules and their imports


def imports_of(name: str) -> set[str]:
    """The modules of the package that a module imports, those for type checkers included."""
    found: set[str] = set()
    for path in PACKAGE.glob(f"{name.replace('.', '/')}.py*"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "multiprocessing_intenum":
                module = (node.module or "").partition(".")[2]
                if not module or (PACKAGE / module).is_dir():
                    found |= {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
                else:
                    found.add(module)
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("multiprocessing_intenum") for alias in node.names)
    return found


def output_of(script: str) -> str:
    """What a new Python prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=True)
    return done.stdout


def test_only_the_modules_of_a_record_need_psycopg() -> None:
    others = sorted({*MODULES} - NEED_PSYCOPG)
    script = (
        "import importlib, sys\n"
        "sys.modules['psycopg'] = None\n"
        f"for name in {others}:\n"
        "    importlib.import_module(f'multiprocessing_intenum.{name}')\n"
        f"assert not {NEED_PSYCOPG} & {{name.partition('.')[2] for name in sys.modules}}\n"
        "try:\n"
        "    import multiprocessing_intenum.postgres\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert 'this needs psycopg 3: pip install "multiprocessing-intenum[postgres]"' in done.stdout, done.stderr


def test_the_package_loads_no_module_that_asks_the_platform_for_its_name() -> None:
    # platform.machine() makes a query of WMI on Windows: seconds, and crashes (CPython 112278, 125315).
    script = (
        "import importlib, sys\n"
        "import wrapt, typing_extensions\n"
        "before = {*sys.modules}\n"
        "import multiprocessing_intenum, multiprocessing_intenum.aio\n"
        "print(sorted({'platform', 'uuid'} & ({*sys.modules} - before)))\n"
    )
    assert output_of(script) == "[]\n"
    for name in MODULES:
        assert "import platform" not in (PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8")


def test_a_python_of_32_bits_is_refused_in_one_line() -> None:
    script = (
        "import sys\n"
        "sys.maxsize = 2**31 - 1\n"
        "try:\n"
        "    import multiprocessing_intenum\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert output_of(script).splitlines() == [
        "multiprocessing_intenum needs a Python of 64 bits, because its states have 64: one of 32 bits stores them in "
        "two pieces, and another process could read a half"
    ]


def documented_modules() -> dict[str, set[str]]:
    text = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| .* \| (.*)\|$", text.partition("## Modules")[2], re.MULTILINE)
    return {name: set(re.findall(r"`([\w.]+)`", imports)) for name, imports in rows}


def test_the_table_of_modules_says_what_each_imports() -> None:
    assert documented_modules() == {name: imports_of(name) for name in ALL}


def test_a_module_imports_only_modules_above_it_in_the_table() -> None:
    known: set[str] = set()
    for name, imports in documented_modules().items():
        assert imports <= known, name
        known.add(name)


def test_the_rooms_are_floors_of_a_house_without_a_circle() -> None:
    """Each room stands in one piece in the table, and uses only the rooms above it there."""
    order = [name.partition(".")[0] for name in documented_modules()]
    rooms = list(dict.fromkeys(order))
    assert [room for room, before in zip(order, ["", *order], strict=False) if room != before] == rooms
    for name, imports in documented_modules().items():
        used = {each.partition(".")[0] for each in imports}
        assert used <= set(rooms[: rooms.index(name.partition(".")[0]) + 1]), name


def test_only_a_room_that_users_import_has_names_of_its_own() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        text, *statements = ast.parse(path.read_text("utf-8")).body
        assert isinstance(text, ast.Expr)
        assert bool(statements) == (path.parent.name == "postgres"), path
        assert {type(each) for each in statements} <= {ast.ImportFrom, ast.Assign}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_read_in_one_sitting(name: str) -> None:
    assert len((PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8").splitlines()) <= 450


def test_hooks_at_a_fork_are_in_one_module() -> None:
    using = {
        name for name in MODULES if "register_at_fork" in (PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8")
    }
    assert using == {"fork"}
