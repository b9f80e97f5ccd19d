"""Tests that a policy file carries in its own comments, and the properties that every policy must keep.

A test is a block of lines that begin with three dashes::

    --- test the short one goes first
    ---   nodes 1 cpus 1
    ---   task long duration=3s
    ---   task short duration=1s
    ---   starts short long

Given: ``nodes N cpus M``, or for each node ``node NAME [cpus=1] [speed=1]``, ``bandwidth BYTES`` a second between nodes, ``know K`` (exact unless said), ``seed N``, ``conf KEY=VALUE ...``, ``file NAME bytes=64M node=node0``,
``task NAME [KEY=VALUE ...]`` with the keys of TASK_KEYS, ``label.X=TEXT`` and ``after=A,B``; ``inputs=A,B:5000`` are bytes of A's result, all of
it or so many; ``task NAME*5`` makes NAME1 to NAME5.
Expected: see EXPECTED.  Times have a unit (ns, us, ms, s, m, h), bytes may have one (K, M, G: powers of 1024).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Tuple

from . import run_sim, workload as workloads
from .trace import Run, pieces

_TIME = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class BadTest(ValueError):
    """A line that is not a test's; its text begins with file:line."""


def seconds(text: str) -> float:
    """``"1.5ms"`` -> 0.0015.  Raises ValueError."""
    match = re.fullmatch(r"([0-9.]+)([a-z]+)", text)
    if not match or match[2] not in _TIME:
        raise ValueError(f"{text!r} is not a time; like 10ms or 3s")
    return round(float(match[1]) * _TIME[match[2]], 9)


def size(text: str) -> int:
    """``"64M"`` -> 67108864.  Raises ValueError."""
    match = re.fullmatch(r"([0-9.]+)([KMG]?)", text)
    if not match:
        raise ValueError(f"{text!r} is not a number of bytes; like 100000 or 64M")
    return int(float(match[1]) * _BYTES[match[2]])


def _names(text: str) -> List[str]:
    return text.split(",")


def _inputs(text: str) -> List[Any]:
    made = []
    for name, colon, many in (part.partition(":") for part in text.split(",")):
        made.append({"id": name, "bytes": size(many)} if colon else name)
    return made


# What may be said of a task: key of the test -> key of the workload, and how its text is read.
TASK_KEYS: Dict[str, Tuple[str, Callable[[str], Any]]] = {
    "duration": ("duration_s", seconds), "arrival": ("arrival_s", seconds), "estimate": ("estimate_s", seconds),
    "deadline": ("deadline_s", seconds), "limit": ("limit_s", seconds), "cpus": ("cpus", float), "gpus": ("gpus", float),
    "memory": ("memory", size), "priority": ("priority", int), "user": ("user", str), "fn": ("fn", str),
    "after": ("deps", _names), "inputs": ("inputs", _inputs), "outputs": ("outputs", size),
}


@dataclass
class Test:
    """One block: the world it describes and what is expected of it."""

    name: str
    line: int
    lines: List[workloads.Line] = field(default_factory=list)
    options: Dict[str, Any] = field(default_factory=lambda: {"know": "exact"})
    settings: Dict[str, str] = field(default_factory=dict)
    expected: List[Tuple[int, str, List[str]]] = field(default_factory=list)


def _by_name(run: Run, name: str) -> Dict[str, Any]:
    for row in run.tasks:
        if row["task"] == name:
            return row
    raise ValueError(f"there is no task {name}")


def _started(run: Run) -> List[Dict[str, Any]]:
    return sorted((t for t in run.tasks if t["started"] >= 0), key=lambda t: t["started"])


def _show(rows: List[Dict[str, Any]]) -> str:
    return ", ".join(f"{t['task']} at {t['started'] / 1e9:g} s on {t['node']}" for t in rows) or "nothing"


def _starts(run: Run, names: List[str]) -> bool:
    at = [_by_name(run, n)["started"] for n in names]
    return all(a >= 0 for a in at) and all(a <= b for a, b in zip(at, at[1:]))


def _together(run: Run, names: List[str]) -> bool:
    at = {_by_name(run, n)["started"] for n in names}
    return len(at) == 1 and at != {-1}


def _nodes_of(run: Run, names: List[str]) -> List[str]:
    return [_by_name(run, n)["node"] for n in names]


def _near(ns: float, text: str) -> bool:
    return abs(ns - seconds(text) * 1e9) < 1.5  # virtual time is whole nanoseconds


# What may be expected: word -> (how it is written, whether it holds of a run).
EXPECTED: Dict[str, Tuple[str, Callable[[Run, List[str]], bool]]] = {
    "starts": ("starts A B ...: they start in this order, others may come between", _starts),
    "together": ("together A B ...: they start at the same instant", _together),
    "on": ("on NODE A ...: they run on this node", lambda run, a: set(_nodes_of(run, a[1:])) == {a[0]}),
    "same": ("same A B ...: they run on one node", lambda run, a: len(set(_nodes_of(run, a))) == 1),
    "apart": ("apart A B ...: no two of them run on the same node", lambda run, a: len(set(_nodes_of(run, a))) == len(a)),
    "ends": ("ends A TIME: it ends then", lambda run, a: _near(_by_name(run, a[0])["ended"], a[1])),
    "makespan": ("makespan TIME: the last one ends then", lambda run, a: _near(run.summary["makespan_s"] * 1e9, a[0])),
    "within": ("within TIME: the last one ends then at the latest", lambda run, a: run.summary["makespan_s"] * 1e9 < seconds(a[0]) * 1e9 + 1.5),
    "moved": ("moved BYTES: so much travels between nodes at most", lambda run, a: run.summary["bytes_moved"] <= size(a[0])),
}
_GIVEN = ("nodes", "know", "seed", "conf", "file", "task", "node", "bandwidth")


def _pairs(words: List[str]) -> Iterator[Tuple[str, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(f"expected KEY=VALUE, got {word!r}")
        yield key, value


def _task(words: List[str]) -> Iterator[workloads.Line]:
    name, star, times = words[0].partition("*")
    line: workloads.Line = {"duration_s": 1.0}
    for key, value in _pairs(words[1:]):
        if key.startswith("label."):
            line.setdefault("labels", {})[key[6:]] = value
            continue
        if key not in TASK_KEYS:
            from miniray._options import nearest

            raise ValueError(f"a task has no {key!r}{nearest(key, list(TASK_KEYS))}")
        to, read = TASK_KEYS[key]
        line[to] = read(value)
    for i in range(int(times) if star else 1):
        made = f"{name}{i + 1}" if star else name
        yield {"id": made, "fn": made, **line}


def _platform(test: Test) -> Dict[str, Any]:
    """What the test's first line says of the machines; made if there is none."""
    if not test.lines or "platform" not in test.lines[0]:
        test.lines.insert(0, {"platform": {"nodes": []}})
    return test.lines[0]["platform"]


def _node(words: List[str]) -> Dict[str, Any]:
    given = {"name": words[0], "cpus": 1.0}
    for key, value in _pairs(words[1:]):
        if key not in ("cpus", "speed"):
            raise ValueError(f"a node has no {key!r}; it has cpus and speed")
        given[key] = float(value)
    return given


def _say(test: Test, number: int, word: str, rest: List[str]) -> None:
    """One line of a test into it.  Raises ValueError."""
    if word == "nodes" and len(rest) == 3 and rest[1] == "cpus":
        test.lines.insert(0, workloads.platform(int(rest[0]), float(rest[2])))
    elif word == "node" and rest:
        _platform(test)["nodes"].append(_node(rest))
    elif word == "bandwidth" and len(rest) == 1:
        _platform(test)["bandwidth"] = size(rest[0])
    elif word in ("know", "seed") and len(rest) == 1:
        test.options[word] = int(rest[0]) if word == "seed" else rest[0]
    elif word == "conf" and rest:
        test.settings.update((f"sched.sched-lua.{key}", value) for key, value in _pairs(rest))
    elif word == "file" and rest:
        given = dict(_pairs(rest[1:]))
        test.lines.append({"file": rest[0], "bytes": size(given.get("bytes", "0")), **({"node": given["node"]} if "node" in given else {})})
    elif word == "task" and rest:
        test.lines.extend(_task(rest))
    elif word in EXPECTED and rest:
        test.expected.append((number, word, rest))
    else:
        how = EXPECTED[word][0] if word in EXPECTED else "one of " + ", ".join((*_GIVEN, *EXPECTED))
        raise ValueError(f"{' '.join([word, *rest])!r}: expected {how}")


def read(path: str) -> List[Test]:
    """The tests in the comments of a policy file.  Raises BadTest, whose text begins with file:line."""
    tests: List[Test] = []
    with open(path, encoding="utf-8", errors="replace") as file:  # Lua text may have any bytes in it
        for number, text in enumerate(file, 1):
            words = text[3:].split() if text.startswith("---") and not text.startswith("---@") else []
            if not words:
                continue
            try:
                if words[0] == "test":
                    if len(words) == 1:
                        raise ValueError("a test needs a name: --- test what it shows")
                    tests.append(Test(" ".join(words[1:]), number))
                elif not tests:
                    raise ValueError(f"{words[0]!r} before the first `--- test NAME`")
                else:
                    _say(tests[-1], number, words[0], words[1:])
            except (ValueError, IndexError) as error:
                raise BadTest(f"{path}:{number}: {error}") from None
    for test in tests:
        if not test.expected:
            raise BadTest(f"{path}:{test.line}: the test {test.name!r} expects nothing")
    return tests


def judge(path: str, test: Test) -> "Tuple[List[str], List[str]]":
    """Runs one test in virtual time: its failures, and what the policy printed."""
    try:
        run = run_sim.simulate(test.lines, path, settings=test.settings, check=True, **test.options)
    except run_sim.SimError as error:
        return [f"{path}:{test.line}: {error}"], []
    if run.summary["degraded"]:
        return [f"{path}:{test.line}: the policy was ejected: {run.summary['ejected']}"], run.printed
    return _judge(path, test, run), run.printed


def failures(path: str, test: Test) -> List[str]:
    """Runs one test in virtual time.  One text, which begins with file:line, for each expectation that does not hold."""
    return judge(path, test)[0]


def _judge(path: str, test: Test, run: Run) -> List[str]:
    out = []
    for number, word, rest in test.expected:
        try:
            if not EXPECTED[word][1](run, rest):
                out.append(f"{path}:{number}: expected {word} {' '.join(rest)}; what started: {_show(_started(run))}"
                           f"; the last ended at {run.summary['makespan_s']:g} s, {run.summary['bytes_moved']} bytes moved")
        except (ValueError, IndexError) as error:
            out.append(f"{path}:{number}: {error}")
    return out


# ----------------------------------------------------------------------------------------------------- properties

_WORLDS: Tuple[Tuple[str, Dict[str, Any], Dict[str, Any]], ...] = (
    ("chains", {"chains": 5, "length": 6}, {"nodes": 2, "cpus": 2}),
    ("forkjoin", {"stages": 3, "width": 9}, {"nodes": 3, "cpus": 2}),
    ("mapreduce", {"maps": 12, "reduces": 3, "nodes": 3}, {}),
    ("randomdag", {"tasks": 50}, {"nodes": 3, "cpus": 2}),
    ("poisson", {"tasks": 80, "users": 3}, {"nodes": 1, "cpus": 2}),
    ("mixed", {"tasks": 60, "users": 3}, {"nodes": 2, "cpus": 2}),
)


def _world(kind: str, seed: int, how: Dict[str, Any]) -> List[workloads.Line]:
    """A generated workload; "mixed" is poisson's, with all that may be said of tasks: some are wide, have limits, deadlines."""
    if kind != "mixed":
        return workloads.generate(kind, seed=seed, **how)
    lines = workloads.generate("poisson", seed=seed, **how)
    for i, line in enumerate(lines):
        line.update(priority=i % 3 - 1, cpus=2 if i % 4 == 0 else 1, fn=f"job{i % 5}", labels={"namespace": f"n{i % 2}"})
        if i % 3:
            line.update(limit_s=100 * line["duration_s"], deadline_s=line["arrival_s"] + 1, estimate_s=line["duration_s"])
    return lines


# Nodes that are not alike: 1, 2 and 4 CPUs, and the more, the slower.
_UNLIKE: workloads.Line = {"platform": {"nodes": [{"cpus": 1, "speed": 4.0}, {"cpus": 2}, {"cpus": 4, "speed": 0.5}]}}


def _plain(lines: List[workloads.Line]) -> List[workloads.Line]:
    return [line for line in lines if "platform" not in line]


def _runs(path: str, know: str, seeds: int, unlike: bool = False) -> Iterator[Tuple[str, Run]]:
    for kind, how, where in _WORLDS:
        for seed in range(seeds):
            lines = _world(kind, seed, how)
            if unlike:
                lines = [_UNLIKE, *({k: v for k, v in line.items() if k != "node"} for line in _plain(lines))]
            yield f"{kind} seed {seed}", run_sim.simulate(lines, path, know=know, seed=seed, check=True, **({} if unlike else where))


def _whole(path: str, know: str, seeds: int, unlike: bool = False) -> List[str]:
    """Every task ends exactly once, no answer is refused, the policy stays; control recounts itself at every instant."""
    out = []
    for name, run in _runs(path, know, seeds, unlike):
        ended = [t["task"] for t in run.tasks if t["outcome"] == "ok"]
        if run.summary["degraded"]:
            out.append(f"{name}: ejected: {run.summary['ejected']}")
        elif run.summary["refused_answers"]:
            out.append(f"{name}: {run.summary['refused_answers']} answers were refused, the first: {run.summary['refused_first']}")
        elif len(ended) != len(set(ended)) or len(ended) != run.summary["tasks"]:
            out.append(f"{name}: {run.summary['tasks'] - len(set(ended))} of {run.summary['tasks']} tasks did not end")
    return out


def _same_twice(path: str) -> List[str]:
    first, second = ([(n, r.summary["digest"]) for n, r in _runs(path, "learned", 1)] for _ in range(2))
    return [f"{name}: two runs of one seed differ" for (name, a), (_, b) in zip(first, second) if a != b]


def _other_times(lines: List[workloads.Line]) -> List[workloads.Line]:
    """The same but for the true durations: what was short is long, by other amounts, so no order or ratio of them stays."""
    longest = max(line["duration_s"] for line in lines if "duration_s" in line)
    return [{**line, "duration_s": (1.2 * longest - line["duration_s"]) * (1 + i % 7 / 20)} if "duration_s" in line else line
            for i, line in enumerate(lines)]


def _blind(path: str) -> List[str]:
    """Two workloads that differ in their true durations alone give equal answers until the first task ends.  First as they are
    made, then with all that depends on nothing there at once: there more waits than fits."""
    out = []
    for kind, how, where in _WORLDS:
        lines = _world(kind, 1, how)
        at_once = [{**line, "arrival_s": 0.0} if "arrival_s" in line else line for line in lines]
        for world, name in ((lines, kind), (at_once, f"{kind}, all at once")):
            a, b = (run_sim.simulate(v, path, know="learned", **where) for v in (world, _other_times(world)))
            end = min(t["ended"] for r in (a, b) for t in r.tasks if t["ended"] >= 0)
            seen = [{(t["task"], t["node"], slot, since) for t in r.tasks for since, _, slot in pieces(t) if since < end} for r in (a, b)]
            if seen[0] != seen[1]:
                out.append(f"{name}: what it did before anything ended depends on how long tasks take")
    return out


PROPERTIES: Dict[str, Callable[[str], List[str]]] = {
    "no task is lost, doubled or forgotten": lambda path: _whole(path, "learned", 3),
    "it works with nothing known": lambda path: _whole(path, "nothing", 1),
    "it works with everything known": lambda path: _whole(path, "exact", 1),
    "it works on unlike nodes": lambda path: _whole(path, "learned", 1, unlike=True),
    "one seed, one run": _same_twice,
    "it can not see into the future": _blind,
}


def property_failures(path: str, name: str) -> List[str]:
    """Checks one of PROPERTIES.  A text for each world in which it does not hold."""
    try:
        return PROPERTIES[name](path)
    except run_sim.SimError as error:
        return [str(error)]


def gathered(path: str, problems: List[str]) -> List[str]:
    """The first of those that tell of the same error in the policy file, with how many they are."""
    first: Dict[str, Tuple[str, int]] = {}
    for one in problems:
        error = re.search(re.escape(os.path.basename(path)) + r":\d+: .*", one)
        key = re.sub(r"(, in \w+)?( \(task [^()]*\))?$", "", error[0]) if error else one
        told, count = first.get(key, (one, 0))
        first[key] = told, count + 1
    return [told + (f"; and {count - 1} more of the same" if count > 1 else "") for told, count in first.values()]


def load_error(path: str) -> str:
    """Why the policy does not load, as the loader says it; "": it does."""
    try:
        run_sim.simulate([{"id": "one", "duration_s": 1.0}], path)
        return ""
    except run_sim.SimError as error:
        return str(error)


def exists(path: str) -> str:
    """The file of a policy: a path, or the short name of a shipped one.  Raises FileNotFoundError, ValueError."""
    from . import places

    plugin, file = places.policy_arguments(path)
    if plugin and os.path.isfile(os.path.join(str(places.policies()[0]), f"{path}.lua")):
        return os.path.join(str(places.policies()[0]), f"{path}.lua")  # fifo, locality: in C by name, in Lua too
    if not file:
        raise ValueError(f"{path} is not a policy in Lua; a plugin is looked at by `miniray plugins check {path}`")
    return file
