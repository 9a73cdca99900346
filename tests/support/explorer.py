"""Goes through every schedule of processes that share the words of a cell, with a kill at every step.

The idea is that of loom (Rust), jcstress (Java) and CHESS: the real functions run, but each load and store of a word,
and each look at a lock or at the life of a process, is a step of a scheduler. A function is run from its beginning
with the results of its steps so far, and stops at the next one. What it does next depends on these results only, so
each of its ways is computed once, however many schedules take it. Two schedules that lead to the same memory, the same
ghost and the same points in all processes go on as one: so all schedules are covered, and each state is visited once.

The memory is that of x86: each store is seen by all, in the order of the program. The lock is a robust one: it is free
when its holder is dead.

The ghost is what must be true, noted beside the memory: the changes in the order in which their states were stored, and
which process owns the present one.
"""

from __future__ import annotations

import enum
import types
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from multiprocessing_intenum import cell, mutator, owner
from multiprocessing_intenum.enums.members import members_of
from multiprocessing_intenum.enums.transitions import Rules
from multiprocessing_intenum.locks.holding import OwnedLock
from multiprocessing_intenum.memory import ownership, words
from multiprocessing_intenum.value import HasCell

if TYPE_CHECKING:
    import struct
    from collections.abc import Callable, Iterator


class Step(enum.IntEnum):
    """The states of the explored value."""

    FREE = 1
    BUSY = 2
    LEFT = 3
    OTHER = 4


LOAD, STORE, ACQUIRE, TRY, RELEASE, LIVES = range(6)
"""The kinds of steps."""

STATE, COUNT, SETTLED, BASE, SLEEPERS, CLAIMED = range(6)
"""The addresses of the words. The slots of claims and the ring follow."""
SLOTS = 6
_RING = SLOTS + 2 * 5
_ENTRIES = 12
_SIZE = _RING + _ENTRIES * 4


class PausedError(BaseException):
    """The function has come to a step that has no result yet."""


_INTERRUPT = object()
"""The result of a step at which a KeyboardInterrupt strikes."""


class Process(NamedTuple):
    """A process of a scenario."""

    name: str
    program: Callable[[Value], object]
    """Whatever it returns is given to the scenario's check."""
    is_killed: bool = True
    """Whether there are schedules in which it is killed. It can be killed also when its program has ended."""
    is_interrupted: bool = False
    """Whether there are schedules in which a KeyboardInterrupt strikes. Its program handles it."""


class Claim(NamedTuple):
    """What the program is about to claim, for the ghost."""

    state: int
    heir: int


class _Run:
    """One run of a program, with the results of its first steps."""

    def __init__(self, pid: int, results: list[Any]) -> None:
        self.pid, self.results, self.position = pid, results, 0
        self.op: tuple[Any, ...] | None = None
        self.depth = 0
        self.token = 0
        self.claims: Claim | None = None

    def do(self, kind: int, address: int = -1, value: float = 0) -> Any:
        if self.op is None and self.position < len(self.results):
            result = self.results[self.position]
            self.position += 1
            if result is _INTERRUPT:
                raise KeyboardInterrupt
            return result
        if self.op is None:  # else it only unwinds
            self.op = (kind, address, value, self.claims)
        raise PausedError


_run = _Run(0, [])


class _Word:
    __slots__ = ("_address",)

    def __init__(self, address: int) -> None:
        self._address = address

    def __getitem__(self, _: tuple[()]) -> Any:
        return _run.do(LOAD, self._address)

    def __setitem__(self, _: tuple[()], value: int) -> None:
        _run.do(STORE, self._address, value)


class _Struct:
    """Stores and loads the fields one by one, as the struct module does."""

    def __init__(self, real: struct.Struct, first: int, before: int) -> None:
        self.size, self._first, self._before = real.size, first, before
        self._fields = len(real.unpack(bytes(real.size)))

    def _addresses(self, at: int) -> range:
        start = self._first + (at - self._before) // self.size * self._fields
        return range(start, start + self._fields)

    def pack_into(self, _: object, at: int, *values: float) -> None:
        for address, value in zip(self._addresses(at), values, strict=True):
            _run.do(STORE, address, value)

    def unpack_from(self, _: object, at: int) -> tuple[Any, ...]:
        return tuple(_run.do(LOAD, address) for address in self._addresses(at))


class _Claims:
    """The bytes of a claim, of which the library makes a word where it needs one."""

    def __init__(self, at: int = 0) -> None:
        self._at = at

    def __getitem__(self, part: slice) -> _Claims:
        return _Claims(part.start)

    def __setitem__(self, part: slice, zeros: bytes) -> None:
        assert not any(zeros)
        for address in [CLAIMED, *range(SLOTS, _RING)]:
            _run.do(STORE, address, 0)

    def cast(self, *_: object) -> _Word:
        return _Word(SLOTS + (self._at - 8) // 40 * 5)


class _Words(words.Words):
    __slots__ = ()

    def __init__(self, block: Any) -> None:
        super().__init__(block)
        self.state, self.count, self.settled, self.base, _, self.claimed = map(_Word, range(6))  # type: ignore[assignment]
        self.claims = _Claims()  # type: ignore[assignment]
        self.sleepers = types.SimpleNamespace(flags=bytes(33))  # type: ignore[assignment]


class _Owners:
    """As `locks.owners.Owners`. The scheduler knows which processes live; the token of a process is 1000 + its id."""

    @property
    def token(self) -> int:
        return _run.token

    def choose(self) -> int:
        _run.token = 1000 + _run.pid
        return _run.token

    def lives(self, token: int) -> bool:
        return bool(_run.do(LIVES, token - 1000))


class _Lock(OwnedLock):
    __slots__ = ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if not (_run.depth or _run.do(TRY if timeout == 0 else ACQUIRE)):
            return False
        _run.depth += 1
        return True

    def release(self) -> None:
        if _run.depth == 1:
            _run.do(RELEASE)
        _run.depth -= 1

    def _is_mine(self) -> bool:
        return _run.depth > 0


class Value(HasCell[Step]):
    """The shared value, with the functions of the library, which the programs call."""

    set = mutator.set_member

    def __init__(self) -> None:
        self._self_cell: Any = cell.Cell(members_of(Step), bytearray(words.SIZE), _Lock(), Rules(None, None))
        self._self_view = self._self_cell.view

    @property
    def words(self) -> words.Words:
        found: words.Words = self._self_cell.words
        return found

    @contextmanager
    def claiming(self, state: Step, heir: Step) -> Iterator[None]:
        """Tell the ghost that a change to this state, from here on, is one that this process owns."""
        run = _run
        run.claims = Claim(state, heir)
        try:
            yield
        finally:
            run.claims = None

    def compare_and_set(self, expected: Step, new: Step, heir: Step) -> bool:
        with self.claiming(new, heir):
            return mutator.compare_and_set(self, expected, new, on_death=heir)

    def exchange(self, new: Step, heir: Step) -> Step:
        with self.claiming(new, heir):
            return mutator.exchange(self, new, on_death=heir)

    def adopt(self, heir: Step) -> Step:
        with self.claiming(Step.FREE, heir):
            return owner.adopt(self, on_death=heir)

    def look_after_owner(self) -> None:
        """What each waiter does."""
        self._self_cell.look_after_owner()

    def history(self) -> list[tuple[int | None, int, int, int]]:
        """Return what a reader finds: of each change the states before and after it, its number and process."""
        return [(each.before, each.after, each.number, each.pid) for each in self.words.changes_since(-1).entries]


class Changed(NamedTuple):
    """A change, as the ghost has it."""

    state: int
    pid: int
    by: int
    """The process that has stored it. It is another one than `pid` if the owner has died."""


class Ghost(NamedTuple):
    """What is true."""

    changes: tuple[Changed, ...]
    owner: tuple[int, int] | None
    """The process that owns the present state, and what follows if it ends."""


class _Node:
    """A point in a program: what it does next, after which results."""

    __slots__ = ("after", "before", "ended", "op", "result", "value")

    def __init__(self, before: _Node | None, result: Any) -> None:
        self.before, self.result = before, result
        self.after: dict[Any, _Node] = {}
        self.op: Any = None
        self.ended, self.value = False, None

    def results(self) -> list[Any]:
        found: list[Any] = []
        node: _Node | None = self
        while node is not None and node.before is not None:
            found.append(node.result)
            node = node.before
        found.reverse()
        return found


_DEAD = _Node(None, None)


class State(NamedTuple):
    """Where the processes are, and what is in the memory."""

    memory: int
    """The index of what is in the memory."""
    holder: int
    """The process that holds the lock, or -1."""
    lives: int
    """The processes that live, as bits."""
    nodes: tuple[_Node, ...]
    kills: int
    """How many kills may still follow."""
    interrupts: int
    ghost: Ghost
    last: int
    """The process that did the last step, or -1 where switching costs nothing."""
    switches: int
    """How many more processes may be stopped while they could go on."""


class Found(NamedTuple):
    """What an exploration has covered."""

    states: int
    steps: int
    schedules: int


class ViolationError(AssertionError):
    """A schedule leads to what must not be. The text has the schedule."""


class Explorer:
    """Explores the schedules of some processes.

    Args:
        first: programs that run before, one after the other, each in the process of the same name if there is one.
        processes: the processes.
        kills: how many processes may be killed in one schedule.
        interrupts: how many KeyboardInterrupts may strike in one schedule.
        switches: how often a process may be stopped while it could go on; None: as often as you like.
        check: given a process's name, the value that its program has returned, and the ghost, raises AssertionError.
    """

    def __init__(
        self,
        processes: list[Process],
        *,
        first: list[tuple[str, Callable[[Value], object]]] | None = None,
        kills: int = 1,
        interrupts: int = 0,
        switches: int | None = None,
        check: Callable[[str, Any, Ghost], object] = lambda name, value, ghost: None,
    ) -> None:
        self._processes, self._kills, self._interrupts, self._switches = processes, kills, interrupts, switches
        self._first, self._check = first or [], check
        self._names = [each.name for each in processes]
        self._memories: list[tuple[Any, ...]] = []
        self._ids: dict[tuple[Any, ...], int] = {}
        self._judged: set[tuple[int, int, Ghost]] = set()

    def explore(self) -> Found:
        """Go through all schedules. Raise ViolationError at the first one that leads to what must not be."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cell, "Words", _Words)
            patch.setattr(cell, "_owners_in_memory", lambda _: _Owners())
            patch.setattr(cell, "os", types.SimpleNamespace(getpid=lambda: _run.pid, name="posix"))
            patch.setattr(words, "_ENTRY", _Struct(words._ENTRY, _RING, words._RING))
            patch.setattr(ownership, "_SLOT", _Struct(ownership._SLOT, SLOTS, 8))
            patch.setattr(words, "_NEEDS_FENCE", False)
            for module in words, ownership:
                patch.setattr(module, "time", types.SimpleNamespace(time=lambda: 1.0))
            patch.setattr(words, "_pid", 0)
            self._value = Value()
            return self._explore()

    def _explore(self) -> Found:
        memory: tuple[Any, ...] = (0,) * _SIZE
        ghost = Ghost((Changed(Step.FREE, 0, 0),), None)
        count = len(self._processes)
        everyone = (1 << count) - 1
        memory, _, _ = self._alone(lambda value: value.words.begin(Step.FREE, pid=0), 0, memory, ghost, everyone)
        for name, program in self._first:
            memory, ghost, _ = self._alone(program, self._names.index(name) + 1, memory, ghost, everyone)
        nodes = tuple(self._begin(index) for index in range(count))
        switches = -1 if self._switches is None else self._switches
        start = State(self._id(memory), -1, everyone, nodes, self._kills, self._interrupts, ghost, -1, switches)
        self._path: list[str] = []
        done: dict[State, int] = {}
        steps = 0
        # A stack of: the state, what is still to be tried, and the schedules found below it so far.
        stack: list[list[Any]] = [[start, self._next(start), 0]]
        while stack:
            top = stack[-1]
            for label, state in top[1]:
                steps += 1
                known = done.get(state)
                if known is None:
                    self._path.append(label)
                    stack.append([state, self._next(state), 0])
                    break
                top[2] += known
            else:
                stack.pop()
                done[top[0]] = top[2] or 1
                if stack:
                    stack[-1][2] += top[2] or 1
                    self._path.pop()
        return Found(len(done), steps, done[start])

    def _id(self, memory: tuple[Any, ...]) -> int:
        found = self._ids.setdefault(memory, len(self._memories))
        if found == len(self._memories):
            self._memories.append(memory)
        return found

    def _begin(self, index: int) -> _Node:
        node = _Node(None, None)
        self._compute(node, [], index + 1, self._processes[index].program)
        return node

    def _compute(self, node: _Node, results: list[Any], pid: int, program: Callable[[Value], object]) -> None:
        """Run a program up to this point, to see what it does next."""
        global _run
        _run = _Run(pid, results)
        self._value.words.looked = -1
        words._pid = pid
        if self._first and any(self._names.index(name) + 1 == pid for name, _ in self._first):
            _run.token = 1000 + pid
        try:
            node.value = program(self._value)
        except PausedError:
            node.op = _run.op
            return
        except ValueError as error:  # the words make no sense
            self._fail(f"{self._names[pid - 1]} got {error!r}")
        if _run.op is not None:
            self._fail("a step was swallowed")
        node.ended = True

    def _after(self, node: _Node, result: Any, index: int) -> _Node:
        found = node.after.get(result)
        if found is None:
            found = node.after[result] = _Node(node, result)
            self._compute(found, found.results(), index + 1, self._processes[index].program)
        return found

    def _fail(self, why: str) -> None:
        raise ViolationError(why + "\n" + "\n".join(getattr(self, "_path", [])))

    def _alone(
        self, program: Callable[[Value], object], pid: int, memory: tuple[Any, ...], ghost: Ghost, lives: int
    ) -> tuple[tuple[Any, ...], Ghost, Any]:
        """Run a program from its beginning to its end while nobody else does anything."""
        results: list[Any] = []
        while True:
            node = _Node(None, None)
            self._compute(node, results, pid, program)
            if node.ended:
                return memory, ghost, node.value
            kind, address, value, claims = node.op
            result: Any = None
            if kind == LOAD:
                result = memory[address]
            elif kind == STORE:
                memory, ghost = self._stored(memory, ghost, address, value, claims, pid, lives)
            elif kind == LIVES:
                result = bool(lives >> (address - 1) & 1)
            else:
                result = True
            results.append(result)

    def _next(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield what can follow, with what is done."""
        is_over = True
        processes = self._processes
        switches = state.switches
        for index, node in enumerate(state.nodes):
            if node.op is None:
                continue
            is_over = False
            cost = 0
            if switches >= 0 and state.last not in (-1, index) and self._can_go_on(state, state.last):
                if not switches:
                    continue
                cost = 1
            found = self._step(state, index, node)
            if found is not None:
                yield found[0], found[1]._replace(last=index if switches >= 0 else -1, switches=switches - cost)
                if state.interrupts and processes[index].is_interrupted:
                    after = self._with_node(state, index, self._after(node, _INTERRUPT, index))
                    yield f"{self._names[index]}: KeyboardInterrupt", after._replace(interrupts=state.interrupts - 1)
        if is_over:
            self._judge(state)
        if state.kills:
            for index, process in enumerate(processes):
                if process.is_killed and state.lives >> index & 1:
                    nodes = (*state.nodes[:index], _DEAD, *state.nodes[index + 1 :])
                    holder = -1 if state.holder == index else state.holder
                    lives = state.lives & ~(1 << index)
                    yield (
                        f"{process.name}: killed",
                        state._replace(nodes=nodes, holder=holder, lives=lives, kills=state.kills - 1, last=-1),
                    )

    def _can_go_on(self, state: State, index: int) -> bool:
        op = state.nodes[index].op
        return op is not None and not (op[0] == ACQUIRE and state.holder != -1)

    def _with_node(self, state: State, index: int, node: _Node) -> State:
        after = state._replace(nodes=(*state.nodes[:index], node, *state.nodes[index + 1 :]))
        if node.ended:
            try:
                self._check(self._names[index], node.value, after.ghost)
            except AssertionError as error:
                self._fail(f"{self._names[index]} returned {node.value}, {after.ghost}: {error}")
        return after

    def _step(self, state: State, index: int, node: _Node) -> tuple[str, State] | None:
        kind, address, value, claims = node.op
        holder, result = state.holder, None
        if kind == LOAD:
            result = self._memories[state.memory][address]
            label = f"loads {address}: {result}"
        elif kind == STORE:
            memory, ghost = self._stored(
                self._memories[state.memory], state.ghost, address, value, claims, index + 1, state.lives
            )
            state = state._replace(memory=self._id(memory), ghost=ghost)
            label = f"stores {address}: {value}"
        elif kind == ACQUIRE:
            if holder != -1:
                return None
            holder, result, label = index, True, "acquires"
        elif kind == TRY:
            result = holder == -1
            holder, label = index if result else holder, f"tries to acquire: {result}"
        elif kind == RELEASE:
            if holder != index:
                self._fail(f"{self._names[index]} releases what it does not hold")
            holder, label = -1, "releases"
        else:
            result = bool(state.lives >> (address - 1) & 1)
            label = f"sees that {address} lives: {result}"
        after = self._with_node(state._replace(holder=holder), index, self._after(node, result, index))
        return f"{self._names[index]}: {label}", after

    def _stored(
        self,
        memory: tuple[Any, ...],
        ghost: Ghost,
        address: int,
        value: Any,
        claims: Claim | None,
        pid: int,
        lives: int,
    ) -> tuple[tuple[Any, ...], Ghost]:
        memory = (*memory[:address], value, *memory[address + 1 :])
        if address == STATE and pid:
            ghost = self._changed(memory, ghost, value, claims, pid, lives)
        elif address == CLAIMED or address in (SLOTS, SLOTS + 5):
            ghost = self._claimed(memory, ghost)
        return memory, ghost

    def _changed(
        self, memory: tuple[Any, ...], ghost: Ghost, value: int, claims: Claim | None, pid: int, lives: int
    ) -> Ghost:
        number = memory[COUNT] + 1
        at = _RING + number % _ENTRIES * 4
        state, _, entry_number, entry_pid = memory[at : at + 4]
        if (state, entry_number) != (value, number):
            self._fail(f"the state {value} is stored, but the entry of the change {number} is not whole")
        if ghost.changes[-1].state == value:
            self._fail(f"a change that is none, to {value}")
        owns = None
        if entry_pid != pid:
            if ghost.owner != (entry_pid, value):
                self._fail(f"the death of {entry_pid} leads to {value}, but the owner and its heir are {ghost.owner}")
            if lives >> (entry_pid - 1) & 1:
                self._fail(f"the state is taken from {entry_pid}, which lives")
        elif claims is not None and claims.state == value != claims.heir:
            owns = pid, claims.heir
        return Ghost((*ghost.changes, Changed(value, entry_pid, pid)), owns)

    def _claimed(self, memory: tuple[Any, ...], ghost: Ghost) -> Ghost:
        """By one of these stores the state is adopted. Nobody forgets who owns it."""
        value = memory[CLAIMED]
        if not value:
            if ghost.owner is not None:
                self._fail(f"{ghost.owner} owns the state, but nobody knows any more")
            return ghost
        at = SLOTS + (value & 1) * 5
        count, state, heir, pid, _ = memory[at : at + 5]
        if count - 1 == memory[COUNT] and state == memory[STATE] and memory[SETTLED] == state:
            return ghost._replace(owner=None if heir == state else (pid, heir))  # to stay is no change
        return ghost

    def _judge(self, state: State) -> None:
        """All have ended or are dead. Look as the next process does, and compare what it finds with what is true."""
        key = state.memory, state.lives, state.ghost
        if key in self._judged:
            return
        self._judged.add(key)
        if state.holder != -1:
            self._fail("the lock is left held")
        pid = len(self._processes) + 1

        def look(value: Value) -> object:
            return owner.reap(value), value.history(), value.words.state[()]

        self._names.append("the judge")
        _, ghost, (member, found, now) = self._alone(
            look, pid, self._memories[state.memory], state.ghost, state.lives | 1 << (pid - 1)
        )
        self._names.pop()
        if ghost.owner is not None and not state.lives >> (ghost.owner[0] - 1) & 1:
            self._fail(f"the state {now} is left behind by {ghost.owner}")
        if not member == now == ghost.changes[-1].state:
            self._fail(f"reap returned {member}, the state is {now}, {ghost}")
        try:
            is_history(found, ghost)
        except AssertionError as error:
            self._fail(f"{found}, {ghost}: {error}")
        if len(found) != len(ghost.changes):
            self._fail(f"not the whole history: {found}, {ghost}")


def is_history(found: list[tuple[int | None, int, int, int]], ghost: Ghost) -> None:
    """Raise AssertionError unless these changes are the true ones, without a gap."""
    true = ghost.changes
    numbers = [number for _, _, number, _ in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a change is missing or told twice"
    assert numbers[-1] < len(true), "a change that nobody made"
    for before, after, number, pid in found:
        assert (after, pid) == (true[number].state, true[number].pid), f"the change {number} is another one"
        assert before == (true[number - 1].state if number else None), f"the change {number} has a wrong before"


def is_exchanged(before: int, after: int, pid: int, ghost: Ghost) -> None:
    """Raise AssertionError unless a process has made a change from one state directly to the other."""
    pairs = pairwise(ghost.changes)
    made = [(one.state, two.state) for one, two in pairs if two.pid == two.by == pid]
    assert (before, after) in made, f"{before} -> {after} is not what it has changed: {made}"
