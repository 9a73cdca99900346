"""CPython's own tests of its enums pass with shared values in place of the members."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import cpython_enum

if TYPE_CHECKING:
    import pytest

# These tests pickle members, and a shared value refuses to be pickled on purpose.
PICKLES = {
    f"TestSpecial.test_{name}"
    for name in (
        "inherited_data_type",
        "pickle_by_name",
        "pickle_int",
        "subclasses_with_direct_pickle_support",
        "subclasses_with_getnewargs",
        "subclasses_with_getnewargs_ex",
        "subclasses_with_reduce",
        "subclasses_with_reduce_ex",
        "subclasses_without_direct_pickle_support",
        "subclasses_without_direct_pickle_support_using_name",
    )
}

SAMPLE = """
import enum, unittest

class E(enum.IntEnum):
    A = 1
    B = 2

class Sample(unittest.TestCase):
    def test_member(self):
        self.assertIs(E.A, E(1))
        self.assertEqual([m.name for m in E], ["A", "B"])
        with self.assertRaises(RuntimeError):
            __import__("pickle").dumps(E["A"])

    def test_that_fails(self):
        self.assertEqual(E.A, E.B)

    @unittest.skip("counts for nothing")
    def test_skipped(self):
        pass
"""


def test_each_passes_but_those_that_pickle(capsys: pytest.CaptureFixture[str]) -> None:
    done = cpython_enum.run()
    if done is None:  # this interpreter comes without CPython's tests
        assert not (Path(enum.__file__).parent / "test" / "test_enum.py").exists()
        return
    assert done.total > 100
    with capsys.disabled():
        print(f"\n{done}")
    failed = {name.replace("TestEnum.", "TestSpecial."): error for name, error in done.failed.items()}
    assert {name: error for name, error in failed.items() if name not in PICKLES} == {}
    assert all("RuntimeError: IntEnumValue[" in error for error in failed.values())
    assert done.shared_values >= done.total


def test_a_member_in_a_test_is_a_shared_value() -> None:
    done = cpython_enum.run_classes(cpython_enum.module_of(SAMPLE, "sample"), ("Sample",))
    assert done.passed == ["Sample.test_member"]
    assert list(done.failed) == ["Sample.test_that_fails"]
    assert done.shared_values > 4
