"""docs/tutorial.md, typed into as many terminals as a reader has: each prints what the page says, in this order."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pages import DOCS, SHELL_COMMANDS
from terminals import Terminal, as_pattern, fresh_environment, terminal

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (DOCS / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\{code-block\} console\n:caption: ([^\n]+)\n\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PORTS = ("8001", "8002")
PROCESSES = ("4711", "4712", "4713")


def free_ports() -> dict[str, str]:
    """Return a free port for each of the page's."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in PORTS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {port: str(one.getsockname()[1]) for port, one in zip(PORTS, sockets, strict=True)}


def replaced(text: str, numbers: dict[str, str]) -> str:
    return re.sub(r"\d{4,}", lambda number: numbers.get(number[0], number[0]), text)


def play(typed: Terminal, block: str, numbers: dict[str, str]) -> None:
    """Type the commands of one block, and wait for what each of them prints."""
    for part in re.split(r"^(?=\$ |\^C$)", block, flags=re.MULTILINE):
        command, _, printed = part.partition("\n") if part.startswith(("$ ", "^C")) else ("", "", part)
        if command == "^C":
            typed.interrupt()
        elif command:
            typed.type(replaced(command[2:], numbers) + "\n")
        pattern = as_pattern(replaced(printed, numbers))
        new = [number for number in PROCESSES if number in pattern]  # the first that is printed says which one it is
        for number in new:
            pattern = pattern.replace(number, f"(?P<p{number}>\\d+)", 1)
        match = typed.expect(pattern)
        numbers.update({number: match[f"p{number}"] for number in new})


def test_each_terminal_of_the_tutorial_prints_what_the_page_says(tmp_path: Path):
    variables = fresh_environment(tmp_path / "fresh")
    here = tmp_path / "here"
    here.mkdir()
    for program in (DOCS / "examples").glob("tutorial_*.py"):
        (here / program.name).write_text(program.read_text("utf-8"), "utf-8")
    numbers = free_ports()
    terminals: dict[str, Terminal] = {}
    with ExitStack() as stack:
        for name, block in BLOCKS:
            if name not in terminals:
                terminals[name] = stack.enter_context(terminal(["sh"], variables, here))
                terminals[name].type("trap : INT\n")  # Ctrl-C is for what runs in it
            play(terminals[name], block, numbers)
    assert [*terminals] == ["API 1", "API 2", "Scheduler", "Worker", "Operator"]


def test_no_block_of_the_tutorial_is_passed_over():
    fences = re.findall(r"^```(\S+)", PAGE, re.MULTILINE)
    assert set(fences) == {"sh", "{code-block}", "{literalinclude}"}
    assert fences.count("{code-block}") == len(BLOCKS)
    (typed,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert {*typed.splitlines()} <= SHELL_COMMANDS
