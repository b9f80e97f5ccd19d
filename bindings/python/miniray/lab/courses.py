"""Workloads that the labs are about, one function each.  As in `workload`: all follows from the arguments and the seed.

Knows no other module of the laboratory; `workload` lists these among its generators.
"""

from __future__ import annotations

import random
from typing import Any, Callable

Line = dict[str, Any]


def duration(rng: random.Random, mean: float, cv: float) -> float:
    """A duration with this mean and coefficient of variation (gamma), rounded to a microsecond, never 0."""
    if cv <= 0:
        return mean
    shape = 1 / (cv * cv)
    return max(1e-6, round(rng.gammavariate(shape, mean / shape), 6))


def platform(nodes: int = 1, cpus: float = 1, **more: Any) -> Line:
    """A first line: ``nodes`` like nodes; ``more``: bandwidth, latency, links."""
    return {"platform": {"nodes": [{"count": nodes, "cpus": cpus}], **more}}


def byhand(rng: random.Random, tasks: int = 5, arrivals: int = 6, longest: int = 9, due: int = 0, parents: float = 0, cpus: int = 1) -> list[Line]:
    """A few tasks in whole seconds, no two of the same length, the first at 0: to be scheduled with a pencil.  ``due``: each has a deadline, up to so
    many seconds later than it could end; ``parents``: how many tasks it comes after, on average."""
    times = rng.sample(range(1, max(int(longest), int(tasks)) + 1), int(tasks))
    at = sorted(rng.randint(0, int(arrivals)) for _ in times)
    names = [chr(65 + i % 26) + ("" if i < 26 else str(i // 26)) for i in range(len(times))]
    lines: list[Line] = [platform(1, int(cpus))]
    for i, t in enumerate(times):
        line: Line = {"id": names[i], "fn": "job", "arrival_s": at[i] if i else 0, "duration_s": t}
        if due:
            line["deadline_s"] = t + rng.randint(0, int(due))
        before = [n for n in names[:i] if rng.random() < parents / i] if parents and i else []
        lines.append({**line, "deps": before} if before else line)
    return lines


def bag(rng: random.Random, tasks: int = 40, duration_s: float = 1.0, cv: float = 1.0, stated: bool = False) -> list[Line]:
    """Independent tasks, all there at the start; ``stated``: each says how long it will take."""
    lines: list[Line] = [{"id": f"t{i}", "fn": "job", "duration_s": duration(rng, duration_s, cv)} for i in range(int(tasks))]
    return [{**line, "estimate_s": line["duration_s"]} for line in lines] if stated else lines


def lptworst(rng: random.Random | None = None, machines: int = 3, shuffle: bool = False) -> list[Line]:
    """The jobs on which longest-first is 4/3 - 1/(3m) times the best: two each of 2m-1 .. m+1, three of m."""
    m = int(machines)
    times = [t for t in range(2 * m - 1, m, -1) for _ in (0, 1)] + [m] * 3
    if shuffle and rng is not None:
        rng.shuffle(times)
    return [platform(1, m), *({"id": f"t{i}", "fn": "job", "duration_s": t} for i, t in enumerate(times))]


def spines(rng: random.Random, chains: int = 3, length: int = 10, loose: int = 40, duration_s: float = 1.0, cv: float = 0.6) -> list[Line]:
    """Much loose work, and a few chains that come last and lead to one end: what is best begun first is not what came first."""
    lines: list[Line] = [{"id": f"l{i}", "fn": "loose", "duration_s": duration(rng, duration_s, cv)} for i in range(int(loose))]
    for c in range(int(chains)):
        for i in range(int(length)):
            before = [f"c{c}_{i - 1}"] if i else []
            if i and rng.random() < 0.2:
                before.append(f"c{rng.randrange(int(chains))}_{i - 1}")
            lines.append({"id": f"c{c}_{i}", "fn": "chain", "duration_s": duration(rng, duration_s, cv),
                          **({"deps": list(dict.fromkeys(before))} if before else {})})
    lines.append({"id": "end", "fn": "end", "duration_s": duration_s, "deps": [f"c{c}_{int(length) - 1}" for c in range(int(chains))]})
    return lines


def unlike(rng: random.Random, tasks: int = 40, density: float = 0.12, processors: int = 3, duration_s: float = 10.0,
           spread: float = 1.0, ccr: float = 1.0) -> list[Line]:
    """A random graph on ``processors`` unlike processors: each task takes its own time on each, drawn from mean ± spread/2;
    ``ccr`` is the ratio of copying an edge to running a task."""
    lines: list[Line] = [{"platform": {"nodes": [{"name": f"p{i}", "class": f"P{i}", "cpus": 1} for i in range(int(processors))],
                                       "bandwidth": 1_000_000, "latency": 0, "links": "parallel"}}]
    for i in range(int(tasks)):
        mean = duration(rng, duration_s, 0.5)
        times = {f"P{p}": round(max(0.01, mean * (1 + spread * (rng.random() - 0.5))), 6) for p in range(int(processors))}
        task: Line = {"id": f"t{i}", "fn": f"kind{rng.randrange(4)}", "duration_s": times}
        near = range(max(0, i - 12), i)
        parents = [p for p in near if rng.random() < density] or ([rng.choice(near)] if near and rng.random() < 0.9 else [])
        if parents:
            task["inputs"] = [{"id": f"t{p}", "bytes": int(rng.uniform(0.2, 1.8) * ccr * duration_s * 1_000_000)} for p in parents]
        lines.append(task)
    return lines


def cholesky(rng: random.Random | None = None, tiles: int = 8, potrf: float = 0.018850, trsm: float = 0.045647, update: float = 0.087780,
             gpu_potrf: float = 0.005475, gpu_trsm: float = 0.006407, gpu_update: float = 0.002821, cpus: int = 9, gpus: int = 3,
             jitter: float = 0.0) -> list[Line]:
    """Tiled Cholesky factorisation on ``cpus`` CPU and ``gpus`` GPU processors; ``jitter`` spreads the times of the kernels
    by that share.  The times given here, seconds for tiles of 960, were measured by StarPU on its machine "mirage" (chol_model_11,
    21 and 22 in Debian's starpu-examples; the mean of its GPUs)."""
    times = {"potrf": (potrf, gpu_potrf), "trsm": (trsm, gpu_trsm), "syrk": (update, gpu_update), "gemm": (update, gpu_update)}
    lines: list[Line] = [{"platform": {"nodes": [{"name": "cpu", "class": "cpu", "cpus": int(cpus)},
                                                 {"name": "gpu", "class": "gpu", "cpus": int(gpus)}], "bandwidth": 10**12, "latency": 0}}]
    last: dict[tuple[int, int], str] = {}

    def add(kind: str, name: str, tile: tuple[int, int], *reads: tuple[int, int]) -> None:
        stretch = 1 + jitter * (2 * rng.random() - 1) if jitter and rng is not None else 1
        deps = list(dict.fromkeys(last[t] for t in (tile, *reads) if t in last))
        lines.append({"id": name, "fn": kind, "duration_s": {c: round(t * stretch, 9) for c, t in zip(("cpu", "gpu"), times[kind])},
                      **({"deps": deps} if deps else {})})
        last[tile] = name

    n = int(tiles)
    for k in range(n):
        add("potrf", f"potrf{k}", (k, k))
        for i in range(k + 1, n):
            add("trsm", f"trsm{i}_{k}", (i, k), (k, k))
        for i in range(k + 1, n):
            add("syrk", f"syrk{i}_{k}", (i, i), (i, k))
            for j in range(k + 1, i):
                add("gemm", f"gemm{i}_{j}_{k}", (i, j), (i, k), (j, k))
    return lines


def batch(rng: random.Random, jobs: int = 150, cpus: int = 32, load: float = 0.8, wide: float = 0.03, duration_s: float = 120.0) -> list[Line]:
    """A batch machine: many narrow jobs, a few as wide as the machine, each with the limit its user asked for, which is one
    to five times what it takes."""
    lines: list[Line] = [platform(1, int(cpus))]
    sizes = [max(1, int(cpus) // part) for part in (32, 32, 32, 16, 16, 16, 8, 8, 8, 4, 4, 2)]
    now = 0.0
    for i in range(int(jobs)):
        width = int(cpus) if rng.random() < wide else rng.choice(sizes)
        takes = duration(rng, duration_s, 1.2)
        lines.append({"id": f"j{i}", "fn": "job", "arrival_s": round(now, 6), "duration_s": takes, "cpus": width,
                      "limit_s": round(takes * rng.uniform(1, 5) + 1, 6), "estimate_s": takes})
        now += rng.expovariate(load * cpus / (duration_s * (wide * cpus + (1 - wide) * sum(sizes) / len(sizes))))
    return lines


def tenants(rng: random.Random, users: int = 4, tasks: int = 300, load: float = 0.9, cpus: int = 4, duration_s: float = 1.0,
            cv: float = 1.5) -> list[Line]:
    """Users who share slots: the first sends half of all tasks in a few large bursts, the others send theirs one by one."""
    lines: list[Line] = [platform(1, int(cpus))]
    n = int(tasks)
    span = n * duration_s / (cpus * load)
    arrivals: list[tuple[float, str]] = []
    bursts = max(2, n // 60)
    for b in range(bursts):
        at = rng.uniform(0, span * 0.8)
        arrivals += [(at, "user0")] * (n // 2 // bursts)
    arrivals += [(rng.uniform(0, span), f"user{rng.randrange(1, max(2, int(users)))}") for _ in range(n - len(arrivals))]
    for i, (at, user) in enumerate(sorted(arrivals)):
        lines.append({"id": f"t{i}", "fn": f"work_of_{user}", "user": user, "arrival_s": round(at, 6),
                      "duration_s": max(duration_s / 20, duration(rng, duration_s, cv))})
    return lines


# Seconds of a task and tasks of a job in an hour of a large cluster (data:alibaba-hour), at these shares of all.
_SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_HOUR_S = (0.5, 1, 3, 4, 6, 10, 16, 27, 52, 148, 320, 741)
_HOUR_TASKS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 9, 12, 22)


def _at(values: tuple[float, ...], share: float) -> float:
    """The value at a share of all, by straight lines between those of _SHARES."""
    share = min(share, _SHARES[-1])
    k = next(i for i in range(1, len(_SHARES)) if share <= _SHARES[i])
    return values[k - 1] + (values[k] - values[k - 1]) * (share - _SHARES[k - 1]) / (_SHARES[k] - _SHARES[k - 1])


def cluster(rng: random.Random, users: int = 6, jobs: int = 120, load: float = 0.9, cpus: int = 16, bunches: int = 3) -> list[Line]:
    """Jobs of some users on a small part of a cluster, in the proportions that were measured on a large one: how long a task takes
    (its last hundredth cut off) and how many tasks a job has.  The first user sends half of the jobs, in a few bunches."""
    lines: list[Line] = [platform(1, int(cpus))]
    made = [[round(_at(_HOUR_S, rng.random()), 3) for _ in range(round(_at(_HOUR_TASKS, rng.random())))] for _ in range(int(jobs))]
    span = sum(map(sum, made)) / (cpus * load)
    begins = [rng.uniform(0, span * 0.8) for _ in range(int(bunches))]
    whose = [(begins[k % len(begins)], "user0") if k < jobs // 2 else (rng.uniform(0, span), f"user{rng.randrange(1, max(2, int(users)))}") for k in range(int(jobs))]
    for j, ((at, user), times) in enumerate(sorted(zip(whose, made))):
        lines += [{"id": f"j{j}_{i}", "fn": f"job_of_{user}", "user": user, "arrival_s": round(at, 6), "duration_s": t} for i, t in enumerate(times)]
    return lines


def deadlines(rng: random.Random, tasks: int = 120, load: float = 0.9, cpus: int = 1, duration_s: float = 0.1, slack: float = 6.0) -> list[Line]:
    """Tasks that arrive at random, each with a deadline of its own: its length times 1 to 2 x slack after it arrives."""
    lines: list[Line] = [platform(1, int(cpus))]
    now = 0.0
    for i in range(int(tasks)):
        takes = duration(rng, duration_s, 0.7)
        lines.append({"id": f"t{i}", "fn": "job", "arrival_s": round(now, 6), "duration_s": takes,
                      "deadline_s": round(takes + duration_s * rng.uniform(0, 2 * slack), 6)})
        now += rng.expovariate(load * cpus / duration_s)
    return lines


def twospeeds(rng: random.Random, tasks: int = 400, load: float = 0.6, fast: int = 2, slow: int = 4, ratio: float = 8.0,
              duration_s: float = 0.1) -> list[Line]:
    """Poisson arrivals at ``fast`` fast servers and ``slow`` ones that take ``ratio`` times as long."""
    lines: list[Line] = [{"platform": {"nodes": [{"name": "fast", "class": "fast", "cpus": int(fast)},
                                                 {"name": "slow", "class": "slow", "cpus": int(slow), "speed": 1 / ratio}], "latency": 0}}]
    now = 0.0
    for i in range(int(tasks)):
        lines.append({"id": f"j{i}", "fn": "job", "arrival_s": round(now, 9), "duration_s": duration(rng, duration_s, 1.0)})
        now += rng.expovariate(load * (fast + slow / ratio) / duration_s)
    return lines


def spawntree(rng: random.Random, depth: int = 8, children: int = 3, prune: float = 0.35, duration_s: float = 0.02,
              bytes: int = 4_000_000, nodes: int = 4, cpus: float = 2) -> list[Line]:
    """An uneven tree of tasks, each made by its parent and reading what that left: work that unfolds as it runs."""
    lines: list[Line] = [platform(int(nodes), cpus, bandwidth=200_000_000, latency=0.0001)]
    level, number = ["r"], 0
    lines.append({"id": "r", "fn": "grow", "duration_s": duration_s, "outputs": int(bytes)})
    for d in range(int(depth)):
        below = []
        for parent in level:
            for c in range(int(children)):
                if d > 0 and rng.random() < prune:
                    continue
                number += 1
                name = f"n{number}"
                lines.append({"id": name, "fn": "grow", "duration_s": duration(rng, duration_s, 0.8), "inputs": [parent],
                              "outputs": int(bytes * rng.uniform(0.5, 1.5))})
                below.append(name)
        level = below[:160]
    return lines


def jobshop(rng: random.Random, jobs: int = 10, machines: int = 5, longest: int = 99) -> list[Line]:
    """A job shop: each job visits every machine once, in an order of its own; a machine serves one at a time."""
    m = int(machines)
    lines: list[Line] = [{"platform": {"nodes": [{"name": "shop", "cpus": int(jobs), "resources": {f"machine{k}": 1 for k in range(m)}}]}}]
    for j in range(int(jobs)):
        order = rng.sample(range(m), m)
        for k, machine in enumerate(order):
            lines.append({"id": f"job{j}_{k}", "fn": f"machine{machine}", "user": f"job{j}", "duration_s": rng.randint(1, int(longest)),
                          "resources": {f"machine{machine}": 1}, **({"deps": [f"job{j}_{k - 1}"]} if k else {})})
    return lines


COURSES: dict[str, Callable[..., list[Line]]] = {
    f.__name__: f for f in (bag, batch, byhand, cholesky, cluster, deadlines, jobshop, lptworst, spawntree, spines, tenants, twospeeds, unlike)
}
