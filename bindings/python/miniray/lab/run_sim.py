"""Runs the simulator program on a workload and brings back what it reports."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from . import places, sources, trace, workload as workloads


_LIBC, _PR_SET_PDEATHSIG = ctypes.CDLL(None), 1
INTERRUPTED = 5  # status of the program when its report is of what had ended


class SimError(RuntimeError):
    """The simulator refused what it was given (status 2), is wrong itself (3), or the run could not end (4)."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Guard:
    """For a policy from a stranger: no setting out of the environment, no output kept but the last lines of the errors, and
    limits of the process that only a fault of ours could reach (a policy's own limits are counted, not timed)."""

    cpu_s: int = 600
    memory: int = 4 << 30
    file: int = 1 << 30

    def environment(self) -> dict[str, str]:
        return {k: v for k, v in os.environ.items() if not k.startswith(("MINIRAY_", "LUA_")) or k in ("MINIRAY_PLUGIN_PATH", "MINIRAY_BIN")}

    def apply(self) -> None:
        """In the child, before the program starts.  It does not outlive who started it."""
        if hasattr(_LIBC, "prctl"):  # Linux
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for what, most in ((resource.RLIMIT_CPU, self.cpu_s), (resource.RLIMIT_AS, self.memory), (resource.RLIMIT_FSIZE, self.file),
                           (resource.RLIMIT_CORE, 0)):
            if what == resource.RLIMIT_AS and sys.platform == "darwin":
                continue  # it refuses this one
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))


def _hang_up(child: subprocess.Popen[bytes]) -> None:
    """Ends the program's input, which it may have given up already."""
    if child.stdin is not None:
        try:
            child.stdin.close()
        except BrokenPipeError:
            pass


def _feed(child: subprocess.Popen[bytes], lines: Iterable[workloads.Line]) -> None:
    assert child.stdin is not None
    try:
        for line in lines:
            child.stdin.write(workloads.text(line).encode())
    except BrokenPipeError:  # it says why by its status
        pass
    _hang_up(child)


_PRINTED = "miniray info [sched-lua] "


def _call(command: list[str], guard: Guard | None, folder: str, partial: bool,
          lines: Iterable[workloads.Line] | None) -> tuple[int, str, list[str]]:
    """Runs the program, with `lines` as its input: its status, the end of what it said, and the last lines that the policy printed."""
    with open(os.path.join(folder, "errors"), "w+b") as errors:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL if lines is None else subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
                                 env=guard.environment() if guard else None, preexec_fn=guard.apply if guard else None)
        try:
            if lines is not None:
                _feed(child, lines)
            status = child.wait()
        except BaseException as error:  # an interrupt: the first one makes it report what has ended, and is enough
            if not partial:
                child.kill()
                child.wait()
                raise
            child.send_signal(signal.SIGINT)
            try:
                _hang_up(child)
                status = child.wait(timeout=60)
            except BaseException:
                child.kill()
                child.wait()
                raise
            if status != INTERRUPTED or not isinstance(error, KeyboardInterrupt):
                raise
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 65536))
        text = errors.read().decode("utf-8", "replace").strip()
    printed = [line[len(_PRINTED):] for line in text.splitlines() if line.startswith(_PRINTED)]
    text = text[max(0, text.rfind("miniray-sim: ")):]  # before it stands what the policy printed
    if status < 0:
        said = text if text.startswith("miniray-sim: ") else f"miniray-sim was ended by {signal.Signals(-status).name}"
        return 3, said, printed
    return status, text or f"miniray-sim ended with status {status}", printed


def simulate(
    workload: str | os.PathLike[str] | Iterable[workloads.Line],
    policy: str = "fifo",
    *,
    nodes: int | None = None,
    cpus: float | None = None,
    platform: str | None = None,
    know: str | None = None,
    reveal: str | None = None,
    seed: int = 0,
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
    check: bool = False,
    label: str | None = None,
    guard: Guard | None = None,
    partial: bool = False,
    stream: bool = False,
) -> trace.Run:
    """One run in virtual time.  ``workload`` is what `miniray.lab.sources` names, or lines as `miniray.lab.workload` makes them;
    ``settings`` are other keys of the configuration (``{"sim.latency": "1ms"}``); ``guard`` for a policy that is not trusted.
    ``partial``: an interrupt (Ctrl-C) ends the run and gives what has ended by then (``summary["interrupted"]``), in place of a
    KeyboardInterrupt.  ``stream``: the workload is read as time goes on, and no task is kept: the run has a summary and no tasks
    (docs/simulator.md says which workloads can be streams).
    Raises SimError with the program's own message."""
    plugin, file = places.policy_arguments(policy)
    named = os.fspath(workload) if isinstance(workload, (str, os.PathLike)) else None
    with tempfile.TemporaryDirectory(prefix="miniray-sim-") as folder:
        if isinstance(workload, (str, os.PathLike)):
            made = workloads.parse(os.fspath(workload)) if stream else None
            workload = workloads.stream(made[0], **{"seed": seed, **made[1]}) if made else sources.resolve(os.fspath(workload), seed)
        lines = None
        if isinstance(workload, str):
            path = workload
        elif stream:
            path, lines = "-", workload
        else:
            path = os.path.join(folder, "workload.jsonl")
            workloads.write(path, workload)
        out, traced = os.path.join(folder, "out.json"), os.path.join(folder, "trace.jsonl")
        command = [str(places.program()), "--workload", path, "--json", out, "--seed", str(seed), "--quiet", *(["--stream"] if stream else ["--trace", traced])]
        own = places.plugins()
        for option, value in (("--plugins", own), ("--sched", plugin), ("--policy", file), ("--nodes", nodes), ("--platform", platform), ("--cpus", cpus),
                              ("--know", know), ("--reveal", reveal), ("--config", config)):
            if value is not None:
                command += [option, str(value)]
        for key, value in (settings or {}).items():
            command += ["--set", f"{key}={value}"]
        if check:
            command.append("--check")
        began = time.perf_counter()
        status, text, printed = _call(command, guard, folder, partial, lines)
        wall_s = time.perf_counter() - began
        if status not in (0, INTERRUPTED if partial else 0):
            raise SimError(status, text.removeprefix("miniray-sim: ").replace(path, "workload") if path.startswith(folder)
                           else text.removeprefix("miniray-sim: "))
        with open(out, encoding="utf-8") as file_out:
            summary = {**json.load(file_out), "workload": named}  # not the name of a file that is gone
        tasks = [] if stream else trace.read_trace(traced)
    name = os.path.splitext(os.path.basename(policy))[0]
    return trace.Run(policy=name, tasks=tasks, engine="sim", seed=seed, summary=summary, label=label, wall_s=wall_s, printed=printed)
