"""mypy and pyright check every module of the package: none is hidden behind a stub or left out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISTAKE = """

def mistake() -> None:
    an_undefined_name
    "x" + 1
"""


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_mistake_in_any_module_is_reported(checker: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "multiprocessing_intenum", tmp_path / "multiprocessing_intenum")
    shutil.copytree(ROOT / "tests" / "typing", tmp_path / "tests" / "typing")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    modules = sorted((tmp_path / "multiprocessing_intenum").rglob("*.py"))
    first_lines: dict[Path, int] = {}
    for module in modules:
        text = module.read_text("utf-8")
        first_lines[module] = text.count("\n") + 3
        module.write_text(text + MISTAKE, "utf-8")
    done = subprocess.run([checker], cwd=tmp_path, capture_output=True, text=True, check=False)
    for module, line in first_lines.items():
        name = module.relative_to(tmp_path)
        for number, what in ((line + 1, "an_undefined_name"), (line + 2, "operand")):
            found = [each for each in done.stdout.splitlines() if f"{name}:{number}:" in each]
            assert any(what in each.lower() or "operator" in each.lower() for each in found), f"{name}:{number}"
