"""Times miniray, Ray, multiprocessing.Pool and ProcessPoolExecutor side by side and prints medians and ratios.

    python bench/run.py [--rounds 3] [--workers 2] [--ray PYTHON] [--native DIR] [--json OUT]

Each round runs every system once with the cores free and once with one core taken by another process, in alternation,
each in a process of its own, so that a drift of the machine's speed hits all of them; a ratio is the median over the
rounds of miniray / other *of the same round*.  Ray lives in an environment of its own (`--ray` names its Python;
`make bench` makes it from PyPI).  `--native` names the folder of ring_bench (two of the engine's rings between two
processes, and nothing else) and c_bench (miniray from C, with C workers); `make bench` builds them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# case -> (unit, True if more is better)
CASES = {
    "init to first result": ("s", False),
    "tasks, asynchronous": ("1/s", True),
    "tasks, synchronous": ("1/s", True),
    "remote() alone": ("us", False),
    "remote() while tasks run": ("us", False),
    "Executor.map": ("1/s", True),
    "actor calls, asynchronous": ("1/s", True),
    "actor calls, synchronous": ("1/s", True),
    "actor calls, n:n": ("1/s", True),
    "actor calls, async": ("1/s", True),
    "actor calls, threaded": ("1/s", True),
    "1,000 actors": ("s", False),
    "private memory of an actor": ("MB", False),
    "wake-ups while idle": ("1/s", False),
    "get, 100 bytes": ("1/s", True),
    "put, 100 bytes": ("1/s", True),
    "put, large array, first": ("GB/s", True),
    "put, large array, again": ("GB/s", True),
    "get, large array, its first": ("s", False),
    "get, array of 1 MB, after a large put": ("s", False),
    "get, array of 25 MB": ("s", False),
    "get, array of 25 MB, best call": ("s", False),
    "get, 10,000 objects": ("s", False),
    "wait, 10,000 objects": ("s", False),
    "put and get, 10,000 references": ("s", False),
    "put / warm memcpy": ("x", True),
    "put, first / fresh memcpy": ("x", True),
    "spill / dd": ("x", True),
    "restore / dd": ("x", True),
    "shutdown": ("s", False),
}


def commands(args: argparse.Namespace) -> dict[str, list[str]]:
    """How each system is run; each prints {case: value} as its last line."""
    one = [str(HERE / "one.py"), "--workers", str(args.workers), "--array-mb", str(args.array_mb)]
    out = {system: [sys.executable, *one, system] for system in ("miniray", "pool", "executor")}
    if args.native:
        out["from C"] = [f"{args.native}/c_bench", str(args.workers)]
        out["bare ring"] = [f"{args.native}/ring_bench"]
    if args.ray:
        out["ray"] = [args.ray, *one, "ray"]
    return out


def once(system: str, command: list[str]) -> dict[str, float]:
    """One run of one system; {} with a note on stderr when it fails."""
    env = dict(os.environ, RAY_DEDUP_LOGS="0", RAY_USAGE_STATS_ENABLED="0")
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        print(f"{system}: failed with {done.returncode}: {done.stderr.strip()[-400:]}", file=sys.stderr)
        return {}
    return json.loads(lines[-1])


def better(case: str, ours: float, theirs: float) -> float:
    """How many times better ours is."""
    best, other = (ours, theirs) if CASES[case][1] else (theirs, ours)
    return best / other if other else float("inf") if best else 1.0


def show(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def loaded(runs: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """One run of every system while another process takes one core."""
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return {s: once(s, command) for s, command in runs.items()}
    finally:
        hog.kill()
        hog.wait()


def table(rounds: dict[str, list], systems: list[str]) -> list[dict]:
    """A row for each case and condition; a round is {system: {case: value}}."""
    rows = []
    for case, (unit, _) in CASES.items():
        for cores, runs in rounds.items():
            row: dict = {"case": case, "unit": unit, "cores": cores, "median": {}, "ratio": {}}
            for system in systems:
                values = [r[system][case] for r in runs if case in r[system]]
                row["median"][system] = statistics.median(values) if values else None
                pairs = [better(case, r["miniray"][case], r[system][case]) for r in runs if case in r[system] and case in r["miniray"]]
                if system != "miniray" and pairs:
                    row["ratio"][system] = statistics.median(pairs)
            rows.append(row)
    return rows


def print_table(rows: list[dict], systems: list[str]) -> None:
    others = [s for s in systems if s != "miniray"]
    head = ["case", "unit", "cores", *systems, *(f"x {s}" for s in others)]
    body = [[r["case"], r["unit"], r["cores"], *(show(r["median"][s]) for s in systems), *(show(r["ratio"].get(s)) for s in others)]
            for r in rows]
    widths = [max(len(str(line[i])) for line in [head, *body]) for i in range(len(head))]
    for line in [head, ["-" * w for w in widths], *body]:
        cells = [str(c).ljust(w) if i < 3 else str(c).rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array-mb", type=int, default=800)
    parser.add_argument("--ray", metavar="PYTHON", help="Python with Ray installed; left out: Ray is not run")
    parser.add_argument("--native", metavar="DIR", help="folder of ring_bench and c_bench; left out: they are not run")
    parser.add_argument("--json", metavar="OUT", help="also write everything measured")
    args = parser.parse_args()

    runs = commands(args)
    rounds: dict[str, list] = {"free": [], "one taken": []}
    for i in range(args.rounds):
        print(f"round {i + 1} of {args.rounds}", file=sys.stderr)
        rounds["free"].append({s: once(s, command) for s, command in runs.items()})
        rounds["one taken"].append(loaded(runs))
    rows = table(rounds, list(runs))
    print(f"{args.workers} workers, {os.cpu_count()} cores; medians of {args.rounds} rounds; x = miniray is so many times better")
    print_table(rows, list(runs))
    if args.json:
        about = {"machine": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
        Path(args.json).write_text(json.dumps({"about": about, "rounds": rounds, "table": rows}, indent=1))
    return 0 if all(r["miniray"] for runs in rounds.values() for r in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
