"""CPython's own tests of `enum`, run with shared values in place of members.

If an expression in a test gives a member of an int-valued enum - an attribute, a call, an item, a variable - it is
replaced by a shared value, which was made with another member and then set to this one. The bodies of the enums that
the tests define stay as they are. `is`, `assertIs` and `type()` look at the `snapshot()`, as the documentation advises.

`python tests/support/cpython_enum.py` prints how many of the tests pass, and the errors of those that fail.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib.util
import multiprocessing
import os
import sys
import types
import unittest
import warnings
from dataclasses import dataclass, field
from typing import Any

from multiprocessing_intenum import IntEnumValue, snapshot

NAME = "with_shared_values.test_enum"

LOCK = multiprocessing.RLock()  # shared by all values, because nothing here is about the lock

made = 0


def live(value: Any) -> Any:
    """Return a shared value for a member of an int-valued enum, and anything else unchanged."""
    global made
    enum_type = type(value)
    if not (isinstance(enum_type, enum.EnumMeta) and issubclass(enum_type, int)):
        return value
    another = next((member for member in enum_type if member is not value), value)
    try:
        status: Any = IntEnumValue(another, lock=LOCK)
        status.set(value)
    except (TypeError, OverflowError):  # it cannot be shared: two members with one integer, or more than 64 bits
        return value
    made += 1
    return status


def real(value: Any) -> Any:
    return snapshot(value) if issubclass(type(value), IntEnumValue) else value


class WithSharedValues(ast.NodeTransformer):
    """Wraps the expressions of the tests in `live`, and wraps in `real` those whose identity a test checks."""

    def __init__(self) -> None:
        self.depth = 0

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if self.depth:
            return node
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self.depth -= 1
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if isinstance(function, ast.Attribute):
            function.value = self.visit(function.value)
        node.args = [self.visit(argument) for argument in node.args]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        asserts_identity = isinstance(function, ast.Attribute) and function.attr in ("assertIs", "assertIsNot")
        if asserts_identity or (isinstance(function, ast.Name) and function.id == "type" and len(node.args) == 1):
            node.args = [call("real", argument) for argument in node.args]
        return call("live", node) if self.depth else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(isinstance(operation, (ast.Is, ast.IsNot)) for operation in node.ops):
            node.left = call("real", node.left)
            node.comparators = [call("real", comparator) for comparator in node.comparators]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return call("live", node) if self.depth and isinstance(node.ctx, ast.Load) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return call("live", node) if self.depth and isinstance(node.ctx, ast.Load) else node

    visit_Subscript = visit_Attribute  # type: ignore[assignment] # noqa: N815


def call(name: str, argument: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(f"__{name}__", ast.Load()), [argument], []), argument)


def load() -> types.ModuleType | None:
    """Return CPython's test module, changed in this way, or None if the interpreter comes without its tests."""
    try:
        spec = importlib.util.find_spec("test.test_enum")
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    with open(spec.origin, encoding="utf-8") as file:
        return module_of(file.read(), spec.origin)


def module_of(source: str, file: str) -> types.ModuleType:
    tree = WithSharedValues().visit(ast.parse(source))
    module = types.ModuleType(NAME)
    module.__file__ = file
    module.__live__, module.__real__ = live, real  # type: ignore[attr-defined]
    sys.modules[NAME.partition(".")[0]] = sys.modules[NAME] = module  # where pickle looks it up
    exec(compile(ast.fix_missing_locations(tree), file, "exec"), vars(module))
    return module


# All test classes with int-valued enums. In TestSpecial only some of the enums are int-valued.
CLASSES = (
    "TestIntEnumClass", "TestIntEnumFunction", "TestIntFlagClass", "TestIntFlagFunction", "TestMixedIntClass",
    "TestMixedIntFunction", "TestMixedIntFlagClass", "TestMixedIntFlagFunction", "OldTestIntFlag", "TestSpecial",
    "TestEnum", "TestIntFlag",  # Python 3.10
)  # fmt: skip


@dataclass
class Run:
    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    shared_values: int = 0

    @property
    def total(self) -> int:
        return len(self.passed) + len(self.failed)

    def __str__(self) -> str:
        version = ".".join(map(str, sys.version_info[:3]))
        return (
            f"CPython {version}'s test_enum with {self.shared_values} shared values: "
            f"passed {len(self.passed)} of {self.total} run"
        )


class _Result(unittest.TestResult):
    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.succeeded: set[str] = set()

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self.succeeded.add(name_of(test))

    def _failed(self, test: unittest.TestCase, error: Any) -> None:
        name = name_of(getattr(test, "test_case", test))
        self.succeeded.discard(name)
        self.run.failed.setdefault(name, self._exc_info_to_string(error, test))  # type: ignore[attr-defined]

    addError = addFailure = _failed  # noqa: N815

    def addSubTest(self, test: unittest.TestCase, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.succeeded.discard(name_of(test))


def name_of(test: unittest.TestCase) -> str:
    return ".".join(test.id().split(".")[-2:])


@functools.cache
def run() -> Run | None:
    """Run the test classes. Tests that CPython itself skips are not counted."""
    module = load()
    return None if module is None else run_classes(module, CLASSES)


def run_classes(module: types.ModuleType, classes: tuple[str, ...]) -> Run:
    before = made
    done = Run()
    result = _Result(done)
    loader = unittest.TestLoader()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in classes:
            if hasattr(module, name):
                loader.loadTestsFromTestCase(getattr(module, name)).run(result)
    done.passed = sorted(result.succeeded)
    done.shared_values = made - before
    return done


if __name__ == "__main__":
    done = run()
    print(done or "this interpreter has no test.test_enum")
    for name, error in (done.failed if done else {}).items():
        print(f"{name}\n{error if os.environ.get('VERBOSE') else error.strip().splitlines()[-1]}")
