"""The words' protocol, explored: all schedules of processes that claim, write, reap and read, with a kill at any step.

python tests/test_owner_protocol.py    # without a bound on how often a process is stopped: much longer
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent / "support"))

from explorer import Explorer, Found, Ghost, Process, Step, Value, ViolationError, is_exchanged, is_history

from multiprocessing_intenum import cell as cells
from multiprocessing_intenum import mutator, owner
from multiprocessing_intenum.cell import Cell
from multiprocessing_intenum.memory import ownership, words

if TYPE_CHECKING:
    from collections.abc import Callable

FREE, BUSY, LEFT, OTHER = Step


# The programs


def claims(value: Value) -> object:
    return value.compare_and_set(FREE, BUSY, LEFT)


def claims_again(value: Value) -> object:
    """Own the state that another process has claimed, or has left."""
    return value.exchange(OTHER, FREE)


def adopts(value: Value) -> object:
    return value.adopt(OTHER)


def adopts_twice(value: Value) -> object:
    return value.adopt(OTHER), value.adopt(LEFT)


def writes(value: Value) -> object:
    return mutator.exchange(value, OTHER)


def sets(value: Value) -> None:
    value.set(OTHER)


def updates(value: Value) -> object:
    return mutator.update(value, lambda member: Step(member % 4 + 1))


def reaps(value: Value) -> object:
    return owner.reap(value)


def waits(value: Value) -> None:
    value.look_after_owner()


def reads(value: Value) -> object:
    return value.history()


def is_idle(value: Value) -> None:
    """It has claimed before, and lives on until it is killed."""


def is_interrupted(value: Value) -> object:
    """Claim, and after an interrupt only write."""
    try:
        return value.exchange(OTHER, FREE)
    except KeyboardInterrupt:
        value.set(OTHER)
        return None


def check(name: str, value: Any, ghost: Ghost) -> None:
    pid = int(name[0])
    if name.endswith("reads"):
        is_history(value, ghost)
    elif name.endswith("claims") and value:
        is_exchanged(FREE, BUSY, pid, ghost)
    elif name.endswith(("writes", "claims again")) and value != OTHER:
        is_exchanged(value, OTHER, pid, ghost)
    elif name.endswith("updates"):
        is_exchanged((value - 2) % 4 + 1, value, pid, ghost)


class Scenario(NamedTuple):
    """Some processes, and how often they are killed and stopped."""

    programs: tuple[Callable[[Value], object], ...]
    kills: int
    interrupts: int = 0
    switches: int | None = None
    """The bound in the suite; None: none. The script has none."""

    def explore(self, *, is_bounded: bool) -> Found:
        processes = [
            Process(
                f"{index} {program.__name__.replace('_', ' ')}",
                program,
                is_killed=program is not reads,
                is_interrupted=program is is_interrupted,
            )
            for index, program in enumerate(self.programs, 1)
        ]
        return Explorer(
            processes,
            first=[(processes[0].name, claims)] if self.programs[0] is is_idle else [],
            kills=self.kills,
            interrupts=self.interrupts,
            switches=self.switches if is_bounded else None,
            check=check,
        ).explore()


SCENARIOS = {
    "a claim, a write, a look": Scenario((claims, writes, reaps), kills=3),
    "a claim, a write, a look, a reader": Scenario((claims, writes, reaps, reads), kills=1, switches=1),
    "a claim, a set": Scenario((claims, sets, waits), kills=3),
    "two claims, a look": Scenario((claims, claims_again, reaps), kills=2, switches=1),
    "an owner, a claim, a set": Scenario((is_idle, claims_again, sets), kills=2),
    "an owner, a claim, an update": Scenario((is_idle, claims_again, updates), kills=2),
    "an owner, an adoption, a look, a reader": Scenario((is_idle, adopts, waits, reads), kills=2, switches=1),
    "an owner, an adoption, a claim": Scenario((is_idle, adopts, claims_again), kills=3),
    "an owner, adoptions in circles": Scenario((is_idle, adopts_twice, adopts, reaps), kills=1, switches=1),
    "an owner, an interrupted claim": Scenario((is_idle, is_interrupted), kills=2, interrupts=1),
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_in_every_schedule_all_changes_are_told_once_and_owners_keep_their_states_until_they_die(
    scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scenario.explore(is_bounded=True)
    with capsys.disabled():
        print(f" {found.states:,} states, {found.schedules:.1e} schedules", end=" ")
    assert found.schedules > found.states > 1000


# Protocols that are wrong: the exploration must see each


def claim_in_one_slot(patch: pytest.MonkeyPatch) -> None:
    """The slot of the owner before is overwritten while it still owns the state."""

    def claim(words: Any, owner: Any) -> None:
        ownership._fill(words, 0, owner)
        words.claimed[()] = ownership._CLAIMED

    patch.setattr(ownership, "claim", claim)


def claim_after_the_change(patch: pytest.MonkeyPatch) -> None:
    """A process that is killed in between leaves the state behind."""

    def claim(self: Any, write: Any, member: Any, on_death: Any, *, from_others: bool) -> bool:
        write(member)
        number_of = self.members.number_of
        token = self.words.owners.choose()
        pid = cells.os.getpid()
        ownership.claim(
            self.words,
            ownership.Owner(self.words.count[()], number_of(member), number_of(on_death), pid, token),
        )
        return True

    patch.setattr(cells.Cell, "claim", claim)


def count_of_the_slot_first(patch: pytest.MonkeyPatch) -> None:
    """A slot is valid while it is being filled."""

    def fill(words: Any, slot: int, owner: Any) -> None:
        values = (0, 0, 0, 0, 0) if owner is None else (owner.since + 1, *owner[1:])
        ownership._SLOT.pack_into(words.claims, 8 + slot * ownership._SLOT.size, *values)

    patch.setattr(ownership, "_fill", fill)


def half_claims_stay(patch: pytest.MonkeyPatch) -> None:
    """The claim of a killed process becomes valid with a change that another process makes."""
    real = ownership._fill
    patch.setattr(ownership, "_fill", lambda words, slot, owner: owner is not None and real(words, slot, owner))


def no_settling(patch: pytest.MonkeyPatch) -> None:
    """The change of a process that was killed before it counted it is not seen as its claim."""
    real = words.Words.settle

    def settle(self: Any) -> None:
        if not self.claimed[()]:
            real(self)

    patch.setattr(words.Words, "settle", settle)


def deaths_come_between(patch: pytest.MonkeyPatch) -> None:
    """The owner's death comes between the look of a write and the write."""
    patch.setattr(cells.Cell, "decided", lambda self, write, member: write(member))


def no_withdrawal(patch: pytest.MonkeyPatch) -> None:
    """After an interrupt, a plain write of the same member completes the claim."""
    real = ownership.attend

    def attend(words: Any, after: int | None = None) -> None:
        if sys.exc_info()[0] is not KeyboardInterrupt:
            real(words, after)

    patch.setattr(ownership, "attend", attend)


def blind_look(patch: pytest.MonkeyPatch) -> None:
    """A look without the lock does not see that a claimer was killed before it counted its change."""

    def is_left(words: Any) -> bool:
        present = ownership.owner_of(words)
        return present is not None and not words.owners.lives(present[1].token)

    patch.setattr(ownership, "is_left", is_left)


def look_without_the_lock(patch: pytest.MonkeyPatch) -> None:
    """Two processes let the state of a dead owner go on."""
    patch.setattr(Cell, "reap", lambda cell, timeout: ownership.is_left(cell.words) and cell.attend())


def everybody_is_dead(patch: pytest.MonkeyPatch) -> None:
    class Dead:
        def __init__(self, real: Any) -> None:
            self.token = real.token
            self.choose = real.choose

        def lives(self, token: int) -> bool:
            return False

    patch.setattr(words.Words, "owners", property(lambda self: Dead(self.find_owners(self))))


WRONG: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (claim_in_one_slot, "an owner, an adoption, a claim"),
    (claim_after_the_change, "a claim, a write, a look"),
    (count_of_the_slot_first, "an owner, an adoption, a claim"),
    (half_claims_stay, "an owner, a claim, a set"),
    (no_settling, "a claim, a write, a look"),
    (deaths_come_between, "a claim, a write, a look"),
    (no_withdrawal, "an owner, an interrupted claim"),
    (blind_look, "a claim, a write, a look"),
    (look_without_the_lock, "a claim, a write, a look"),
    (everybody_is_dead, "a claim, a write, a look"),
]


@pytest.mark.parametrize(("wrong", "name"), WRONG, ids=[wrong.__name__ for wrong, _ in WRONG])
def test_the_exploration_sees_what_is_wrong_with_a_broken_protocol(
    wrong: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    with pytest.raises(ViolationError):
        SCENARIOS[name].explore(is_bounded=True)


def main() -> None:
    for name, scenario in SCENARIOS.items():
        started = time.monotonic()
        found = scenario.explore(is_bounded=False)
        bound = f"{scenario.kills} kills, {scenario.interrupts} interrupts"
        print(
            f"{name}: {bound}: {found.states:,} states, {found.steps:,} steps, {found.schedules:,} schedules, "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
