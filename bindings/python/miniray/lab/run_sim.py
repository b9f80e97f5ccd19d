"""Runs the simulator program on a workload and brings back what it reports."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any, Iterable, Mapping

from . import places, sources, trace, workload as workloads


class SimError(RuntimeError):
    """The simulator refused what it was given (status 2), is wrong itself (3), or the run could not end (4)."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


def simulate(
    workload: str | os.PathLike[str] | Iterable[workloads.Line],
    policy: str = "fifo",
    *,
    nodes: int | None = None,
    cpus: float | None = None,
    know: str | None = None,
    reveal: str | None = None,
    seed: int = 0,
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
    check: bool = False,
    label: str | None = None,
) -> trace.Run:
    """One run in virtual time.  ``workload`` is what `miniray.lab.sources` names, or lines as `miniray.lab.workload` makes them; ``settings`` are
    other keys of the configuration (``{"sim.latency": "1ms"}``).  Raises SimError with the program's own message."""
    plugin, file = places.policy_arguments(policy)
    with tempfile.TemporaryDirectory(prefix="miniray-sim-") as folder:
        if isinstance(workload, (str, os.PathLike)):
            workload = sources.resolve(os.fspath(workload), seed)
        if isinstance(workload, str):
            path = workload
        else:
            path = os.path.join(folder, "workload.jsonl")
            workloads.write(path, workload)
        out, traced = os.path.join(folder, "out.json"), os.path.join(folder, "trace.jsonl")
        command = [str(places.program()), "--workload", path, "--json", out, "--trace", traced, "--seed", str(seed), "--quiet"]
        own = places.plugins()
        for option, value in (("--plugins", own), ("--sched", plugin), ("--policy", file), ("--nodes", nodes), ("--cpus", cpus),
                              ("--know", know), ("--reveal", reveal), ("--config", config)):
            if value is not None:
                command += [option, str(value)]
        for key, value in (settings or {}).items():
            command += ["--set", f"{key}={value}"]
        if check:
            command.append("--check")
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            text = done.stderr.strip() or f"miniray-sim ended with status {done.returncode}"
            raise SimError(done.returncode, text.removeprefix("miniray-sim: ").replace(path, "workload") if path.startswith(folder)
                           else text.removeprefix("miniray-sim: "))
        with open(out, encoding="utf-8") as file_out:
            summary = json.load(file_out)
        tasks = trace.read_trace(traced)
    name = os.path.splitext(os.path.basename(policy))[0]
    return trace.Run(policy=name, tasks=tasks, engine="sim", seed=seed, summary=summary, label=label)
