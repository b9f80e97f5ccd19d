"""Looks for a small graph on which one policy is as bad as possible against another, and takes away what is not needed.

Simulated annealing: a step changes one length, edge, task or the number of processors; a worse step is taken with a
probability that falls.  Then tasks and edges go, and lengths become round, as long as the ratio stays.  All follows from the seed.
"""

from __future__ import annotations

import copy
import math
import random
from dataclasses import dataclass, field
from typing import Any, Callable

from . import metrics, workload as workloads
from .run_sim import simulate

SHORTEST, LONGEST = 1, 50  # lengths of tasks, whole seconds


@dataclass
class Graph:
    """Tasks by number with their lengths, edges from smaller to larger numbers, and so many equal processors."""

    times: list[int]
    edges: set[tuple[int, int]] = field(default_factory=set)
    processors: int = 3

    def lines(self) -> list[workloads.Line]:
        out = [workloads.platform(1, self.processors)]
        for i, time in enumerate(self.times):
            deps = [f"t{a}" for a, b in sorted(self.edges) if b == i]
            out.append({"id": f"t{i}", "fn": "job", "duration_s": time, **({"deps": deps} if deps else {})})
        return out

    def without(self, task: int) -> "Graph":
        def number(i: int) -> int:
            return i - (i > task)

        return Graph([t for i, t in enumerate(self.times) if i != task],
                     {(number(a), number(b)) for a, b in self.edges if task not in (a, b)}, self.processors)


@dataclass
class Found:
    """The instance, what the metric is under each policy, and how often a pair of runs was made."""

    graph: Graph
    a: float
    b: float
    runs: int = 0

    @property
    def ratio(self) -> float:
        return self.a / self.b if self.b > 0 else 1.0

    def as_test(self) -> str:
        """A `--- test` block for the policy file of a: on this instance it should be as good as b is."""
        out = [f"--- test at most {self.b:g} s on the instance of a duel", f"---   nodes 1 cpus {self.graph.processors}"]
        for line in self.graph.lines()[1:]:
            after = f" after={','.join(line['deps'])}" if line.get("deps") else ""
            out.append(f"---   task {line['id']} duration={line['duration_s']}s{after}")
        return "\n".join([*out, f"---   makespan {self.b:g}s"]) + "\n"


def _random(rng: random.Random, tasks: int, processors: int) -> Graph:
    graph = Graph([rng.randint(SHORTEST, LONGEST) for _ in range(tasks)], processors=processors)
    for b in range(1, tasks):
        graph.edges |= {(a, b) for a in range(b) if rng.random() < 1.5 / tasks}
    return graph


def _changed(rng: random.Random, graph: Graph, most: int) -> Graph:
    new = copy.deepcopy(graph)
    n = len(new.times)
    what = rng.random()
    if what < 0.45:
        i = rng.randrange(n)
        new.times[i] = rng.randint(SHORTEST, LONGEST) if rng.random() < 0.4 else max(SHORTEST, min(LONGEST, round(new.times[i] * rng.uniform(0.5, 2))))
    elif what < 0.8 and n > 1:
        a, b = sorted(rng.sample(range(n), 2))
        new.edges ^= {(a, b)}
    elif what < 0.88 and n < most:
        new.times.append(rng.randint(SHORTEST, LONGEST))
    elif what < 0.95 and n > 3:
        new = new.without(rng.randrange(n))
    elif n > 1:  # two tasks change places in the order of submission
        i, j = rng.sample(range(n), 2)
        new.times[i], new.times[j] = new.times[j], new.times[i]
    return new


def duel(a: str, b: str, *, steps: int = 300, seed: int = 0, tasks: int = 8, processors: int = 3, metric: str = "makespan_s",
         know: str = "exact", each: Callable[[Found], None] | None = None) -> Found:
    """The worst instance found for policy ``a`` against ``b`` by ``metric`` (less must be better).  ``tasks``: to begin with; at most
    twice as many.  ``each`` is called with the best so far after every step.  Raises SimError if a policy does not run."""
    if not metrics.METRICS.get(metric, ("", False))[1]:
        raise ValueError(f"{metric} is not a metric of which less is better")
    rng = random.Random(f"duel/{seed}")
    runs = 0

    def value(graph: Graph, policy: str) -> float:
        lines = graph.lines()
        run = simulate(lines, policy, know=know, reveal="whole")
        if run.summary.get("degraded"):
            raise ValueError(f"{policy} fails: {run.summary['ejected']}")
        return float(metrics.figures(run, lines)[metric])

    def judge(graph: Graph) -> Found:
        nonlocal runs
        runs += 1
        return Found(graph, value(graph, a), value(graph, b), runs)

    now = best = judge(_random(rng, tasks, processors))
    for step in range(steps):
        heat = 0.1 * (1 - step / steps)
        tried = judge(_changed(rng, now.graph, 2 * tasks))
        if tried.ratio >= now.ratio or rng.random() < math.exp((tried.ratio - now.ratio) / max(heat, 1e-9)):
            now = tried
        if now.ratio > best.ratio:
            best = now
        if each:
            each(best)
    best = _shrunk(best, judge)
    best.runs = runs
    return best


def _shrunk(found: Found, judge: Callable[[Graph], Found]) -> Found:
    """Less of it, and rounder, with at least 98% of the ratio."""
    floor = found.ratio * 0.98
    moved = True

    def better(graph: Graph) -> bool:
        nonlocal found, moved
        tried = judge(graph)
        if tried.ratio < floor:
            return False
        found, moved = tried, True
        return True

    while moved:
        moved = False
        for task in reversed(range(len(found.graph.times))):
            if len(found.graph.times) > 2 and task < len(found.graph.times):
                better(found.graph.without(task))
        for edge in sorted(found.graph.edges):
            if edge in found.graph.edges:
                better(Graph(found.graph.times, found.graph.edges - {edge}, found.graph.processors))
    for unit in (10, 5):
        for i, time in enumerate(found.graph.times):
            rounded = max(SHORTEST, round(time / unit) * unit)
            if rounded != time:
                better(Graph([rounded if j == i else t for j, t in enumerate(found.graph.times)], found.graph.edges, found.graph.processors))
    return found


def write(path: str, found: Found, a: str, b: str, metric: str = "makespan_s") -> None:
    """The instance as a workload file; its first line tells what it shows."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# {metric}: {a} {found.a:g}, {b} {found.b:g}, ratio {found.ratio:.3f}; know = exact, reveal = whole\n")
    with open(path, "a", encoding="utf-8") as file:
        for line in found.graph.lines():
            file.write(workloads.text(line))


def describe(found: Found, a: str, b: str) -> dict[str, Any]:
    return {"a": a, "b": b, "a_value": found.a, "b_value": found.b, "ratio": found.ratio, "tasks": len(found.graph.times),
            "edges": len(found.graph.edges), "processors": found.graph.processors, "pairs_of_runs": found.runs}
