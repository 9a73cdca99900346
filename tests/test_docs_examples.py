"""Every code block of README.md, CHANGELOG.md, CONTRIBUTING.md and docs/ is run, or is a command known here."""

import doctest
import enum
import importlib
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

import multiprocessing_intenum

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)])
MODULES = [module.name for module in pkgutil.iter_modules(multiprocessing_intenum.__path__)]
OPTIONS = doctest.ELLIPSIS
DEADLINE = 120  # seconds for a script; they take less than one, on an idle machine

# The examples that need a server: `tox -e docs` has it and runs them, see RUN_SERVERS there.
SERVERS = {"try_server.py", "try_celery.py"}

# Where the pages put their values. A test puts a directory of its own in the place of this one.
DIRECTORY = "/run/worker"

# What the pages tell the reader to type and no test types for him, and who does.
SHELL_COMMANDS = {
    # the two commands of the README: .ci/run is the second one, which runs docs/examples/worker.py as the first does
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python docs/examples/worker.py",
    "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox",
    # the environments of tox, all of them run by that
    ".venv/bin/tox -e py313",
    ".venv/bin/tox -e py313 -- tests/test_docs_examples.py -k README",
    ".venv/bin/tox -e coverage",
    ".venv/bin/tox -e docs",
    ".venv/bin/tox -e lint,typing",
    ".venv/bin/tox -e package",
    # fifteen minutes: tox runs its scripts with smaller counts, as stress-short
    ".venv/bin/tox -e stress",
    # what the first command of the README does in an environment of its own
    "python -m pip install .",
    # this needs a maintainer's rights
    "git tag v2.0.0 && git push origin v2.0.0",
}
# Fences that hold no code of ours: printed text, diagrams, settings of other programs.
NOT_CODE = {"text", "ini", "toml", "json", "mermaid"}


def run_console_block(example: Example) -> None:
    """Run each `$ command` of a block, compare what it prints with the lines below it."""
    for part in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
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


def run_commands_of_settings(example: Example) -> None:
    """Run each `command: [...]` of a YAML block, as Kubernetes does."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    commands = re.findall(r"^ *command: (\[.*\])$", example.parsed, re.MULTILINE)
    assert len(commands) == example.parsed.count("command:")
    for command in map(json.loads, commands):
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, timeout=DEADLINE, check=False)
        assert done.returncode == 0, command


PARSERS = [
    PythonCodeBlockParser(doctest_optionflags=OPTIONS),
    CodeBlockParser("console", run_console_block),
    CodeBlockParser("sh", check_shell_block),
    CodeBlockParser("yaml", run_commands_of_settings),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_the_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = tmp_path / page.name
    here.write_text(page.read_text(encoding="utf-8").replace(DIRECTORY, tmp_path.as_posix()), encoding="utf-8")
    document = Document.parse(str(here), *PARSERS)
    module = types.ModuleType("page")  # a real one, so that the page's enums can be pickled
    monkeypatch.setitem(sys.modules, "page", module)
    document.namespace = vars(module)
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_of_the_page_is_passed_over(page: Path):
    fences = re.findall(r"^ *(?:```+|~~~+|:::+)(\S*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    languages = {fence for fence in fences if fence and not fence.startswith("{")}
    assert languages <= {"python", "console", "sh", "yaml"} | NOT_CODE


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_the_links_of_a_page_outside_the_site_lead_somewhere(page: Path):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_each_example_script_is_run_by_a_page_or_by_a_test_of_its_own():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    tests = "".join(test.read_text(encoding="utf-8") for test in ROOT.glob("tests/**/*.py") if test != Path(__file__))
    scripts = {script.stem: script.read_text(encoding="utf-8") for script in (DOCS / "examples").glob("*.py")}
    commands = "".join(re.findall(r"^\$ python docs/examples/.*\n", pages, re.MULTILINE))
    run = set(re.findall(r"\w+", commands)) & scripts.keys()  # gunicorn_app:app is one, too
    run |= {name for script in run for name in re.findall(r"from (\w+) import", scripts[script])}
    tested = {name for names in re.findall(r"\b(\w+)\.py\b|from (\w+) import", tests) for name in names}
    assert scripts.keys() <= run | tested


def test_the_reference_has_every_public_name():
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto(?:class|function):: (\w+)(?!\w|\.)", reference, re.MULTILINE)
    assert sorted(documented) == sorted(multiprocessing_intenum.__all__)


def test_the_readme_shows_the_quickstart_as_it_is():
    assert (DOCS / "examples" / "quickstart.py").read_text("utf-8") in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_do_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    exec("from multiprocessing_intenum import *", names := {"directory": tmp_path})
    # The reference shows them without the enum that the other pages begin with.
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    page.WorkerStatusEnum = enum.IntEnum("WorkerStatusEnum", "UNAVAILABLE IDLE CALCULATING", module="page")
    page.WorkerStatus = multiprocessing_intenum.IntEnumValue[page.WorkerStatusEnum]
    module = importlib.import_module(f"multiprocessing_intenum.{name}")
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for examples in doctest.DocTestFinder().find(module, globs=names | vars(page)):
        runner.run(examples)
    assert runner.summarize(verbose=False).failed == 0


def test_a_wrong_example_would_be_noticed(tmp_path: Path):
    page = tmp_path / "page.md"
    blocks = ["python\n>>> 1 + 1\n3", "python\nassert False", "sh\nrm -r docs", 'yaml\ncommand: ["false"]']
    page.write_text("".join(f"```{block}\n```\n" for block in blocks), "utf-8")
    examples = list(Document.parse(str(page), *PARSERS).examples())
    assert [type(example.region.evaluator) for example in examples[:2]] == [DocTestEvaluator, PythonEvaluator]
    for example in examples:
        with pytest.raises(AssertionError):
            example.evaluate()
    assert len(examples) == len(blocks)
