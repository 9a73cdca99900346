"""Allowed transitions: every write is checked against the state that it finds, under the lock."""

from __future__ import annotations

import copy
import enum
import pickle
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from enums import Big, FrutEnum, Perm, RecordType, WorkerStatusEnum
from helpers import DEADLINE, HAVE_PATHS, WRITERS, is_free, run

from multiprocessing_intenum import (
    EnumValue,
    IntEnumAttribute,
    IntEnumValue,
    TransitionError,
    changes,
    compare_and_exchange,
    compare_and_set,
    exchange,
    history,
    last_change,
    mermaid,
    update,
)

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

UNAVAILABLE, IDLE, CALCULATING = WorkerStatusEnum

ALLOWED = {UNAVAILABLE: [IDLE], "IDLE": [CALCULATING, "UNAVAILABLE"], CALCULATING: {IDLE}}
PAIRS = {(UNAVAILABLE, IDLE), (IDLE, CALCULATING), (IDLE, UNAVAILABLE), (CALCULATING, IDLE)}


class Guarded(IntEnumValue[WorkerStatusEnum], transitions=ALLOWED):
    """The worker's status, with its allowed transitions."""


class Inheriting(Guarded):
    """Inherits them."""


class Unguarded(IntEnumValue[WorkerStatusEnum]):
    """The same enum without any."""


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("cls", [Guarded, Inheriting])
def test_every_write_is_checked(cls: Any, write: Any) -> None:
    for before in WorkerStatusEnum:
        for after in WorkerStatusEnum:
            status = cls(before)
            if before is after or (before, after) in PAIRS:
                write(status, after)
                assert status == after
            else:
                with pytest.raises(TransitionError) as caught:
                    write(status, after)
                assert (caught.value.before, caught.value.after) == (before, after)
                assert status == before
                assert last_change(status).number == 0
                assert is_free(status.get_lock())


def test_other_classes_of_the_enum_are_not_checked() -> None:
    Unguarded(CALCULATING).set(UNAVAILABLE)
    IntEnumValue(CALCULATING).set(UNAVAILABLE)


def test_the_error_says_which_ways_are_open() -> None:
    status = Guarded(IDLE)
    status.set(CALCULATING)
    with pytest.raises(ValueError, match="WorkerStatusEnum can not go from CALCULATING to UNAVAILABLE") as caught:
        status.set("UNAVAILABLE")
    error: Any = caught.value
    assert str(error).endswith(": from CALCULATING it goes only to IDLE")
    assert (error.before, error.after, error.allowed) == (CALCULATING, UNAVAILABLE, (IDLE,))
    for again in pickle.loads(pickle.dumps(error)), copy.copy(error):
        assert (str(again), again.allowed) == (str(error), error.allowed)


def test_a_member_without_an_entry_has_no_way_out() -> None:
    class Ending(IntEnumValue[WorkerStatusEnum], transitions={"IDLE": ["UNAVAILABLE"], "CALCULATING": []}):
        pass

    for member in (UNAVAILABLE, CALCULATING):
        status = Ending(member)
        status.set(member)  # staying is always allowed
        with pytest.raises(TransitionError, match=r"from .* it goes nowhere$") as caught:
            status.set(IDLE)
        assert caught.value.allowed == ()


def test_a_lost_race_is_no_error() -> None:
    status = Guarded(IDLE)
    assert compare_and_set(status, CALCULATING, UNAVAILABLE) is False  # not there, so the pair is not asked for
    assert compare_and_exchange(status, UNAVAILABLE, CALCULATING) is IDLE
    status.set(CALCULATING)
    for function in compare_and_set, compare_and_exchange:
        with pytest.raises(TransitionError):
            function(status, CALCULATING, UNAVAILABLE)  # type: ignore[operator]
    assert status == CALCULATING


def test_a_subclass_can_declare_its_own() -> None:
    class Strict(Guarded, transitions={"IDLE": ["CALCULATING"]}):
        pass

    with pytest.raises(TransitionError):
        Strict(IDLE).set(UNAVAILABLE)
    Guarded(IDLE).set(UNAVAILABLE)


def test_a_set_of_its_own_goes_on_only_after_what_went_through() -> None:
    log: list[str] = []

    class Logged(Guarded):
        def set(self, value: WorkerStatusEnum | str) -> None:
            super().set(value)
            log.append(self.name)

    status = Logged("IDLE")
    exchange(status, "CALCULATING")
    with pytest.raises(TransitionError):
        update(status, lambda _: UNAVAILABLE)
    status.value = IDLE
    assert log == ["CALCULATING", "IDLE"]


def test_nested_writes_are_checked_against_what_is_there_by_then() -> None:
    status = Guarded(CALCULATING)

    def go_two_steps(member: WorkerStatusEnum) -> WorkerStatusEnum:
        status.set(IDLE)
        return UNAVAILABLE

    assert update(status, go_two_steps) is UNAVAILABLE
    assert [change.after for change in history(status)] == [CALCULATING, IDLE, UNAVAILABLE]


def test_flags_and_members_that_are_made_on_demand() -> None:
    class Growing(IntEnumValue[Perm], transitions={Perm.R: [Perm.R | Perm.W], Perm.R | Perm.W: [Perm.R]}):
        pass

    perm: Any = Growing(Perm.R)
    perm |= Perm.W
    perm &= Perm.R
    with pytest.raises(TransitionError):
        perm |= Perm.X
    assert perm == Perm.R

    class Typed(IntEnumValue[RecordType], transitions={"A": [RecordType(65)]}):  # type: ignore[call-arg]
        pass

    record = Typed(RecordType.A)
    record.set(RecordType(65))  # type: ignore[call-arg]
    with pytest.raises(TransitionError, match="from TYPE65 to A"):
        record.set("A")


def test_an_attribute_is_checked_and_so_is_its_copy() -> None:
    class State:
        status = IntEnumAttribute(Guarded)

        def __init__(self) -> None:
            self.status = UNAVAILABLE

    for state in (State(), copy.deepcopy(State())):
        with pytest.raises(TransitionError):
            state.status = CALCULATING
        assert state.status is UNAVAILABLE


def test_a_started_process_checks_as_well(ctx: BaseContext) -> None:
    status = Inheriting(UNAVAILABLE)
    run(ctx, refuses_to_calculate, status)
    assert status == IDLE


def refuses_to_calculate(status: Any) -> None:
    with pytest.raises(TransitionError):
        status.set(CALCULATING)
    status.set(IDLE)


if HAVE_PATHS:

    def test_by_path_a_class_without_any_is_held_to_those_of_the_file(tmp_path: Path) -> None:
        path = tmp_path / "status"
        guarded, unguarded = Guarded(UNAVAILABLE, at=path), Unguarded(at=path)
        for status in (guarded, unguarded):
            with pytest.raises(TransitionError):
                status.set(CALCULATING)
        unguarded.set(IDLE)
        assert guarded == IDLE


def walk(status: Any, seed: int) -> None:
    """Try random writes, most of which are not allowed."""
    pick = random.Random(seed)
    for _ in range(3_000):
        with suppress(TransitionError):
            write = pick.choice([status.set, lambda new: update(status, lambda _: new)])
            write(pick.choice([UNAVAILABLE, IDLE, CALCULATING]))


def test_under_load_no_other_pair_is_ever_seen(ctx: BaseContext) -> None:
    status = Guarded(IDLE)
    feed = changes(status, timeout=0)  # some are overwritten before they are read: a pair is read whole all the same
    writers = [ctx.Process(target=walk, args=(status, seed)) for seed in range(3)]
    for writer in writers:
        writer.start()
    seen: list[Any] = []
    while any(writer.is_alive() for writer in writers):
        seen += feed
        feed = changes(status, timeout=0)
    for writer in writers:
        writer.join(DEADLINE)
        assert writer.exitcode == 0
    seen += feed
    assert seen
    assert {(change.before, change.after) for change in [*seen, *history(status)]} <= PAIRS | {(None, IDLE)}


# Declarations


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no mapping": ([IDLE], TypeError, "transitions must be a mapping"),
    "an unknown name": ({"IDEL": []}, ValueError, "transitions: .* has no member named 'IDEL'; its names are"),
    "an unknown follower": ({IDLE: ["CALC"]}, ValueError, r"transitions\[IDLE\]: .* has no member named 'CALC'"),
    "another enum": (
        {FrutEnum.APPLE: []},
        TypeError,
        "transitions: expected a member of '<enum 'WorkerStatusEnum'>' or its name, not <FrutEnum.APPLE: ",
    ),
    "another enum's follower": (
        {IDLE: [FrutEnum.APPLE]},
        TypeError,
        r"transitions\[IDLE\]: expected .* <FrutEnum.APPLE: ",
    ),
    "a number": ({2: []}, TypeError, "transitions: expected a member of .* or its name, not 2$"),
    "one name": ({IDLE: "CALCULATING"}, TypeError, r"transitions\[IDLE\] must be a collection .* not 'CALCULATING'"),
    "one member": ({IDLE: CALCULATING}, TypeError, r"transitions\[IDLE\] must be a collection"),
    "twice": ({IDLE: [], "IDLE": []}, ValueError, "transitions has IDLE twice"),
}


@pytest.mark.parametrize(("declared", "error", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_declaration_is_an_error_when_the_class_is_made(declared: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):

        class Wrong(IntEnumValue[WorkerStatusEnum], transitions=declared):
            pass


def test_a_member_that_does_not_fit_is_an_error_that_names_the_entry() -> None:
    with pytest.raises(OverflowError, match=r"transitions\[\w+\]: Can not store Big member \w+ = "):

        class Wrong(IntEnumValue[Big], transitions={next(iter(Big)): [max(Big)]}):
            pass


def test_a_class_without_an_enum_has_none() -> None:
    with pytest.raises(TypeError, match="Unbound has transitions but no enum"):

        class Unbound(IntEnumValue[Any], transitions={}):
            pass


@pytest.mark.parametrize("base", [enum.Flag, enum.IntFlag])
def test_a_flag_is_one_follower_and_not_its_bits(base: Any) -> None:
    perm: Any = base("perm", {"R": 1, "W": 2, "RW": 3})
    with pytest.raises(TypeError, match=r"transitions\[R\] must be a collection of members or names, .* not <perm.*3>"):

        class Wrong(EnumValue[perm], transitions={"R": perm.RW}):
            pass


def test_a_member_that_is_a_tuple_is_one_follower() -> None:
    class Pair(tuple, enum.Enum):  # type: ignore[type-arg]
        ONE = (1, 2)
        TWO = (3, 4)

    with pytest.raises(TypeError, match=r"transitions\[ONE\] must be a collection"):

        class Wrong(EnumValue[Pair], transitions={"ONE": Pair.TWO}):
            pass


def test_the_enum_itself_stands_for_all_its_members() -> None:
    perm: Any = enum.Flag("perm", {"R": 1, "W": 2, "RW": 3})

    class Free(EnumValue[perm], transitions={"R": perm}):
        pass

    status: Any = Free("R")
    status.set("RW")
    assert status == perm.RW
    with pytest.raises(TransitionError):
        status.set("R")


# Other keywords of a class: also with the pure-Python wrapt, whose metaclass takes none


def test_a_keyword_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(TypeError, match="takes no keyword arguments"):

        class Wrong(IntEnumValue[WorkerStatusEnum], transition={}):  # type: ignore[call-arg]
            pass


def test_a_class_may_have_keywords_of_its_own() -> None:
    class Base(IntEnumValue[WorkerStatusEnum]):
        table: str

        def __init_subclass__(cls, *, table: str, **others: Any) -> None:
            super().__init_subclass__(**others)
            cls.table = table

    class Job(Base, table="jobs", transitions={"IDLE": []}):
        """A job."""

    assert (Job.table, Job.__module__, Job.__doc__) == ("jobs", __name__, "A job.")
    with pytest.raises(TransitionError):
        Job(IDLE).set(CALCULATING)


# The diagram


@pytest.mark.parametrize("name", ["DEFAULT", "class", "Style", "click", "scale", "END", "state2", "statement"])
def test_the_diagram_renames_what_mermaid_would_not_take_for_a_name(name: str) -> None:
    kind: Any = enum.Enum("kind", [name, "other"])

    class Value(EnumValue[kind], transitions={"other": [name]}):
        pass

    assert mermaid(Value).split("\n") == [
        "stateDiagram-v2",
        f'    state "{name}" as state0',
        "    other --> state0",
    ]


def test_the_diagram_shows_a_member_without_a_name() -> None:
    perm: Any = enum.Flag("perm", {"R": 1})

    class Value(EnumValue[perm], transitions={"R": [perm(0)]}):
        pass

    assert '    state "#lt;perm' in mermaid(Value)
    assert "<" not in mermaid(Value)


def test_the_diagram_has_a_line_for_each_pair() -> None:
    assert mermaid(Inheriting).split("\n") == [
        "stateDiagram-v2",
        "    UNAVAILABLE --> IDLE",
        "    IDLE --> CALCULATING",
        "    IDLE --> UNAVAILABLE",
        "    CALCULATING --> IDLE",
    ]


def test_the_diagram_names_states_without_any_way_and_combinations_of_flags() -> None:
    class Growing(IntEnumValue[Perm], transitions={Perm.R: [Perm.R, Perm.R | Perm.W]}):
        pass

    lines = mermaid(Growing).split("\n")
    combination = next(line for line in lines if " as " in line)
    assert combination.startswith('    state "')
    name = combination.rpartition(" ")[2]
    assert f"    R --> {name}" in lines
    assert {"    W", "    X"} <= set(lines)
    assert len(lines) == 5


def test_the_diagram_gives_other_names_to_the_words_of_its_language() -> None:
    kind: Any = enum.IntEnum("kind", ["start", "end"])

    class Ending(IntEnumValue[kind], transitions={"start": ["end"]}):
        pass

    assert mermaid(Ending).split("\n")[1:] == ['    state "end" as state1', "    start --> state1"]


def test_a_class_without_transitions_has_no_diagram() -> None:
    for wrong in (Unguarded, IntEnumValue, int, Guarded(IDLE), None):
        with pytest.raises(TypeError, match="expected a class made with transitions="):
            mermaid(wrong)  # type: ignore[arg-type]


def test_the_page_draws_the_diagram_of_its_class() -> None:
    page = (Path(__file__).parent.parent / "docs" / "howto" / "transitions.md").read_text("utf-8")
    (drawn,) = re.findall(r"^```mermaid\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    (printed,) = re.findall(r"^>>> print\(mermaid\(WorkerStatus\)\)\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    assert drawn == printed
