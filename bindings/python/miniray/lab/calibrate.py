"""Measures what this machine takes for the things that the simulator leaves out, for `[sim]` and for people.

Every figure is the median, or the lower quartile, of many, so that what else runs on the machine now and then is not in it; a figure
that is not steady is left out, and that is said.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import Any

from . import recording, workload as workloads
from .run_sim import simulate


ROUNDS = 8


def _nothing() -> None:
    return None


def _length(value: Any) -> int:
    return len(value)


def measure(tasks: int = 2000, megabytes: int = 64) -> dict[str, float]:
    """What could be measured of: ``dispatch_us``: what a short task takes beyond what it runs, while all CPUs are busy; ``call_us``: f.remote and get, one at a
    time; ``put_us``, ``get_us``: of a small value; ``put_bytes_s``: of a large one; ``bandwidth``: bytes per second between two nodes
    of this machine; ``switch_us``: to stop a task and go on with another that was stopped; ``decision_ns``: for 1,000 instructions of a
    policy in Lua.  Opens and closes sessions of its own."""
    import miniray

    out: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="miniray-calibrate-") as folder:
        miniray.init(num_cpus=1)
        try:
            work = miniray.remote(_nothing)
            miniray.get([work.remote() for _ in range(100)])
            miniray.get([work.remote() for _ in range(tasks)])
            out["call_us"] = _median(lambda: miniray.get(work.remote()), 300) * 1e6
            ref = miniray.put(1)
            out["put_us"] = _median(lambda: miniray.put(1), 300) * 1e6
            out["get_us"] = _median(lambda: miniray.get(ref), 300) * 1e6
            block = bytes(megabytes << 20)
            out["put_bytes_s"] = len(block) / _median(lambda: miniray.put(block), 5)
        finally:
            miniray.shutdown()
        out["dispatch_us"] = _dispatch_us(os.path.join(folder, "busy.jsonl"), tasks)
    miniray.init(nodes=[{"num_cpus": 1, "resources": {"far": 1} if i else {}} for i in range(2)])
    try:
        far = miniray.remote(_length).options(resources={"far": 0.001})
        miniray.get(far.remote(b""))
        small = _median(lambda: miniray.get(far.remote(miniray.put(bytes(200_000)))), 20)
        large = _median(lambda: miniray.get(far.remote(miniray.put(block))), 5)
        copied = large - small - len(block) / out["put_bytes_s"]
        out["bandwidth"] = len(block) / max(copied, 1e-6)
    finally:
        miniray.shutdown()
    switch_us = _switch_us()
    if switch_us is not None:
        out["switch_us"] = switch_us
    out["decision_ns"] = _decision_ns()
    return out


def _watch(seconds: float) -> list[tuple[float, float]]:
    """Computes for so long, and returns when it stood still: the last time before, the first after."""
    gaps, last, until = [], time.monotonic(), time.process_time() + seconds
    while time.process_time() < until:
        now = time.monotonic()
        if now - last > 2e-4:
            gaps.append((last, now))
        last = now
    return gaps


def _dispatch_us(path: str, tasks: int) -> float:
    """With a worker on every CPU, each busy for 100 us at a time: what a task takes beyond what it ran; the lower quartile of rounds."""
    import miniray

    cpus = os.cpu_count() or 1
    miniray.init(num_cpus=cpus, record=path)
    try:
        work = miniray.remote(_spin)
        for _ in range(1 + ROUNDS):
            miniray.get([work.remote(0.0001) for _ in range(max(10, tasks // 2))])
    finally:
        miniray.shutdown()
    read = recording.read(path)
    rows = sorted(read.real.tasks, key=lambda t: t["submitted"])
    ran = {line["id"]: line["duration_s"] for line in read.lines if "id" in line}
    each = len(rows) // (1 + ROUNDS)
    beyond = []
    for i in range(1, 1 + ROUNDS):  # the first round starts the workers
        part = rows[i * each:(i + 1) * each]
        beyond.append(max(0.0, recording.span(part) * cpus - sum(ran[t["task"]] for t in part)) / len(part) * 1e6)
    return _low(beyond)


def _low(values: list[float]) -> float:
    """The lower quartile."""
    return sorted(values)[len(values) // 4]


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _switch_us(seconds: float = 0.3) -> float | None:
    """Two tasks take turns of 1 ms on one CPU: from the last that one does to the first that the other does; the lower quartile of
    all turns.  None: there were too few to say."""
    import miniray

    with tempfile.TemporaryDirectory(prefix="miniray-calibrate-") as folder:
        policy = os.path.join(folder, "turns.lua")
        with open(policy, "w", encoding="utf-8") as file:
            file.write("return { slice = function() return 1*ms end }\n")
        miniray.init(num_cpus=1, policy=policy)
        try:
            work = miniray.remote(_watch)
            miniray.get([work.remote(0.001) for _ in range(2)])
            one, other = miniray.get([work.remote(seconds) for _ in range(2)])
        finally:
            miniray.shutdown()
    turns = []
    for mine, others in ((one, other), (other, one)):
        for left, back in mine:
            turns += [came - left for _, came in others if left < came < back][:1]
    return _low(turns) * 1e6 if len(turns) >= 40 else None


def _decision_ns(tasks: int = 400, loops: int = 20_000) -> float:
    """The same run with a policy that counts far, and with one that does not."""
    work, wall = [], []
    with tempfile.TemporaryDirectory(prefix="miniray-calibrate-") as folder:
        policy = os.path.join(folder, "count.lua")
        lines: list[workloads.Line] = [{"id": f"t{i}", "fn": "f", "duration_s": 1} for i in range(tasks)]
        for n in (1, loops):
            with open(policy, "w", encoding="utf-8") as file:
                file.write(f"return {{ rank = function(t) local sum = 0 for i = 1, {n} do sum = sum + i end return sum end }}\n")
            runs = [simulate(lines, policy, cpus=4) for _ in range(3)]
            work.append(runs[0].summary["policy_work"])
            wall.append(min(run.wall_s or 0.0 for run in runs))
    return max(0.0, wall[1] - wall[0]) / max(1.0, work[1] - work[0]) * 1e12


def _median(call: Any, times: int) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def as_ini(found: dict[str, float]) -> str:
    """The settings of the simulator, and the rest as comments."""
    switch = f"switch_us = {round(found['switch_us'])}\n" if "switch_us" in found else "; switch_us could not be measured: too few turns were taken; try again when less runs here\n"
    return ("; Measured by miniray calibrate on this machine.\n[sim]\n"
            f"dispatch_us = {round(found['dispatch_us'])}\n{switch}decision_ns = {round(found['decision_ns'])}\n"
            f"bandwidth = {round(found['bandwidth'])}\n"
            f"; one call and get {found['call_us']:.1f} us; put {found['put_us']:.2f} us, get {found['get_us']:.2f} us of a small value; "
            f"put of a large one {found['put_bytes_s'] / 1e9:.2f} GB/s\n")
