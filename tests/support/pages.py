"""How the code blocks of the pages are run."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

from sybil import Document
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest
    from sybil import Example
    from sybil.typing import Parser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OPTIONS = doctest.ELLIPSIS
DEADLINE = 120  # seconds for a script; they take less than one, on an idle machine

# The examples that need a server or its libraries: `tox -e docs` has it and runs them, see RUN_SERVERS there.
SERVERS = {"try_server.py", "try_celery.py", "try_fastapi.py", "json_answers.py", "metrics.py"}

# What the pages tell the reader to type and no test types for him, and who does.
SHELL_COMMANDS = {
    # the two commands of the README, and all the rest: .ci/run does the last two, which run docs/examples/worker.py
    "python3 -m venv .venv && .venv/bin/pip install .",
    ".venv/bin/python docs/examples/worker.py",
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox -e quick",
    ".venv/bin/tox",
    # the environments of tox, all of them run by that
    ".venv/bin/tox -e py313",
    ".venv/bin/tox -e py313 -- tests/test_docs_examples.py -k README",
    ".venv/bin/tox -e coverage",
    ".venv/bin/tox -e docs",
    ".venv/bin/tox -e lint,typing",
    ".venv/bin/tox -e package",
    # fifteen minutes: tox runs its scripts with smaller counts, as stress-short
    ".venv/bin/tox -e stress",
    # ten minutes: tests/postgres tries the same with smaller counts
    ".venv/bin/tox -e postgres-stress",
    # half a minute: tests/postgres/test_following.py counts the same for one machine
    "python tests/stress/fleet.py --machines 4 --processes 2 --records 20",
    # what the first command of the README does in an environment of its own, from the repository's address
    'python -m pip install "git+https://github.com/credativ/python-multiprocessing-intenum"',
    # tests/test_first_screen.py and tests/test_tutorial.py type what follows
    'demo="${TMPDIR:-/tmp}/demo-$(id -u)"',
    'intenum-value show "$demo"',
    'intenum-value set "$demo" IDLE',
    "git clone https://github.com/credativ/python-multiprocessing-intenum",
    "cp python-multiprocessing-intenum/docs/examples/tutorial_*.py .",
    # tox does it, with the wheel of this checkout
    'python -m pip install ".[postgres]" "psycopg[binary]"',
    # this needs a maintainer's rights
    "git tag v2.1.0 && git push origin v2.1.0",
}


def first_screen(page: Path) -> str:
    """Return what README.md and docs/index.md have above their second heading."""
    return page.read_text(encoding="utf-8").partition("\n## ")[0] + "\n"


def run_console_block(example: Example) -> None:
    """Run each `$ command` of a block, compare what it prints with the lines below it."""
    for part in re.split(r"^\$ ", example.parsed.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        program, *arguments = shlex.split(command)
        assert program == "python", f"{example.path}: a console block runs python, not {program}"
        if Path(arguments[0]).name in SERVERS and "RUN_SERVERS" not in os.environ:
            continue
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            timeout=DEADLINE,
            check=False,
            encoding="utf-8",
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert doctest.OutputChecker().check_output(expected.rstrip() + "\n", done.stdout, OPTIONS), (
            f"{command}\nprinted:\n{done.stdout}expected:\n{expected}"
        )


def check_shell_block(example: Example) -> None:
    unknown = set(str(example.parsed).splitlines()) - SHELL_COMMANDS
    assert not unknown, f"{example.path}: nobody runs {unknown}"


def commands_of_settings(text: str) -> list[list[str]]:
    """Return each `command: [...]` of a YAML text. As YAML has it, a line break in a string is a space."""
    commands = re.findall(r"^ *command: (\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert len(commands) == text.count("command:")
    return [json.loads(re.sub(r"\n *", " ", command)) for command in commands]


def run_as_installed(command: Sequence[str], directory: Path) -> int:
    """Run a command where `intenum-value` is the package that is tested, and return its exit code."""
    program = directory / "bin" / "intenum-value"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m multiprocessing_intenum "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=DEADLINE, check=False).returncode


def run_commands_of_settings(example: Example) -> None:
    """Run each `command: [...]` of a YAML block, as Kubernetes does."""
    for command in commands_of_settings(example.parsed):
        assert run_as_installed(command, Path(example.path).parent) == 0, command


PARSERS: list[Parser] = [
    PythonCodeBlockParser(doctest_optionflags=OPTIONS),
    CodeBlockParser("console", run_console_block),
    CodeBlockParser("sh", check_shell_block),
    CodeBlockParser("yaml", run_commands_of_settings),
]


def run_page(
    page: Path,
    replaced: Mapping[str, str],
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    parsers: Sequence[Parser] = PARSERS,
) -> None:
    """Run each block of a page, with these texts of it replaced by others."""
    text = page.read_text(encoding="utf-8")
    for old, new in replaced.items():
        text = text.replace(old, new)
    here = directory / page.name
    here.write_text(text, encoding="utf-8")
    document = Document.parse(str(here), *parsers)
    module = types.ModuleType("page")  # a real one, so that the page's enums can be pickled
    monkeypatch.setitem(sys.modules, "page", module)
    document.namespace = vars(module)
    for example in document.examples():
        example.evaluate()
