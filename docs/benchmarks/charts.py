"""The charts, as SVG on a white background, so that they are readable in dark mode, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from contenders import BARE, MANAGER, OURS, PEER, PURE, VALUE
from matplotlib import pyplot as plt
from report import other_of, pairs_of, quantity
from waking import IDLE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

COLOURS = {OURS: "#0b6e4f", PURE: "#7cb9a0", PEER: "#c8553d", VALUE: "#7d6b91", MANAGER: "#a0a0a0", BARE: "#1f1f1f"}
_LABELS = {OURS: f"{OURS}, C core", PURE: f"{OURS} {PURE}"}
mpl.use("svg")
mpl.rcParams |= {
    "svg.hashsalt": "multiprocessing-intenum",  # makes the files reproducible
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
}


def draw(results: dict[str, Any], directory: Path) -> None:
    """Draw relative.svg, throughput.svg and waking.svg."""
    charts = {"relative": _relative, "throughput": _throughput, "waking": _waking}
    for name, chart in charts.items():
        figure = chart(results)
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        plt.close(figure)


def _relative(results: dict[str, Any]) -> Figure:
    pairs = [pair for pair in pairs_of(results, "peer") if pair[0].label in results["single"]][::-1]
    figure, axes = plt.subplots(figsize=(8.5, 0.5 * len(pairs) + 1.4))
    # On a logarithmic scale twice as slow is as far from the line as twice as fast.
    axes.set_xscale("log", base=2)
    for index, contender in enumerate((OURS, PURE)):
        widths = [pair[index].figure - 1 for pair in pairs]
        places = [position + 0.19 - 0.38 * index for position in range(len(pairs))]
        axes.barh(places, widths, left=1, color=COLOURS[contender], height=0.38)
    for position, (c, pure) in enumerate(pairs):
        text = f"{quantity(c.ours)}, {quantity(pure.ours)} instead of {other_of(c)}"
        axes.text(1.02, position, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    rows = [c for c, _ in pairs]
    floors = [(row.floor, position) for position, row in enumerate(rows) if row.floor is not None]
    axes.plot(*zip(*floors, strict=True), "D", color="white", markeredgecolor="black", markersize=5)
    axes.axvline(1, color=COLOURS[PEER], linewidth=2)
    axes.set_xlim(1 / 36, 9)
    ticks = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
    axes.set_xticks(ticks, ["1/32", "1/16", "⅛", "¼", "½", "1", "2", "4", "8"])
    axes.set_yticks(range(len(rows)), [row.label.replace("; ", ";\n") for row in rows], family="monospace")
    axes.set_xlabel("← faster     times as long as with multiprocessing-intenum 1.1     slower →")
    above = {"transform": axes.transAxes, "va": "bottom", "fontsize": 9}
    axes.text(0, 1.01, "■ this library, C core", color=COLOURS[OURS], **above)
    axes.text(0.25, 1.01, "■ in pure Python", color=COLOURS[PURE], **above)
    axes.text(0.44, 1.01, "◇ bare pieces", **above)
    axes.text(0.62, 1.01, "┃ multiprocessing-intenum 1.1", color=COLOURS[PEER], **above)
    title = "Time of each operation, relative to multiprocessing-intenum 1.1"
    axes.set_title(title, loc="left", pad=24)
    return figure


def _throughput(results: dict[str, Any]) -> Figure:
    figure, grid = plt.subplots(2, 2, figsize=(9, 6.4), sharex=True, sharey="row")
    for axes, (what, with_writer) in zip(
        grid.flat, ((what, writer) for what in ("reads", "writes") for writer in (False, True)), strict=True
    ):
        _lines(axes, [row for row in results["throughput"] if (row["what"], row["writer"]) == (what, with_writer)])
        axes.set_title(f"{what}{' while another process writes all the time' * with_writer}", loc="left", fontsize=10)
    for axes in grid[:, 0]:  # only now, because both charts of a row share the scale
        axes.set_ylim(bottom=0)
        axes.set_ylabel("million a second, all together")
    for axes in grid[1]:
        axes.set_xlabel("processes")
    figure.suptitle("Throughput of processes that share one state (higher is better)", x=0.06, ha="left")
    figure.tight_layout()
    lines = grid[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False)
    return figure


def _lines(axes: Axes, rows: list[dict[str, Any]]) -> None:
    counts = sorted({row["processes"] for row in rows})
    for contender, colour in COLOURS.items():
        rates = [row["per_second"] / 1e6 for row in rows if row["contender"] == contender]
        axes.plot(range(len(counts)), rates, "o-", color=colour, label=_LABELS.get(contender, contender), markersize=4)
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])


def _colour_of(way: str) -> str:
    if way.endswith(PURE):
        return COLOURS[PURE]
    return COLOURS[OURS] if "wait_for" in way else COLOURS[VALUE]


def _waking(results: dict[str, Any]) -> Figure:
    rows = results["wake_ups"][::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 0.42 * len(rows) + 1), sharey=True)
    ways = [row["way"] for row in rows]
    colours = [_colour_of(way) for way in ways]
    medians, p99s, idle = ([row[key] * 1e3 for row in rows] for key in ("median", "p99", "processor_time"))
    left.set_xscale("log")
    left.hlines(ways, medians, p99s, color=colours, linewidth=2)
    left.scatter(medians, ways, color=colours, s=50)
    left.scatter(p99s, ways, color=colours, s=90, marker="|")
    left.set_xticks([0.01, 0.1, 1, 10, 100], ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms"])
    left.set_xlabel("until it wakes: the median, to 99 %")
    right.barh(ways, idle, color=colours, height=0.6)
    right.set_xlabel(f"ms of processor time in {IDLE_SECONDS:g} s of waiting")
    right.margins(x=0.2)
    for position, row in enumerate(rows):
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 9}
        left.annotate(quantity(row["median"]), (medians[position], position), **above)
        right.text(idle[position], position, f" {quantity(row['processor_time'])}", va="center", fontsize=9)
    figure.suptitle(
        "How soon a waiting process wakes, and what its waiting costs (further left is better)", x=0.02, ha="left"
    )
    figure.tight_layout()
    return figure
