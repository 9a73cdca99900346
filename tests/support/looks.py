"""What a program can see of a shared value, compared with the member that the value names."""

from __future__ import annotations

import pickle
from typing import Any

from multiprocessing_intenum import EnumValue, compare_and_set, snapshot


def is_like(status: Any, member: Any) -> bool:
    """Whether the shared value cannot be told from the member, except by `is` and `type`."""
    kind = type(member)
    assert snapshot(status) is member
    assert (status.name, status.value is member.value) == (member.name, True)
    assert (repr(status), str(status), f"{status}", f"{status!r:>40}") == (
        repr(member),
        str(member),
        f"{member}",
        f"{member!r:>40}",
    )
    assert status == member
    assert member == status
    assert (status != member) is False
    assert isinstance(status, kind)
    assert status.__class__ is status.EnumType is kind
    assert bool(status) is bool(member)
    assert status in [member]
    assert set(dir(member)) <= set(dir(status))
    try:
        expected = hash(member)
    except TypeError:
        return True
    assert hash(status) == expected
    assert {member: "found"}[status] == "found"
    assert status in {member}
    return True


def goes_through(kind: Any) -> Any:
    """Set a shared value to each member of an enum, by each of its names and by the member. Return the value."""
    first, *_ = kind.__members__.values()
    status: Any = EnumValue[kind](first)
    for name, member in kind.__members__.items():
        status.set(name)
        assert is_like(status, member)
        status.set(first)
        status.value = member
        assert is_like(status, member)
        assert compare_and_set(status, name, first)
        others = [other for other in kind if other is not first]
        assert all(status != other for other in others)
        assert all(not compare_and_set(status, other, first) for other in others)
        status.set(EnumValue(member))
        assert is_like(status, member)
    return status


def is_pickled_by_name(member: Any) -> bool:
    return pickle.loads(pickle.dumps(member)) is member
