"""The command line: get, show, watch, wait for and set a value by path, with no code of the application imported."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

from multiprocessing_intenum import change, core, mutator, owner, waiting
from multiprocessing_intenum.by_path import users
from multiprocessing_intenum.by_path.cell import FileCell, open_enum
from multiprocessing_intenum.by_path.contents import description_of
from multiprocessing_intenum.by_path.file_lock import FileLock
from multiprocessing_intenum.by_path.life import while_nobody_begins
from multiprocessing_intenum.by_path.mirror import Mirror
from multiprocessing_intenum.by_path.shared_file import SharedFile
from multiprocessing_intenum.enums.members import Members, members_of
from multiprocessing_intenum.enums.rebuilt import Flags, enum_of
from multiprocessing_intenum.enums.schema import (
    ValueByText,
    description_of_enum,
    is_enum,
    literal_of,
    printable,
    what_is_in,
)
from multiprocessing_intenum.enums.transitions import Rules, TransitionError
from multiprocessing_intenum.locks.holding import seconds
from multiprocessing_intenum.memory.ownership import is_left
from multiprocessing_intenum.proxy import EnumValue, value_on
from multiprocessing_intenum.value import snapshot

__all__ = ["main"]

_LOOK_AT_THE_NAME = 1.0
"""`watch` and `wait` look after this many seconds, or earlier, whether the path now names another file."""


class _NotMetError(Exception):
    """The state was not the expected one, or the time is over: exit code 1."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


def _timeout(text: str) -> float | None:
    try:
        return seconds(float(text))
    except ValueError:
        message = f"expected seconds, such as 2.5, not {text!r}"
        raise argparse.ArgumentTypeError(message) from None


_EXIT_CODES = """\
exit codes:
  0    done: the state is printed, was met, or was set
  1    wait: the state was not met in time. set: it was not the expected one, may not be followed by this one, or the
       lock was not free in time. A health check takes it for "unhealthy"
  2    there is no value, it can not be read or written, or an argument is wrong
  130  Ctrl-C; watch: 0
"""


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # it takes 20 ms to load

        print(f"multiprocessing_intenum {version('multiprocessing-intenum')} ({core.kind})")
        parser.exit()


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description="Look at a shared enum value by its path, or change it.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and whether it has the C core")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        found.add_argument("path", metavar="PATH", help="the file that the application gives as at=")
        return found

    command("get", "print the name of the state")
    show = command("show", "print the state, since when it holds, which ones may follow, and the last changes")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    watch = command("watch", "print a line for each change from now on, until Ctrl-C")
    watch.add_argument("--json", action="store_true", help="one JSON object a line, with the time in UTC")
    wait = command("wait", "wait for the file, until its state is one of these; exit code 1 if it is not in time")
    wait.add_argument("names", metavar="NAME", nargs="+", help="a member of the enum")
    wait.add_argument("--used", action="store_true", help="only while a process uses the value, for a readiness probe")
    new = command("set", "set the state; exit code 1 if it may not be, or the lock was not free in time")
    new.add_argument("name", metavar="NAME", help="the member to set; for flags also A|B")
    new.add_argument("--expect", metavar="NAME", help="only if this is the state now")
    new.add_argument("--force", action="store_true", help="also if the application does not allow this transition")
    for each, what in ((wait, "state"), (new, "lock")):
        each.add_argument("--timeout", metavar="S", type=_timeout, help=f"seconds to wait for the {what}")
    return parser


class _ForcedCell(FileCell[Any]):
    """A cell whose writes no transitions refuse."""

    __slots__ = ()

    def _writer(self) -> Callable[[Any], None]:
        return self._guarded(self.words.writer(self.members.number_of))


def _open(path: str, *, write: bool = False, force: bool = False) -> tuple[EnumValue[Any], FileLock]:
    """Open the value of a file. This process does not count as a user of it, even if it writes."""
    # The path was given by hand, so the owner of the file does not matter: the system decides who may open it.
    file = SharedFile(path, readonly=not write, keep=True, mode=0o666)
    description = description_of(file)
    if not is_enum(description):
        message = f"{path!r} holds {what_is_in(description)}, not the state of an enum"
        raise ValueError(message)
    if write and "record" in description:
        message = (
            f"{path!r} mirrors the record {description['record']!r} of a database, which decides on all writes: write "
            "in a Python program, with at=PostgresRecord(...)"
        )
        raise ValueError(message)
    members: Members[Any] = members_of(enum_of(description))
    opened = open_enum(file, members, None, None, is_user=False)
    return _value(members, file, opened, _ForcedCell if force else FileCell[Any]), opened


def _value(
    members: Members[Any], file: SharedFile, opened: FileLock, cell: type[FileCell[Any]] = FileCell[Any]
) -> EnumValue[Any]:
    cls: Any = EnumValue
    return value_on(cls[members.enum_type], cell(members, file, opened, opened, Rules()))


def _cell_of(status: EnumValue[Any]) -> FileCell[Any]:
    cell = status._self_cell
    assert isinstance(cell, FileCell)
    return cell


def _name(member: Any) -> str | None:
    if member is None:
        return None
    if sys.version_info < (3, 11) and member._name_ is None:  # a combination of flags
        kind: Any = member.__class__
        names = [str(name) for name, each in kind.__members__.items() if each and each & member == each]
        return "|".join(names) or str(int(member))
    return str(member._name_)


def _member(status: EnumValue[Any], name: str) -> Any:
    members = status.EnumType.__members__
    names = name.split("|") if issubclass(status.EnumType, Flags) else [name]
    unknown = [each for each in names if each not in members]
    if unknown:
        message = f"no member is named {unknown[0]!r}; the names are {', '.join(members)}"
        raise ValueError(message)
    found = members[names[0]]
    for each in names[1:]:
        found |= members[each]
    return found


def _json_of(member: Any) -> Any:
    """Return the value as JSON can show it."""
    value = member.value
    if not isinstance(value, ValueByText):
        return value
    with suppress(ValueError):
        literal = literal_of(value.text)
        if isinstance(literal, (str, int, float, type(None))):
            return literal
    return value.text


def _text(member: Any) -> str:
    """Return the name of a member for a terminal."""
    return printable(str(_name(member)))


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _named(each: change.Change[Any]) -> dict[str, Any]:
    """Return a change as JSON can show it."""
    return {**each._asdict(), "before": _name(each.before), "after": _name(each.after), "at": each.at.isoformat()}


def _line(each: change.Change[Any], zone: str = "") -> str:
    before = "?" if each.before is None else _text(each.before)  # changes before it are missing
    what = f"made {_text(each.after)}" if each.number == 0 else f"{before} -> {_text(each.after)}"
    return f"{_moment(each.at)}{zone}  {what}  pid {each.pid}"


def _bold(text: str) -> str:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    return f"\033[1m{text}\033[0m" if is_terminal and not os.environ.get("NO_COLOR") else text  # see no-color.org


def _reap(status: EnumValue[Any], path: str) -> None:
    """If the owner of the state has ended, let the state become what it has asked for, if this user may write."""
    if status._self_cell.claimed[()] and is_left(status._self_cell.words):
        with suppress(OSError, ValueError):
            writable, opened = _open(path, write=True)
            while_nobody_begins(opened, lambda: owner.reap(writable, 0), time.monotonic())


def _owner_in(cell: FileCell[Any], mirror: Mirror) -> tuple[int, bool, Any] | None:
    """Return what `Cell.owner` does, also of a mirror."""
    if not mirror.is_one:
        return cell.owner()
    found = mirror.owner()
    return None if found is None else (*found[:2], cell.member(found[2]))


def _show(options: argparse.Namespace) -> None:
    status, opened = _open(options.path)
    _reap(status, options.path)
    last_changes = change.history(status)
    last, is_used, mirror = last_changes[-1], opened.is_used(), Mirror(opened.body)
    age = mirror.age()
    cell = _cell_of(status)
    transitions = cell.described.transitions()
    followers = [] if transitions is None else transitions.followers(cell.members.number_of(last.after))
    allowed = None if transitions is None else [_name(each) for each in followers]
    owned = _owner_in(cell, mirror)
    if options.json:
        found = {
            "path": os.path.abspath(options.path),
            "enum": status.EnumType.__name__,
            "state": _name(last.after),
            "value": _json_of(last.after),
            "since": last.at.isoformat(),
            "pid": last.pid,
            "used": is_used,
            "allowed": allowed,
            "owner": owned and {"pid": owned[0], "lives": owned[1], "on_death": _name(owned[2])},
            "changes": [_named(each) for each in last_changes],
        }
        if mirror.is_one:
            found["confirmed"] = None if age == math.inf else age
        print(json.dumps(found))
        return
    writer = f"process {last.pid}" if last.pid else "an unknown process"
    print(f"{_bold(_text(last.after))} since {_moment(last.at)}, set by {writer}")
    if mirror.is_one:
        confirmed = "not confirmed since this machine was started" if age == math.inf else f"confirmed {age:.1f} s ago"
        print(f"{'in use' if is_used else 'no process uses it'}; the mirror of a record, {confirmed}")
    else:
        print("in use" if is_used else "no process uses it: the next one begins it anew, unless it is kept")
    if owned is not None:
        pid, lives, heir = owned
        print(f"owned by process {pid}, which {'lives' if lives else 'has ended'}; {_text(heir)} follows its end")
    if allowed is not None:
        print(f"it may go to {' or '.join(map(_text, followers)) or 'no other'}")
    print(f"the last changes of {printable(status.EnumType.__name__)}:")
    for each in last_changes:
        print(f"  {_line(each)}")


def _get(options: argparse.Namespace) -> None:
    print(_text(snapshot(_open(options.path)[0])))


def _watch(options: argparse.Namespace) -> None:
    status, opened = _open(options.path)
    feed = change.Feed(_cell_of(status))
    while True:
        sleeper = waiting.Sleeper(feed.cell.words)
        while True:
            is_named = opened.is_named()  # asked first, so that no change is left in a file that has lost its name
            entry = feed.entry()
            if entry is not None:
                status = _as_described(status)
                each = change.change_of(_cell_of(status), entry)
                zone = f"{each.at.astimezone():%z}"
                print(json.dumps(_named(each)) if options.json else _line(each, zone), flush=True)
            elif is_named:
                _reap(status, options.path)
                sleeper.sleep(feed.count, _LOOK_AT_THE_NAME)
            else:
                break
        status, opened = _open_when_there(options.path, waiting.Deadline(None))
        feed = change.Feed(_cell_of(status), (-1, 0))  # each change of the new file


def _as_described(status: EnumValue[Any]) -> EnumValue[Any]:
    """Return the value with the enum that its file describes now, which may have grown."""
    cell = _cell_of(status)
    description = cell.described.description()
    if description["members"] == description_of_enum(cell.members)["members"]:
        return status
    return _value(members_of(enum_of(description)), cell.file, cell.open_file)


def _open_when_there(path: str, deadline: waiting.Deadline) -> tuple[EnumValue[Any], FileLock]:
    """Open the value of a file, which a process may make only later."""
    while True:
        try:
            return _open(path)
        except FileNotFoundError as error:  # noqa: PERF203 # that is what the loop is for
            left = deadline.left()
            if left <= 0:
                message = f"not in time: {error.filename}: {error.strerror}"
                raise _NotMetError(message) from None
            time.sleep(min(left, waiting.LONGEST_PAUSE))


def _wait(options: argparse.Namespace) -> None:
    deadline = waiting.Deadline(options.timeout)
    while True:
        status, opened = _open_when_there(options.path, deadline)
        wanted = [_member(status, name) for name in options.names]
        look, sleeper = waiting.Look(status._self_cell, wanted), waiting.Sleeper(status._self_cell.words)
        while opened.is_named():
            left = deadline.left()
            _reap(status, options.path)
            member = look() if opened.is_used() or not options.used else None
            if member is not None:
                print(_text(member))
                return
            if left <= 0:
                used = "" if opened.is_used() else ", and no process uses it"
                message = f"not in time: the state is {_name(snapshot(_as_described(status)))}{used}"
                raise _NotMetError(message)
            sleeper.sleep(look.count, min(left, _LOOK_AT_THE_NAME))


def _set(options: argparse.Namespace) -> None:
    deadline = waiting.Deadline(options.timeout)
    status, opened = _open(options.path, write=True, force=options.force)
    new = _member(status, options.name)
    expected = None if options.expect is None else _member(status, options.expect)

    def write_now() -> Any:
        if expected is None:
            return mutator.exchange(status, new)
        return mutator.compare_and_exchange(status, expected, new)

    def write() -> Any:
        # If the service begins the value anew meanwhile, this write comes wholly before or wholly after that.
        return while_nobody_begins(opened, write_now, time.monotonic() + deadline.left())

    try:
        found = status._self_cell.locked(write, options.timeout)
        if expected is not None and found is not expected:
            message = f"not set: the state is {_name(found)}, expected {_name(expected)}"
            raise _NotMetError(message)
    except TransitionError as error:
        message = f"not set: {error}; with --force it is set all the same"
        raise _NotMetError(message) from None
    except TimeoutError:
        holder = users.named(users.holders_of(opened.path))
        message = (
            f"not set{f' ({holder} has the lock)' if holder else ''}: "
            f"the lock was not free within {options.timeout:g} s, the state is {_name(snapshot(status))}"
        )
        raise _NotMetError(message) from None
    print(f"{_text(found)} -> {_text(new)}")


_COMMANDS = {"get": _get, "show": _show, "watch": _watch, "wait": _wait, "set": _set}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit code: 0 done, 1 not met or refused, 2 an error.

    Args:
        arguments: the arguments, without the name of the program; None: those of this process.
    """
    prog = os.path.basename(sys.argv[0])
    if prog == "__main__.py":
        prog = "python -m multiprocessing_intenum"
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may have letters that the terminal does not know
    options = _parser(prog).parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
        print(end="", flush=True)  # sys.stdout is None if it was closed by >&-
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 0 if options.command == "watch" else 130
    except _NotMetError as refused:
        print(printable(f"{prog}: {refused}"), file=sys.stderr)
        return 1
    except Exception as error:  # what is in the file may be anything
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        print(printable(f"{prog}: {text or type(error).__name__}"), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
