"""The picture of the page on reliability, written as text: after how many kills did the others wait for ever?"""

from __future__ import annotations

from typing import Any

from common import DEFAULT, PEER, RLOCK

ROLES = {
    "a reader": ("a reader", "only reads"),
    "a writer": ("a writer", "calls set()"),
    "a claimer, who holds the lock": ("a claimer", "holds the lock"),
    "an updater": ("an updater", "calls update()"),
    "a waiter in wait_for": ("a waiter", "is in wait_for()"),
}
COLUMNS = {
    PEER: ("peer", "peer 1.1"),
    RLOCK: ("rlock", "this library with multiprocessing.RLock"),
    DEFAULT: ("default", "this library with its default lock"),
}
"""The columns of the table, each with its class in the picture and its name there."""

WAITING = ("a read blocks for ever", "the lock is held by the dead")
"""The outcomes after which readers or writers wait. If a read blocks, the lock is held as well."""

LEFT, WIDTH = 136, 216  # where the bars begin, and how long one of all kills would be
BAR, STEP, GROUP, TOP = 15, 18, 68, 158


def waiting(figures: dict[str, Any], role: str, column: str) -> tuple[int, int]:
    """Return how many kills of a role, under fork, left readers or writers waiting, and of how many."""
    lines = [
        line
        for line in figures["lines"]
        if (line["check"], line["column"]) == (f"SIGKILL of {role}, fork", column) and line["outcome"] in WAITING
    ]
    return max(line["seen"] for line in lines), lines[0]["of"]


def of_kills(figures: dict[str, Any]) -> str:
    """Return the picture as SVG.

    Args:
        figures: what kills.py has written.
    """
    counts = {role: {column: waiting(figures, role, column)[0] for column in COLUMNS} for role in ROLES}
    kills = waiting(figures, *next((role, column) for role in ROLES for column in COLUMNS))[1]
    body, says = [], []
    for number, (role, (name, does)) in enumerate(ROLES.items()):
        top = TOP + number * GROUP
        body += [f'<text class="head" x="16" y="{top + 22}">{name}</text>']
        body += [f'<text class="soft" x="16" y="{top + 40}">{does}</text>']
        for row, (column, (kind, _)) in enumerate(COLUMNS.items()):
            count, y = counts[role][column], top + row * STEP
            end = LEFT + WIDTH * count / kills
            if count:
                body.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}"/>')
            body.append(f'<text class="number {kind}-ink" x="{end + 6:.1f}" y="{y + 12.5}">{count}</text>')
        body.append(f'<path class="axis" d="M{LEFT} {top - 4} V{top + 2 * STEP + BAR + 4}"/>')
        told = ", ".join(f"{count} ({COLUMNS[column][1]})" for column, count in counts[role].items())
        says.append(f"After the kills of {name}: {told}.")
    legend = []
    for row, (kind, name) in enumerate(COLUMNS.values()):
        y = 72 + 22 * row
        legend.append(f'<rect class="{kind}" x="16" y="{y}" width="{BAR}" height="{BAR}"/>')
        legend.append(f'<text x="38" y="{y + 12.5}">{name}</text>')
    height = TOP + len(ROLES) * GROUP + 2
    return TEMPLATE.format(
        height=height,
        inner=height - 1,
        kills=kills,
        says=" ".join(says),
        legend="\n  ".join(legend),
        body="\n  ".join(body),
    )


TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" class="left-waiting" viewBox="0 0 400 {height}" role="img" \
aria-labelledby="lw-title lw-text">
  <!-- Written by tests/stress/runner.py -->
  <title id="lw-title">How many of {kills} kills a role left readers or writers waiting for ever</title>
  <desc id="lw-text">{says}</desc>
  <style>
    .left-waiting {{
      /* The site's colours where it is part of a page of the site, else its own. */
      --ink: var(--color-foreground-primary, var(--own-ink));
      --soft: var(--color-foreground-secondary, var(--own-soft));
      --paper: var(--color-background-secondary, var(--own-paper));
      --line: var(--color-foreground-border, var(--own-line));
      --default: var(--picture-read, var(--own-read)); --rlock: var(--picture-write, var(--own-write));
      font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 14px;
    }}
    .left-waiting {{ --own-ink: #1f2328; --own-soft: #59636e; --own-paper: #f6f8fa; --own-line: #8b949e;
      --own-read: #0b57d0; --own-write: #a14700; }}
    @media (prefers-color-scheme: dark) {{
      .left-waiting {{ --own-ink: #e6edf3; --own-soft: #9da7b1; --own-paper: #161b22; --own-line: #484f58;
        --own-read: #8ab4f8; --own-write: #f2a65a; }}
    }}
    .left-waiting text {{ fill: var(--ink); }}
    .left-waiting .soft {{ fill: var(--soft); font-size: 13px; }}
    .left-waiting .box {{ fill: var(--paper); stroke: var(--line); }}
    .left-waiting .head {{ font-weight: 600; }}
    .left-waiting .axis {{ stroke: var(--line); fill: none; }}
    .left-waiting .number {{ font-weight: 600; font-size: 13.5px; }}
    .left-waiting .peer {{ fill: var(--soft); }} .left-waiting .peer-ink {{ fill: var(--soft); }}
    .left-waiting .rlock {{ fill: var(--rlock); }} .left-waiting .rlock-ink {{ fill: var(--rlock); }}
    .left-waiting .default {{ fill: var(--default); }} .left-waiting .default-ink {{ fill: var(--default); }}
  </style>
  <rect class="box" x="0.5" y="0.5" width="399" height="{inner}" rx="10"/>
  <text class="head" x="16" y="30" style="font-size:15px">Readers or writers wait for ever</text>
  <text class="soft" x="16" y="51">after so many of {kills} kills of …</text>
  {legend}
  {body}
</svg>
"""
