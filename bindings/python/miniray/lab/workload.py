"""Workloads: read, write, check and make them.

A workload is a list of dicts, one a line of the file: first, optionally, ``{"platform": ...}``; then files from outside
``{"file", "bytes", "node"}`` and tasks ``{"id", "fn", "arrival_s", "duration_s", "inputs", "outputs", "deps", "cpus",
"gpus", "memory", "resources", "user", "priority", "estimate_s", "limit_s", "deadline_s", "labels",
"requires", "max_running", "max_retries"}``; a line ``{"table", "duration_s"}`` names durations that tasks may refer to.  Everything made
here follows from its arguments and its seed alone.
"""

from __future__ import annotations

import inspect
import json
import os
import random
from typing import Any, Callable, Iterable, Iterator, Mapping

from . import taskbench
from .courses import COURSES, Line, duration as _time, platform


def read(path: str | os.PathLike[str]) -> list[Line]:
    """The lines of a JSONL workload.  Only its JSON is checked here; the simulator checks the rest."""
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            try:
                lines.append(json.loads(text))
            except ValueError as error:
                raise ValueError(f"{path}:{number}:{getattr(error, 'colno', 1)}: not JSON: {getattr(error, 'msg', error)}") from None
    return lines


def text(line: Line) -> str:
    """One line of a file."""
    return json.dumps(line, separators=(", ", ": ")) + "\n"


def write(path: str | os.PathLike[str], lines: Iterable[Line]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(text(line))


def chains(rng: random.Random, chains: int = 4, length: int = 8, duration: float = 0.1, cv: float = 0.5,
           bytes: int = 100_000) -> list[Line]:
    """Independent chains: the i-th task of each waits for the one before."""
    lines = []
    for c in range(int(chains)):
        for i in range(int(length)):
            task: Line = {"id": f"c{c}_{i}", "fn": f"stage{i % 4}", "duration_s": _time(rng, duration, cv), "outputs": bytes}
            if i:
                task["inputs"] = [f"c{c}_{i - 1}"]
            lines.append(task)
    return lines


def forkjoin(rng: random.Random, stages: int = 3, width: int = 16, duration: float = 0.1, cv: float = 0.5,
             bytes: int = 100_000) -> list[Line]:
    """Stages of ``width`` tasks between a fork and a join."""
    lines: list[Line] = [{"id": "fork0", "fn": "fork", "duration_s": duration / 10, "outputs": bytes}]
    for s in range(int(stages)):
        names = [f"work{s}_{i}" for i in range(int(width))]
        lines += [{"id": n, "fn": "work", "duration_s": _time(rng, duration, cv), "inputs": [f"fork{s}"], "outputs": bytes}
                  for n in names]
        lines.append({"id": f"fork{s + 1}", "fn": "join", "duration_s": duration / 10, "inputs": names, "outputs": bytes})
    return lines


def mapreduce(rng: random.Random, maps: int = 32, reduces: int = 4, duration: float = 0.2, cv: float = 0.8,
              block: int = 64_000_000, nodes: int = 0, cpus: float = 2, shuffle: int = 1_000_000) -> list[Line]:
    """``maps`` tasks over blocks, all read by each of ``reduces`` tasks.  With ``nodes`` the workload brings so many nodes
    of ``cpus`` CPUs, and the blocks lie on them at random."""
    lines: list[Line] = [platform(int(nodes), cpus)] if nodes else []
    for i in range(int(maps)):
        where = {"node": f"node{rng.randrange(int(nodes))}"} if nodes else {}
        lines.append({"file": f"block{i}", "bytes": int(block), **where})
    for i in range(int(maps)):
        out = [{"file": f"part{i}_{r}", "bytes": int(shuffle)} for r in range(int(reduces))]
        lines.append({"id": f"map{i}", "fn": "map", "duration_s": _time(rng, duration, cv), "inputs": [f"block{i}"], "outputs": out})
    for r in range(int(reduces)):
        parts = [f"part{i}_{r}" for i in range(int(maps))]
        lines.append({"id": f"reduce{r}", "fn": "reduce", "duration_s": _time(rng, duration * 2, cv / 2), "inputs": parts,
                      "outputs": 1000})
    return lines


def randomdag(rng: random.Random, tasks: int = 60, density: float = 0.08, duration: float = 0.1, cv: float = 0.8,
              bytes: int = 2_000_000) -> list[Line]:
    """A random graph: each earlier task of the last twenty is a parent with probability ``density`` (one at least)."""
    lines = []
    for i in range(int(tasks)):
        task: Line = {"id": f"t{i}", "fn": f"kind{rng.randrange(5)}", "duration_s": _time(rng, duration, cv),
                      "outputs": int(rng.uniform(0.5, 1.5) * bytes)}
        near = range(max(0, i - 20), i)
        parents = [p for p in near if rng.random() < density]
        if near and not parents and rng.random() < 0.8:
            parents = [rng.choice(near)]
        if parents:
            task["inputs"] = [f"t{p}" for p in parents]
        lines.append(task)
    return lines


def arrivals(rng: random.Random, tasks: int = 400, rate: float = 8.0, duration: float = 0.1, cv: float = 1.0, users: int = 1) -> Iterator[Line]:
    """`poisson`, task by task: for streams."""
    now = 0.0
    for i in range(int(tasks)):
        now += rng.expovariate(rate)
        task: Line = {"id": f"j{i}", "fn": "job", "arrival_s": round(now, 9), "duration_s": _time(rng, duration, cv)}
        if users > 1:
            task["user"] = f"user{rng.randrange(int(users))}"
        yield task


def poisson(rng: random.Random, tasks: int = 400, rate: float = 8.0, duration: float = 0.1, cv: float = 1.0,
            users: int = 1) -> list[Line]:
    """Independent tasks that arrive at random, ``rate`` a second; with cv = 1 exponential: M/M/c."""
    return list(arrivals(rng, tasks, rate, duration, cv, users))


def graham(rng: random.Random | None = None, machines: int = 3, shorter: bool = False, fewer: bool = False) -> list[Line]:
    """Graham's nine jobs: list scheduling takes 12 on 3 machines; 15 on 4, 13 with every job 1 shorter, 16 with two
    precedences fewer: more, or less to do, may end later."""
    del rng
    times = [3, 2, 2, 2, 4, 4, 4, 4, 9]
    edges = [(1, 9), (4, 5), (4, 6), (4, 7), (4, 8)]
    if fewer:
        edges = [e for e in edges if e not in ((4, 5), (4, 6))]
    lines: list[Line] = [platform(1, int(machines))]
    for i, t in enumerate(times, 1):
        deps = [f"T{a}" for a, b in edges if b == i]
        lines.append({"id": f"T{i}", "fn": "job", "duration_s": t - 1 if shorter else t, **({"deps": deps} if deps else {})})
    return lines


GENERATORS: dict[str, Callable[..., list[Line]]] = {
    "chains": chains,
    "forkjoin": forkjoin,
    "graham": graham,
    "mapreduce": mapreduce,
    "poisson": poisson,
    "randomdag": randomdag,
    **{pattern: taskbench.generator(pattern) for pattern in taskbench.PATTERNS},
    **COURSES,
}


STREAMS: dict[str, Callable[..., Iterator[Line]]] = {"poisson": arrivals}  # kinds that need not be made as a whole


def generate(kind: str, seed: int = 0, **options: Any) -> list[Line]:
    """A workload of a kind in GENERATORS.  The same kind, seed and options give the same lines."""
    return list(stream(kind, seed, GENERATORS, **options))


def stream(kind: str, seed: int = 0, among: Mapping[str, Callable[..., Iterable[Line]]] = STREAMS, **options: Any) -> Iterable[Line]:
    """`generate`, one line at a time, for those in STREAMS; any other kind is made first."""
    try:
        make = among.get(kind) or GENERATORS[kind]
    except KeyError:
        raise ValueError(f"unknown kind of workload {kind!r}; known: {', '.join(sorted(GENERATORS))}") from None
    known = list(inspect.signature(make).parameters)[1:]
    for option in options:
        if option not in known:
            raise ValueError(f"{kind} has no option {option!r}; it has {', '.join(known)}")
    return make(random.Random(f"{kind}/{seed}"), **options)


def make(spec: str, seed: int = 0) -> list[Line]:
    """The workload of a ``gen:`` spec; a ``seed=N`` in it stands above ``seed``."""
    kind, options = parse(spec) or ("", {})
    return generate(kind, **{"seed": seed, **options})


def parse(spec: str) -> tuple[str, dict[str, Any]] | None:
    """``"gen:mapreduce,maps=64,cv=1.5"`` -> kind and options; None for anything that does not begin with ``gen:``."""
    if not spec.startswith("gen:"):
        return None
    kind, *pairs = spec[4:].split(",")
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"{spec}: expected KEY=VALUE, got {pair!r}")
        if text in ("true", "false"):
            options[key] = text == "true"
            continue
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{spec}: {key}: {text!r} is not a number") from None
        options[key] = int(number) if number == int(number) else number
    if kind not in GENERATORS:
        raise ValueError(f"{spec}: unknown kind {kind!r}; known: {', '.join(sorted(GENERATORS))}")
    return kind, options
