"""The table of members: enums whose members are made when they are asked for, and what counts as a member."""

from __future__ import annotations

import enum
import traceback
from typing import Any

import pytest
from enums import RecordType, StaticallyMade
from helpers import TIMED_WRITERS, WRITERS, run
from process_targets import set_a_record_type

from multiprocessing_intenum import IntEnumValue, compare_and_set, snapshot, wait_for

MAKERS = pytest.mark.parametrize("maker", [RecordType, StaticallyMade])


@MAKERS
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_members_that_an_enum_makes_anew_each_time_can_be_stored(maker: Any, write: Any) -> None:
    assert maker(65280) is not maker(65280)
    status = IntEnumValue(maker.A)
    write(status, maker(65280))
    assert status == maker(65280)
    assert (status.name, status.value) == (maker(65280).name, maker(65280).value)
    assert repr(status) == repr(maker(65280))


@MAKERS
def test_a_number_is_one_object_for_each_read_of_a_process(maker: Any) -> None:
    one, two = IntEnumValue(maker(65280)), IntEnumValue(maker(65280))
    assert snapshot(one) is snapshot(one) is snapshot(two)
    assert wait_for(one, maker(65280), 0) is snapshot(two)


@MAKERS
def test_such_members_are_compared_by_their_number(maker: Any) -> None:
    status = IntEnumValue(maker(65280))
    assert not compare_and_set(status, maker(65281), maker.A)
    assert compare_and_set(status, maker(65280), maker(65281))
    for write in TIMED_WRITERS.values():
        write(status, maker(65282), 1)
        assert status == maker(65282)


def test_such_a_member_can_be_sent_to_a_child_which_makes_its_own(ctx: Any) -> None:
    status = IntEnumValue(RecordType(65280), lock=ctx.RLock())
    run(ctx, set_a_record_type, status)
    assert snapshot(status) == RecordType(65281)


def test_a_forged_member_counts_as_the_one_of_its_number() -> None:
    class Perm(enum.IntFlag):
        R = 4
        W = 2

    permissions = IntEnumValue(Perm.R)
    permissions.set(int.__new__(Perm, 2))
    assert snapshot(permissions) is Perm.W


def test_the_error_of_a_foreign_number_shows_no_other_error(status: Any) -> None:
    status._self_word.value = 99
    for read in (snapshot, repr, hash, lambda status: status == 1, lambda status: status.name, lambda s: s.value):
        with pytest.raises(ValueError, match=r"99 is no member of .*: another program may have written") as caught:
            read(status)
        assert "During handling of" not in "".join(traceback.format_exception(caught.value))
