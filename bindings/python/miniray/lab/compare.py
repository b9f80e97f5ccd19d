"""One workload or driver script under several policies (and stores): the runs."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterable, Iterator, Sequence

from . import metrics, places, sources, stats, trace as traces, workload as workloads
from .report import framed
from .run_sim import SimError, simulate


class Comparison(list[traces.Run]):
    """The runs of a comparison, in the order in which they were made.  Shows itself as a report in a notebook."""

    title = "miniray: runs compared"
    warmup = 0.0

    def _repr_html_(self) -> str:
        return framed([run for run in self if not run.seed], self.title, every=self)


def _lines(workload: str, seed: int, seeds: int) -> tuple[Any, list[dict[str, Any]] | None]:
    """What is run for one seed, and its lines if they are known.  A trace of arrivals is the same for every seed, so blocks of
    it are drawn again; of anything else that does not follow from a seed there is one instance only."""
    made = sources.resolve(workload, seed)
    if isinstance(made, str):
        try:
            lines = workloads.read(made) if made.endswith(".jsonl") else None
        except (ValueError, OSError):
            lines = None  # the simulator says what is wrong with it
    else:
        lines = made
    parsed = workloads.parse(workload)
    fixed = parsed is None or "seed" in parsed[1]
    if fixed and seeds > 1 and lines and stats.is_stream(lines):
        lines = stats.resample(lines, seed)
        return lines, lines
    return (made if lines is None else lines), lines


def scaled(lines: Sequence[workloads.Line], scale: float) -> list[workloads.Line]:
    """The workload as `miniray.lab.driver` plays it with this ``--scale``: all times of its tasks multiplied, on whatever node there is."""
    def times(line: workloads.Line) -> workloads.Line:
        if isinstance(line.get("duration_s"), dict):
            raise ValueError(f"{line['id']}: durations by class of node, or by distribution, exist in the simulator only")
        return {k: v * scale if k.endswith("_s") and isinstance(v, (int, float)) else v for k, v in line.items() if k != "node"}

    return [times(line) for line in lines if "platform" not in line]


def _sim_runs(workload: str, policies: Sequence[str], seeds: int, options: dict[str, Any], scale: float | None = None) -> Iterator[traces.Run]:
    """``scale``: beside real workers; then one outcome of a fixed graph is enough, where more are refused otherwise."""
    first: list[Any] = []
    for seed in range(seeds):
        given, lines = _lines(workload, seed, seeds)
        if scale is not None:
            given = lines = scaled(workloads.read(given) if isinstance(given, str) else given, scale)
        made, done = [], []
        for policy in policies:
            run = simulate(workload if seeds == 1 and isinstance(given, str) else given, policy, seed=seed, **options)
            run.seed, run.workload = seed if seeds > 1 else None, lines
            made.append((given, run.tasks))
            done.append(run)
            if scale is None:
                yield run
        same = seed == 1 and made == first
        if scale is not None and not same:
            yield from done
        if same and scale is not None:
            return
        if same:
            raise ValueError(f"seeds 0 and 1 of {workload} gave the same runs under each of {', '.join(policies)}: a fixed graph under policies without chance has one "
                             "outcome. Leave --seeds out, or use gen:... without seed=, or --know noisy:0.1")
        first = made


def _process_environment(policy: str, store: str | None, workers: int | None) -> dict[str, str]:
    plugin, file = places.policy_arguments(policy)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MINIRAY_SCHED_", "MINIRAY_STORE_"))}
    if plugin:
        env["MINIRAY_SCHED_PLUGIN"] = plugin
    if file:
        env["MINIRAY_SCHED_POLICY"] = file
    if store:
        env["MINIRAY_STORE_PLUGIN"] = store
    if workers:
        env["MINIRAY_NODE_CPUS"] = str(workers)
    return env


def _process_runs(workload: str, policies: Sequence[str], stores: Sequence[str | None], seeds: int, workers: int | None,
                  arguments: Sequence[str], scale: float) -> Iterator[traces.Run]:
    made = workloads.parse(workload)
    with tempfile.TemporaryDirectory(prefix="miniray-compare-") as folder:
        for seed in range(seeds):
            if made:
                path = os.path.join(folder, "workload.jsonl")
                workloads.write(path, workloads.make(workload, seed))
            else:
                lines = workload if workload.endswith(".py") else sources.resolve(workload, seed)
                path = lines if isinstance(lines, str) else os.path.join(folder, "workload.jsonl")
                if not isinstance(lines, str):
                    workloads.write(path, lines)
            for policy in policies:
                for store in stores:
                    out = os.path.join(folder, "timeline.json")
                    command = [sys.executable, "-m", "miniray.lab.driver", "--timeline", out]
                    command += [path, *arguments] if path.endswith(".py") else ["--workload", path, "--scale", str(scale)]
                    done = subprocess.run(command, env=_process_environment(policy, store, workers), stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, text=True)
                    if done.returncode != 0:
                        name = os.path.basename(path)
                        raise SimError(2, f"{name} under {policy}{' and ' + store if store else ''} ended with status "
                                          f"{done.returncode}:\n{(done.stderr or done.stdout).strip()[-4000:]}")
                    with open(out, encoding="utf-8") as file:
                        result = json.load(file)
                    name = os.path.splitext(os.path.basename(policy))[0]
                    tasks = traces.normalise(result["tasks"])
                    summary = {**traces.figures(tasks, workers), "columns": {"wall time": f"{result['wall_s']:.3f} s"}}
                    yield traces.Run(policy=name, tasks=tasks, engine="process", store=store, seed=seed if seeds > 1 else None,
                                     summary=summary, workload=None if path.endswith(".py") else scaled(workloads.read(path), scale))


def compare(
    workload: str,
    policies: Sequence[str],
    *,
    engine: str = "sim",
    stores: Sequence[str | None] = (None,),
    seeds: int = 1,
    workers: int | None = None,
    arguments: Sequence[str] = (),
    scale: float = 1.0,
    each: Callable[[traces.Run], None] | None = None,
    warmup: float = 0.0,
    **options: Any,
) -> Comparison:
    """All runs of ``policies`` × ``stores`` × ``seeds``.

    ``workload``: a JSONL or WfFormat file, ``gen:KIND,KEY=VALUE,...`` (made anew for each seed, the same for all
    policies of one seed), or, on real workers, a driver script.  ``engine``: "sim", "process", or "sim,process": both, the simulator with one
    node of ``workers`` CPUs and all times multiplied by ``scale``, as on the real one (`engines.rankings` tells whether the order of the
    policies is the same).  ``each`` is called after every run.  ``warmup``: see
    `metrics.figures`.  ``options`` are those of `simulate`.  Raises SimError with the failing run's own message."""
    if engine == "sim,process":
        return _both(workload, policies, stores, seeds, workers, arguments, scale, each, warmup, options)
    if engine not in ("sim", "process"):
        raise ValueError(f"engine must be 'sim', 'process' or 'sim,process', not {engine!r}")
    if engine == "sim" and workload.endswith(".py"):
        raise ValueError("a driver script runs on real workers: engine='process'")
    if engine == "process" and options:
        raise ValueError(f"only the simulator knows {', '.join(sorted(options))}")
    if engine == "sim" and any(stores):
        raise ValueError("the simulator moves no bytes through a store: stores are compared on real workers (engine='process')")
    return _collect(_sim_runs(workload, policies, seeds, options) if engine == "sim"
                    else _process_runs(workload, policies, stores or (None,), seeds, workers, arguments, scale), each, warmup)


def _both(workload: str, policies: Sequence[str], stores: Sequence[str | None], seeds: int, workers: int | None, arguments: Sequence[str], scale: float,
          each: Callable[[traces.Run], None] | None, warmup: float, options: dict[str, Any]) -> Comparison:
    given = [key for key in ("nodes", "cpus", "platform") if options.get(key)]
    if workload.endswith(".py") or any(stores):
        raise ValueError(f"{'a driver script' if workload.endswith('.py') else 'a store'} is for real workers alone: engine='process'")
    if given:
        raise ValueError(f"both engines run on one node: give workers, not {given[0]}")
    workers = workers or len(os.sched_getaffinity(0))

    def named(run: traces.Run) -> traces.Run:
        run.label = f"{run.name} ({'simulated' if run.engine == 'sim' else 'real'})"
        return run

    return _collect(map(named, itertools.chain(_sim_runs(workload, policies, seeds, {**options, "nodes": 1, "cpus": workers}, scale),
                                               _process_runs(workload, policies, (None,), seeds, workers, arguments, scale))), each, warmup)


def _collect(source: Iterable[traces.Run], each: Callable[[traces.Run], None] | None, warmup: float) -> Comparison:
    runs = Comparison()
    runs.warmup = warmup
    for run in source:
        run.summary.update({k: v for k, v in metrics.figures(run, run.workload or (), warmup).items() if warmup or k not in run.summary})
        runs.append(run)
        if each:
            each(run)
    return runs
