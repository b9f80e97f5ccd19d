"""Measures what this machine takes for the things that the simulator leaves out, for `[sim]` and for people.

Every figure is the median of many; nothing else should run meanwhile.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import Any

from . import recording


def _nothing() -> None:
    return None


def _length(value: Any) -> int:
    return len(value)


def measure(tasks: int = 2000, megabytes: int = 64) -> dict[str, float]:
    """``dispatch_us``: from the end of one task to the beginning of the next on a busy worker; ``call_us``: f.remote and get, one at a
    time; ``put_us``, ``get_us``: of a small value; ``put_bytes_s``: of a large one; ``bandwidth``: bytes per second between two nodes
    of this machine.  Opens and closes sessions of its own."""
    import miniray

    out: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="miniray-calibrate-") as folder:
        path = os.path.join(folder, "run.jsonl")
        miniray.init(num_cpus=1, record=path)
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
        rows = sorted(recording.read(path).real.tasks, key=lambda t: t["started"])[100:100 + tasks]
        ran = {line["id"]: line["duration_s"] * 1e9 for line in recording.read(path).lines if "id" in line}
        steps = [b["ended"] - a["ended"] - ran[b["task"]] for a, b in zip(rows, rows[1:])]
        whole = (rows[-1]["ended"] - rows[0]["ended"] - sum(ran[t["task"]] for t in rows[1:])) / len(steps)
        out["dispatch_us"] = max(0.0, whole) / 1e3
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
    return out


def _median(call: Any, times: int) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def as_ini(found: dict[str, float]) -> str:
    """The settings of the simulator, and the rest as comments."""
    return ("; Measured by miniray calibrate on this machine.\n[sim]\n"
            f"dispatch_us = {round(found['dispatch_us'])}\nbandwidth = {round(found['bandwidth'])}\n"
            f"; one call and get {found['call_us']:.1f} us; put {found['put_us']:.2f} us, get {found['get_us']:.2f} us of a small value; "
            f"put of a large one {found['put_bytes_s'] / 1e9:.2f} GB/s\n")
