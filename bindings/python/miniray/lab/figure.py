"""Gantt pictures as PNG, SVG or PDF, for papers.  Needs matplotlib."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Sequence

from . import trace as traces
from .report import MAX_COLOURS, _names, _rows_of

PALETTE = ("#3b6fd4", "#e08a1e", "#2a9d77", "#c94f7c", "#8464c8", "#b0902a", "#3aa3bd", "#c4573b", "#9aa0a6")


def figure(runs: Sequence[traces.Run], width: float = 7.0) -> Any:
    """A matplotlib Figure: one Gantt picture per run, one time axis.  ``width`` in inches."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    if not runs:
        raise ValueError("a figure needs at least one run")
    fns, _, _ = _names(runs)
    rows = _rows_of([dataclasses.replace(r, tasks=traces.normalise(r.tasks)) for r in runs])
    heights = [max(1, len(r)) for r in rows]
    out = Figure(figsize=(width, sum(0.16 * h + 0.5 for h in heights) + 0.5), layout="constrained")
    axes = out.subplots(len(runs), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, run, lanes_of in zip(axes, runs, rows):
        for y, (_, _, lanes) in enumerate(lanes_of):
            for lane in lanes:
                axis.broken_barh([(t["started"] / 1e9, (t["ended"] - t["started"]) / 1e9) for t in lane], (y - 0.42, 0.84),
                                 facecolors=[(PALETTE[min(fns.index(t["fn"]), MAX_COLOURS)], 0.3 if t.get("gone") else 1.0) for t in lane],
                                 edgecolor="white", linewidth=0.2)
                gone = [t for t in lane if t.get("gone")]  # attempts that were lost
                axis.broken_barh([(t["started"] / 1e9, (t["ended"] - t["started"]) / 1e9) for t in gone], (y - 0.42, 0.84), facecolor="none", edgecolor="#b3261e",
                                 linewidth=0.4, hatch="xxxx")
        axis.margins(x=0.01)
        axis.set_ylim(len(lanes_of) - 0.5, -0.5)
        axis.set_yticks(range(len(lanes_of)), [f"{node} {slot}".strip() for node, slot, _ in lanes_of], fontsize=6)
        axis.set_title(run.name, fontsize=9, loc="left")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[-1].set_xlabel("time (s)", fontsize=8)
    axes[-1].tick_params(axis="x", labelsize=7)
    out.legend(handles=[Patch(color=PALETTE[min(i, MAX_COLOURS)], label=f) for i, f in enumerate(fns[:MAX_COLOURS])], loc="outside lower center",
               ncols=min(5, max(1, len(fns))), fontsize=7, frameon=False)
    return out


def write_figure(path: str | os.PathLike[str], runs: Sequence[traces.Run]) -> str:
    """Writes the figure; the ending of ``path`` (.png, .svg, .pdf) says in what form.  Gives its absolute path."""
    try:
        drawn = figure(runs)
    except ImportError:
        raise ValueError("a figure needs matplotlib: pip install 'miniray[viz]'") from None
    path = os.path.abspath(os.fspath(path))
    drawn.savefig(path, dpi=200, metadata={"Date": None} if path.endswith(".svg") else None)
    return path
