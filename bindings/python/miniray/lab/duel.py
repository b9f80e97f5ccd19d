"""Looks for a small graph on which one policy is as bad as possible against another, and takes away what is not needed.

Simulated annealing: a step changes one length, edge or task, on unlike processors also a speed or what an edge carries; a worse step is taken with a
probability that falls.  Then tasks, edges and processors go, and lengths become round, as long as the ratio stays.  All follows from the seed.
"""

from __future__ import annotations

import copy
import math
import random
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterator

from . import metrics, workload as workloads
from .run_sim import simulate

SHORTEST, LONGEST = 1, 50  # lengths of tasks, whole seconds
SPEEDS = (1, 2, 3, 4)  # of unlike processors: what a second of work is divided by
MOST_BYTES, BANDWIDTH = 50, 1_000_000  # what an edge carries, in seconds of copying; bytes a second between unlike processors


@dataclass
class Graph:
    """Tasks by number with their lengths, edges from smaller to larger numbers with what they carry in seconds of copying, and processors: so
    many equal ones, between which copies are free, or with ``speeds`` one node each."""

    times: list[int]
    edges: dict[tuple[int, int], int] = field(default_factory=dict)
    processors: int = 3
    speeds: tuple[int, ...] = ()

    def lines(self) -> list[workloads.Line]:
        nodes = [{"name": f"p{i}", "cpus": 1, "speed": s} for i, s in enumerate(self.speeds)]
        out: list[workloads.Line] = [{"platform": {"nodes": nodes, "bandwidth": BANDWIDTH, "latency": 0}} if nodes else workloads.platform(1, self.processors)]
        for i, time in enumerate(self.times):
            task: workloads.Line = {"id": f"t{i}", "fn": "job", "duration_s": time}
            into = [(a, n) for (a, b), n in sorted(self.edges.items()) if b == i]
            if any(not n for _, n in into):
                task["deps"] = [f"t{a}" for a, n in into if not n]
            if any(n for _, n in into):
                task["inputs"] = [{"id": f"t{a}", "bytes": n * BANDWIDTH} for a, n in into if n]
            out.append(task)
        return out

    def without(self, task: int) -> "Graph":
        def number(i: int) -> int:
            return i - (i > task)

        return replace(self, times=[t for i, t in enumerate(self.times) if i != task],
                       edges={(number(a), number(b)): n for (a, b), n in self.edges.items() if task not in (a, b)})

    def smaller(self) -> "Iterator[Graph]":
        """With one processor less, with one edge less, with an edge that carries nothing, with a processor like the first."""
        if self.processors > 1:
            for i in range(self.processors) if self.speeds else (0,):
                yield replace(self, processors=self.processors - 1, speeds=self.speeds[:i] + self.speeds[i + 1:])
        for edge, carried in sorted(self.edges.items()):
            rest = {e: n for e, n in self.edges.items() if e != edge}
            yield replace(self, edges=rest)
            if carried:
                yield replace(self, edges={**rest, edge: 0})
        for i, speed in enumerate(self.speeds):
            if speed != 1:
                yield replace(self, speeds=self.speeds[:i] + (1,) + self.speeds[i + 1:])


@dataclass
class Found:
    """The instance, what the metric is under each policy, and how often a pair of runs was made."""

    graph: Graph
    a: float
    b: float
    runs: int = 0
    interrupted: bool = False

    @property
    def ratio(self) -> float:
        return self.a / self.b if self.b > 0 else 1.0

    def as_test(self) -> str:
        """A `--- test` block for the policy file of a: on this instance it should be as good as b is."""
        graph = self.graph
        out = ["--- test as good as the other on the instance of a duel"]
        if graph.speeds:
            out += [f"---   node p{i} speed={s}" for i, s in enumerate(graph.speeds)] + [f"---   bandwidth {BANDWIDTH}"]
        else:
            out.append(f"---   nodes 1 cpus {graph.processors}")
        for line in graph.lines()[1:]:
            after = f" after={','.join(line['deps'])}" if line.get("deps") else ""
            reads = f" inputs={','.join(x['id'] + ':' + str(x['bytes']) for x in line['inputs'])}" if line.get("inputs") else ""
            out.append(f"---   task {line['id']} fn=job duration={line['duration_s']}s{after}{reads}")
        return "\n".join([*out, f"---   within {self.b:.12g}s"]) + "\n"


def _carried(rng: random.Random, unlike: bool) -> int:
    return rng.randint(0, MOST_BYTES) if unlike and rng.random() < 0.7 else 0


def _random(rng: random.Random, tasks: int, processors: int, unlike: bool) -> Graph:
    speeds = tuple(rng.choice(SPEEDS) for _ in range(processors)) if unlike else ()
    graph = Graph([rng.randint(SHORTEST, LONGEST) for _ in range(tasks)], processors=processors, speeds=speeds)
    for b in range(1, tasks):
        graph.edges.update({(a, b): _carried(rng, unlike) for a in range(b) if rng.random() < 1.5 / tasks})
    return graph


def _changed(rng: random.Random, graph: Graph, most: int) -> Graph:
    new = copy.deepcopy(graph)
    n, unlike = len(new.times), bool(new.speeds)
    if unlike and rng.random() < 0.3:
        if new.edges and rng.random() < 0.6:
            new.edges[rng.choice(sorted(new.edges))] = _carried(rng, unlike)
        else:
            i = rng.randrange(new.processors)
            new.speeds = new.speeds[:i] + (rng.choice(SPEEDS),) + new.speeds[i + 1:]
        return new
    what = rng.random()
    if what < 0.45:
        i = rng.randrange(n)
        new.times[i] = rng.randint(SHORTEST, LONGEST) if rng.random() < 0.4 else max(SHORTEST, min(LONGEST, round(new.times[i] * rng.uniform(0.5, 2))))
    elif what < 0.8 and n > 1:
        a, b = sorted(rng.sample(range(n), 2))
        if new.edges.pop((a, b), None) is None:
            new.edges[a, b] = _carried(rng, unlike)
    elif what < 0.88 and n < most:
        new.times.append(rng.randint(SHORTEST, LONGEST))
    elif what < 0.95 and n > 3:
        new = new.without(rng.randrange(n))
    elif n > 1:  # two tasks change places in the order of submission
        i, j = rng.sample(range(n), 2)
        new.times[i], new.times[j] = new.times[j], new.times[i]
    return new


def duel(a: str, b: str, *, steps: int = 300, seed: int = 0, tasks: int = 8, processors: int = 3, metric: str = "makespan_s",
         know: str = "exact", unlike: bool = False, each: Callable[[Found], None] | None = None) -> Found:
    """The worst instance found for policy ``a`` against ``b`` by ``metric`` (less must be better).  ``tasks``: to begin with; at most
    twice as many.  ``unlike``: processors are nodes of their own speeds, and edges carry bytes between them.  ``each`` is called with the best so far after every step.  An interrupt ends
    the search with the worst that was found (``interrupted``).  Raises SimError if a policy does not run."""
    if not metrics.METRICS.get(metric, ("", False))[1]:
        raise ValueError(f"{metric} is not a metric of which less is better")
    rng = random.Random(f"duel/{seed}")
    runs = 0

    def value(graph: Graph, policy: str) -> float:
        lines = graph.lines()
        run = simulate(lines, policy, know=know, reveal="whole")
        if run.summary.get("degraded"):
            raise ValueError(f"{policy} fails: {run.summary['ejected']}")
        return metrics.figure(metrics.figures(run, lines), metric, "a graph of a duel")

    def judge(graph: Graph) -> Found:
        nonlocal runs
        runs += 1
        return Found(graph, value(graph, a), value(graph, b), runs)

    best: Found | None = None
    try:
        now = best = judge(_random(rng, tasks, processors, unlike))
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
    except KeyboardInterrupt:
        if best is None:
            raise
        best.interrupted = True
    best.runs = runs
    return best


def _shrunk(found: Found, judge: Callable[[Graph], Found]) -> Found:
    """Less of it, and rounder, with at least 98% of the ratio."""
    floor = max(found.ratio * 0.98, min(found.ratio, 1.000001))  # it stays one that a loses
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
        while any(better(graph) for graph in found.graph.smaller()):
            pass  # from the beginning, with what is left
    for unit in (10, 5):
        for i, time in enumerate(found.graph.times):
            rounded = max(SHORTEST, round(time / unit) * unit)
            if rounded != time:
                better(replace(found.graph, times=[rounded if j == i else t for j, t in enumerate(found.graph.times)]))
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
            "edges": len(found.graph.edges), "processors": found.graph.processors, "speeds": list(found.graph.speeds), "pairs_of_runs": found.runs}
