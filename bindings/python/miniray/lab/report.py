"""One HTML file with everything in it: a table of figures, and a Gantt picture of each run.

No network is needed to open it: styles, pictures and the little script are inline.  Times share one axis, so that the
pictures of several runs can be compared by eye.
"""

from __future__ import annotations

import html
import math
import os
from typing import Any, Sequence

from . import trace as traces

MAX_COLOURS = 8
LEFT, RIGHT, ROW, GAP, NODE_GAP, TOP, AXIS = 132, 16, 18, 3, 12, 6, 30
WIDTH = 1160

STYLE = """
:root { color-scheme: light dark; --bg: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #63686f; --line: #e3e4e1; --lane: #f3f3f0;
  --good: #0b7a4b; --bad: #b3261e; --bar: #dfe8f7;
  --c0: #3b6fd4; --c1: #e08a1e; --c2: #2a9d77; --c3: #c94f7c; --c4: #8464c8; --c5: #b0902a; --c6: #3aa3bd; --c7: #c4573b; --c8: #9aa0a6; --fail: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #15171a; --card: #1d2024; --ink: #e7e8ea; --soft: #9aa0a8; --line: #32363c; --lane: #24282d;
  --good: #5fd39c; --bad: #ff8a80; --bar: #2a3a57;
  --c0: #6f9bf0; --c1: #f0a848; --c2: #4fc79c; --c3: #ea7fa6; --c4: #a98df0; --c5: #d6b854; --c6: #64c6de; --c7: #ec8464; --c8: #7c828a; --fail: #ff6b60; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1240px; background: var(--bg); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; font-weight: 650; } h2 { font-size: 15px; margin: 0; font-weight: 620; }
p.sub { margin: 0 0 20px; color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; margin: 0 0 18px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 560; color: var(--soft); font-size: 12px; padding: 4px 10px 6px; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child td { border-bottom: 0; } th.t, td.t { text-align: left; }
td.best { color: var(--good); font-weight: 640; } .bad { color: var(--bad); font-weight: 600; }
td .bar { display: block; height: 3px; margin-top: 3px; border-radius: 2px; background: var(--c0); opacity: .55; margin-left: auto; }
.head { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: baseline; margin-bottom: 8px; }
.facts { color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 12.5px; margin: 0 0 14px; color: var(--soft); }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
svg .lane { fill: var(--lane); } svg .grid { stroke: var(--line); stroke-width: 1; } svg .node { fill: var(--ink); font-weight: 600; }
svg .end { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; } svg .bound { stroke: var(--good); stroke-width: 1.3; }
svg rect.b { stroke: var(--card); stroke-width: .6; } svg rect.b:hover { stroke: var(--ink); stroke-width: 1.4; }
svg rect.x { stroke: var(--fail); stroke-width: 1.4; }
#tip { position: fixed; pointer-events: none; display: none; max-width: 360px; background: var(--ink); color: var(--bg); padding: 7px 10px;
  border-radius: 7px; font-size: 12px; line-height: 1.4; white-space: pre-line; z-index: 9; }
footer { color: var(--soft); font-size: 12px; margin-top: 26px; }
""" + "".join(f".k{i} {{ fill: var(--c{i}); background: var(--c{i}); }}\n" for i in range(MAX_COLOURS + 1))

SCRIPT = """
const tip = document.getElementById('tip');
document.querySelectorAll('svg.gantt').forEach(svg => {
  svg.querySelectorAll('rect.b').forEach(r => { const t = r.querySelector('title'); if (t) { r.dataset.tip = t.textContent; t.remove(); } });
  svg.addEventListener('mousemove', e => { const text = e.target.dataset && e.target.dataset.tip;
    if (!text) { tip.style.display = 'none'; return; }
    tip.textContent = text; tip.style.display = 'block';
    tip.style.left = Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.min(e.clientY + 14, innerHeight - tip.offsetHeight - 8) + 'px'; });
  svg.addEventListener('mouseleave', () => tip.style.display = 'none'); });
"""


def seconds(value: float) -> str:
    """A duration with the unit that suits it."""
    if value == 0:
        return "0 s"
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= factor:
            number = value / factor
            digits = 0 if abs(number) >= 1000 else max(0, 2 - int(math.floor(math.log10(abs(number)))))
            return f"{number:,.{digits}f} {unit}"
    return f"{value * 1e9:.0f} ns"


def amount(value: float) -> str:
    """A number of bytes."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def _ticks(span: float) -> tuple[list[float], float, str]:
    """About eight round marks over `span` seconds, the factor of their unit, and the unit."""
    if span <= 0:
        return [0.0], 1.0, "s"
    unit, factor = ("s", 1.0) if span >= 1 else ("ms", 1e-3) if span >= 1e-3 else ("µs", 1e-6)
    raw = span / 8
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    return [i * step for i in range(int(span / step + 1e-9) + 1)], factor, unit


def _colours(runs: Sequence[traces.Run]) -> dict[str, int]:
    """A colour for each function, the same in all pictures: most busy time first; those past the palette share grey."""
    busy: dict[str, int] = {}
    for run in runs:
        for task in run.tasks:
            if task["started"] >= 0:
                busy[task["fn"]] = busy.get(task["fn"], 0) + max(0, task["ended"] - task["started"])
    order = sorted(busy, key=lambda fn: (-busy[fn], fn))
    return {fn: min(i, MAX_COLOURS) for i, fn in enumerate(order)}


def _rows(tasks: Sequence[dict[str, Any]]) -> list[tuple[str, int, list[list[dict[str, Any]]]]]:
    """(node, slot, lanes): more than one lane only where tasks of one slot overlap, as calls of an actor may."""
    slots: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for task in tasks:
        if task["started"] >= 0 and task["ended"] >= task["started"]:
            slots.setdefault((task["node"], task["slot"]), []).append(task)
    rows = []
    for (node, slot), members in sorted(slots.items(), key=lambda item: (_natural(item[0][0]), item[0][1])):
        lanes: list[list[dict[str, Any]]] = []
        for task in sorted(members, key=lambda t: (t["started"], t["ended"])):
            lane = next((lane for lane in lanes if lane[-1]["ended"] <= task["started"]), None)
            if lane is None:
                lane = []
                lanes.append(lane)
            lane.append(task)
        rows.append((node, slot, lanes))
    return rows


def _natural(name: str) -> tuple[Any, ...]:
    """node2 before node10."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head):] or 0)


def _title(task: dict[str, Any]) -> str:
    lines = [f"{task['task']}  ({task['fn']})",
             f"{seconds(task['started'] / 1e9)} to {seconds(task['ended'] / 1e9)}: ran {seconds((task['ended'] - task['started']) / 1e9)}"]
    if task["ready"] >= 0:
        lines.append(f"waited {seconds(max(0, task['started'] - task['ready']) / 1e9)} after it was ready")
    lines.append(f"{task['node'] or 'node'}, slot {task['slot']}" + (f", inputs {amount(task['bytes'])}" if task["bytes"] else ""))
    if task["outcome"] != "ok":
        lines.append(f"ended with {task['outcome']}")
    return "\n".join(lines)


def _blocks(lane: list[dict[str, Any]], scale: float) -> list[tuple[float, float, str, str, bool]]:
    """(x, width, function, title, failed).  Neighbours that are too thin to be seen become one block."""
    out: list[tuple[float, float, str, str, bool]] = []
    i = 0
    while i < len(lane):
        task = lane[i]
        x, width = task["started"] * scale, (task["ended"] - task["started"]) * scale
        if width >= 0.8:
            out.append((x, width, task["fn"], _title(task), task["outcome"] != "ok"))
            i += 1
            continue
        j, end = i, task["ended"]
        functions: dict[str, int] = {}
        while j < len(lane) and (lane[j]["ended"] - lane[j]["started"]) * scale < 0.8 and lane[j]["ended"] * scale - x < 1.6:
            end = max(end, lane[j]["ended"])
            functions[lane[j]["fn"]] = functions.get(lane[j]["fn"], 0) + 1
            j += 1
        fn = max(functions, key=lambda f: functions[f])
        failed = any(t["outcome"] != "ok" for t in lane[i:j])
        title = _title(task) if j == i + 1 else f"{j - i} tasks too short to draw apart\n{', '.join(f'{n} × {f}' for f, n in functions.items())}"
        out.append((x, max(end * scale - x, 0.4), fn, title, failed))
        i = j
    return out


def _gantt(run: traces.Run, span: float, colours: dict[str, int], label: str) -> str:
    rows = _rows(run.tasks)
    seat = "worker" if run.engine == "process" else "slot"
    plot = WIDTH - LEFT - RIGHT
    scale = plot / (span * 1e9) if span > 0 else 0.0
    parts: list[str] = []
    y, last_node, positions = TOP, None, []
    for node, slot, lanes in rows:
        if node != last_node:
            y += NODE_GAP if last_node is not None else 0
            last_node = node
            positions.append((y, node))
        height = max(ROW, 9 * len(lanes))
        parts.append(f'<rect class="lane" x="{LEFT}" y="{y}" width="{plot}" height="{height}" rx="2"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + height / 2 + 4:.1f}" text-anchor="end">{seat} {slot}</text>')
        each = height / len(lanes)
        for k, lane in enumerate(lanes):
            for x, width, fn, title, failed in _blocks(lane, scale):
                parts.append(f'<rect class="b k{colours.get(fn, MAX_COLOURS)}{" x" if failed else ""}" x="{LEFT + x:.2f}" y="{y + k * each:.1f}" '
                             f'width="{width:.2f}" height="{each:.1f}" rx="1.5"><title>{html.escape(title)}</title></rect>')
        y += height + GAP
    bottom = y
    for top, node in positions:
        short = node if len(node) <= 11 else node[:10] + "…"
        parts.append(f'<text class="node" x="4" y="{top + 13}">{html.escape(short)}<title>{html.escape(node)}</title></text>')
    marks, factor, unit = _ticks(span)
    grid = []
    for mark in marks:
        x = LEFT + mark * plot / span if span > 0 else LEFT
        grid.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{bottom}"/>')
        text = f"{mark / factor:,.6g}"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{LEFT - 8}" y="{bottom + 14}" text-anchor="end">time in {unit}</text>')
    end = max((t["ended"] for t in run.tasks), default=0)
    if end > 0 and scale:
        x = LEFT + end * scale
        parts.append(f'<line class="end" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{bottom + 2}"/>')
    return (f'<svg class="gantt" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {WIDTH} {bottom + AXIS - 8}">'
            + "".join(grid) + "".join(parts) + "</svg>")


# key, heading, how to print, is less better (None: neither)
COLUMNS = (
    ("makespan_s", "makespan", seconds, True),
    ("flow_mean_s", "mean flow", seconds, True),
    ("flow_p99_s", "p99 flow", seconds, True),
    ("wait_mean_s", "mean wait", seconds, True),
    ("utilisation", "utilisation", lambda v: f"{v * 100:.1f}%", False),
    ("bytes_moved", "moved", amount, True),
    ("held_slot_s", "held", lambda v: f"{v:.3g} slot·s", None),
    ("tasks", "tasks", lambda v: f"{v:,.0f}", None),
    ("failed", "failed", lambda v: f"{v:,.0f}", None),
)


def _table(runs: Sequence[traces.Run], summaries: Sequence[dict[str, Any]]) -> str:
    columns = [c for c in COLUMNS if any(c[0] in s for s in summaries)]
    if all(not s.get("failed") for s in summaries):
        columns = [c for c in columns if c[0] != "failed"]
    if all(not s.get("held_slot_s") for s in summaries):
        columns = [c for c in columns if c[0] != "held_slot_s"]
    extra = [key for key in dict.fromkeys(k for run in runs for k in (run.summary.get("columns") or {}))]
    bounds = any(s.get("bounds") for s in summaries)
    head = '<th class="t">run</th><th class="t">engine</th>' + "".join(f"<th>{c[1]}</th>" for c in columns)
    head += ("<th>over bound</th>" if bounds else "") + "".join(f"<th>{html.escape(k)}</th>" for k in extra)
    body = []
    longest = max((s.get("makespan_s", 0) for s in summaries), default=0) or 1
    for run, summary in zip(runs, summaries):
        cells = [f'<td class="t"><b>{html.escape(run.name)}</b>{_warning(summary)}</td><td class="t">{html.escape(run.engine)}</td>']
        for key, _, show, less in columns:
            values = [s[key] for s in summaries if key in s and not s.get("degraded")]
            value = summary.get(key)
            if value is None:
                cells.append("<td>–</td>")
                continue
            best = less is not None and not summary.get("degraded") and len(set(values)) > 1 and value == (min(values) if less else max(values))
            bar = f'<span class="bar" style="width:{100 * value / longest:.1f}%"></span>' if key == "makespan_s" else ""
            cells.append(f'<td{" class=best" if best else ""}>{show(value)}{bar}</td>')
        if bounds:
            gap = (summary.get("bounds") or {}).get("gap")
            cells.append("<td>–</td>" if gap is None else f"<td>{gap * 100:+.1f}%</td>")
        for key in extra:
            cells.append(f"<td>{html.escape(str((run.summary.get('columns') or {}).get(key, '–')))}</td>")
        body.append("<tr>" + "".join(cells) + "</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _warning(summary: dict[str, Any]) -> str:
    if not summary.get("degraded"):
        return ""
    return f' <span class="bad" title="{html.escape(str(summary.get("ejected") or ""))}">ejected to FIFO</span>'


def _facts(summary: dict[str, Any]) -> str:
    facts = [f"makespan {seconds(summary.get('makespan_s', 0))}", f"utilisation {summary.get('utilisation', 0) * 100:.1f}%"]
    bounds = summary.get("bounds")
    if bounds:
        unlike = f", unlike nodes {seconds(bounds['classes_s'])}" if "classes_s" in bounds else ""
        facts.append(f"lower bounds: critical path {seconds(bounds['critical_path_s'])}, area {seconds(bounds['area_s'])}{unlike}")
    if summary.get("know"):
        facts.append(f"knows: {summary['know']}")
    if summary.get("digest"):
        facts.append(f"digest {summary['digest']}")
    return " · ".join(facts)


def write_report(path: str | os.PathLike[str], runs: Sequence[traces.Run], title: str = "miniray: runs compared",
                 subtitle: str = "") -> str:
    """Writes the report of these runs and gives its absolute path.  A ValueError if there is no run."""
    if not runs:
        raise ValueError("a report needs at least one run")
    shown = [traces.Run(policy=r.policy, tasks=traces.normalise(r.tasks), engine=r.engine, store=r.store, seed=r.seed,
                        summary=r.summary, label=r.label) for r in runs]
    summaries = [{**traces.figures(r.tasks), **r.summary} for r in shown]
    span = max((t["ended"] for r in shown for t in r.tasks), default=0) / 1e9
    colours = _colours(shown)
    shared = [fn for fn, c in colours.items() if c == MAX_COLOURS]
    legend = "".join(f'<span><i class="k{c}"></i>{html.escape(fn)}</span>' for fn, c in colours.items() if c < MAX_COLOURS)
    if shared:
        legend += f'<span title="{html.escape(", ".join(shared[:60]))}"><i class="k{MAX_COLOURS}"></i>{len(shared)} other functions</span>'
    cards = []
    for run, summary in zip(shown, summaries):
        ejected = f'<p class="bad">{html.escape(str(summary["ejected"]))}</p>' if summary.get("ejected") else ""
        cards.append(f'<section class="card"><div class="head"><h2>{html.escape(run.name)}</h2><span class="facts">{html.escape(_facts(summary))}</span>'
                     f'</div>{ejected}<div class="scroll">{_gantt(run, span, colours, run.name)}</div></section>')
    page = (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
            f'<p class="sub">{html.escape(subtitle)}</p><section class="card">{_table(shown, summaries)}</section>'
            f'<div class="legend">{legend}</div>{"".join(cards)}'
            f'<footer>One row is one slot of a node, or one worker process; all pictures share one time axis; the dashed line is the end of the run. Best values are green.</footer>'
            f'<div id="tip"></div><script>{SCRIPT}</script></body></html>\n')
    path = os.path.abspath(os.fspath(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    return path
