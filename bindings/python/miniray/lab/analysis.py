"""What a report shows beside figures: curves over time, distributions, what the end waited for, where two runs part.

Works on traces (`miniray.lab.trace`) alone; with the workload's lines edges are exact, without them guessed from times.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Iterable, Mapping, Sequence

from .trace import Run, first, pieces, queued

Task = dict[str, Any]
Points = list[tuple[float, float]]


def _steps(events: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """(time, change) -> (time, level from then on), one per time."""
    out: list[tuple[int, int]] = []
    level = 0
    for at, change in sorted(events):
        level += change
        if out and out[-1][0] == at:
            out[-1] = (at, level)
        else:
            out.append((at, level))
    return out


def _means(steps: Sequence[tuple[int, int]], end: int, bins: int) -> Points:
    """The mean level in each of ``bins`` equal parts of 0 .. end: (middle in s, level)."""
    out: Points = []
    if end <= 0 or not steps:
        return out
    i, level, at = 0, 0, 0
    for k in range(bins):
        stop, area = end * (k + 1) // bins, 0
        begin = at
        while i < len(steps) and steps[i][0] < stop:
            if steps[i][0] > at:
                area += level * (steps[i][0] - at)
                at = steps[i][0]
            level = steps[i][1]
            i += 1
        area += level * (stop - at)
        at = stop
        if stop > begin:
            out.append(((begin + stop) / 2e9, area / (stop - begin)))
    return out


def running(run: Run, end: int, bins: int = 240, widths: Mapping[str, int] = {}) -> Points:
    """How many tasks run, over time; with ``widths`` each counts so often."""
    done = [(since, to, widths.get(t["task"], 1)) for t in run.tasks for since, to, *_ in [*pieces(t), *t.get("lost", ())] if since <= to]
    return _means(_steps([(since, n) for since, _, n in done] + [(to, -n) for _, to, n in done]), end, bins)


def waiting(run: Run, end: int, bins: int = 240) -> Points:
    """How many tasks are ready and have not begun (or have to begin again), over time: the length of the queue."""
    spans = [span for t in run.tasks if t["started"] >= 0 for span in queued(t)]
    return _means(_steps([(since, 1) for since, _ in spans] + [(to, -1) for _, to in spans]), end, bins)


def distribution(values: Sequence[float], points: int = 200) -> Points:
    """(value, share of all at or below it), thinned to about ``points``."""
    ordered = sorted(values)
    n = len(ordered)
    step = max(1, n // points)
    chosen = [*range(0, n, step), n - 1] if n else []
    return [(ordered[i], (i + 1) / n) for i in dict.fromkeys(chosen)]


def flows(run: Run) -> list[float]:
    """Seconds from submission to end, of every task that ended."""
    return [(t["ended"] - max(t["submitted"], 0)) / 1e9 for t in run.tasks if 0 <= t["started"] <= t["ended"]]


def _parents(run: Run) -> dict[str, list[str]]:
    """Task -> the tasks whose results it reads, as the workload says; empty without one."""
    makers: dict[str, str] = {}
    lines = [line for line in run.workload or () if "id" in line]
    for line in lines:
        makers[str(line["id"])] = str(line["id"])
        for out in line["outputs"] if isinstance(line.get("outputs"), list) else ():
            makers[out["file"]] = str(line["id"])
    found: dict[str, list[str]] = {}
    for line in lines:
        names = [x if isinstance(x, str) else x.get("id") or x.get("file") for x in [*line.get("inputs", []), *line.get("deps", [])]]
        found[str(line["id"])] = [makers[n] for n in names if n in makers]
    return found


def critical(run: Run) -> list[str]:
    """The chain of tasks that the last end waited for, from the first on: a task waits either for its last parent, or for the
    task before it on its slot.  Without a workload the last task that ended before it was ready stands for the parent."""
    done = {t["task"]: t for t in run.tasks if 0 <= t["started"] <= t["ended"]}
    if not done:
        return []
    parents = _parents(run)
    slots: dict[tuple[str, int], list[Task]] = {}
    for t in sorted(done.values(), key=lambda t: t["ended"]):
        slots.setdefault((t["node"], t["slot"]), []).append(t)
    everywhere = sorted(done.values(), key=lambda t: t["ended"])

    def last_before(rows: list[Task], at: int, but: Task) -> Task | None:
        i = bisect_right(rows, at, key=lambda t: t["ended"]) - 1
        while i >= 0 and (rows[i] is but or rows[i]["task"] in seen):
            i -= 1
        return rows[i] if i >= 0 else None

    chain: list[str] = []
    seen: set[str] = set()
    task: Task | None = max(done.values(), key=lambda t: (t["ended"], t["task"]))
    while task is not None:
        chain.append(task["task"])
        seen.add(task["task"])
        own = [done[p] for p in parents.get(task["task"], ()) if p in done and p not in seen]
        parent = max(own, key=lambda t: t["ended"], default=None)
        if not parents and task["ready"] > max(task["submitted"], 0):
            parent = last_before(everywhere, task["ready"], task)
        before = None
        if task["ready"] < 0 or task["started"] > task["ready"]:  # it was ready and had to wait for its slot
            before = last_before(slots[task["node"], task["slot"]], task["started"], task)
        task = max((t for t in (parent, before) if t is not None), key=lambda t: t["ended"], default=None)
    return chain[::-1]


def first_difference(a: Run, b: Run) -> dict[str, Any] | None:
    """Where the schedules of two runs of one workload part: the first decision that differs, and what it cost.

    Runs on real workers part where the order of their starts does.

    ``{"at", "a", "b", "makespan", "flow", "worst"}``: the time in ns; the tasks that start there in each run, with their
    places; b - a of the makespan and of the mean flow time in s; the task that loses most by it, and how much in s.  None: the schedules are the
    same, or the runs are not of one workload."""
    left, right = ({t["task"]: t for t in run.tasks} for run in (a, b))
    if left.keys() != right.keys() or not left:
        return None

    def order(rows: dict[str, Task]) -> list[Task]:
        return sorted((t for t in rows.values() if t["started"] >= 0), key=lambda t: (*first(t), t["task"]))

    measured = "process" in (a.engine, b.engine)  # no two times are equal there: the order of the starts is what can be compared

    def same(x: Task, y: Task) -> bool:
        return x["task"] == y["task"] and (measured or first(x) == first(y))

    for x, y in zip(order(left), order(right)):
        if not same(x, y):
            break
    else:
        return None
    at = first(y)[0] if measured else min(first(x)[0], first(y)[0])
    both = [t for t in left if 0 <= left[t]["started"] <= left[t]["ended"] and 0 <= right[t]["started"] <= right[t]["ended"]]
    if not both:
        return None
    loss = {t: (right[t]["ended"] - left[t]["ended"]) / 1e9 for t in both}
    worst = max(both, key=lambda t: (loss[t], t))
    ends = [max(rows[t]["ended"] for t in both) / 1e9 for rows in (left, right)]

    def begun(rows: dict[str, Task]) -> list[Task]:
        if measured:
            return [x if rows is left else y]
        return [t for t in order(rows) if first(t)[0] == at]

    return {"at": at, "a": begun(left), "b": begun(right), "makespan": ends[1] - ends[0],
            "flow": sum(loss.values()) / len(both), "worst": (worst, loss[worst])}
