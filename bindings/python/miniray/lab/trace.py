"""What a run leaves behind, the same for real workers and for the simulator: one dict a task, times in nanoseconds.

``{"task", "fn", "node", "slot", "submitted", "ready", "started", "ended", "outcome", "bytes"}``; a time that never came
is -1, ``outcome`` is ``"ok"`` or the name of a status.  A task that was stopped has ``"stretches"``: [from, to, slot] of each
time that it had a slot; ``"slot"`` is the last.  One that ran before in vain (its worker or node died, or its results went with a node) has
``"lost"``: [from, to, slot, node] of each time; all else is of the last attempt.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

KEYS = ("task", "fn", "node", "slot", "submitted", "ready", "started", "ended", "outcome", "bytes")
TIMES = ("submitted", "ready", "started", "ended")
PIECES = ("stretches", "lost")


def pieces(task: dict[str, Any]) -> list[tuple[int, int, int]]:
    """(from, to, slot) of each time that a task had a slot: once, unless it was stopped; never, if it was not started."""
    if task.get("stretches"):
        return [(a, b, slot) for a, b, slot in task["stretches"]]
    return [(task["started"], task["ended"], task["slot"])] if task["started"] >= 0 else []


def first(task: dict[str, Any]) -> tuple[int, str, int]:
    """(when, node, slot) of a task's first start, also of an attempt that was lost; when is -1 for none."""
    return min([(task["started"], task["node"], pieces(task)[0][2] if task["started"] >= 0 else task["slot"]),
                *((since, node, slot) for since, _, slot, node in task.get("lost", ()))])


def queued(task: dict[str, Any]) -> list[tuple[int, int]]:
    """(from, to) of each time that a task was ready and had no slot, stops left out."""
    out, since = [], task["ready"]
    for begin, end, *_ in [*sorted(task.get("lost", ())), [task["started"], task["ended"]]]:
        if 0 <= since <= begin:
            out.append((since, begin))
        since = end
    return out


@dataclass
class Run:
    """One run of one workload under one policy (and, on real workers, one store)."""

    policy: str
    tasks: list[dict[str, Any]]
    engine: str = "sim"
    store: str | None = None
    seed: int | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    workload: list[dict[str, Any]] | None = None  # the lines it is a run of, where they are known
    wall_s: float | None = None  # what the simulator took for it on this machine; in no digest, and in no figure of a grade
    printed: list[str] = field(default_factory=list)  # what a policy in Lua printed: the last 64 KiB of it

    @property
    def name(self) -> str:
        if self.label:
            return self.label
        parts = [self.policy]
        if self.store:
            parts.append(self.store)
        if self.seed:
            parts.append(f"seed {self.seed}")
        return " · ".join(parts)


    def frame(self) -> Any:
        """The tasks as a pandas DataFrame, one row each: the columns of the trace, times in ns, -1 as missing; ``wait_s``,
        ``run_s``, ``flow_s`` and ``slowdown`` beside; what the workload says of a task (user, deadline_s, ...) where it is known.
        Needs pandas."""
        import pandas

        table = pandas.DataFrame(self.tasks, columns=list(dict.fromkeys([*KEYS, *(k for t in self.tasks[:1] for k in t)])))
        for key in TIMES:
            table[key] = table[key].where(table[key] >= 0).astype("Int64")
        ready = table["ready"].fillna(table["submitted"])
        table["wait_s"] = (table["started"] - ready).astype("Float64") / 1e9
        table["run_s"] = (table["ended"] - table["started"]).astype("Float64") / 1e9
        table["flow_s"] = (table["ended"] - table["submitted"]).astype("Float64") / 1e9
        table["slowdown"] = (table["ended"] - ready).astype("Float64") / (table["ended"] - table["started"]).astype("Float64")
        table["policy"], table["seed"] = self.policy, self.seed if self.seed is not None else 0
        said = [{"task": str(w["id"]), **{k: w[k] for k in ("user", "priority", "deadline_s", "limit_s", "estimate_s", "cpus") if k in w}}
                for w in self.workload or () if "id" in w]
        return table.merge(pandas.DataFrame(said), on="task", how="left") if said else table

    def _repr_html_(self) -> str:
        assert drawn is not None
        return drawn([self], self.name)


drawn: Callable[[list[Run], str], str] | None = None  # what a notebook shows of runs; report, which the package imports, sets it


def normalise(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fills what is missing, and moves the clock so that the first submission is at 0.

    Also takes what `miniray.timeline()` gives: there a task has a ``name``, a ``worker`` and times that end in ``_at``."""
    out = []
    for i, task in enumerate(tasks):
        node, outcome = task.get("node", ""), str(task.get("outcome") or "ok")
        row: dict[str, Any] = {
            "task": str(task.get("task", i)),
            "fn": str(task.get("fn") or task.get("name") or "task"),
            "node": f"node{node}" if isinstance(node, int) else str(node or ""),
            "slot": int(task.get("slot", task.get("worker", 0)) or 0),
            "outcome": "ok" if outcome.upper() == "OK" else outcome,
            "bytes": int(task.get("bytes", 0)),
        }
        for key in TIMES:
            value = task.get(key, task.get(f"{key}_at", -1))
            row[key] = -1 if value is None else int(value)
        for key in PIECES:
            if task.get(key):
                row[key] = [list(piece) for piece in task[key]]
        out.append(row)
    zero = min((row["submitted"] for row in out if row["submitted"] >= 0), default=0)
    for row in out:
        for key in TIMES:
            if row[key] >= 0:
                row[key] -= zero
        for piece in [*row.get("stretches", ()), *row.get("lost", ())]:
            piece[0] -= zero
            piece[1] -= zero
    return out


def chrome(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Trace events for Perfetto and chrome://tracing: a process per run and node, a thread per slot.  Times in µs."""
    out: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str], int] = {}
    for run in runs:
        places = {(t["node"], slot) for t in run.tasks for _, _, slot in pieces(t)} | {(node, slot) for t in run.tasks for _, _, slot, node in t.get("lost", ())}
        for slot in sorted(places):
            if (run.name, slot[0]) not in numbers:
                numbers[run.name, slot[0]] = len(numbers) + 1
                out.append({"name": "process_name", "ph": "M", "pid": len(numbers), "tid": 0, "args": {"name": f"{run.name} {slot[0]}".strip()}})
            out.append({"name": "thread_name", "ph": "M", "pid": numbers[run.name, slot[0]], "tid": slot[1] + 1,
                        "args": {"name": f"{'worker' if run.engine == 'process' else 'slot'} {slot[1]}"}})
        for task in run.tasks:
            if task["started"] >= 0 and task["ended"] >= task["started"]:
                out += [{"name": task["fn"], "cat": task["outcome"], "ph": "X", "pid": numbers[run.name, task["node"]],
                         "tid": slot + 1, "ts": since / 1e3, "dur": (to - since) / 1e3,
                         "args": {"task": task["task"], "waited_us": max(0, task["started"] - task["ready"]) / 1e3, "bytes": task["bytes"]}}
                        for since, to, slot in pieces(task)]
            out += [{"name": task["fn"], "cat": "lost", "ph": "X", "pid": numbers[run.name, node], "tid": slot + 1, "ts": since / 1e3, "dur": (to - since) / 1e3,
                     "args": {"task": task["task"], "lost": True}} for since, to, slot, node in task.get("lost", ())]
    return out


def read_trace(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a trace (one JSON object a line).  A line that is not one is a ValueError with its place."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}:{getattr(error, 'colno', 1)}: not JSON: {getattr(error, 'msg', error)}") from None
            missing = [key for key in KEYS if key not in row] if isinstance(row, dict) else KEYS
            if missing:
                raise ValueError(f"{path}:{number}:1: not a task of a trace: {', '.join(missing)} missing")
            rows.append(row)
    return rows


def write_trace(path: str | os.PathLike[str], tasks: Iterable[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for task in tasks:
            file.write(json.dumps({key: task[key] for key in (*KEYS, *PIECES) if key in KEYS or key in task}, separators=(",", ":")) + "\n")


def quantile(values: list[float], q: float) -> float:
    """Nearest rank: the smallest value with at least q of all at or below it."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else 0.0


def figures(tasks: list[dict[str, Any]], slots: int | None = None) -> dict[str, Any]:
    """The figures of a trace that has no summary of its own: a recording of real workers."""
    done = [t for t in tasks if t["started"] >= 0 and t["ended"] >= t["started"]]
    if not done:
        return {"tasks": len(tasks), "makespan_s": 0.0, "flow_mean_s": 0.0, "flow_p50_s": 0.0, "flow_p99_s": 0.0,
                "wait_mean_s": 0.0, "wait_max_s": 0.0, "utilisation": 0.0, "failed": len(tasks)}
    begin = min(t["submitted"] if t["submitted"] >= 0 else t["started"] for t in done)
    end = max(t["ended"] for t in done)
    flow = [(t["ended"] - max(t["submitted"], 0)) / 1e9 for t in done]
    wait = [max(0, t["started"] - (t["ready"] if t["ready"] >= 0 else max(t["submitted"], 0))) / 1e9 for t in done]
    slots = slots or len({(t["node"], slot) for t in done for _, _, slot in pieces(t)})
    busy = sum(to - since for t in done for since, to, _ in pieces(t))
    span = end - begin
    return {
        "tasks": len(tasks),
        "failed": sum(t["outcome"] != "ok" for t in tasks),
        "makespan_s": span / 1e9,
        "flow_mean_s": sum(flow) / len(flow),
        "flow_p50_s": quantile(flow, 0.5),
        "flow_p99_s": quantile(flow, 0.99),
        "wait_mean_s": sum(wait) / len(wait),
        "wait_max_s": max(wait),
        "utilisation": busy / (slots * span) if span > 0 else 0.0,
    }
