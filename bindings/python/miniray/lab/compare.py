"""One workload or driver script under several policies (and stores): runs, means over seeds, a table."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterator, Sequence

from . import places, trace as traces, workload as workloads
from .run_sim import SimError, simulate

METRICS = ("makespan_s", "flow_mean_s", "flow_p99_s", "utilisation", "bytes_moved", "held_slot_s")


def _sim_runs(workload: str, policies: Sequence[str], seeds: int, options: dict[str, Any]) -> Iterator[traces.Run]:
    made = workloads.parse(workload)
    for seed in range(seeds):
        lines = workloads.make(workload, seed) if made else workload
        for policy in policies:
            run = simulate(lines, policy, seed=seed, **options)
            run.seed = seed if seeds > 1 else None
            yield run


def _process_environment(policy: str, store: str | None, workers: int | None) -> dict[str, str]:
    plugin, file = places.policy_arguments(policy)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MINIRAY_SCHED_", "MINIRAY_STORE_"))}
    if plugin:
        env["MINIRAY_SCHED_PLUGIN"] = plugin
    if file:
        env["MINIRAY_SCHED_POLICY"] = file
    if store:
        env["MINIRAY_STORE_PLUGIN"] = store
    if workers:
        env["MINIRAY_NODE_CPUS"] = str(workers)
    return env


def _process_runs(workload: str, policies: Sequence[str], stores: Sequence[str | None], seeds: int, workers: int | None,
                  arguments: Sequence[str], scale: float) -> Iterator[traces.Run]:
    made = workloads.parse(workload)
    with tempfile.TemporaryDirectory(prefix="miniray-compare-") as folder:
        for seed in range(seeds):
            if made:
                path = os.path.join(folder, "workload.jsonl")
                workloads.write(path, workloads.make(workload, seed))
            else:
                path = workload
            for policy in policies:
                for store in stores:
                    out = os.path.join(folder, "timeline.json")
                    command = [sys.executable, "-m", "miniray.lab.driver", "--timeline", out]
                    command += [path, *arguments] if path.endswith(".py") else ["--workload", path, "--scale", str(scale)]
                    done = subprocess.run(command, env=_process_environment(policy, store, workers), stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, text=True)
                    if done.returncode != 0:
                        name = os.path.basename(path)
                        raise SimError(2, f"{name} under {policy}{' and ' + store if store else ''} ended with status "
                                          f"{done.returncode}:\n{(done.stderr or done.stdout).strip()[-4000:]}")
                    with open(out, encoding="utf-8") as file:
                        result = json.load(file)
                    name = os.path.splitext(os.path.basename(policy))[0]
                    tasks = traces.normalise(result["tasks"])
                    summary = {**traces.figures(tasks, workers), "columns": {"wall time": f"{result['wall_s']:.3f} s"}}
                    yield traces.Run(policy=name, tasks=tasks, engine="process", store=store, seed=seed if seeds > 1 else None,
                                     summary=summary)


def compare(
    workload: str,
    policies: Sequence[str],
    *,
    engine: str = "sim",
    stores: Sequence[str | None] = (None,),
    seeds: int = 1,
    workers: int | None = None,
    arguments: Sequence[str] = (),
    scale: float = 1.0,
    each: Callable[[traces.Run], None] | None = None,
    **options: Any,
) -> list[traces.Run]:
    """All runs of ``policies`` × ``stores`` × ``seeds``.

    ``workload``: a JSONL or WfFormat file, ``gen:KIND,KEY=VALUE,...`` (made anew for each seed, the same for all
    policies of one seed), or, on real workers, a driver script.  ``each`` is called after every run.  ``options`` are
    those of `simulate`.  Raises SimError with the failing run's own message."""
    if engine not in ("sim", "process"):
        raise ValueError(f"engine must be 'sim' or 'process', not {engine!r}")
    if engine == "sim" and workload.endswith(".py"):
        raise ValueError("a driver script runs on real workers: engine='process'")
    if engine == "process" and options:
        raise ValueError(f"only the simulator knows {', '.join(sorted(options))}")
    if engine == "sim" and any(stores):
        raise ValueError("the simulator moves no bytes through a store: stores are compared on real workers (engine='process')")
    source = (_sim_runs(workload, policies, seeds, options) if engine == "sim"
              else _process_runs(workload, policies, stores or (None,), seeds, workers, arguments, scale))
    runs = []
    for run in source:
        runs.append(run)
        if each:
            each(run)
    return runs


def summarise(runs: Sequence[traces.Run]) -> list[dict[str, Any]]:
    """One row per policy and store: the mean of each figure over its runs, and ``sd`` of the makespan when there are
    several that differ.  A row is degraded if any of its runs was."""
    groups: dict[tuple[str, str | None], list[traces.Run]] = {}
    for run in runs:
        groups.setdefault((run.policy, run.store), []).append(run)
    rows = []
    for (policy, store), members in groups.items():
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


def table(runs: Sequence[traces.Run], title: str | None = None) -> Any:
    """A rich.table.Table of `summarise`; the best makespan and flow of runs that were not degraded stand out.  "busy" is
    the utilisation, "bound" how far the makespan is above the best lower bound."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from .report import amount, seconds

    rows = summarise(runs)
    fit = [r for r in rows if not r["degraded"]]
    stores = any(r["store"] for r in rows)
    out = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    moved, bounded = any(r.get("bytes_moved") for r in rows), any(r["gap"] is not None for r in rows)
    out.add_column("policy", style="bold", no_wrap=True)
    if stores:
        out.add_column("store", no_wrap=True)
    heads = ["makespan", "mean flow", "p99 flow", "busy", *(["moved"] if moved else []), *(["bound"] if bounded else [])]
    for head in heads:
        out.add_column(head, justify="right", no_wrap=True)
    if any(r["degraded"] for r in rows):
        out.add_column("ejected", no_wrap=True)

    def best(metric: str, row: dict[str, Any], text: str) -> str:
        values = [r[metric] for r in fit if metric in r]
        return f"[green]{text}[/green]" if row in fit and len(set(values)) > 1 and row.get(metric) == min(values) else text

    for row in rows:
        makespan = seconds(row.get("makespan_s", 0))
        if row["runs"] > 1:
            makespan += " (all equal)" if row["same"] else f" ± {seconds(row['makespan_sd'])}"
        cells = [row["policy"]]
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
