"""What ran where and when, as Chrome trace events (chrome://tracing, Perfetto)."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Tuple


def events(tasks: "Iterable[Dict[str, Any]]", now: int, policies: "Iterable[Dict[str, Any]]" = ()) -> "List[Dict[str, Any]]":
    """The core's table of tasks as trace events: a process for each node, a thread for each worker and for each call that
    ran beside others in it, an instant for each change of the policy.  Times in µs since the session began; what runs still
    ends at `now` (ns)."""
    out: List[Dict[str, Any]] = []
    lanes: Dict[Tuple[int, int], List[int]] = {}  # (node, worker): when each of its lanes is free
    numbers: Dict[Tuple[int, int, int], int] = {}
    for task in sorted((t for t in tasks if t["started_at"] >= 0 and t["worker"]), key=lambda t: t["started_at"]):
        began, ended = task["started_at"], task["ended_at"] if task["ended_at"] >= 0 else now
        place = (task["node"], task["worker"])
        free = lanes.setdefault(place, [])
        lane = next((i for i, at in enumerate(free) if at <= began), len(free))
        if lane == len(free):
            free.append(ended)
            number = numbers[(*place, lane)] = len(numbers) + 1
            name = f"worker {task['worker']}" + (f" ({lane + 1})" if lane else "")
            out.append({"name": "thread_name", "ph": "M", "pid": task["node"], "tid": number, "args": {"name": name}})
        free[lane] = ended
        out.append({
            "name": task["name"], "cat": task["outcome"] or task["state"], "ph": "X", "pid": task["node"],
            "tid": numbers[(*place, lane)], "ts": began / 1e3, "dur": max(0, ended - began) / 1e3,
            "args": {"task": task["task"], "kind": task["kind"], "attempt": task["attempt"], "pid": task["pid"],
                     "waited_us": max(0, began - task["submitted_at"]) / 1e3, "bytes": task["bytes"]},
        })
    for node in sorted({place[0] for place in lanes}):
        out.append({"name": "process_name", "ph": "M", "pid": node, "tid": 0, "args": {"name": f"node {node}"}})
    out += [{"name": f"policy {one['policy']}", "cat": "policy", "ph": "i", "s": "g", "pid": 0, "tid": 0, "ts": one["at"] / 1e3} for one in policies]
    return out
