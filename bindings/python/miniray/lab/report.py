"""One HTML file with everything in it: a table of figures, curves over time, and a Gantt picture of each run that can be zoomed.

No network is needed to open it: styles, data and the script are inline.  Times share one axis, so that the pictures of
several runs can be compared by eye.
"""

from __future__ import annotations

import html
import json
import math
import os
from pathlib import Path
from typing import Any, Sequence

from . import analysis, charts, metrics, trace as traces
from .summary import figure_rows
from .units import amount, seconds

_PARTS = Path(__file__).parent.parent / "templates" / "report"
MAX_COLOURS = 8
FINEST = 8000  # blocks thinner than this part of the longest run are drawn together


def _tick(value: float) -> str:
    """A round duration, beside an axis."""
    number, _, unit = seconds(value).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _names(runs: Sequence[traces.Run]) -> tuple[list[str], list[str], dict[str, str]]:
    """Functions (most busy time first) and users of all runs, and the user of each task: their numbers are their colours."""
    busy: dict[str, int] = {}
    users: dict[str, int] = {}
    whose: dict[str, str] = {}
    for run in runs:
        for line in run.workload or ():
            if "id" in line:
                whose[str(line["id"])] = str(line.get("user", ""))
        for task in run.tasks:
            if task["started"] >= 0:
                took = sum(max(0, to - since) for since, to, _ in traces.pieces(task))
                busy[task["fn"]] = busy.get(task["fn"], 0) + took
                user = whose.get(task["task"], "")
                users[user] = users.get(user, 0) + took
    return sorted(busy, key=lambda f: (-busy[f], f)), sorted(users, key=lambda u: (-users[u], u)), whose


def _widths(run: traces.Run) -> dict[str, int]:
    """How many CPUs each task holds, if all hold whole ones and some more than one: then rows are CPUs, not slots."""
    found = {str(line["id"]): line.get("cpus", 1) for line in run.workload or () if "id" in line}
    whole = all(w == int(w) and w >= 1 for w in found.values()) and all(t["task"] in found for t in run.tasks)
    return {t: int(w) for t, w in found.items()} if whole and any(w > 1 for w in found.values()) else {}


def _attempts(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each task, and each of its attempts that were lost as one more, marked."""
    return [*tasks, *({**{k: v for k, v in t.items() if k not in traces.PIECES}, "started": since, "ended": to, "slot": slot, "node": node, "ready": -1, "gone": True}
                      for t in tasks for since, to, slot, node in t.get("lost", ()))]


def _cpus(tasks: Sequence[dict[str, Any]], widths: dict[str, int]) -> list[dict[str, Any]]:
    """A task of n CPUs as n, one for each CPU; which ones is made up here (the lowest that are free, side by side if there is such a place)."""
    out: list[dict[str, Any]] = []
    held: dict[str, list[int]] = {}  # node -> until when each of its CPUs is taken
    parts = [(since, to, t) for t in _attempts(tasks) for since, to, _ in traces.pieces(t) if to >= since]
    for i, (since, to, task) in enumerate(sorted(parts, key=lambda p: (p[0], p[1], p[2]["task"]))):
        until, n = held.setdefault(task["node"], []), widths[task["task"]]
        free = [k for k, t in enumerate(until) if t <= since]
        free += range(len(until), len(until) + n - len(free))
        until += [0] * (max(free) + 1 - len(until))
        at = next((k for k in range(len(free) - n + 1) if free[k + n - 1] - free[k] == n - 1), 0)
        for cpu in free[at:at + n]:
            until[cpu] = to
            out.append({**{k: v for k, v in task.items() if k not in traces.PIECES}, "started": since, "ended": to, "slot": cpu})
    return out


Row = tuple[str, int, list[list[dict[str, Any]]]]


def _rows(run: traces.Run) -> list[Row]:
    """(node, slot or CPU, lanes): more than one lane only where tasks of one slot overlap, as calls of an actor may."""
    widths = _widths(run)
    slots: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for task in _cpus(run.tasks, widths) if widths else _attempts(run.tasks):
        stretches = traces.pieces(task)
        for i, (since, to, slot) in enumerate(stretches, 1):
            if to >= since:
                slots.setdefault((task["node"], slot), []).append(
                    {**task, "started": since, "ended": to, "slot": slot, "ready": task["ready"] if i == 1 else -1} if len(stretches) > 1 else task)
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


def _rows_of(runs: Sequence[traces.Run]) -> list[list[Row]]:
    """The rows of each run.  What one of them used and another of the same engine did not is an empty row there: idle processors are seen."""
    found = [_rows(run) for run in runs]
    for group in {(run.engine, bool(_widths(run))) for run in runs}:
        members = [rows for run, rows in zip(runs, found) if (run.engine, bool(_widths(run))) == group]
        everywhere = {(node, slot) for rows in members for node, slot, _ in rows}
        for rows in members:
            rows += [(node, slot, [[]]) for node, slot in everywhere - {(node, slot) for node, slot, _ in rows}]
            rows.sort(key=lambda row: (_natural(row[0]), row[1]))
    return found


def _natural(name: str) -> tuple[Any, ...]:
    """node2 before node10."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head):] or 0)


def _blocks(lane: list[dict[str, Any]], finest: float) -> list[tuple[int, int, dict[str, Any], int]]:
    """(start, end, task, how many): neighbours that are too thin to be seen become one block of the commonest function."""
    out: list[tuple[int, int, dict[str, Any], int]] = []
    i = 0
    while i < len(lane):
        task = lane[i]
        j, end = i + 1, task["ended"]
        if end - task["started"] < finest:
            while j < len(lane) and lane[j]["ended"] - lane[j]["started"] < finest and lane[j]["ended"] - task["started"] < 2 * finest:
                end = max(end, lane[j]["ended"])
                j += 1
        if j > i + 1:
            members = lane[i:j]
            functions = [t["fn"] for t in members]
            task = next(t for t in members if t["fn"] == max(set(functions), key=lambda f: (functions.count(f), f)))
            bad = next((t for t in members if t["outcome"] != "ok" or t.get("gone")), None)
            task = bad or task
        out.append((lane[i]["started"], end, task, j - i))
        i = j
    return out


def _picture(run: traces.Run, own: Sequence[Row], span: float, fns: dict[str, int], users: dict[str, int], whose: dict[str, str]) -> dict[str, Any]:
    """What the script draws: rows, and blocks of (row, lane, start, end, -, function, user, flags, name, ready, bytes[, many])."""
    chain = set(analysis.critical(run))
    rows, blocks, outcomes = [], [], {}
    for number, (node, slot, lanes) in enumerate(own):
        rows.append([node, slot, len(lanes)])
        for k, lane in enumerate(lanes):
            for start, end, task, many in _blocks(lane, span / FINEST):
                gone = bool(task.get("gone"))
                flags = (task["outcome"] != "ok" and not gone) + 2 * (task["task"] in chain and not gone) + 4 * gone
                block: list[Any] = [number, k, start, end, 0, fns[task["fn"]], users[whose.get(task["task"], "")], flags]
                if flags & 1:
                    outcomes[task["task"]] = task["outcome"]
                blocks.append(block + ([task["task"], task["ready"], task["bytes"]] if many == 1 else ["", -1, 0, many]))
    seat = "CPU" if _widths(run) else {"process": "worker"}.get(run.engine, "slot")
    return {"seat": seat, "rows": rows, "blocks": blocks, "outcomes": outcomes,
            "end": max((t["ended"] for t in run.tasks), default=0)}


# key, heading, how to print, is less better (None: neither)
COLUMNS = (
    ("makespan_s", "makespan", seconds, True),
    ("flow_mean_s", "mean flow", seconds, True),
    ("flow_p99_s", "p99 flow", seconds, True),
    ("wait_mean_s", "mean wait", seconds, True),
    ("utilisation", "utilisation", lambda v: f"{v * 100:.1f}%", None),
    ("bytes_moved", "moved", amount, True),
    ("held_slot_s", "held", lambda v: f"{v:,.0f} slot·s" if v >= 100 else f"{v:.3g} slot·s", None),
    ("tasks", "tasks", lambda v: f"{v:,.0f}", None),
    ("failed", "failed", lambda v: f"{v:,.0f}", None),
)


def _table(runs: Sequence[traces.Run], summaries: Sequence[dict[str, Any]]) -> str:
    columns = [c for c in COLUMNS if any(c[0] in s for s in summaries)]
    columns = [c for c in columns if c[0] not in ("failed", "held_slot_s", "bytes_moved") or any(s.get(c[0]) for s in summaries)]
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
    if summary.get("deaths"):
        facts.append("attempts lost with their workers: {}{}".format(summary["deaths"], f", deaths of nodes: {n}" if (n := summary.get("node_deaths")) else ""))
    if summary.get("know"):
        facts.append(f"knows: {summary['know']}")
    if summary.get("digest"):
        facts.append(f"digest {summary['digest']}")
    return " · ".join(facts)


def _curves(runs: Sequence[traces.Run], span: int) -> str:
    """Curves of up to eight runs over each other."""
    shown = runs[:MAX_COLOURS]
    cards: list[tuple[str, Any, Any, Any, dict[str, Any]]] = [
        ("utilisation: " + ("CPUs in use" if any(map(_widths, shown)) else "tasks that run"),
         [(r.name, analysis.running(r, span, widths=_widths(r))) for r in shown], _tick, lambda v: f"{v:g}", {"steps": True}),
        ("queue: tasks that are ready and wait", [(r.name, analysis.waiting(r, span)) for r in shown], _tick, lambda v: f"{v:g}", {"steps": True}),
        ("flow time: share of tasks at or below", [(r.name, analysis.distribution(analysis.flows(r))) for r in shown], _tick,
         lambda v: f"{v * 100:.0f}%", {"log_x": True, "top": 1.0}),
    ]
    drawn = []
    for title, curves, x_text, y_text, how in cards:
        picture = charts.chart(curves, title, x_text, y_text, **how)
        if picture:
            drawn.append(f'<section class="card"><h3>{title}</h3>{picture}</section>')
    return f'<div class="charts">{"".join(drawn)}</div>{charts.keys([r.name for r in shown]) if len(shown) > 1 else ""}' if drawn else ""


def _starts(tasks: Sequence[dict[str, Any]], nodes: int, wide: bool) -> str:
    if not tasks:
        return "nothing"
    said = []
    for task in tasks[:4]:
        where = [*([task["node"]] if nodes > 1 else []), *([] if wide else [f"slot {task['slot']}"])]
        said.append(html.escape(task["task"] + (f" ({', '.join(where)})" if where else "")))
    return ", ".join(said) + (f" and {len(tasks) - 4} more" if len(tasks) > 4 else "")


def _partings(runs: Sequence[traces.Run], pictures: Sequence[dict[str, Any]]) -> str:
    """Where each run leaves the way of the first one, and what that cost."""
    said = []
    wide, nodes = bool(_widths(runs[0])), len({t["node"] for run in runs for t in run.tasks})
    firsts = {run.engine: run for run in reversed(runs)}
    for number, (run, picture) in enumerate(zip(runs, pictures)):
        first = firsts[run.engine]
        if run is first:
            continue
        found = analysis.first_difference(first, run)
        if found is None:
            if {t["task"] for t in run.tasks} == {t["task"] for t in first.tasks}:
                same = "starts everything in the same order as {}" if "process" in (run.engine, first.engine) else "does the same as {}, to the nanosecond"
                said.append(f"<li><b>{html.escape(run.name)}</b> {same.format(html.escape(first.name))}.</li>")
            continue
        picture["part"] = found["at"]
        name, loss = found["worst"]

        def more(value: float, what: str) -> str:
            return f"{what} the same" if abs(value) < 5e-10 else f"{what} {seconds(abs(value))} {'longer' if value > 0 else 'shorter'}"

        worst = f"; what loses most is {html.escape(name)}, which ends {seconds(loss)} later" if loss > 5e-10 else ""
        said.append(f'<li><b>{html.escape(run.name)}</b> parts from {html.escape(first.name)} at '
                    f'<button data-goto="{found["at"]}" data-run="{number}" title="show it">{seconds(found["at"] / 1e9)}</button>: it starts {_starts(found["b"], nodes, wide)}; '
                    f'{html.escape(first.name)} starts {_starts(found["a"], nodes, wide)}. In the end the makespan is {more(found["makespan"], "").strip()}, '
                    f'the mean flow time {more(found["flow"], "")}{worst}.</li>')
    return f'<section class="card"><h3>Where they part</h3><ul class="part">{"".join(said)}</ul></section>' if said else ""


def _all_figures(every: Sequence[traces.Run]) -> str:
    """All metrics of the first policy, and the differences to it, over the seeds that were run; apart for each engine."""
    engines = dict.fromkeys(run.engine for run in every)
    return "".join(_figures_in([run for run in every if run.engine == engine], {"process": " (real workers)", "sim": " (simulated)"}.get(engine, "") if len(engines) > 1 else "")
                   for engine in engines)


def _figures_in(every: Sequence[traces.Run], where: str) -> str:
    names, rows = figure_rows(every)
    if not rows:
        return ""
    seeds = len({run.seed for run in every})
    said = f"All figures of {names[0]}{where}" + ("" if len(names) < 2 else ", and differences to it")
    said += f": means over {seeds} seeds; mean of pairs and 95% interval" if seeds > 1 else ""
    body = []
    for metric, cells in rows:
        what = metrics.METRICS.get(metric, ("Jain's index of the slowdowns of users: 1 if all are slowed down alike", False))[0]
        body.append(f'<tr><td class="t" title="{html.escape(what)}">{metric}</td>'
                    + "".join(f"<td{ {True: ' class=best', False: ' class=bad'}.get(better, '') if better is not None else ''}>{html.escape(text)}</td>"
                              for text, better in cells) + "</tr>")
    head = "".join(f"<th>{html.escape(n)}</th>" for n in names)
    return (f'<details class="card"{" open" if seeds > 1 else ""}><summary>{html.escape(said)}</summary><div class="scroll"><table><thead><tr><th class="t"></th>{head}</tr></thead>'
            f'<tbody>{"".join(body)}</tbody></table></div></details>')


def page(runs: Sequence[traces.Run], title: str = "miniray: runs compared", subtitle: str = "", notes: Sequence[str] = (),
         every: Sequence[traces.Run] = ()) -> str:
    """The report as text.  ``notes``: what a reader should know before they believe the figures; ``every``: the runs of all seeds, of
    which ``runs`` are drawn.  A ValueError if there is no run."""
    if not runs:
        raise ValueError("a report needs at least one run")
    shown = [traces.Run(policy=r.policy, tasks=traces.normalise(r.tasks), engine=r.engine, store=r.store, seed=r.seed,
                        summary=r.summary, label=r.label, workload=r.workload) for r in runs]
    summaries = [{**metrics.figures(r, r.workload or ()), **r.summary} for r in shown]
    span = max((t["ended"] for r in shown for t in r.tasks), default=0) or 1
    fns, users, whose = _names(shown)
    numbers = {f: i for i, f in enumerate(fns)}, {u: i for i, u in enumerate(users)}
    pictures = [_picture(r, own, span, *numbers, whose) for r, own in zip(shown, _rows_of(shown))]
    partings = _partings(shown, pictures)
    data = json.dumps({"span": span, "fns": fns, "users": users, "runs": pictures},
                      separators=(",", ":")).replace("</", "<\\/")
    cards = []
    for run, summary in zip(shown, summaries):
        ejected = f'<p class="bad">{html.escape(str(summary["ejected"]))}</p>' if summary.get("ejected") else ""
        cards.append(f'<section class="card"><div class="head"><h2>{html.escape(run.name)}</h2><span class="facts">{html.escape(_facts(summary))}</span>'
                     f'</div>{ejected}<canvas class="gantt" role="img" aria-label="{html.escape(run.name)}"></canvas></section>')
    warned = f'<ul class="card notes">{"".join(f"<li>{html.escape(note)}</li>" for note in notes)}</ul>' if notes else ""
    several = len({run.seed for run in every}) > 1
    by_user = '<option value="user">user</option>' if len(users) > 1 else ""
    tools = (f'<div class="bar-tools"><label>colour by <select id="by"><option value="fn">function</option>{by_user}<option value="task">task, so that neighbours differ</option>'
             f'<option value="critical">what the end waited for</option></select></label><span><button id="in">zoom in</button> '
             f'<button id="out">zoom out</button> <button id="whole">whole run</button></span><span>wheel: zoom, drag: move, click a colour: show it alone</span>'
             f'<div class="legend" id="legend" style="margin:0"></div></div>')
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{(_PARTS / 'style.css').read_text(encoding='utf-8')}</style></head><body><h1>{html.escape(title)}</h1>"
            f'<p class="sub">{html.escape(subtitle)}</p>{warned}{_all_figures(every) if several else ""}'
            f'<section class="card">{"<h3>The runs of seed 0, drawn below</h3>" if several else ""}{_table(shown, summaries)}</section>'
            f'{"" if several else _all_figures(every)}'
            f'{_curves(shown, span)}{partings}{tools}{"".join(cards)}'
            f'<footer>One row is one slot of a node, or one worker process; all pictures share one time axis; the dashed line is the end of a run, '
            f'the red one where it parts from the first. Crossed out: an attempt that was lost with its worker or node, or whose results went with a node. '
            f'Best values are green.</footer>'
            f'<div id="tip"></div><script type="application/json" id="data">{data}</script>'
            f"<script>{(_PARTS / 'script.js').read_text(encoding='utf-8')}</script></body></html>\n")


def framed(runs: Sequence[traces.Run], title: str = "miniray: runs compared", every: Sequence[traces.Run] = ()) -> str:
    """The report inside a frame, for notebooks: its styles and script touch nothing outside."""
    return f'<iframe srcdoc="{html.escape(page(runs, title, every=every))}" style="width:100%;height:640px;border:0"></iframe>'


traces.drawn = framed


def write_report(path: str | os.PathLike[str], runs: Sequence[traces.Run], title: str = "miniray: runs compared",
                 subtitle: str = "", notes: Sequence[str] = (), every: Sequence[traces.Run] = ()) -> str:
    """Writes the report of these runs (see `page`) and gives its absolute path.  A ValueError if there is no run."""
    text = page(runs, title, subtitle, notes, every)
    path = os.path.abspath(os.fspath(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
