"""Means and differences over replications: what may be said of them, and when nothing may.

An interval is always over replications (runs with other random numbers), never over the tasks of one run, which depend on
each other.  Runs that are all equal have none.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Sequence

from . import workload as workloads

# Two-sided 95% quantiles of Student's t for 1 to 30 degrees of freedom.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


def t95(freedom: int) -> float:
    """The 97.5% quantile of Student's t; past 30 by the expansion around the normal, right to three digits."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` replications.  ``half``: half the width of its 95% interval; None: there is none, because there is
    one replication, or because all are equal."""

    mean: float
    half: float | None
    n: int

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.mean) > self.half


def estimate(values: Sequence[float]) -> Estimate:
    n = len(values)
    mean = sum(values) / n
    if n < 2 or max(values) == min(values):
        return Estimate(mean, None, n)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return Estimate(mean, t95(n - 1) * deviation / math.sqrt(n), n)


def paired(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """The mean of b - a over replications that share their random numbers."""
    if len(a) != len(b):
        raise ValueError("a pair is missing: both need the same replications")
    return estimate([y - x for x, y in zip(a, b)])


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b: 1 if both rank the same way, -1 if the other way round; None where one of them ranks nothing."""
    n = len(a)
    agree = ties_a = ties_b = 0
    for i in range(n):
        for j in range(i):
            x, y = (a[i] > a[j]) - (a[i] < a[j]), (b[i] > b[j]) - (b[i] < b[j])
            agree += x * y
            ties_a += x == 0
            ties_b += y == 0
    pairs = n * (n - 1) // 2
    scale = math.sqrt((pairs - ties_a) * (pairs - ties_b))
    return agree / scale if scale else None


def geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios))


def is_stream(lines: Sequence[workloads.Line]) -> bool:
    """Whether these are independent tasks that arrive over time: only of such a trace can blocks be resampled."""
    tasks = [line for line in lines if "id" in line]
    return len(tasks) >= 20 and not any(t.get("inputs") or t.get("deps") for t in tasks) and any(t.get("arrival_s", 0) > 0 for t in tasks)


def resample(lines: Sequence[workloads.Line], seed: int) -> list[workloads.Line]:
    """Another trace of the same kind: blocks of neighbours drawn with replacement, gaps between arrivals kept.  Seed 0 is the
    trace itself.  Raises ValueError for anything but independent tasks that arrive over time."""
    if not is_stream(lines):
        raise ValueError("only a trace of at least 20 independent tasks with arrivals can be resampled")
    if seed == 0:
        return list(lines)
    rng = random.Random(f"resample/{seed}")
    tasks = sorted((line for line in lines if "id" in line), key=lambda t: t.get("arrival_s", 0.0))
    n = len(tasks)
    gaps = [0.0] + [b.get("arrival_s", 0.0) - a.get("arrival_s", 0.0) for a, b in zip(tasks, tasks[1:])]
    gaps[0] = sum(gaps) / n
    block = max(5, round(math.sqrt(n)))
    out: list[workloads.Line] = [line for line in lines if "id" not in line]
    now, drawn = 0.0, 0
    while drawn < n:
        first = rng.randrange(n)
        for i in range(first, min(first + block, n, first + n - drawn)):
            now += gaps[i]
            out.append({**tasks[i], "id": f"{drawn}:{tasks[i]['id']}", "arrival_s": round(now, 9)})
            drawn += 1
    return out


def halves(tasks: Sequence[dict[str, Any]]) -> float | None:
    """By how much the mean flow time of the second half of the arrivals is above that of the first, as a share of it; None if
    the tasks did not arrive over time."""
    rows = sorted((t for t in tasks if t["ended"] >= 0 and t["submitted"] >= 0), key=lambda t: t["submitted"])
    if len(rows) < 20 or rows[-1]["submitted"] - rows[0]["submitted"] < 0.3 * (max(t["ended"] for t in rows) - rows[0]["submitted"]):
        return None
    half = len(rows) // 2
    means = [sum(t["ended"] - t["submitted"] for t in part) / len(part) for part in (rows[:half], rows[half:])]
    return means[1] / means[0] - 1 if means[0] > 0 else None
