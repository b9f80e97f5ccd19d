"""What runs of several policies say together: means over seeds, paired differences, tables."""

from __future__ import annotations

import json
import math
from typing import Any, Sequence

from . import metrics, stats, trace as traces
from .units import amount, seconds, short

METRICS = ("makespan_s", "flow_mean_s", "flow_p50_s", "flow_p99_s", "slowdown_mean", "bounded_slowdown_mean", "utilisation", "jain",
           "user_slowdown_mean", "bytes_moved", "held_slot_s", "missed", "instructions")


def summarise(runs: Sequence[traces.Run]) -> list[dict[str, Any]]:
    """One row per policy and store: the mean of each figure over its runs, and ``sd`` of the makespan when there are
    several that differ.  A row is degraded if any of its runs was."""
    groups: dict[tuple[str, str, str | None], list[traces.Run]] = {}
    for run in runs:
        groups.setdefault((run.engine, run.policy, run.store), []).append(run)
    rows = []
    for (_, policy, store), members in groups.items():
        row: dict[str, Any] = {"policy": policy, "store": store, "runs": len(members), "engine": members[0].engine}
        for metric in METRICS:
            values = [m.summary[metric] for m in members if metric in m.summary]
            if values:
                row[metric] = sum(values) / len(values)
        spans = [m.summary.get("makespan_s", 0.0) for m in members]
        mean = sum(spans) / len(spans)
        row["makespan_sd"] = math.sqrt(sum((s - mean) ** 2 for s in spans) / (len(spans) - 1)) if len(spans) > 1 else 0.0
        gaps = [m.summary["bounds"]["gap"] for m in members if "bounds" in m.summary]
        row["gap"] = sum(gaps) / len(gaps) if gaps else None
        row["degraded"] = sum(bool(m.summary.get("degraded")) for m in members)
        row["same"] = len(members) > 1 and len({json.dumps(m.tasks) for m in members}) == 1
        digests = {m.summary.get("digest") for m in members}
        row["digest"] = digests.pop() if len(digests) == 1 else None
        rows.append(row)
    return rows


def _by_name(runs: Sequence[traces.Run]) -> dict[str, dict[int, traces.Run]]:
    """Policy (and store) -> seed -> the run, without those that were degraded."""
    groups: dict[str, dict[int, traces.Run]] = {}
    for run in runs:
        if not run.summary.get("degraded"):
            groups.setdefault(" · ".join(filter(None, (run.policy, run.store))), {})[run.seed or 0] = run
    return groups


def differences(runs: Sequence[traces.Run]) -> list[dict[str, Any]]:
    """What each policy changes against the first one, over the seeds that both have: one row per policy and metric,
    ``{"policy", "metric", "mean", "half", "n", "better"}``.  The seeds share their random numbers, so differences are paired.
    ``half`` is half the 95% interval, None where there is none: one seed, or all differences equal.  ``better``: True or
    False if the interval leaves out 0, else None.  Runs that were degraded, and the pairs they belong to, are left out."""
    groups = _by_name(runs)
    if len(groups) < 2:
        return []
    (_, base), *others = groups.items()
    rows = []
    for name, members in others:
        seeds = sorted(base.keys() & members.keys())
        for metric in METRICS:
            pairs = [(base[s].summary[metric], members[s].summary[metric]) for s in seeds
                     if metric in base[s].summary and metric in members[s].summary]
            if not pairs or not any(x or y for x, y in pairs):
                continue
            found = stats.paired([x for x, _ in pairs], [y for _, y in pairs])
            less = metrics.METRICS.get(metric, ("", False))[1]
            better = (found.mean < 0) == less if found.sure else None
            rows.append({"policy": name, "metric": metric, "mean": found.mean, "half": found.half, "n": found.n, "better": better})
    return rows


def warnings(runs: Sequence[traces.Run], warmup: float = 0.0) -> list[str]:
    """What a reader of the figures should know before they believe them."""
    out = []
    groups: dict[tuple[str, str], list[traces.Run]] = {}
    for run in runs:
        groups.setdefault((run.engine, run.policy), []).append(run)
    for (_, policy), members in groups.items():
        drifts = [d for d in (stats.halves(_after(m.tasks, warmup)) for m in members) if d is not None]
        if drifts:
            found = stats.estimate(drifts)
            if abs(found.mean) > 0.25 and (found.sure or found.half is None):
                out.append(f"{policy}: the later half of the tasks has a mean flow time {found.mean * 100:+.0f}% away from the earlier half's: the run is "
                           "too short, not warmed up (--warmup), or overloaded")
        if len(members) > 1 and len({json.dumps(m.tasks) for m in members}) == 1:
            out.append(f"{policy}: all {len(members)} seeds gave the same run, so there is no interval; a fixed graph under a policy without "
                       "chance has one outcome (try --know noisy:0.1, or gen:...)")
    return out


def _after(tasks: list[dict[str, Any]], warmup: float) -> list[dict[str, Any]]:
    return sorted(tasks, key=lambda t: t["submitted"])[int(warmup * len(tasks)):]


def figure_rows(runs: Sequence[traces.Run]) -> tuple[list[str], list[tuple[str, list[tuple[str, bool | None]]]]]:
    """What tables show of all metrics: the policies, and for each metric that any of them has a cell per policy: its mean for the
    first, and for each other the difference to the first, with whether that is better (True, False; None: it may be chance).  Last, if
    it is known, what the simulator took on this machine, for each."""
    groups = _by_name(runs)
    found = {(r["policy"], r["metric"]): r for r in differences(runs)}
    names, rows = list(groups), []
    for metric in METRICS:
        have = {name: [run.summary[metric] for run in groups[name].values() if metric in run.summary] for name in names}
        if not any(any(values) for values in have.values()):
            continue
        plain = [short(metric, sum(values) / len(values)) if values else "–" for values in have.values()]
        cells: list[tuple[str, bool | None]] = [(plain[0], None)]
        for name, own in zip(names[1:], plain[1:]):
            row = found.get((name, metric))
            if not have[names[0]]:  # nothing to compare with: a policy in C executes no instructions
                cells.append((own, None))
                continue
            if row is None or not row["mean"] and not row["half"]:
                cells.append(("=" if row else "–", None))
                continue
            sign = "+" if row["mean"] > 0 else "-" if row["mean"] < 0 else ""
            half = f" ± {short(metric, row['half'])}" if row["half"] is not None else " (all equal)" if row["n"] > 1 else ""
            cells.append((sign + short(metric, abs(row["mean"])) + half, row["better"]))
        rows.append((metric, cells))
    took = [[run.wall_s for run in groups[name].values() if run.wall_s is not None] for name in names]
    if rows and all(took):
        rows.append(("(wall time)", [(short("wall_s", sum(each) / len(each)), None) for each in took]))
    return names, rows


def difference_table(runs: Sequence[traces.Run]) -> Any:
    """A rich.table.Table of `figure_rows`; green is better, red worse, beyond chance."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names, rows = figure_rows(runs)
    out = Table(box=SIMPLE_HEAD)
    out.add_column("95% of pairs" if len(names) > 1 and any(r.seed for r in runs) else "", style="bold", no_wrap=True)
    for name in names:
        out.add_column(name if name == names[0] else f"{name} - {names[0]}", justify="right", no_wrap=True)
    for metric, cells in rows:
        colours = [{True: "green", False: "red"}.get(better) if better is not None else None for _, better in cells]
        out.add_row(metric, *(f"[{c}]{text}[/{c}]" if c else text for (text, _), c in zip(cells, colours)))
    return out


def table(runs: Sequence[traces.Run], title: str | None = None) -> Any:
    """A rich.table.Table of `summarise`; the best makespan and flow of runs that were not degraded stand out.  "busy" is
    the utilisation, "bound" how far the makespan is above the best lower bound."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = summarise(runs)
    fit = [r for r in rows if not r["degraded"]]
    stores, engines = any(r["store"] for r in rows), len({r["engine"] for r in rows}) > 1
    out = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    moved, bounded = any(r.get("bytes_moved") for r in rows), any(r["gap"] is not None for r in rows)
    out.add_column("policy", style="bold", no_wrap=True)
    if engines:
        out.add_column("engine", no_wrap=True)
    if stores:
        out.add_column("store", no_wrap=True)
    heads = ["makespan", "mean flow", "p99 flow", "busy", *(["moved"] if moved else []), *(["bound"] if bounded else [])]
    for head in heads:
        out.add_column(head, justify="right", no_wrap=True)
    if any(r["degraded"] for r in rows):
        out.add_column("ejected", no_wrap=True)

    def best(metric: str, row: dict[str, Any], text: str) -> str:
        values = [r[metric] for r in fit if metric in r and r["engine"] == row["engine"]]
        return f"[green]{text}[/green]" if row in fit and len(set(values)) > 1 and row.get(metric) == min(values) else text

    for row in rows:
        makespan = seconds(row.get("makespan_s", 0))
        if row["runs"] > 1:
            makespan += " (all equal)" if row["same"] else f" ± {seconds(row['makespan_sd'])}"
        cells = [row["policy"], *([row["engine"]] if engines else [])]
        if stores:
            cells.append(row["store"] or "default")
        cells += [best("makespan_s", row, makespan), best("flow_mean_s", row, seconds(row.get("flow_mean_s", 0))),
                  best("flow_p99_s", row, seconds(row.get("flow_p99_s", 0))), f"{row.get('utilisation', 0) * 100:.1f}%"]
        if moved:
            cells.append(amount(row["bytes_moved"]) if "bytes_moved" in row else "–")
        if bounded:
            cells.append(f"{row['gap'] * 100:+.1f}%" if row["gap"] is not None else "–")
        if any(r["degraded"] for r in rows):
            cells.append(f"[red]{row['degraded']} of {row['runs']}[/red]" if row["degraded"] else "no")
        out.add_row(*cells)
    return out
