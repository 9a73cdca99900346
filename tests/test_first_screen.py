"""The first screen of README.md and of docs/index.md: what a newcomer pastes works, as it stands there."""

from __future__ import annotations

import ast
import re
import subprocess
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from helpers import DEADLINE
from pages import DOCS, ROOT, first_screen
from terminals import as_pattern, fresh_environment, terminal

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", DOCS / "index.md"]


def blocks(page: Path) -> dict[str, str]:
    """Return the blocks of the first screen: what is installed, pasted, typed in a second terminal, and printed."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", first_screen(page), re.MULTILINE | re.DOTALL)
    assert [language for language, _ in found] == ["sh", "python", "sh", "text"]
    return dict(zip(["install", "first", "second", "printed"], [text for _, text in found], strict=True))


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return fresh_environment(tmp_path_factory.mktemp("fresh"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_pasted_into_two_terminals_works(page: Path, variables: dict[str, str], tmp_path: Path):
    pasted = blocks(page)
    for _ in range(2):  # also where an earlier run has left its file
        with terminal(["python", "-i"], variables, tmp_path) as first:
            first.type(pasted["first"])
            first.expect("True\n")  # claimed, and now it waits
            second = subprocess.run(
                ["sh", "-c", pasted["second"]],
                env=variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
            assert (second.returncode, second.stderr) == (0, "")
            assert re.fullmatch(as_pattern(pasted["printed"]), second.stdout), second.stdout
            first.expect("the worker is IDLE\n")


def test_the_state_does_not_outlive_the_first_terminal(variables: dict[str, str], tmp_path: Path):
    pasted = blocks(PAGES[0])
    with ExitStack() as stack:
        first, second, shell = (
            stack.enter_context(terminal(program, variables, tmp_path))
            for program in (["python", "-i"], ["python", "-i"], ["sh"])
        )
        first.type(pasted["first"])
        first.expect("True\n")
        second.type(pasted["first"])  # as in the first one, but another process has won
        second.expect("False\n")
        first.close()  # by SIGKILL
        second.expect("the worker is IDLE\n")
        name, show, _ = pasted["second"].splitlines()
        shell.type(f"{name}\n{show}\n")
        shell.expect("IDLE since ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_demo_of_each_user_has_a_file_of_its_own(page: Path):
    tree = ast.parse(blocks(page)["first"])
    (path,) = (node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "at")
    code = compile(ast.Expression(path), str(page), "eval")
    temporary = SimpleNamespace(gettempdir=lambda: "/tmp")
    users = [SimpleNamespace(getuid=lambda: 1), SimpleNamespace(getuid=lambda: 2)]
    paths = [eval(code, {"tempfile": temporary, "os": user}) for user in users]
    assert paths[0] != paths[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_installed_is_the_repository_that_pyproject_names(page: Path):
    (source,) = re.findall(r'^Source = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert blocks(page)["install"] == f'python -m pip install "git+{source}"\n'


def test_both_first_screens_are_the_same():
    readme, index = map(first_screen, PAGES)
    assert readme.replace("](docs/", "](") == index
