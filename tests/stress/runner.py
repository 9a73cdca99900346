"""Run each stress script in a separate process, and write the results as a page of tables.

    python tests/stress/runner.py [--short] [--output FILE] [SCRIPT ...]

The peer, multiprocessing-intenum 1.1, is installed into a separate directory. A full run of all scripts writes its
results to docs/reliability-results.md and draws docs/_static/kills.svg; record.py, which needs a server, is not one
of them. The exit code is 1 if a script failed or saw anything forbidden.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import picture

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
RESULTS = DOCS / "reliability-results.md"
PICTURE = DOCS / "_static" / "kills.svg"

SCRIPTS = (
    "kills",
    "holders",
    "forks",
    "reuse",
    "lost_updates",
    "one_winner",
    "torn_values",
    "own_writes",
    "waiting",
    "by_path",
    "growth",
    "lock_table",
    "owners",
)

MORE = ("record",)
"""Scripts that need more than the others: each has a tox environment of its own, and runs only if it is named."""

PEER = "multiprocessing-intenum==1.1"

LIMIT = 30 * 60.0
"""Seconds after which a script counts as failed. The longest takes a few minutes."""


def install_peer(directory: Path) -> None:
    """Install the peer into a directory that is not on the path, because its package has the same name as this one."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(directory), PEER]
    subprocess.run(command, check=True)


def run(script: str, directory: Path, short: bool) -> tuple[bool, dict[str, Any] | None]:
    """Run one script, and return whether it succeeded, and its figures if it has written them."""
    figures = directory / f"{script}.json"
    command = [sys.executable, str(HERE / f"{script}.py"), "--json", str(figures), *(["--short"] if short else [])]
    started = time.monotonic()
    # In a new session, so that all processes that the script leaves behind can be killed together.
    process = subprocess.Popen(command, env=os.environ | {"STRESS_PEER": str(directory)}, start_new_session=True)
    try:
        content = process.wait(LIMIT) == 0
    except subprocess.TimeoutExpired:
        content = False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(f"== {script}: {'ok' if content else 'FAILED'}, {time.monotonic() - started:.0f} s", flush=True)
    return content, json.loads(figures.read_text()) if figures.exists() else None


def as_markdown(figures: dict[str, Any]) -> str:
    """Return a script's figures as a table with a row for each outcome and a column for each library and lock."""
    lines = figures["lines"]
    rows: list[list[str]] = figures["table"]
    if lines:
        columns = list(dict.fromkeys(line["column"] for line in lines))
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for line in lines:
            row = cells.setdefault((line["check"], line["outcome"]), {})
            row[line["column"]] = line["text"]
        rows = [["what was done", "outcome", *columns]]
        before = ""
        for (check, outcome), row in cells.items():
            rows.append(["" if check == before else check, outcome, *(row.get(column, "") for column in columns)])
            before = check
    table = [f"| {' | '.join(row)} |" for row in rows]
    table.insert(1, f"|{'---|' * len(rows[0])}")
    return "\n".join([f"### {figures['title']}", "", *table])


def page(results: list[dict[str, Any]], seconds: float, short: bool) -> str:
    """Return the whole page."""
    where = (
        f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"{seconds / 60:.0f} minutes, {'short' if short else 'full'} run of `tests/stress/runner.py`."
    )
    return "\n\n".join(["<!-- Written by tests/stress/runner.py -->", where, *map(as_markdown, results)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the stress scripts.")
    parser.add_argument("--short", action="store_true", help="a scaled-down run of less than two minutes")
    parser.add_argument("--output", type=Path, help="where to write the tables; the docs, after a full run")
    parser.add_argument(
        "scripts",
        nargs="*",
        metavar="SCRIPT",
        help=f"of {', '.join(SCRIPTS + MORE)}; without any, all but {', '.join(MORE)}",
    )
    options = parser.parse_args()
    scripts: list[str] = options.scripts or list(SCRIPTS)
    if unknown := set(scripts) - set(SCRIPTS + MORE):
        parser.error(f"no such script: {', '.join(sorted(unknown))}")
    output: Path | None = options.output or (None if options.short or options.scripts else RESULTS)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if set(scripts) - set(MORE):
            install_peer(directory)
        results = [run(script, directory, options.short) for script in scripts]
    figures = [found for _, found in results if found is not None]
    if output is not None:
        output.write_text(page(figures, time.monotonic() - started, options.short))
        for found in figures:
            if output == RESULTS and found["title"] == "Kills":
                PICTURE.write_text(picture.of_kills(found))
    if not all(content for content, _ in results) or len(figures) < len(scripts):
        sys.exit("a loss, or a script that failed: see above")
    print(f"nothing lost, nobody blocked: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
