"""Recordings again in virtual time: with the decisions that were made, or with a policy deciding anew."""

from __future__ import annotations

import os
import random
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from . import trace as traces, workload as workloads
from .recording import Recording, span
from .run_sim import simulate

# Starts each task where and in the order in which it ran, seat by seat, and stops it after as long as it ran then.  Seats that are
# lent change hands while tasks wait: then a node's tasks start in their order, on any of its seats.
FORCED = """-- Made by miniray replay: the recorded places, orders and stops.
local plan = {%s}
local slices = {%s}
local waiting, turn, started, mine = {}, {}, {}, {}
local function seats(w)
  if not mine[w] then
    local at, all = 0, workers(w.node)
    for i = 1, #all do if all[i] == w then at = i end end
    local node = 0
    for i, n in ipairs(nodes()) do if n == w.node then node = i end end
    mine[w] = plan[node] and plan[node][%s] or {}
  end
  return mine[w]
end
return {
  ready = function(t) waiting[t.labels.n] = t end,
  pick = function(w)
    local line = seats(w)
    local at = turn[line] or 1
    local t = line[at] and waiting[line[at]]
    if t and can(t, w) then
      turn[line], waiting[line[at]] = at + 1, nil
      return t
    end
  end,
%s}
"""
SLICE = """  slice = function(t)
    local n = t.labels.n
    started[n] = (started[n] or 0) + 1
    local own = slices[n]
    return own and own[started[n]] or -1
  end,
"""


def _policy(recording: Recording) -> str:
    """The recorded decisions as a policy in Lua."""
    number = {line["id"]: line["labels"]["n"] for line in recording.lines if "labels" in line}
    lends = any(line.get("waits") for line in recording.lines if not line.get("driver"))
    order = sorted({x.node for x in recording.starts})
    seats: dict[int, dict[int, list[int]]] = {n: defaultdict(list) for n in order}
    slices: dict[int, list[int]] = defaultdict(list)
    stopped = {number[x.task] for x in recording.starts if x.slice is not None}
    for x in recording.starts:
        seats[x.node][0 if lends else x.seat].append(number[x.task])
        if number[x.task] in stopped:
            slices[number[x.task]].append(x.slice if x.slice is not None else -1)
    plan = ", ".join("{%s}" % ", ".join("{%s}" % ", ".join(map(str, seats[n][s])) for s in sorted(seats[n])) for n in order)
    stops = ", ".join(f"[{n}] = {{{', '.join(map(str, v))}}}" for n, v in slices.items())
    return FORCED % (plan, stops, "1" if lends else "at", SLICE if slices else "")


def noisy(lines: Sequence[workloads.Line], seed: int, share: float = 0.05) -> list[workloads.Line]:
    """The same work with each duration off by up to ``share``, and what a task does on the way with it."""
    rng = random.Random(f"noise/{seed}")
    by = {line["id"]: 1 + rng.uniform(-share, share) for line in lines if "id" in line and not line.get("driver")}
    out = []
    for line in lines:
        f = by.get(line.get("id", ""), 1.0)
        line = {**line, "duration_s": line["duration_s"] * f} if "duration_s" in line and "id" in line else line
        if "parent" in line:
            line["after_s"] = line["after_s"] * by.get(line["parent"], 1.0)
        if line.get("waits"):
            line["waits"] = [{**wait, "after_s": wait["after_s"] * f} for wait in line["waits"]]
        if line.get("fails_s"):
            line["fails_s"] = [s * f for s in line["fails_s"]]
        if isinstance(line.get("outputs"), list):
            line["outputs"] = [{**o, "after_s": o["after_s"] * f} if "after_s" in o else o for o in line["outputs"]]
        out.append(line)
    return out


def _free_of_labels(lines: Sequence[workloads.Line]) -> list[workloads.Line]:
    return [{k: v for k, v in line.items() if k != "labels"} for line in lines]


def forced(recording: Recording, **options: Any) -> traces.Run:
    """The recorded decisions again, in virtual time: how true the simulator is.  ``options`` are those of `simulate`."""
    settings = {"sched.max_hold": "1000h", "sched.min_slice": "0", "sched.sched-lua.memory": "1G", "sched.sched-lua.budget": "1000000000",
                **options.pop("settings", {})}
    with tempfile.TemporaryDirectory(prefix="miniray-replay-") as folder:
        path = os.path.join(folder, "forced.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_policy(recording))
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


EQUAL = 0.01  # makespans of one recording that are closer than that have no order


def ranking(replays: Mapping[str, Replays]) -> tuple[float, int] | None:
    """Whether the order of the policies by makespan holds under noise: Kendall's tau between the runs without noise and the noisy ones,
    over the pairs of policies that differ by over 1% (1: each pair always the same way round), and how many pairs that are.  None:
    there is no such pair, or no noisy run."""
    plain = {name: span(r.run.tasks) for name, r in replays.items()}
    pairs = [(a, b) for i, a in enumerate(plain) for b in list(plain)[:i] if abs(plain[a] - plain[b]) > EQUAL * max(plain[a], plain[b])]
    signs = [(1 if x > y else -1 if x < y else 0) * (1 if plain[a] > plain[b] else -1)
             for a, b in pairs for x, y in zip(replays[a].spread, replays[b].spread)]
    return (sum(signs) / len(signs), len(pairs)) if signs else None
