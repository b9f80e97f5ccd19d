"""Recordings of real runs (`miniray record`, `init(record=...)`): read into a workload and the trace of what was measured.

A recording is one JSON object a line: every event that the core took ("ev") and what it did with processes ("do"), with its time
in ns since the session began.  A task becomes what it did: how long it ran, when it submitted others, gave results of a stream and
waited (without the time that it waited or stood still), which attempts were lost, whose call it was.  The main program is one
more of them, so what it submitted after a `get` comes, in a replay, after that `get`.  What can not be so is counted in ``notes``.
"""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from . import trace as traces, workload as workloads

Event = dict[str, Any]
NOBODY, DRIVER = "0" * 16, "main"
TASK, ACTOR, CALL = 0, 1, 2  # mr_func_kind
SHORT = 50.0  # us, in the mean: shorter tasks are replayed, but not to be believed
FOREIGN = 1_000_000  # ns that handing over never takes
ACTOR_ROW = 1000  # "slot" of calls: this and the number of their actor's worker, as in the simulator


@dataclass
class Start:
    """A time that a task got a seat: where, from when on, and for how long at most (None: until it was over)."""

    task: str
    node: int
    seat: int
    at: int
    slice: int | None = None


@dataclass
class Recording:
    """A real run: its workload (with the nodes it ran on), what happened, and the decisions that were made."""

    path: str
    lines: list[workloads.Line]
    real: traces.Run
    starts: list[Start] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dispatch_us: float = 0.0  # from the end of a task to the start of the next on its seat, on average; see `_gaps`

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
            if number == 1 and event.get("version") != 2:
                raise ValueError(f"{path}:1:1: a recording of version {event.get('version')}; this program reads version 2: record it again")
            if not isinstance(event, dict) or (number > 1 and not ("ev" in event or "do" in event)):
                raise ValueError(f"{path}:{number}:1: not an event of a recording")
            out.append(event)
    if not out:
        raise ValueError(f"{path}: empty")
    return out[1:]


@dataclass
class _Wait:
    begin: int
    ids: list[str]
    need: int
    end: int = -1
    reads: int = 0  # items of streams that had been taken by then
    timed: bool = False  # nobody delivered: it ended by itself


class _Program:
    """What a task (or the main program) did with its time: ``offset(t)`` is how long it had run by then."""

    def __init__(self, begin: int, end: int):
        self.begin, self.end = begin, end
        self.away: list[tuple[int, int]] = []  # waits and stops, in order, none over another

    def leave(self, begin: int, end: int) -> None:
        begin, end = max(begin, self.begin, self.away[-1][1] if self.away else self.begin), min(end, self.end)
        if end > begin:
            self.away.append((begin, end))

    def offset(self, t: int) -> int:
        t = min(max(t, self.begin), self.end)
        after = any(b == t for _, b in self.away)  # so behind that wait, though a clock that is read by the batch does not show it
        return t - self.begin - sum(min(b, t) - a for a, b in self.away if a < t) + after

    @property
    def runs(self) -> int:
        return self.offset(self.end)


class _Session:
    """The events of a recording by what they are about."""

    def __init__(self, events: list[Event]):
        self.nodes: dict[int, Event] = {}
        self.submits: dict[str, Event] = {}
        self.done: dict[str, Event] = {}
        self.dispatches: dict[str, dict[int, Event]] = defaultdict(dict)
        self.finishes: dict[str, dict[int, Event]] = defaultdict(dict)
        self.stops: dict[str, list[tuple[int, bool, int]]] = defaultdict(list)  # time, stopped or goes on, seat
        self.waits: dict[str, list[_Wait]] = defaultdict(list)  # by task, DRIVER
        self.items: dict[str, list[tuple[str, int]]] = defaultdict(list)  # of a stream's task: id, time
        self.sizes: dict[str, tuple[int, int | None]] = {}
        self.gone: dict[int, int] = {}  # worker -> when
        self.births: list[int] = []
        self.threads = False  # the main program did something while it waited: there were several of it
        open_: dict[tuple[int, int], tuple[str, _Wait]] = {}
        spawned: dict[int, int] = {}
        seats: dict[int, int] = {}
        reads = 0
        for e in events:
            kind, t = e.get("ev") or e["do"], e["t"]
            if kind == "NODE_ADDED":
                self.nodes[e["node"]] = e
            elif kind == "SUBMIT":
                self.submits[e["task"]] = e
                self.threads |= e["from"] == 0 and any(key[0] == 0 for key in open_)
            elif kind == "DONE":
                self.done[e["task"]] = e
            elif kind == "DISPATCH":
                if e["slot"] < 0:  # held ahead by a worker that is busy: it runs where that does
                    e["slot"] = seats.get(e["worker"], 0)
                seats[e["worker"]] = e["slot"]
                self.dispatches[e["task"]][e["attempt"]] = e
            elif kind == "FINISHED":
                self.finishes[e["task"]][e["attempt"]] = e
            elif kind in ("STOPPED", "CONTINUE"):
                self.stops[e["task"]].append((t, kind == "STOPPED", e.get("slot", -1)))
            elif kind == "YIELDED":
                self.items[e["task"]].append((e["id"], t))
            elif kind == "READ":
                reads += 1
            elif kind == "SPAWN":
                spawned[e["worker"]] = t
            elif kind == "WORKER_UP" and e["worker"] in spawned:
                self.births.append(t - spawned.pop(e["worker"]))
            elif kind in ("WORKER_DIED", "WORKER_RETIRED"):
                self.gone[e["worker"]] = t
                for key in [key for key in open_ if key[0] == e["worker"]]:
                    open_.pop(key)[1].end = t
            elif kind == "BLOCKED" and (e["from"] == 0 or e["task"] != NOBODY):
                who = DRIVER if e["from"] == 0 else e["task"]
                self.threads |= who == DRIVER and any(key[0] == 0 for key in open_)
                before = self.waits[who][-1] if self.waits[who] else None
                if before and before.timed and t - before.end < 5_000_000:  # a get looks for signals now and then
                    before.ids, before.need, before.timed, before.end = e["ids"], e["need"], False, -1
                else:
                    self.waits[who].append(_Wait(t, e["ids"], e["need"], reads=reads))
                open_[e["from"], e["token"]] = who, self.waits[who][-1]
            elif kind in ("DELIVER", "UNBLOCKED"):
                over = open_.pop((int(e["client" if kind == "DELIVER" else "from"]), int(e["token"])), None)
                if over:
                    over[1].end, over[1].timed = t, kind == "UNBLOCKED"
            if kind in ("PUT", "SEALED", "FINISHED", "YIELDED") and "id" in e:
                self.sizes[e["id"]] = e["size"], e.get("node")
        self.end = events[-1]["t"] if events else 0
        for _, wait in open_.values():
            wait.end = self.end

    def kind(self, task: str) -> int:
        return int(self.submits[task].get("kind", TASK))

    def attempt(self, task: str, number: int) -> tuple[int, int]:
        """When it began to run and when it was over; (-1, -1): it never began."""
        dispatch, finish = self.dispatches[task].get(number), self.finishes[task].get(number)
        if not dispatch:
            return -1, -1
        begin = dispatch["t"]
        if finish:
            if finish["ran"] >= 0 and not self.stops[task]:
                begin = max(begin, finish["t"] - finish["ran"])
            return begin, finish["t"]
        if task in self.done and self.done[task]["attempt"] == number and self.kind(task) != ACTOR:
            return begin, max(begin, self.done[task]["ended"])
        return begin, min((at for worker, at in self.gone.items() if worker == dispatch["worker"] and at >= begin), default=begin)

    def program(self, task: str, number: int) -> _Program:
        begin, end = self.attempt(task, number)
        out = _Program(begin, end)
        away = [(w.begin, w.end) for w in self.waits.get(task, ()) if not w.timed]
        stops = [s for s in self.stops.get(task, ()) if begin <= s[0] <= end]
        away += [(a[0], b[0]) for a, b in zip(stops, [*stops[1:], (end, False, -1)]) if a[1]]
        for a, b in sorted(away):
            out.leave(a, b)
        return out


def _needs(task: workloads.Line, needs: Mapping[str, float]) -> None:
    task["cpus"] = needs.get("CPU", 0)
    for key, name in (("gpus", "GPU"), ("memory", "memory")):
        if needs.get(name):
            task[key] = needs[name]
    own = {k: v for k, v in needs.items() if k not in ("CPU", "GPU", "memory")}
    if own:
        task["resources"] = own


def _platform(session: _Session, order: Sequence[int]) -> workloads.Line:
    nodes = []
    for n in order:
        total = session.nodes[n]["total"]
        node: workloads.Line = {"name": session.nodes[n]["name"] or f"node{n}"}
        _needs(node, total)
        nodes.append(node)
    born = session.births
    return {"platform": {"nodes": nodes, **({"spawn_s": statistics.median(born) / 1e9} if born else {})}}


def _gaps(reader: _Reader) -> list[int]:
    """ns from the end of a task to the start of the next on its seat, or of a call to that of the next on its actor, when that was
    ready before: what handing over takes, unless somebody else had the CPU."""
    s = reader.session
    places: dict[tuple[int, ...], list[tuple[int, int, int]]] = defaultdict(list)
    for t in reader.done:
        actor = s.submits.get(s.submits[t]["actor"], {})
        d = s.dispatches[t][reader.last(t)]
        if s.kind(t) == ACTOR or s.stops.get(t) or actor.get("loop") or actor.get("groups") or actor.get("concurrency", 1) > 1:
            continue
        key = (d["worker"],) if s.kind(t) == CALL else (d["node"], d["slot"])
        places[key].append((*s.attempt(t, reader.last(t)), s.done[t]["ready"]))
    out = []
    for runs in places.values():
        runs.sort()
        out += [b[0] - a[1] for a, b in zip(runs, runs[1:]) if b[2] < a[1]]
    return out  # some are below 0, for ends are told by the batch: only sums and means say something


class _Reader:
    def __init__(self, path: str, switch_us: float):
        self.path, self.switch = path, int(switch_us * 1000)
        s = self.session = _Session(_events(path))
        self.order = sorted(s.nodes)
        self.done = [t for t in sorted(s.submits, key=lambda t: (s.submits[t]["t"], t)) if self._began(t)]
        self.begin = min((s.attempt(t, min(s.dispatches[t]))[0] for t in self.done), default=0)
        self.programs = {t: s.program(t, self.last(t)) for t in self.done}
        self.files: dict[str, workloads.Line] = {}
        self.starts: list[Start] = []
        self.outputs = {t: self._results(t) for t in self.done}
        self.makers = {name: t for t in self.done for name in self.outputs[t]}
        self.main = _Program(self.begin, s.end)  # what was submitted while the first worker came up arrives at 0
        for wait in s.waits[DRIVER]:
            if not wait.timed:
                self.main.leave(wait.begin, wait.end)
        self.pinned = 0

    def _began(self, task: str) -> bool:
        s = self.session
        if s.kind(task) == ACTOR:
            return task in s.finishes and bool(s.dispatches[task])
        maker = s.submits[task]["actor"]
        return task in s.done and bool(s.dispatches[task]) and (s.kind(task) == TASK or self._began(maker) if maker in s.submits else s.kind(task) == TASK)

    def last(self, task: str) -> int:
        s = self.session
        return min(s.finishes[task]) if s.kind(task) == ACTOR else int(s.done[task]["attempt"])

    def _results(self, task: str) -> list[str]:
        n = self.session.submits[task]["n"]
        return [f"{int(task, 16) + i:016x}" for i in range(max(1, n))] + [item for item, _ in self.session.items[task]]

    def _run(self, task: str, number: int) -> int:
        """ns that an attempt ran, without what going on after each stop takes."""
        program = self.programs[task] if number == self.last(task) else self.session.program(task, number)
        stops = sum(stopped for _, stopped, _ in self.session.stops.get(task, ()))
        return max(1, program.runs - stops * self.switch)

    def _waits(self, who: str, program: _Program) -> list[workloads.Line]:
        out = []
        for wait in self.session.waits.get(who, ()):
            if wait.timed or wait.end < program.begin or wait.begin > program.end:
                continue
            names = []
            for one in dict.fromkeys(wait.ids):
                stream = self.session.items.get(one)
                if stream is not None and wait.reads < len(stream) and one in self.makers:
                    one = stream[wait.reads][0]  # it waits for the next item
                if one in self.makers and self.session.kind(self.makers[one]) != ACTOR:
                    names.append(f"o{one}")
            if names:
                out.append({"after_s": program.offset(wait.begin) / 1e9, "for": names, "need": max(1, min(wait.need, len(names)))})
        return out

    def _inputs(self, task: str) -> list[str]:
        s, out = self.session, []
        for dep in dict.fromkeys(s.submits[task]["deps"]):
            if dep in self.makers:
                out.append(f"o{dep}")
            elif dep in s.sizes:
                size, node = s.sizes[dep]
                self.files[dep] = {"file": f"o{dep}", "bytes": size, "node": self.node(node if node in s.nodes else self.order[0])}
                out.append(f"o{dep}")
        return out

    def node(self, number: int) -> str:
        return self.session.nodes[number]["name"] or f"node{number}"

    def _arrival(self, task: str) -> workloads.Line:
        """Who submits it, and when; or when it did arrive."""
        s, e = self.session, self.session.submits[task]
        if e["parent"] in self.programs and s.kind(e["parent"]) != ACTOR:
            return {"parent": e["parent"], "after_s": self.programs[e["parent"]].offset(e["t"]) / 1e9}
        if e["parent"] == NOBODY and e["from"] == 0 and not s.threads:
            return {"parent": DRIVER, "after_s": self.main.offset(e["t"]) / 1e9}
        self.pinned += e["t"] > self.begin
        return {"arrival_s": max(0, e["t"] - self.begin) / 1e9}

    def line(self, task: str, number: int) -> workloads.Line:
        s, e, kind = self.session, self.session.submits[task], self.session.kind(task)
        last = self.last(task)
        out: workloads.Line = {"id": task, "fn": e.get("fn") or "task", **self._arrival(task), "duration_s": self._run(task, last) / 1e9}
        if kind != CALL:
            _needs(out, e.get("needs", {}))
        for key in ("user", "priority"):
            if e.get(key):
                out[key] = e[key]
        for key, said in (("estimate", "estimate_s"), ("deadline", "deadline_s")):
            if key in e:
                out[said] = e[key] / 1e9
        inputs, waits = self._inputs(task), self._waits(task, self.programs[task])
        fails = [self._run(task, a) / 1e9 for a in sorted(s.dispatches[task]) if a < last]
        if inputs:
            out["inputs"] = inputs
        if waits:
            out["waits"] = waits
        if fails:
            out["fails_s"], out["max_retries"] = fails, len(fails)
        if kind == ACTOR:
            gone = s.gone.get(s.dispatches[task][last]["worker"], s.end)
            out["actor"] = {"concurrency": max(1, e.get("concurrency", 1)), "groups": e.get("groups", []), "loop": e.get("loop", False),
                            "stays": gone >= max(p.end for p in self.programs.values()), "keeps": e.get("living", {})}
        else:
            out["outputs"] = [{"file": f"o{name}", "bytes": s.sizes.get(name, (0, None))[0]} for name in self.outputs[task][:max(1, e["n"])]]
            out["outputs"] += [{"file": f"o{item}", "bytes": s.sizes[item][0], "after_s": self.programs[task].offset(t) / 1e9} for item, t in s.items[task]]
        if kind == CALL:
            out["on"] = e["actor"]
            if e.get("group"):
                out["group"] = e["group"]
        else:
            out["labels"] = {"n": number}
            self._seats(task)
        return out

    def _seats(self, task: str) -> None:
        s = self.session
        for number in sorted(s.dispatches[task]):
            if number > self.last(task):
                continue
            d, (begin, end) = s.dispatches[task][number], s.attempt(task, number)
            at, seat = begin, d["slot"]
            for t, stopped, slot in s.stops.get(task, ()):
                if not begin <= t <= end:
                    continue
                if stopped:
                    self.starts.append(Start(task, d["node"], seat, at, max(1, t - at)))
                else:
                    at, seat = t, slot if slot >= 0 else seat
            self.starts.append(Start(task, d["node"], seat, at))

    def row(self, task: str) -> dict[str, Any]:
        s, p = self.session, self.programs[task]
        e, d = s.done.get(task, {}), s.dispatches[task][self.last(task)]
        slot = ACTOR_ROW + d["worker"] if s.kind(task) == CALL else d["slot"]
        outcome = "OK" if s.kind(task) == ACTOR else e["outcome"]
        row = {"task": task, "fn": s.submits[task].get("fn") or "task", "node": self.node(d["node"]), "slot": slot,
               "submitted": s.submits[task]["t"], "ready": e.get("ready", s.submits[task]["t"]), "started": p.begin, "ended": p.end,
               "outcome": "ok" if outcome == "OK" else outcome, "bytes": e.get("bytes", 0)}
        if p.away and s.kind(task) != CALL:
            ends = [a for a, _ in p.away] + [p.end]
            begins = [p.begin] + [b for _, b in p.away]
            row["stretches"] = [[a, b, slot] for a, b in zip(begins, ends)]
        lost = [a for a in sorted(s.dispatches[task]) if a < self.last(task)]
        if lost and s.kind(task) == TASK:
            row["lost"] = [[*s.attempt(task, a), s.dispatches[task][a]["slot"], self.node(s.dispatches[task][a]["node"])] for a in lost]
        return row

    def notes(self) -> list[str]:
        s = self.session
        left = [t for t in s.submits if t not in self.programs]
        counts = (
            ("actors and calls that never ran are left out", sum(s.kind(t) != TASK for t in left)),
            ("tasks that never began are left out", sum(s.kind(t) == TASK for t in left)),
            ("tasks were submitted by threads that are not known: here they arrive when they did then", self.pinned),
            ("waits ended by their time limit, not by a result: here they last as long as they did then", sum(w.timed for v in s.waits.values() for w in v)),
            ("actors were made again after a death: here they live on", sum(len(f) > 1 for t, f in s.finishes.items() if s.submits[t].get("kind") == ACTOR)),
            ("attempts were lost: here they fail after the same time and are tried again", sum(self.last(t) > 1 for t in self.done if s.kind(t) != ACTOR)),
            ("calls of actors with an event loop: what they awaited is in their time", sum(
                s.kind(t) == CALL and bool(s.submits[s.submits[t]["actor"]].get("loop")) for t in self.done)),
        )
        out = [f"{count} {what}" for what, count in counts if count]
        if s.threads:
            out.append("the main program waited in several threads: what it submitted arrives when it did then")
        return out


def read(path: str | os.PathLike[str], switch_us: float = 0.0) -> Recording:
    """Reads a recording.  ``switch_us``: what going on with a stopped task is going to cost in the replay, so it is no part of what
    the task ran.  A last line that is cut off is dropped.  Raises ValueError with file and line."""
    path = os.fspath(path)
    reader = _Reader(path, switch_us)
    tasks = [reader.line(task, i) for i, task in enumerate(reader.done, 1)]
    lines = [_platform(reader.session, reader.order), *reader.files.values(), *_parents_first(tasks)]
    if tasks and not reader.session.threads:
        main: workloads.Line = {"id": DRIVER, "driver": True, "duration_s": max(1, reader.main.runs) / 1e9}
        waits = reader._waits(DRIVER, reader.main)
        lines.append({**main, "waits": waits} if waits else main)
    real = traces.normalise(reader.row(t) for t in reader.done)
    gaps, notes = _gaps(reader), reader.notes()
    mean = statistics.mean(reader.programs[t].runs for t in reader.done) / 1e3 if reader.done else SHORT
    if mean < SHORT:
        notes.append(f"the tasks ran for {mean:.0f} us on average: the makespan is what starting, waking and handing over took, and a replay says little")
    late = [g for g in gaps if g > FOREIGN]
    if late:
        notes.append(f"{len(late)} times a task that was ready waited over 1 ms for a worker that had ended the one before: something else had "
                     f"the CPU, {sum(late) / 1e9:.2f} s in all; that is left out")
    run = traces.Run(policy="recorded", tasks=real, engine="process", label=f"{os.path.basename(path)} (measured)", workload=lines)
    return Recording(path, lines, run, sorted(reader.starts, key=lambda x: x.at), notes,
                     max(0.0, statistics.mean([g for g in gaps if g <= FOREIGN] or [0]) / 1e3))


def _parents_first(tasks: list[workloads.Line]) -> list[workloads.Line]:
    """In the order of submission, which is that of the recording, except where a clock was read late."""
    known = {line["id"] for line in tasks}
    out: list[workloads.Line] = []
    there: set[str] = set()
    left = list(tasks)
    while left:
        later = []
        for line in left:
            if all(line.get(key) in there or line.get(key) not in known for key in ("parent", "on")):
                out.append(line)
                there.add(line["id"])
            else:
                later.append(line)
        if len(later) == len(left):
            raise ValueError(f"tasks submit each other in a circle: {later[0]['id']}")
        left = later
    return out
