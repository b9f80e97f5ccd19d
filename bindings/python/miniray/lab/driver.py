"""Runs a driver script, or plays a workload, on real workers and writes the timeline that the run leaves behind.

``python -m miniray.lab.driver --timeline OUT.json script.py args...`` runs the script as if it were called by itself;
the back end is chosen by the environment (MINIRAY_SCHED_PLUGIN, MINIRAY_STORE_PLUGIN, ...), so the script is not edited.
``python -m miniray.lab.driver --timeline OUT.json --workload W.jsonl [--scale S]`` plays a workload: each task computes
for as long as it says.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import time
from typing import Any


WARM_UP = "(warm-up)"


class _Recorder:
    """Takes the timeline at the last moment there is one: when a session closes, by whatever door."""

    def __init__(self, miniray: Any, path: str):
        from miniray import _session

        self.miniray, self.path = miniray, path
        self.tasks: list[dict[str, Any]] = []
        self.names: dict[str, str] = {}  # task -> what the workload calls it
        self.begin = time.perf_counter()
        self.wall = 0.0
        _session.at_shutdown.append(self.collect)

    def collect(self) -> None:
        self.wall = time.perf_counter() - self.begin
        self.tasks += [{**task, "task": self.names.get(task["task"], task["task"])} for task in self.miniray.timeline() if task["fn"] != WARM_UP]

    def write(self, status: int) -> None:
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"tasks": self.tasks, "wall_s": self.wall or time.perf_counter() - self.begin, "status": status}, file)


def _compute(duration: float, sizes: list[int], *inputs: Any) -> Any:
    """One task of a workload: keeps a core busy for `duration` seconds and gives values of these sizes."""
    del inputs
    end = time.perf_counter() + duration
    while time.perf_counter() < end:
        pass
    values = tuple(bytes(size) for size in sizes)
    return values if len(values) != 1 else values[0]


def warm_up() -> None:
    """Has every worker process started, so that no figure holds that: a task on each CPU at once."""
    import miniray

    wait = miniray.remote(time.sleep).options(name=WARM_UP)
    miniray.get([wait.remote(0.1) for _ in range(int(miniray.cluster_resources().get("CPU", 1)))])


def play(lines: list[dict[str, Any]], scale: float, names: dict[str, str]) -> None:
    """Submits the tasks of a workload to the running session, each at its arrival (times `scale`) and after its parents,
    and waits for all.  Fills ``names``: task -> what the workload calls it.  Durations by class of node are refused: real nodes have no class."""
    import miniray

    work = miniray.remote(_compute)
    produced: dict[str, Any] = {}
    outside = {line["file"]: line for line in lines if "file" in line and "id" not in line}
    tasks = [line for line in lines if "id" in line]
    owners = {out["file"]: t["id"] for t in tasks if isinstance(t.get("outputs"), list) for out in t["outputs"]}
    own = {t["id"] for t in tasks}
    waiting = sorted(tasks, key=lambda t: t.get("arrival_s", 0.0))
    refs: list[Any] = []

    def key(item: Any) -> str:
        return item if isinstance(item, str) else item.get("id") or item["file"]

    def fetch(item: Any) -> Any:
        name = key(item)
        if name not in produced:
            size = item.get("bytes", 0) if isinstance(item, dict) else outside[name]["bytes"]
            produced[name] = miniray.put(bytes(int(size)))
        return produced[name]

    for task in tasks:  # what is there from the start is there before the clock runs
        for item in [*task.get("inputs", []), *task.get("deps", [])]:
            if key(item) not in own and key(item) not in owners:
                fetch(item)
    warm_up()
    begin = time.perf_counter()
    while waiting:
        for i, task in enumerate(waiting):
            wanted = [key(item) for item in [*task.get("inputs", []), *task.get("deps", [])]]
            if all(name not in own and name not in owners or name in produced for name in wanted):
                break
        else:
            raise ValueError(f"the tasks wait for each other in a cycle, or for what is not there: {waiting[0]['id']}")
        task = waiting.pop(i)
        if isinstance(task["duration_s"], dict):
            raise ValueError(f"{task['id']}: durations by class of node exist in the simulator only")
        time.sleep(max(0.0, begin + task.get("arrival_s", 0.0) * scale - time.perf_counter()))
        outputs = task.get("outputs", 0)
        sizes = [int(o.get("bytes", 0)) for o in outputs] if isinstance(outputs, list) else [int(outputs)]
        sizes = sizes or [0]
        inputs = [fetch(item) for item in [*task.get("inputs", []), *task.get("deps", [])]]
        options = {"num_returns": len(sizes), "name": task.get("fn", task["id"]), "num_cpus": task.get("cpus", 1)}
        options.update({said: task[said] for said in ("user", "priority") if said in task})
        options.update({said: task[said] * scale for said in ("estimate_s", "limit_s") if said in task})
        out = work.options(**options).remote(task["duration_s"] * scale, sizes, *inputs)
        outs = list(out) if isinstance(out, (list, tuple)) else [out]
        names[outs[0].task_id().hex()[16:32]] = str(task["id"])
        produced[task["id"]] = outs[0]
        for spec, ref in zip(outputs if isinstance(outputs, list) else [], outs):
            produced[spec["file"]] = ref
        refs.append(outs[0])
    miniray.wait(refs, num_returns=len(refs))
    miniray.get(refs)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m miniray.lab.driver")
    parser.add_argument("--timeline", required=True)
    parser.add_argument("--workload")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    import miniray

    recorder = _Recorder(miniray, options.timeline)
    status = 0
    try:
        if options.workload:
            from . import workload

            miniray.init()
            play(workload.read(options.workload), options.scale, recorder.names)
            miniray.shutdown()
        else:
            sys.argv = options.rest
            sys.path.insert(0, os.path.dirname(os.path.abspath(options.rest[0])))
            runpy.run_path(options.rest[0], run_name="__main__")
            miniray.shutdown()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    recorder.write(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
