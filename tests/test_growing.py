"""An enum that grows while it is in use: processes of two versions, states that one of them lacks, and transitions."""

from __future__ import annotations

import asyncio
import copy
import enum
import os
import pickle
import random
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import forged
import pytest
from enums import Perm
from forged import described
from growing_targets import open_alternately
from helpers import DEADLINE, SHORT, WRITERS, Child, in_a_thread, is_free, running
from path_targets import Stranger, ends_being_used, strangers
from versions import (
    PAIRS,
    MovedMode,
    New,
    NewMode,
    NewPerm,
    NewStrictValue,
    NewValue,
    Old,
    OldPerm,
    OldStrictValue,
    OldStrictValueWithStandIn,
    OldValue,
    OldValueWithStandIn,
    Other,
)

from multiprocessing_intenum import (
    EnumAttribute,
    EnumValue,
    IntEnumValue,
    SharedFile,
    TransitionError,
    UnknownMemberError,
    aio,
    changes,
    compare_and_exchange,
    compare_and_set,
    exchange,
    history,
    last_change,
    snapshot,
    update,
    value_at,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "status")


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """A process of another version."""
    with strangers(1) as (one,):
        one.ask("from versions import *")
        yield one


def opens(kind: str, path: str, options: str = "") -> str:
    """The line that opens a value of a class."""
    return f"status = {kind}(at=SharedFile({path!r}{options}))"


def put(stranger: Stranger, path: str, name: str = "PAUSED", kind: str = "NewValue") -> None:
    """Let another process, of a newer version, set a member that this one may lack."""
    assert stranger.ask(opens(kind, path)) == "None"
    assert stranger.ask(f"status.set({name!r})") == "None"


def numbers_of(kind: Any) -> dict[str, int]:
    """What a file says about the members of an enum."""
    is_place = not issubclass(kind, (int, enum.Flag))
    return {name: list(kind).index(each) if is_place else each.value for name, each in kind.__members__.items()}


KINDS = list(PAIRS)


# Two versions that go together


@pytest.mark.parametrize("newer_first", [True, False], ids=["new, then old", "old, then new"])
@pytest.mark.parametrize("kind", KINDS)
def test_processes_of_two_versions_use_one_value_at_once(path: str, kind: str, newer_first: bool) -> None:
    old, new, both, only_new = PAIRS[kind]
    with strangers(2) as each:
        for one in each:
            one.ask("from versions import *")
        ours, theirs = each
        for one in each if not newer_first else reversed(each):
            index = int(one is theirs)
            assert one.ask(f"status = PAIRS[{kind!r}][{index}]({both!r}, at={path!r})") == "None"
        for writer in (ours, theirs):
            for name in reversed(old.EnumType.__members__):
                assert writer.ask(f"status.set({name!r})") == "None"
                for reader in (ours, theirs):
                    assert reader.ask(f"snapshot(status) is status.EnumType[{name!r}]") == "True"
        assert theirs.ask(f"status.set({only_new!r})") == "None"
        assert theirs.ask("status.name") == repr(only_new)
        assert ours.ask("status.name").startswith(f"UnknownMemberError: {only_new} (")
        assert ours.ask(f"status.set({both!r})") == "None"
        assert theirs.ask("status.name") == repr(both)
        assert described(path)["members"] == numbers_of(new.EnumType)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_describes_the_largest_version_until_nobody_uses_it(path: str, kind: str, stranger: Stranger) -> None:
    old, new, both, _ = PAIRS[kind]
    status = old(both, at=path)
    assert described(path)["members"] == numbers_of(old.EnumType)
    inode = os.stat(path).st_ino
    assert stranger.ask(f"status = PAIRS[{kind!r}][1](at={path!r})") == "None"
    assert described(path)["members"] == numbers_of(new.EnumType)
    assert described(path)["enum"] == new.EnumType.__qualname__
    assert stranger.end() == 0
    again = old(at=path)
    assert snapshot(again) is snapshot(status) is old.EnumType[both]
    assert described(path)["members"] == numbers_of(new.EnumType)
    del status, again
    status = old(both, at=path)
    assert described(path)["members"] == numbers_of(old.EnumType)  # it was begun anew
    assert os.stat(path).st_ino == inode
    assert snapshot(status) is old.EnumType[both]


@pytest.mark.parametrize("kind", KINDS)
def test_keep_goes_on_with_the_state_of_another_version(path: str, kind: str) -> None:
    old, new, both, only_new = PAIRS[kind]
    old(both, at=path)
    kept = SharedFile(path, keep=True)
    status = new(only_new, at=kept)
    assert snapshot(status) is new.EnumType[both]
    assert described(path)["members"] == numbers_of(new.EnumType)
    status.set(only_new)
    del status
    status = old(both, at=kept)
    assert described(path)["members"] == numbers_of(new.EnumType)
    with pytest.raises(UnknownMemberError) as caught:
        snapshot(status)
    assert (caught.value.name, caught.value.number) == (only_new, numbers_of(new.EnumType)[only_new])
    status.set(both)
    assert snapshot(status) is old.EnumType[both]


def test_a_member_in_the_middle_is_refused_by_an_enum_that_is_stored_by_place(path: str, stranger: Stranger) -> None:
    assert stranger.ask(f"status = EnumValue[OldMode]('MAINTENANCE', at={path!r})") == "None"
    before = content_of(path)
    for options in ({}, {"keep": True}, {"readonly": True}):
        with pytest.raises(ValueError, match="MovedMode") as caught:
            EnumValue[MovedMode](at=SharedFile(path, **options))  # type: ignore[arg-type]
        assert "DRAINING place 1 not in the file" in str(caught.value)
        assert "MAINTENANCE place 1 in the file, 2 here" in str(caught.value)
        assert "NORMAL" not in str(caught.value)
    assert content_of(path) == before
    assert stranger.ask("status.name") == "'MAINTENANCE'"


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def test_a_place_with_another_value_is_refused(path: str, stranger: Stranger) -> None:
    spelled: Any = enum.Enum("spelled", {"NORMAL": "normal", "MAINTENANCE": "repair", "DRAINING": "draining"})
    assert stranger.ask(f"status = EnumValue[OldMode]('NORMAL', at={path!r})") == "None"
    with pytest.raises(ValueError, match="MAINTENANCE = 'maintenance' in the file, 'repair' here"):
        EnumValue[spelled](at=path)


def test_enums_that_do_not_go_together_are_told_by_the_names_that_differ_and_the_file_is_left(
    path: str, stranger: Stranger
) -> None:
    assert stranger.ask(f"status = NewValue('PAUSED', at={path!r})") == "None"
    before = content_of(path)
    for options in ({}, {"keep": True}, {"readonly": True}):
        with pytest.raises(ValueError, match="the enum New in the file is not Other here") as caught:
            IntEnumValue[Other](Other.IDLE, at=SharedFile(path, **options))  # type: ignore[arg-type]
        text = str(caught.value)
        for difference in (
            "BUSY = 2 in the file, 5 here",
            "CALCULATING = 2 only in the file",
            "PAUSED = 4 only in the file",
        ):
            assert difference in text
        assert "IDLE" not in text
        assert "UNAVAILABLE" not in text
        assert "It was left as it is" in text
    assert content_of(path) == before
    assert stranger.ask("status.name") == "'PAUSED'"


def test_two_enums_that_grew_apart_do_not_go_together(path: str, stranger: Stranger) -> None:
    """Each has a name that the other one lacks."""
    apart: Any = enum.IntEnum("apart", {"IDLE": 1, "BUSY": 2, "UNAVAILABLE": 3, "STOPPED": 5})
    assert stranger.ask(f"status = OldValue('IDLE', at={path!r})") == "None"
    status = IntEnumValue(apart.IDLE, at=path)
    assert stranger.ask(f"newer = NewValue(at={path!r})").startswith("ValueError: ")
    assert stranger.ask("status.name") == "'IDLE'"
    assert status == apart.IDLE


def test_where_nobody_uses_the_file_another_enum_begins_anew_in_a_new_file(path: str) -> None:
    OldValue("BUSY", at=path)
    inode = os.stat(path).st_ino
    status: Any = IntEnumValue(Other.IDLE, at=path)
    assert os.stat(path).st_ino != inode
    assert described(path)["members"] == numbers_of(Other)
    assert [change.after for change in history(status)] == [Other.IDLE]


def test_a_member_is_renamed_through_an_alias(path: str) -> None:
    """One deploy gives it both names, and the next one takes the old name away."""

    class Newest(enum.IntEnum):
        IDLE = 1
        CALCULATING = 2
        UNAVAILABLE = 3
        PAUSED = 4

    with strangers(2) as each:
        for one, kind in zip(each, ("OldValue", "NewValue"), strict=True):
            one.ask("from versions import *")
            assert one.ask(f"status = {kind}('IDLE', at={path!r})") == "None"
        old, new = each
        assert new.ask("status.set('CALCULATING')") == "None"
        assert old.ask("status is not None and snapshot(status)") == repr(Old.BUSY)
        assert old.ask("status.set('IDLE')") == old.ask("status.set('BUSY')") == "None"
        assert new.ask("snapshot(status)") == repr(New.CALCULATING)
        assert described(path)["aliases"] == ["BUSY"]
        assert old.end() == 0
        status = IntEnumValue[Newest](at=path)  # as long as the new version is there
        assert snapshot(status) is Newest.CALCULATING
        assert new.end() == 0
    del status
    status = IntEnumValue[Newest](at=SharedFile(path, keep=True))
    assert snapshot(status) is Newest.CALCULATING
    del status
    status = IntEnumValue(Newest.IDLE, at=path)
    assert "aliases" not in described(path)
    with pytest.raises(
        ValueError, match=r"CALCULATING = 2 only in the file; PAUSED = 4 only in the file; BUSY = 2 not"
    ):
        OldValue(at=path)
    assert snapshot(status) is Newest.IDLE


def test_a_rename_without_an_alias_is_refused_while_the_old_version_is_there(path: str, stranger: Stranger) -> None:
    renamed: Any = enum.IntEnum("renamed", {"IDLE": 1, "CALCULATING": 2, "UNAVAILABLE": 3})
    assert stranger.ask(f"status = OldValue('IDLE', at={path!r})") == "None"
    with pytest.raises(ValueError, match=r"BUSY = 2 only in the file; CALCULATING = 2 not in the file"):
        IntEnumValue[renamed](at=path)
    assert stranger.ask("status.name") == "'IDLE'"


def test_a_member_is_removed_like_one_that_came(path: str, stranger: Stranger) -> None:
    """The version without it is the smaller one of the two."""
    smaller: Any = enum.IntEnum("smaller", {"IDLE": 1, "UNAVAILABLE": 3})
    assert stranger.ask(f"status = OldValue('BUSY', at={path!r})") == "None"
    status: Any = IntEnumValue[smaller](at=path)
    with pytest.raises(UnknownMemberError, match=r"^BUSY \(2\) is no member of smaller here"):
        status.name  # noqa: B018
    status.set("IDLE")
    assert stranger.ask("status.name") == "'IDLE'"
    assert stranger.end() == 0
    del status
    IntEnumValue(smaller.IDLE, at=path)
    assert described(path)["members"] == numbers_of(smaller)


def test_one_process_may_have_both_versions(path: str) -> None:
    old, new = OldValue("IDLE", at=path), NewValue(at=path)
    assert old.get_lock() is new.get_lock()
    assert described(path)["members"] == numbers_of(New)
    new.set("PAUSED")
    with pytest.raises(UnknownMemberError):
        snapshot(old)
    assert OldValueWithStandIn(at=path).name == "UNAVAILABLE"


def test_a_reader_of_a_newer_version_describes_nothing(path: str, stranger: Stranger) -> None:
    assert stranger.ask(f"status = OldValue('BUSY', at={path!r})") == "None"
    before = content_of(path)
    reader = NewValue(at=SharedFile(path, readonly=True))
    assert snapshot(reader) is New.CALCULATING
    assert content_of(path) == before
    again = NewValue(at=SharedFile(path, readonly=True))
    assert again.get_lock() is reader.get_lock()


def test_threads_that_open_with_two_versions_at_once_get_one_value(path: str) -> None:
    strict = (OldStrictValue, NewStrictValue, OldValue, NewValue)
    found: list[Any] = []

    def open_them(number: int) -> None:
        found.extend(strict[(number + turn) % 4]("IDLE", at=path) for turn in range(20))

    threads = [threading.Thread(target=open_them, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert len(found) == 80
    assert len({id(status.get_lock()) for status in found}) == 1
    assert described(path)["members"] == numbers_of(New)
    found[0].set("BUSY")
    assert {status.value for status in found} == {2}


def test_a_thread_that_is_overtaken_by_one_of_a_larger_version_opens_all_the_same(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing_intenum.by_path import life

    status = OldValue("IDLE", at=path)
    while_making = life._while_making

    def overtaken(*given: Any) -> Any:
        monkeypatch.undo()
        in_a_thread(lambda: NewStrictValue(at=path))
        return while_making(*given)

    monkeypatch.setattr(life, "_while_making", overtaken)
    assert NewValue(at=path).get_lock() is status.get_lock()
    assert described(path)["members"] == numbers_of(New)
    assert described(path)["transitions"] == {"1": [2, 4], "2": [1], "4": [1], "3": [1]}


def test_an_older_description_that_is_longer_is_replaced_by_a_shorter_one_and_back(path: str) -> None:
    """Each new description takes room that the present one does not take."""
    holder = NewValue("IDLE", at=path)
    for _ in range(300):  # the number that counts them has eight bits
        for strict in (NewStrictValue, OldStrictValue):
            assert snapshot(strict(at=path)) is strict.EnumType.IDLE
            assert described(path)["members"] == numbers_of(New)
    assert os.stat(path).st_size <= 8192
    assert snapshot(holder) is New.IDLE


# A state that this version does not know


READS: dict[str, Any] = {
    "snapshot": snapshot,
    "name": lambda status: status.name,
    "value": lambda status: status.value,
    "_name_": lambda status: status._name_,
    "str": str,
    "repr": repr,
    "format": lambda status: f"{status}",
    "hash": hash,
    "bool": bool,
    "==": lambda status: status == "IDLE",
    "!=": lambda status: status != 1,
    "in": lambda status: status in [None],
    "last_change": last_change,
    "history": history,
    "the attribute": lambda status: Holder(status).status,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


class Holder:
    status = EnumAttribute(EnumValue)

    def __init__(self, status: Any) -> None:
        self.status = status


INT_READS: dict[str, Any] = {
    "int": int,
    "<": lambda status: status < 3,
    "+": lambda status: status + 1,
    "bit_length": lambda status: status.bit_length(),
    "index": lambda status: list(range(9))[status],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_read_of_it_is_an_error_that_names_it(path: str, stranger: Stranger, kind: str) -> None:
    old, new, both, only_new = PAIRS[kind]
    status = old(both, at=path)
    put(stranger, path, only_new, f"PAIRS[{kind!r}][1]")
    number = numbers_of(new.EnumType)[only_new]
    for name, read in (READS | (INT_READS if kind == "ints" else {})).items():
        with pytest.raises(UnknownMemberError) as caught:
            print(name, read(status))
        assert (caught.value.number, caught.value.name) == (number, only_new)
        assert str(caught.value) == (
            f"{only_new} ({number}) is no member of {old.EnumType.__qualname__} here: a newer version of the program "
            "has written it; deploy that version here as well, or declare the member that it counts as, with "
            "class V(EnumValue[E], unknown=E.X)"
        )
        assert isinstance(caught.value, ValueError)


def test_a_feed_raises_it_and_goes_on_with_the_next_change(path: str, stranger: Stranger) -> None:
    status = OldValue("IDLE", at=path)
    feed, other = changes(status, timeout=0), aio.changes(status, timeout=0)
    put(stranger, path)
    for name in ("BUSY", "PAUSED", "PAUSED", "UNAVAILABLE", "PAUSED"):
        stranger.ask(f"status.set({name!r})")

    def look() -> str:
        try:
            change = next(feed)
        except UnknownMemberError as error:
            return str(error.name)
        return f"{change.number} {change.before and change.before.name} -> {change.after.name}"

    expected = ["PAUSED", "2 None -> BUSY", "PAUSED", "4 None -> UNAVAILABLE", "PAUSED"]
    assert [look() for _ in range(5)] == expected
    assert list(feed) == []

    async def look_in_a_coroutine() -> str:
        try:
            change = await anext(other)
        except UnknownMemberError as error:
            return str(error.name)
        return f"{change.number} {change.before and change.before.name} -> {change.after.name}"

    async def follow() -> list[str]:
        seen = [await look_in_a_coroutine() for _ in range(5)]
        return seen + [str(each) async for each in other]

    assert asyncio.run(follow()) == expected
    status.set("IDLE")
    assert [(change.number, change.before, change.after) for change in feed] == [(6, None, Old.IDLE)]
    assert last_change(status)[:2] == (None, Old.IDLE)


@pytest.mark.parametrize("write", ["set", "value=", "attribute"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_write_over_it_works(path: str, stranger: Stranger, kind: str, write: str) -> None:
    old, _, both, only_new = PAIRS[kind]
    status = old(both, at=path)
    put(stranger, path, only_new, f"PAIRS[{kind!r}][1]")
    if write == "attribute":
        Holder.status  # noqa: B018
        holder = Holder(status)
        holder.status = old.EnumType[both]
    else:
        WRITERS[write](status, old.EnumType[both])
    assert snapshot(status) is old.EnumType[both]
    assert stranger.ask("status.name") == repr(both)


KNOWING: dict[str, Any] = {
    "exchange": lambda status, new: exchange(status, new),
    "compare_and_set": lambda status, new: compare_and_set(status, new, new),
    "compare_and_exchange": lambda status, new: compare_and_exchange(status, new, new),
    "update": lambda status, new: update(status, lambda _: new),
}


@pytest.mark.parametrize("write", KNOWING)
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_must_know_what_it_finds_raises_and_writes_nothing(
    path: str, stranger: Stranger, kind: str, write: str
) -> None:
    old, _, both, only_new = PAIRS[kind]
    status = old(both, at=path)
    put(stranger, path, only_new, f"PAIRS[{kind!r}][1]")
    with pytest.raises(UnknownMemberError, match=only_new):
        KNOWING[write](status, old.EnumType[both])
    assert stranger.ask("(status.name, last_change(status).number)") == repr((only_new, 1))
    assert is_free(status.get_lock())


def test_an_in_place_operator_is_a_write_that_must_know(path: str, stranger: Stranger) -> None:
    status: Any = EnumValue(OldPerm.R, at=path)
    put(stranger, path, "X", "EnumValue[NewPerm]")
    with pytest.raises(UnknownMemberError):
        status |= OldPerm.W
    assert stranger.ask("status.name") == "'X'"


def test_setting_to_another_value_of_an_unknown_state_is_that_error(path: str, stranger: Stranger) -> None:
    status, other = OldValue("IDLE", at=path), OldValue("IDLE")
    put(stranger, path)
    with pytest.raises(UnknownMemberError):
        other.set(status)  # type: ignore[arg-type]
    assert other == Old.IDLE


@pytest.mark.parametrize("write", [*KNOWING, "set"])
def test_a_class_with_transitions_must_know_what_it_finds(path: str, stranger: Stranger, write: str) -> None:
    status = OldStrictValue("IDLE", at=path)
    stranger.ask(opens("NewStrictValue", path))
    assert stranger.ask("status.set('PAUSED')") == "None"
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        {**KNOWING, "set": WRITERS["set"]}[write](status, Old.IDLE)
    assert stranger.ask("status.name") == "'PAUSED'"
    assert last_change(NewValue(at=path)).number == 1


# The stand-in


def test_the_stand_in_is_what_every_read_finds(path: str, stranger: Stranger) -> None:
    status = OldValueWithStandIn("IDLE", at=path)
    put(stranger, path)
    member = Old.UNAVAILABLE
    assert snapshot(status) is member
    for name, read in (READS | INT_READS).items():
        if name not in ("snapshot", "last_change", "history"):
            assert read(status) == (member if name == "the attribute" else read(member)), name
    assert last_change(status)[:2] == (Old.IDLE, member)
    assert [change.after for change in history(status)] == [Old.IDLE, member]


def test_the_stand_in_is_what_every_write_finds_and_expects(path: str, stranger: Stranger) -> None:
    status = OldValueWithStandIn("IDLE", at=path)
    member = Old.UNAVAILABLE
    put(stranger, path)
    assert compare_and_exchange(status, "IDLE", "BUSY") is member
    assert not compare_and_set(status, Old.IDLE, Old.BUSY)
    assert stranger.ask("status.name") == "'PAUSED'"
    assert compare_and_set(status, member, "BUSY")
    assert stranger.ask("status.name") == "'CALCULATING'"
    put(stranger, path)
    assert exchange(status, "IDLE") is member
    put(stranger, path)
    seen: list[Any] = []
    assert update(status, lambda found: seen.append(found) or Old.BUSY) is Old.BUSY
    assert seen == [member]
    put(stranger, path)
    assert compare_and_exchange(status, status, Old.IDLE) is member


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_to_write_the_stand_in_over_it_is_no_change(path: str, stranger: Stranger, write: Any) -> None:
    status = OldValueWithStandIn("IDLE", at=path)
    put(stranger, path)
    write(status, Old.UNAVAILABLE)
    assert stranger.ask("(status.name, last_change(status).number)") == "('PAUSED', 1)"
    write(status, Old.BUSY)
    assert stranger.ask("(status.name, last_change(status).number)") == "('CALCULATING', 2)"


def test_own_transitions_take_the_stand_in_for_the_state(path: str, stranger: Stranger) -> None:
    status = OldStrictValueWithStandIn("IDLE", at=path)
    stranger.ask(opens("NewStrictValue", path))
    stranger.ask("status.set('PAUSED')")
    with pytest.raises(TransitionError) as caught:
        status.set("BUSY")
    assert (caught.value.before, caught.value.allowed) == (Old.UNAVAILABLE, (Old.IDLE,))
    assert stranger.ask("status.name") == "'PAUSED'"
    status.set("UNAVAILABLE")
    assert stranger.ask("status.name") == "'PAUSED'"
    status.set("IDLE")
    assert stranger.ask("status.name") == "'IDLE'"


def test_changes_have_the_stand_in_before_and_after(path: str, stranger: Stranger) -> None:
    status = OldValueWithStandIn("IDLE", at=path)
    feed = changes(status, timeout=0)
    put(stranger, path)
    stranger.ask("status.set('BUSY')")
    assert [change[:2] for change in feed] == [(Old.IDLE, Old.UNAVAILABLE), (Old.UNAVAILABLE, Old.BUSY)]


@pytest.mark.parametrize("wait", [wait_for, lambda *given: asyncio.run(aio.wait_for(*given))], ids=["blocks", "aio"])
def test_a_wait_is_ended_by_the_stand_in_and_by_nothing_else_unknown(path: str, stranger: Stranger, wait: Any) -> None:
    status, with_stand_in = OldValue("IDLE", at=path), OldValueWithStandIn(at=path)
    put(stranger, path)
    assert wait(with_stand_in, "UNAVAILABLE", 0) is Old.UNAVAILABLE
    asked: list[Any] = []
    with pytest.raises(TimeoutError, match=r"waited 0.01 s for .*, the state is PAUSED$"):
        wait(status, lambda member: asked.append(member) or True, SHORT)
    assert asked == []
    with pytest.raises(TimeoutError, match=r"for IDLE or BUSY or UNAVAILABLE, the state is PAUSED$"):
        wait(status, Old, SHORT)

    def go_on() -> None:
        stranger.ask("status.set('IDLE'); status.set('PAUSED'); status.set('BUSY'); status.set('PAUSED')")

    thread = threading.Timer(SHORT, go_on)
    thread.start()
    assert wait(status, "BUSY", DEADLINE) is Old.BUSY  # in passing
    thread.join(DEADLINE)


def test_a_wait_for_a_value_that_has_an_unknown_state_is_that_error(path: str, stranger: Stranger) -> None:
    status, other = OldValue("IDLE", at=path), OldValue("IDLE")
    put(stranger, path)
    with pytest.raises(UnknownMemberError):
        wait_for(other, status, 0)


def test_the_timeout_of_a_lock_names_the_unknown_state(path: str, stranger: Stranger) -> None:
    status = OldValue("IDLE", at=path)
    put(stranger, path)
    stranger.ask("status.get_lock().acquire()")
    with pytest.raises(TimeoutError, match=r"could not lock 'Old' within 0.01 s, .* the state is PAUSED"):
        exchange(status, "IDLE", timeout=SHORT)
    stranger.ask("status.get_lock().release()")


def test_values_in_memory_never_use_it() -> None:
    status = OldValueWithStandIn("IDLE")
    status._self_cell.view[()] = 4  # as no version of the program can
    for read in READS.values():
        with pytest.raises(ValueError, match="4 is no member of") as caught:
            read(status)
        assert not isinstance(caught.value, UnknownMemberError)
    with pytest.raises(ValueError, match="4 is no member of"):
        exchange(status, "IDLE")
    status.set("UNAVAILABLE")
    assert snapshot(status) is Old.UNAVAILABLE
    strict = OldStrictValueWithStandIn("IDLE")
    strict._self_cell.view[()] = 4
    with pytest.raises(ValueError, match="4 is no member of"):
        strict.set("IDLE")


def is_unavailable(status: Any) -> None:
    assert snapshot(status) is Old.UNAVAILABLE
    assert compare_and_set(status, "UNAVAILABLE", "IDLE")


@pytest.mark.parametrize("kind", [OldValueWithStandIn, OldStrictValueWithStandIn])
def test_a_pickle_keeps_it(path: str, stranger: Stranger, kind: Any) -> None:
    status = kind("IDLE", at=path)
    stranger.ask(f"import pickle; status = pickle.loads({pickle.dumps(status)!r})")
    assert stranger.ask("type(status).__name__") == repr(kind.__name__)
    newer = NewValue(at=path) if kind is OldValueWithStandIn else NewStrictValue(at=path)
    newer.set("PAUSED")
    assert stranger.ask("snapshot(status)") == repr(Old.UNAVAILABLE)
    assert stranger.ask("compare_and_set(status, 'UNAVAILABLE', 'IDLE')") == "True"
    newer.set("PAUSED")
    assert snapshot(pickle.loads(pickle.dumps(status))) is Old.UNAVAILABLE
    assert copy.deepcopy(Holder(status)).status is Old.UNAVAILABLE


def test_a_started_process_has_it(path: str, stranger: Stranger, ctx: Any) -> None:
    status = OldValueWithStandIn("IDLE", at=path)
    put(stranger, path)
    with running(ctx, is_unavailable, status) as process:
        process.join(DEADLINE)
        assert process.exitcode == 0
    assert status == Old.IDLE


def test_a_subclass_inherits_it_and_may_declare_another_one(path: str, stranger: Stranger) -> None:
    class Inherits(OldValueWithStandIn): ...

    class Declares(OldValueWithStandIn, unknown="IDLE"): ...

    class Both(OldValueWithStandIn, transitions={"UNAVAILABLE": ["BUSY"]}): ...

    first = Inherits("BUSY", at=path)
    put(stranger, path)
    assert [snapshot(kind(at=path)) for kind in (Inherits, Declares, OldValueWithStandIn)] == [
        Old.UNAVAILABLE,
        Old.IDLE,
        Old.UNAVAILABLE,
    ]
    both = Both(at=path)
    assert snapshot(both) is Old.UNAVAILABLE
    with pytest.raises(TransitionError):
        both.set("IDLE")
    both.set("BUSY")
    assert first == Old.BUSY


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_enum_may_declare_one(path: str, stranger: Stranger, kind: str) -> None:
    old, _, both, only_new = PAIRS[kind]

    class Declares(old, unknown=both):  # type: ignore[misc, valid-type]
        """One for each kind."""

    *_, last = old.EnumType
    status: Any = Declares(last, at=path)
    put(stranger, path, only_new, f"PAIRS[{kind!r}][1]")
    assert snapshot(status) is old.EnumType[both]
    assert compare_and_set(status, both, last)
    assert stranger.ask("status.name") == repr(last.name)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (New.IDLE, TypeError, r"unknown: expected a member of '<enum 'Old'>' or its name, not <New.IDLE: 1>"),
        (1, TypeError, r"unknown: expected a member of '<enum 'Old'>' or its name, not 1"),
        (Old, TypeError, r"unknown: expected a member of '<enum 'Old'>' or its name, not <enum 'Old'>"),
        ([Old.IDLE], TypeError, r"unknown: expected a member"),
        ("PAUSED", ValueError, r"unknown: '<enum 'Old'>' has no member named 'PAUSED'; its names are IDLE, BUSY"),
        (int.__new__(Old, 7), ValueError, r"unknown: Can not use 7: it has the type"),
    ],
    ids=["of another enum", "a number", "the enum", "a list", "no name", "forged"],
)
def test_a_wrong_stand_in_is_an_error_when_the_class_is_made(given: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}"):

        class Wrong(IntEnumValue[Old], unknown=given): ...


def test_a_class_without_an_enum_can_declare_none() -> None:
    with pytest.raises(TypeError, match=r"^Wrong has unknown= but no enum: derive it from EnumValue\[YourEnum\]"):

        class Wrong(EnumValue, unknown="IDLE"): ...  # type: ignore[type-arg]

    with pytest.raises(
        TypeError, match=r"^Neither has transitions but no enum: derive it from IntEnumValue\[YourEnum\]"
    ):

        class Neither(IntEnumValue, unknown="IDLE", transitions={}): ...  # type: ignore[type-arg]


# The error


@pytest.mark.parametrize("error", [UnknownMemberError(4, "PAUSED", "Old"), UnknownMemberError(99, None, "Old")])
def test_the_error_is_pickled_and_copied(error: UnknownMemberError) -> None:
    made = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (*made, copy.copy(error), copy.deepcopy(error)):
        assert type(again) is UnknownMemberError
        assert (again.number, again.name, str(again)) == (error.number, error.name, str(error))


def test_the_error_needs_all_arguments() -> None:
    with pytest.raises(TypeError):
        UnknownMemberError(4)  # type: ignore[call-arg]


def test_a_combination_of_flags_is_named_by_its_parts(path: str, stranger: Stranger) -> None:
    status = EnumValue(OldPerm.R, at=path)
    stranger.ask(opens("EnumValue[NewPerm]", path))
    for members, name in (("R", None), ("R | NewPerm.X", "R|X"), ("X", "X"), ("R | NewPerm.W | NewPerm.X", "R|W|X")):
        assert stranger.ask(f"status.set(NewPerm.{members})") == "None"
        if name is None:
            assert snapshot(status) is OldPerm.R
            continue
        with pytest.raises(UnknownMemberError) as caught:
            snapshot(status)
        assert caught.value.name == name
        with pytest.raises(TimeoutError, match=f"the state is {name.replace('|', '.')}$"):
            wait_for(status, OldPerm.R, timeout=0)


def test_bits_that_nobody_has_described_have_no_name(path: str) -> None:
    status = EnumValue(OldPerm.R, at=path)
    status._self_cell.view[()] = 9
    with pytest.raises(UnknownMemberError) as caught:
        snapshot(status)
    assert (caught.value.number, caught.value.name) == (9, None)


def test_an_int_flag_keeps_bits_that_it_does_not_know_as_python_does(path: str) -> None:
    larger: Any = enum.IntFlag("larger", {"R": 4, "W": 2, "X": 1, "LOCKED": 8})
    status, newer = IntEnumValue(Perm.R, at=path), IntEnumValue[larger](at=path)
    newer.set(larger.R | larger.LOCKED)
    assert snapshot(status) == Perm(12)
    assert type(snapshot(status)) is type(Perm(12))
    assert compare_and_set(status, Perm(12), Perm.R | Perm.W)
    assert newer == larger.R | larger.W


def test_the_transitions_of_a_file_are_read_once_for_each_description(path: str) -> None:
    strict, status = OldStrictValue("IDLE", at=path), OldValue(at=path)
    described = status._self_cell.described  # type: ignore[attr-defined]
    found = described.transitions()
    assert described.transitions() is found
    assert [member.name for member in found.followers(Old.IDLE)] == ["BUSY"]
    assert strict == Old.IDLE


def test_a_number_that_nobody_has_described_has_no_name(path: str) -> None:
    status = OldValue("IDLE", at=path)
    status._self_cell.view[()] = 99
    with pytest.raises(UnknownMemberError, match=r"^99 is no member of Old, and no process that has used") as caught:
        snapshot(status)
    assert (caught.value.number, caught.value.name) == (99, None)
    with pytest.raises(TimeoutError, match=r"the state is 99$"):
        wait_for(status, "IDLE", timeout=0)
    status.set("IDLE")  # as the text says
    assert snapshot(status) is Old.IDLE


def test_a_reader_of_the_old_version_is_told_as_well(path: str, stranger: Stranger) -> None:
    stranger.ask(f"status = NewValue('PAUSED', at={path!r})")
    reader = OldValue(at=SharedFile(path, readonly=True))
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        snapshot(reader)
    assert snapshot(OldValueWithStandIn(at=SharedFile(path, readonly=True))) is Old.UNAVAILABLE


# A description that is damaged while it is in use


def test_of_a_damaged_description_what_is_known_goes_on(path: str, stranger: Stranger) -> None:
    status = OldValue("IDLE", at=path)
    put(stranger, path)
    with open(path, "r+b") as file:
        file.seek(forged.PLACE_AT)
        file.write(forged.place(2**30, 64))
    with pytest.raises(UnknownMemberError) as caught:
        snapshot(status)
    assert (caught.value.number, caught.value.name) == (4, None)
    assert stranger.ask("status.name") == "'PAUSED'"
    for write in ("status.set('IDLE')", "exchange(status, 'IDLE')"):
        assert "is damaged: stop the processes that use it, and remove it" in stranger.ask(write)
    assert stranger.ask("status.name") == "'PAUSED'"
    strict = stranger.ask(f"other = NewStrictValue(at={path!r})")
    assert strict.startswith("ValueError: ")
    assert "is damaged" in strict
    with pytest.raises(ValueError, match="is damaged"):
        OldValue(at=path)


def test_a_file_whose_descriptors_were_closed_and_that_is_gone_names_no_member(path: str, stranger: Stranger) -> None:
    stranger.ask(f"status = OldValue('IDLE', at={path!r})")
    newer = NewValue(at=path)
    newer.set("PAUSED")
    stranger.ask("os.closerange(3, 1000)")
    os.unlink(path)
    assert stranger.ask("status.name").startswith("UnknownMemberError: 4 is no member of Old")


def test_a_description_that_is_changed_all_the_while_is_read_whole(path: str) -> None:
    holder = NewValue("IDLE", at=path)
    is_over = threading.Event()

    def describe() -> None:
        while not is_over.is_set():
            for strict in (OldStrictValue, NewStrictValue):
                strict(at=path)

    thread = threading.Thread(target=describe)
    thread.start()
    try:
        found = [described_by_the_package(path) for _ in range(500)]
    finally:
        is_over.set()
        thread.join(DEADLINE)
    assert all(each["members"] == numbers_of(New) for each in found)
    assert snapshot(holder) is New.IDLE


def described_by_the_package(path: str) -> Any:
    from multiprocessing_intenum.by_path.contents import description_of

    return description_of(SharedFile(path, readonly=True))


def test_a_header_that_never_comes_to_rest_is_an_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status = OldValue("IDLE", at=path)
    pread, generation = os.pread, iter(range(10**9))

    def restless(fd: int, length: int, at: int) -> bytes:
        content = pread(fd, length, at)
        if at == 0 and length == forged.BODY_AT:
            return forged.changed(content, forged.PLACE_AT + 7, bytes([next(generation) % 256]))
        return content

    monkeypatch.setattr(os, "pread", restless)
    with pytest.raises(ValueError, match="is damaged"):
        OldValue(at=SharedFile(path, readonly=True))
    assert next(generation) > 1_000
    monkeypatch.undo()
    assert status == Old.IDLE


@pytest.mark.parametrize("spoiled", [[1, 2], {"IDLE": [1]}, {"1": "IDLE"}, 5], ids=str)
def test_transitions_that_make_no_sense_refuse_each_write_of_a_class_without_any(path: str, spoiled: Any) -> None:
    status, strict = OldValue("IDLE", at=path), OldStrictValue(at=path)
    forged.describe(path, lambda found: found.update(transitions=spoiled))
    for write in (lambda: status.set("BUSY"), lambda: exchange(status, Old.BUSY)):
        with pytest.raises(ValueError, match="is damaged: stop the processes that use it, and remove it"):
            write()
    assert snapshot(status) is Old.IDLE
    assert is_free(status.get_lock())
    strict.set("BUSY")  # it is held to its own
    status.set("BUSY")  # no change
    status._self_cell.view[()] = 4
    with pytest.raises(UnknownMemberError) as caught:
        snapshot(status)
    assert (caught.value.number, caught.value.name) == (4, None)


@pytest.mark.parametrize("when", ["made", "described anew"])
def test_a_full_disk_is_an_error_that_leaves_what_was_there(
    path: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    status = None if when == "made" else OldValue("BUSY", at=path)
    before = None if status is None else described(path)

    def refuse(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(OSError, match=r"no room for the .* bytes of a shared value") as caught:
        NewStrictValue("IDLE", at=path)
    assert (caught.value.errno, caught.value.filename) == (28, path)
    monkeypatch.undo()
    if status is None:
        assert os.listdir(os.path.dirname(path)) == []
    else:
        assert described(path) == before
        status.set("UNAVAILABLE")
    assert snapshot(NewValue("IDLE", at=path)).name == ("IDLE" if status is None else "UNAVAILABLE")


# Transitions live with the value


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_class_without_transitions_is_held_to_those_of_the_file(path: str, stranger: Stranger, write: Any) -> None:
    assert stranger.ask(f"status = OldStrictValue('IDLE', at={path!r})") == "None"
    status = OldValue(at=path)
    with pytest.raises(TransitionError) as caught:
        write(status, Old.UNAVAILABLE)
    assert (caught.value.before, caught.value.after, caught.value.allowed) == (
        Old.IDLE,
        Old.UNAVAILABLE,
        (Old.BUSY,),
    )
    assert stranger.ask("(status.name, last_change(status).number)") == "('IDLE', 0)"
    write(status, Old.IDLE)  # staying is always allowed
    write(status, Old.BUSY)
    assert stranger.ask("status.name") == "'BUSY'"


def test_those_of_the_class_that_opened_it_last_are_in_force_at_once(path: str) -> None:
    loose: Any = {Old.IDLE: [Old.UNAVAILABLE]}

    class Loose(OldValue, transitions=loose): ...

    with strangers(1) as (other,):
        other.ask("from versions import *")
        assert other.ask(f"status = OldValue('IDLE', at={path!r})") == "None"
        assert other.ask("status.set('UNAVAILABLE'); status.set('IDLE')") == "None"  # all are allowed
        strict = OldStrictValue(at=path)
        assert other.ask("status.set('UNAVAILABLE')").startswith("TransitionError: Old can not go from IDLE to UNAVAIL")
        loosened = Loose(at=path)
        assert other.ask("status.set('UNAVAILABLE')") == "None"
        assert described(path)["transitions"] == {"1": [3]}
        # Each class with some is held to its own.
        strict.set("IDLE")
        with pytest.raises(TransitionError):
            strict.set("UNAVAILABLE")
        loosened.set("UNAVAILABLE")
        with pytest.raises(TransitionError):
            loosened.set("IDLE")
        # A class without any changes nothing.
        OldValue(at=path)
        NewValue(at=path)
        assert described(path)["transitions"] == {"1": [3]}


def test_a_thread_that_reads_them_while_they_are_replaced_has_the_new_ones_afterwards(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing_intenum.by_path import described as module

    class Loose(OldValue, transitions={Old.IDLE: [Old.UNAVAILABLE]}): ...

    status, description_in = OldValue("IDLE", at=path), module.description_in
    OldStrictValue(at=path)

    def overtaken(lock: Any) -> Any:
        found = description_in(lock)
        monkeypatch.undo()
        Loose(at=path)
        description_in(lock)  # another thread that reads, and takes no lock
        return found

    monkeypatch.setattr(module, "description_in", overtaken)
    with suppress(TransitionError):  # either way
        status.set("UNAVAILABLE")
    status.set("UNAVAILABLE")
    assert status == Old.UNAVAILABLE


def test_a_class_that_allows_nothing_says_so_in_the_file(path: str) -> None:
    class Still(OldValue, transitions={}): ...

    status, other = Still("BUSY", at=path), OldValue(at=path)
    assert described(path)["transitions"] == {}
    with pytest.raises(TransitionError, match=r"Old can not go from BUSY to IDLE: from BUSY it goes nowhere"):
        other.set("IDLE")
    assert status == Old.BUSY


def test_a_transition_from_an_unknown_state_that_the_file_allows_is_allowed(path: str, stranger: Stranger) -> None:
    status, stand_in = OldValue("IDLE", at=path), OldValueWithStandIn(at=path)
    for other in (status, stand_in):
        stranger.ask(opens("NewStrictValue", path))
        assert stranger.ask("status.set('PAUSED')") == "None"
        other.set("IDLE")
        assert stranger.ask("status.name") == "'IDLE'"
    stranger.ask("status.set('PAUSED')")
    with pytest.raises(UnknownMemberError, match="PAUSED"):
        status.set("BUSY")
    with pytest.raises(TransitionError) as caught:
        stand_in.set("BUSY")
    assert (caught.value.before, caught.value.allowed) == (Old.UNAVAILABLE, (Old.IDLE,))
    assert stranger.ask("status.name") == "'PAUSED'"


def test_the_error_names_the_members_that_this_version_has(path: str, stranger: Stranger) -> None:
    status = OldValue("IDLE", at=path)
    stranger.ask(opens("NewStrictValue", path))
    with pytest.raises(TransitionError, match=r"from IDLE it goes only to BUSY$") as caught:
        status.set("UNAVAILABLE")
    assert caught.value.allowed == (Old.BUSY,)


def test_a_value_that_is_begun_anew_without_any_allows_all(path: str, stranger: Stranger) -> None:
    stranger.ask(f"status = OldStrictValue('IDLE', at={path!r})")
    assert stranger.end() == 0
    status = OldValue("IDLE", at=SharedFile(path, keep=True))
    with pytest.raises(TransitionError):
        status.set("UNAVAILABLE")
    del status
    status = OldValue("IDLE", at=path)
    assert "transitions" not in described(path)
    status.set("UNAVAILABLE")
    assert status == Old.UNAVAILABLE


def test_a_lock_of_another_value_leaves_the_transitions_as_they_are(path: str, stranger: Stranger) -> None:
    job = value_at(f"{path}.job", "q", 0)
    stranger.ask(f"job = value_at({path + '.job'!r}, 'q', 0)")
    stranger.ask(f"status = OldStrictValue('IDLE', lock=job.get_lock(), at={path!r})")
    status = OldValue(at=path, lock=job.get_lock())  # type: ignore[arg-type]
    with pytest.raises(TransitionError):
        status.set("UNAVAILABLE")
    status.set("BUSY")
    assert stranger.ask("status.name") == "'BUSY'"


def test_flags_and_texts_have_transitions_in_the_file_too(path: str, stranger: Stranger) -> None:
    class Strict(EnumValue[NewMode], transitions={"NORMAL": ["DRAINING"], "DRAINING": []}): ...

    class StrictPerm(EnumValue[NewPerm], transitions={NewPerm.R: [NewPerm.R | NewPerm.X]}): ...

    mode, perm = Strict("NORMAL", at=path), StrictPerm("R", at=f"{path}.perm")
    assert stranger.ask(opens("EnumValue[OldMode]", path)) == "None"
    assert stranger.ask("status.set('MAINTENANCE')").startswith("TransitionError: OldMode can not go from NORMAL")
    assert stranger.ask(opens("EnumValue[NewMode]", path)) == "None"
    assert stranger.ask("status.set('DRAINING')") == "None"
    assert mode == NewMode.DRAINING
    assert stranger.ask(opens("EnumValue[NewPerm]", f"{path}.perm")) == "None"
    assert stranger.ask("status.set('X')").startswith("TransitionError: NewPerm can not go from R to X")
    assert stranger.ask("status.set(NewPerm.R | NewPerm.X)") == "None"
    assert perm == NewPerm.R | NewPerm.X


# A rolling deploy


OLD_AND_NEW = [["OldValue"], ["OldValueWithStandIn"], ["OldValue", "OldValueWithStandIn"], *[["NewValue"]] * 3]


def test_a_rolling_deploy_refuses_nobody_and_loses_nothing(path: str) -> None:
    each_makes, seen_path = 170, f"{path}.seen"
    seen: Any = value_at(seen_path, "q", 0)
    status = NewValue("IDLE", at=path)
    feeds = [changes(status, timeout=0), changes(OldValueWithStandIn(at=path), timeout=0)]
    numbers: list[list[int]] = [[], []]
    by_process: dict[int, int] = {}
    with strangers(len(OLD_AND_NEW)) as writers:
        for writer in writers:
            writer.ask("from versions import *; from growing_targets import *")
        # Chance may not show an old version a state that it does not know.
        status.set("PAUSED")
        assert writers[0].ask(f"change_often([OldValue], {path!r}, {seen_path!r}, 1)") == "(1, 1)"
        for writer, kinds in zip(writers, OLD_AND_NEW, strict=True):
            writer.tell(f"change_often([{', '.join(kinds)}], {path!r}, {seen_path!r}, {each_makes})")
        deadline = time.monotonic() + DEADLINE
        expected = each_makes * len(writers) + 2
        while len(numbers[0]) < expected and time.monotonic() < deadline:
            for feed, found in zip(feeds, numbers, strict=True):
                for change in feed:
                    found.append(change.number)
                    if feed is feeds[0]:
                        by_process[change.pid] = by_process.get(change.pid, 0) + 1
            seen.value = len(numbers[0])
        answers = [writer.answer() for writer in writers]
        by_each = {writer.process.pid: each_makes for writer in writers} | {os.getpid(): 1}
        by_each[writers[0].process.pid] += 1
        assert by_each == by_process
    made, unknown = zip(*(eval(answer) for answer in answers), strict=True)
    assert made == (each_makes,) * len(OLD_AND_NEW)
    assert sum(unknown[1:2] + unknown[3:]) == 0
    assert numbers == [list(range(1, expected + 1))] * 2


@pytest.mark.parametrize("is_used", [True, False], ids=["in use", "begun anew"])
def test_a_kill_while_the_description_is_rewritten_leaves_a_whole_file(path: str, is_used: bool) -> None:
    kinds = [OldStrictValue, NewStrictValue]
    allowed = {}
    for kind in kinds:
        kind("IDLE", at=path)
        allowed[kind] = described(path)["transitions"]
    with strangers(1) as (holder,):
        holder.ask("from versions import *")
        if is_used:
            assert holder.ask(f"status = OldValue('IDLE', at={path!r})") == "None"
        rewritten: set[str] = set()
        for turn in range(100):
            began, has_begun = os.pipe()
            child = Child(lambda pipe=has_begun: open_alternately(kinds, path, pipe))  # type: ignore[misc]
            assert os.read(began, 1) == b"."
            time.sleep(random.uniform(0, 0.003))  # the random moment itself
            os.kill(child.pid, signal.SIGKILL)
            assert not child.succeeds()
            os.close(began)
            os.close(has_begun)
            if not is_used:
                ends_being_used(path)
            found = described_by_the_package(path)
            assert found["members"] in ([numbers_of(New)] if is_used else [numbers_of(Old), numbers_of(New)])
            assert found["transitions"] in allowed.values()
            rewritten.add(str(found["transitions"]))
            status = (OldValue if turn % 2 else NewValue)("IDLE", at=path)
            assert snapshot(status).name == "IDLE"
            assert described_by_the_package(path).get("transitions") == (found["transitions"] if is_used else None)
            assert len(history(status)) >= 1
            assert not is_used or holder.ask("status.set('BUSY'); status.set('IDLE')") == "None"
            del status
        assert len(rewritten) == 2
    assert os.listdir(os.path.dirname(path)) == ["status"]
    assert os.stat(path).st_size <= 8192
