"""Times miniray, Ray, multiprocessing.Pool and ProcessPoolExecutor side by side and prints medians and ratios.

    python bench/run.py [--rounds 3] [--workers 2] [--ray PYTHON] [--json OUT] [--load]

Each round runs every system once, in alternation, each in a process of its own, so that a drift of the machine's speed
hits all of them; a ratio is the median over the rounds of miniray / other *of the same round*.  Ray lives in an
environment of its own (`--ray` names its Python; `make bench` makes it from PyPI).  `--load` keeps one core busy.
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
    "actor calls, asynchronous": ("1/s", True),
    "actor calls, synchronous": ("1/s", True),
    "actor calls, n:n": ("1/s", True),
    "wake-ups while idle": ("1/s", False),
    "get, 100 bytes": ("1/s", True),
    "put, 100 bytes": ("1/s", True),
    "put, large array, first": ("GB/s", True),
    "put, large array, again": ("GB/s", True),
    "get, large array": ("s", False),
    "shutdown": ("s", False),
}


def once(python: str, system: str, workers: int, array_mb: int) -> dict[str, float]:
    """One run of one system; {} with a note on stderr when it fails."""
    command = [python, str(HERE / "one.py"), system, "--workers", str(workers), "--array-mb", str(array_mb)]
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


def table(rounds: list[dict[str, dict[str, float]]], systems: list[str]) -> list[dict]:
    rows = []
    for case, (unit, _) in CASES.items():
        row: dict = {"case": case, "unit": unit, "median": {}, "ratio": {}}
        for system in systems:
            values = [r[system][case] for r in rounds if case in r.get(system, {})]
            row["median"][system] = statistics.median(values) if values else None
            pairs = [
                better(case, r["miniray"][case], r[system][case])
                for r in rounds
                if system != "miniray" and case in r.get(system, {}) and case in r.get("miniray", {})
            ]
            if pairs:
                row["ratio"][system] = statistics.median(pairs)
        rows.append(row)
    return rows


def print_table(rows: list[dict], systems: list[str]) -> None:
    others = [s for s in systems if s != "miniray"]
    head = ["case", "unit", *systems, *(f"x {s}" for s in others)]
    body = [
        [r["case"], r["unit"], *(show(r["median"][s]) for s in systems), *(show(r["ratio"].get(s)) for s in others)]
        for r in rows
    ]
    widths = [max(len(str(line[i])) for line in [head, *body]) for i in range(len(head))]
    for line in [head, ["-" * w for w in widths], *body]:
        cells = [str(c).ljust(w) if i < 2 else str(c).rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array-mb", type=int, default=800)
    parser.add_argument("--ray", metavar="PYTHON", help="Python with Ray installed; left out: Ray is not run")
    parser.add_argument("--json", metavar="OUT", help="also write everything measured")
    parser.add_argument("--load", action="store_true", help="keep one core busy meanwhile")
    args = parser.parse_args()

    systems = ["miniray", "pool", "executor"] + (["ray"] if args.ray else [])
    python = {s: args.ray if s == "ray" else sys.executable for s in systems}
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if args.load else None
    rounds = []
    try:
        for i in range(args.rounds):
            print(f"round {i + 1} of {args.rounds}", file=sys.stderr)
            rounds.append({s: once(python[s], s, args.workers, args.array_mb) for s in systems})
    finally:
        if hog:
            hog.kill()
            hog.wait()
    rows = table(rounds, systems)
    print(f"{args.workers} workers, {os.cpu_count()} cores{', one of them kept busy' if args.load else ''}; "
          f"medians of {args.rounds} rounds; x = miniray is so many times better")
    print_table(rows, systems)
    if args.json:
        about = {"machine": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version(), "load": args.load}
        Path(args.json).write_text(json.dumps({"about": about, "rounds": rounds, "table": rows}, indent=1))
    return 0 if all(r["miniray"] for r in rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
