"""Every code block of README.md, CHANGELOG.md, CONTRIBUTING.md and docs/ is run, or is a command known here."""

import doctest
import enum
import importlib
import re
import sys
import types
from pathlib import Path

import pytest
from helpers import NEED_PSYCOPG
from pages import DOCS, OPTIONS, PARSERS, ROOT, first_screen, run_page
from sybil import Document
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator

import multiprocessing_intenum

PAGES = sorted([*ROOT.glob("*.md"), *(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)])
NEED_POSTGRESQL = {DOCS / "howto" / "postgres.md"}
"""Pages whose blocks tests/postgres/test_docs.py runs, because they need a server."""
NEED_TERMINALS = {DOCS / "tutorial.md"}
"""Pages whose blocks tests/test_tutorial.py types, because they need several terminals at once."""
TWO_TERMINALS = {ROOT / "README.md", DOCS / "index.md"}
"""Pages whose first block of Python tests/test_first_screen.py pastes: it waits for a second terminal."""
PACKAGE = Path(multiprocessing_intenum.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
]

# Where the pages put their values. A test puts a directory of its own in the place of this one.
DIRECTORY = "/run/worker"

# Fences that hold no code of ours: printed text, diagrams, settings of other programs.
NOT_CODE = {"text", "ini", "toml", "json", "mermaid", "dockerfile"}


RUN_HERE = sorted({*PAGES} - NEED_POSTGRESQL - NEED_TERMINALS)


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_the_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pasted = re.findall(r"^```python\n.*?^```$", first_screen(page), re.MULTILINE | re.DOTALL)
    elsewhere = dict.fromkeys(pasted, "") if page in TWO_TERMINALS else {}
    run_page(page, {**elsewhere, DIRECTORY: tmp_path.as_posix()}, tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_of_the_page_is_passed_over(page: Path):
    fences = re.findall(r"^ *(?:```+|~~~+|:::+)(\S*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    languages = {fence for fence in fences if fence and not fence.startswith("{")}
    run = {"python", "console", "sh", "yaml"} | ({"sql"} if page in NEED_POSTGRESQL else set())
    assert languages <= run | NOT_CODE


def code_of(page: Path) -> list[str]:
    """Return the lines of the code blocks of a page, with those of the files that it shows."""
    lines: list[str] = []
    # A fence, what stands after it, and what it holds.
    fences = re.findall(r"^ *(```+)(.*)\n((?:.*\n)*?) *\1$", page.read_text(encoding="utf-8"), re.MULTILINE)
    for _, language, text in fences:
        if language.startswith("{literalinclude}"):
            text = (page.parent / language.split()[1]).read_text(encoding="utf-8")
        if not language.startswith("{") or "literalinclude" in language:
            lines += text.splitlines()
    return lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_of_code_is_longer_than_a_page_is_wide(page: Path):
    assert [line for line in code_of(page) if len(line) > 88] == []


def test_the_code_of_a_page_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    (tmp_path / "shown.py").write_text("shown\n", "utf-8")
    blocks = ["```sh\na\nb\n```", "- text\n  ```python\n  c\n  ```", "```{include} x.md\n```", "text"]
    page.write_text("\n".join([*blocks, "```{literalinclude} shown.py\n:lines: 1\n```", "text\n"]), "utf-8")
    assert code_of(page) == ["a", "b", "  c", "shown"]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_the_links_of_a_page_outside_the_site_lead_somewhere(page: Path):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_each_example_script_is_run_by_a_page_or_by_a_test_of_its_own():
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", "")
    others = (test for test in ROOT.glob("tests/**/*.py") if test.name not in {Path(__file__).name, "pages.py"})
    tests = "".join(test.read_text(encoding="utf-8") for test in others)
    scripts = {script.stem: script.read_text(encoding="utf-8") for script in (DOCS / "examples").glob("*.py")}
    typed = r"^\$ (?:python (?:-m pytest -q )?docs/examples/|python tutorial_|cp tutorial_).*\n"
    commands = "".join(re.findall(typed, pages, re.MULTILINE))
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


@pytest.mark.parametrize("name", sorted({*MODULES} - NEED_PSYCOPG))  # the others: tests/postgres/test_docs.py
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
