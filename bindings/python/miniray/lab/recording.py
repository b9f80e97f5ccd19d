"""Recordings of real runs (`miniray record`, `init(record=...)`): read, replayed in virtual time, compared with what was measured.

A recording is one JSON object a line: every event that the core took, with its time in ns since the session began.  `read`
makes a workload of it and the trace of the real run.  What a replay does not model is counted in ``notes``.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

from . import stats, trace as traces, workload as workloads
from .run_sim import simulate

Event = dict[str, Any]

# Starts each task where and in the order in which it ran: slot by slot, waiting for its turn.
FORCED = """-- Made by miniray replay: the recorded places and orders.
local turn = {}
return {
  place = function(t) return workers(nodes()[t.labels.node])[t.labels.lane] end,
  rank = function(t) return t.labels.order end,
  pick = function(w)
    local t = first(w, w)
    if t and t.labels.order == (turn[w] or 1) then return t end
  end,
  started = function(t, w) turn[w] = t.labels.order + 1 end,
}
"""


@dataclass
class Recording:
    """A real run: its workload (with the nodes it ran on), and what happened."""

    path: str
    lines: list[workloads.Line]
    real: traces.Run
    notes: list[str] = field(default_factory=list)

    @property
    def makespan_s(self) -> float:
        """From the first start to the last end: starting worker processes is no part of it."""
        return span(self.real.tasks)


def span(tasks: Sequence[dict[str, Any]]) -> float:
    """Seconds from the first start to the last end."""
    done = [t for t in tasks if 0 <= t["started"] <= t["ended"]]
    return (max(t["ended"] for t in done) - min(t["started"] for t in done)) / 1e9 if done else 0.0


def _events(path: str) -> list[Event]:
    out: list[Event] = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                event = json.loads(text)
            except ValueError as error:
                if not text.endswith("\n"):
                    break  # the run ended in the middle of a line
                raise ValueError(f"{path}:{number}:{getattr(error, 'colno', 1)}: not JSON: {getattr(error, 'msg', error)}") from None
            if number == 1 and (not isinstance(event, dict) or event.get("miniray") != "recording"):
                raise ValueError(f"{path}:1:1: not a recording: its first line should be {{\"miniray\": \"recording\", ...}}")
            if number == 1 and event.get("version") != 1:
                raise ValueError(f"{path}:1:1: a recording of version {event.get('version')}; this program reads version 1")
            out.append(event)
    if not out:
        raise ValueError(f"{path}: empty")
    return out[1:]


def _needs(task: workloads.Line, needs: Mapping[str, float]) -> None:
    task["cpus"] = needs.get("CPU", 0)
    for key, name in (("gpus", "GPU"), ("memory", "memory")):
        if needs.get(name):
            task[key] = needs[name]
    own = {k: v for k, v in needs.items() if k not in ("CPU", "GPU", "memory")}
    if own:
        task["resources"] = own


def _lanes(done: Sequence[Event], cpus: Mapping[int, int]) -> dict[str, tuple[int, int]]:
    """Task -> (lane of its node, its turn there), both from 1: its worker, where a node had no more of them than CPUs; else the
    fewest lanes in which no two overlap.  (What a worker ran ahead is told at once: such runs begin and end in one instant.)"""
    workers: dict[int, list[int]] = {}
    for e in sorted(done, key=lambda e: e["started"]):
        if e.get("worker", -1) not in workers.setdefault(e["node"], []):
            workers[e["node"]].append(e.get("worker", -1))
    ends: dict[int, list[int]] = {}
    turns: dict[tuple[int, int], int] = {}
    out = {}
    for e in sorted(done, key=lambda e: (e["started"], e["ended"])):
        lanes = ends.setdefault(e["node"], [0] * cpus.get(e["node"], 1))
        if "worker" in e and len(workers[e["node"]]) <= len(lanes):
            lane = workers[e["node"]].index(e["worker"])
        else:
            lane = next((i for i, at in enumerate(lanes) if at <= e["started"]), min(range(len(lanes)), key=lanes.__getitem__))
        lanes[lane] = e["ended"]
        turns[e["node"], lane] = turns.get((e["node"], lane), 0) + 1
        out[e["task"]] = lane + 1, turns[e["node"], lane]
    return out


def read(path: str | os.PathLike[str]) -> Recording:
    """Reads a recording.  A last line that is cut off is dropped.  Raises ValueError with file and line."""
    path = os.fspath(path)
    events = _events(path)
    nodes = {e["node"]: e for e in events if e["ev"] == "NODE_ADDED"}
    submits = {e["task"]: e for e in events if e["ev"] == "SUBMIT"}
    tasks = {t: e for t, e in submits.items() if e.get("kind", 0) == 0}
    done = {e["task"]: e for e in events if e["ev"] == "DONE" and e["task"] in tasks and e["started"] >= 0}
    ran: dict[str, int] = {}
    sizes: dict[str, tuple[int, int | None]] = {}
    for e in events:
        if e["ev"] == "FINISHED":
            ran[e["task"]] = e["ran"]
        if e["ev"] in ("PUT", "SEALED", "FINISHED") and "id" in e:
            sizes[e["id"]] = e["size"], e.get("node")
    makers = {f"{int(t, 16) + i:016x}": t for t, e in tasks.items() for i in range(e["n"])}
    cpus = {n: max(1, int(e["total"].get("CPU", 1))) for n, e in nodes.items()}
    order = sorted(nodes)
    platform = [{"name": nodes[n]["name"] or f"node{n}", "cpus": nodes[n]["total"].get("CPU", 0),
                 **{k: v for k, v in (("gpus", nodes[n]["total"].get("GPU")), ("memory", nodes[n]["total"].get("memory"))) if v},
                 **({"resources": own} if (own := {k: v for k, v in nodes[n]["total"].items() if k not in ("CPU", "GPU", "memory")}) else {})}
                for n in order]
    lines: list[workloads.Line] = [{"platform": {"nodes": platform}}]
    lanes, files = _lanes(list(done.values()), cpus), {}
    begin = min((e["started"] for e in done.values()), default=0)  # what was submitted while the first worker came up arrives at 0
    for name in sorted(done, key=lambda t: (tasks[t]["t"], t)):
        e = tasks[name]
        line: workloads.Line = {"id": name, "fn": e.get("fn") or "task", "arrival_s": max(0, e["t"] - begin) / 1e9,
                                "duration_s": max(ran.get(name, done[name]["ended"] - done[name]["started"]), 1) / 1e9}
        _needs(line, e.get("needs", {}))
        for key in ("user", "priority"):
            if e.get(key):
                line[key] = e[key]
        for key, said in (("estimate", "estimate_s"), ("deadline", "deadline_s")):
            if key in e:
                line[said] = e[key] / 1e9
        inputs = []
        for dep in dict.fromkeys(e["deps"]):
            if dep in makers and makers[dep] in done:
                inputs.append(f"o{dep}")
            elif dep in sizes:
                size, node = sizes[dep]
                where = platform[order.index(node)]["name"] if node in nodes else platform[0]["name"]
                files[dep] = {"file": f"o{dep}", "bytes": size, "node": where}
                inputs.append(f"o{dep}")
        if inputs:
            line["inputs"] = inputs
        line["outputs"] = [{"file": f"o{int(name, 16) + i:016x}", "bytes": sizes.get(f"{int(name, 16) + i:016x}", (0, None))[0]} for i in range(max(1, e["n"]))]
        line["labels"] = {"node": order.index(done[name]["node"]) + 1, "lane": lanes[name][0], "order": lanes[name][1]}
        lines.append(line)
    lines[1:1] = files.values()
    real = traces.normalise([{"task": t, "fn": tasks[t].get("fn") or "task", "node": platform[order.index(e["node"])]["name"], "slot": lanes[t][0] - 1,
                              "submitted": tasks[t]["t"], "ready": e["ready"], "started": e["started"], "ended": e["ended"],
                              "outcome": "ok" if e["outcome"] == "OK" else e["outcome"], "bytes": e["bytes"]} for t, e in done.items()])
    run = traces.Run(policy="recorded", tasks=real, engine="process", label=f"{os.path.basename(path)} (measured)", workload=lines)
    notes = []
    for what, count in (("actors and their calls are left out", len(submits) - len(tasks)), ("tasks that never began are left out", len(tasks) - len(done)),
                        ("tasks were submitted by tasks: here they arrive when they did then", sum(e["parent"] != "0" * 16 for e in tasks.values())),
                        ("attempts were repeated: only the last one is replayed", sum(e["attempt"] > 1 for e in done.values()))):
        if count:
            notes.append(f"{count} {what}")
    return Recording(path, lines, run, notes)


def noisy(lines: Sequence[workloads.Line], seed: int, share: float = 0.05) -> list[workloads.Line]:
    """The same work with each duration off by up to ``share``."""
    rng = random.Random(f"noise/{seed}")
    return [{**line, "duration_s": line["duration_s"] * (1 + rng.uniform(-share, share))} if "id" in line else line for line in lines]


def _free_of_labels(lines: Sequence[workloads.Line]) -> list[workloads.Line]:
    return [{k: v for k, v in line.items() if k != "labels"} for line in lines]


def forced(recording: Recording, **options: Any) -> traces.Run:
    """The recorded decisions again, in virtual time: how true the simulator is.  ``options`` are those of `simulate`."""
    settings = {"sched.max_hold": "1000h", **options.pop("settings", {})}
    with tempfile.TemporaryDirectory(prefix="miniray-replay-") as folder:
        path = os.path.join(folder, "forced.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(FORCED)
        run = simulate(recording.lines, path, settings=settings, label="recorded decisions (simulated)", **options)
    run.workload = recording.lines
    return run


@dataclass
class Replays:
    """One policy on a recording: the run without noise, and the makespans with noise."""

    run: traces.Run
    spread: list[float]


def free(recording: Recording, policy: str, *, runs: int = 20, each: Callable[[], None] | None = None, **options: Any) -> Replays:
    """The policy decides again: once as recorded, then ``runs`` times with durations off by up to 5%."""
    lines = _free_of_labels(recording.lines)
    plain = simulate(lines, policy, **options)
    plain.workload, plain.label = lines, f"{plain.policy} (simulated)"
    spread = []
    for seed in range(runs):
        spread.append(span(simulate(noisy(lines, seed), policy, seed=seed, **options).tasks))
        if each:
            each()
    return Replays(plain, spread)


def ranking(replays: Mapping[str, Replays]) -> float | None:
    """Whether the order of the policies by makespan holds under noise: the mean of Kendall's tau between the runs without noise
    and each noisy one.  1: always the same order.  None: fewer than two policies, or they are all equal."""
    if len(replays) < 2:
        return None
    plain = [span(r.run.tasks) for r in replays.values()]
    taus = [stats.kendall(plain, list(column)) for column in zip(*(r.spread for r in replays.values()))]
    known = [t for t in taus if t is not None]
    return sum(known) / len(known) if known else None
