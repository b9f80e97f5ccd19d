"""Figures of one run, joined with what the workload says of its tasks: users and deadlines.

Everything is computed from virtual or recorded times by sums in task order, so equal runs have equal figures, to the bit.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from . import trace as traces, workload as workloads

BOUND_S = 10.0  # bounded slowdown: a task shorter than this counts as if it took so long

# Name -> (what it is, whether less is better).  What `lab.ini` and `lab compare --metric` may name.
METRICS: dict[str, tuple[str, bool]] = {
    "makespan_s": ("from the first arrival to the last end", True),
    "flow_mean_s": ("mean time from submission to end", True),
    "flow_p50_s": ("median of that", True),
    "flow_p99_s": ("99th percentile of that", True),
    "wait_mean_s": ("mean time from ready to first start", True),
    "wait_max_s": ("longest time from ready to first start", True),
    "response_mean_s": ("mean time from submission to first start", True),
    "slowdown_mean": ("mean of time since ready over time run", True),
    "slowdown_p99": ("99th percentile of that", True),
    "bounded_slowdown_mean": ("the same, tasks shorter than 10 s counted as 10 s, and never below 1", True),
    "user_slowdown_mean": ("mean over users of the time their tasks took since ready over the time they ran", True),
    "unfairness": ("1 - Jain's index of that over the users; 0: all are slowed down alike", True),
    "missed": ("tasks that ended after their deadline", True),
    "lateness_max_s": ("the most that a task ended after its deadline; negative: all were early", True),
    "bytes_moved": ("bytes that travelled between nodes", True),
    "held_slot_s": ("idle slots times seconds while something could have started", True),
    "instructions": ("VM instructions of a policy in Lua for each task it started", True),
    "utilisation": ("share of the CPUs' time that was used", False),
}


def figure(found: Mapping[str, Any], metric: str, where: str) -> float:
    """One of the figures of a run; ValueError if the workload says nothing that it could be computed from."""
    if metric not in found:
        raise ValueError(f"{where} has no figure {metric}: its tasks state no {'deadline_s' if metric in ('missed', 'lateness_max_s') else 'user'}")
    return float(found[metric])


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one has everything."""
    square = sum(v * v for v in values)
    return sum(values) ** 2 / (len(values) * square) if square > 0 else 1.0


def figures(run: traces.Run, lines: Iterable[workloads.Line] = (), warmup: float = 0.0) -> dict[str, Any]:
    """All of METRICS that this run has values for.  ``lines`` is its workload: without it there are no users and no
    deadlines.  ``failed`` is how many tasks did not end well.  ``warmup``: the share of the tasks, first come first, that flow
    times, waits and slowdowns leave out."""
    said: Mapping[str, workloads.Line] = {str(line["id"]): line for line in lines if "id" in line}
    tasks = run.tasks
    done = [t for t in tasks if t["started"] >= 0 and t["ended"] >= t["started"]]
    out: dict[str, Any] = {**traces.figures(tasks), **{k: v for k, v in run.summary.items() if k in METRICS or k == "failed"}}
    if run.summary.get("policy_work") and run.summary.get("dispatches"):
        out["instructions"] = run.summary["policy_work"] / run.summary["dispatches"]
    if warmup > 0:
        done = sorted(done, key=lambda t: t["submitted"])[int(warmup * len(done)):]
        late_ones = traces.figures(done)
        out.update({k: late_ones[k] for k in ("flow_mean_s", "flow_p50_s", "flow_p99_s", "wait_mean_s", "wait_max_s")})
    if not done:
        return out
    slow, bounded, late = [], [], []
    users: dict[str, list[float]] = {}
    for task in done:
        ran = sum(to - since for since, to, _ in traces.pieces(task))
        ready = task["ready"] if task["ready"] >= 0 else max(task["submitted"], 0)
        took = task["ended"] - ready
        slow.append(took / ran if ran > 0 else 1.0)
        bounded.append(max(1.0, took / max(ran, BOUND_S * 1e9)))
        line = said.get(task["task"], {})
        mine = users.setdefault(line.get("user", ""), [0.0, 0.0])
        mine[0] += took
        mine[1] += ran
        if "deadline_s" in line:
            late.append((task["ended"] - task["submitted"]) / 1e9 - line["deadline_s"])
    out["response_mean_s"] = sum(max(0, t["started"] - max(t["submitted"], 0)) for t in done) / len(done) / 1e9
    out["slowdown_mean"] = sum(slow) / len(slow)
    out["slowdown_p99"] = traces.quantile(slow, 0.99)
    out["bounded_slowdown_mean"] = sum(bounded) / len(bounded)
    each = [took / ran if ran > 0 else 1.0 for took, ran in users.values()]
    if len(each) > 1:
        out["user_slowdown_mean"] = sum(each) / len(each)
    out["unfairness"] = 1 - jain(each)
    out["jain"] = 1 - out["unfairness"]
    if late:
        out["missed"] = sum(x > 0 for x in late)
        out["lateness_max_s"] = max(late)
    return out
