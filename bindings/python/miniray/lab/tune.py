"""Searches the parameters of a policy, and tells what the best of them gain on instances that the search never saw.

A policy declares what may be searched in its own comments, one line each::

    --- tune delay 1ms 1s log
    --- tune keep 0 4 whole

``log``: the logarithm is searched evenly; ``whole``: whole numbers only.  The value reaches the policy as `conf.delay`.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from . import metrics, policy_tests, sources, stats
from .run_sim import simulate

_LINE = re.compile(r"^--- tune\s+(.*)$")


@dataclass(frozen=True)
class Parameter:
    """One value to search between two others.  ``time``: they are seconds, and are handed over in nanoseconds."""

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    time: bool = False

    def draw(self, rng: random.Random) -> float:
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = rng.uniform(self.low, self.high)
        return float(round(value)) if self.whole else value

    def near(self, value: float, rng: random.Random, width: float) -> float:
        """A value close by: ``width`` is the share of the range."""
        if self.log:
            near = value * math.exp(rng.uniform(-width, width) * math.log(self.high / self.low))
        else:
            near = value + rng.uniform(-width, width) * (self.high - self.low)
        near = min(self.high, max(self.low, near))
        return float(round(near)) if self.whole else near

    def text(self, value: float) -> str:
        """As a setting."""
        return f"{max(1, round(value * 1e9))}ns" if self.time else f"{value:.6g}"


def parameter(text: str, where: str = "--param") -> Parameter:
    """``"delay 1ms 1s log"``.  Raises ValueError."""
    words = text.replace("=", " ").replace(":", " ").split()
    flags = set(words[3:])
    if len(words) < 3 or flags - {"log", "whole"}:
        raise ValueError(f"{where}: {text!r}: expected NAME LOW HIGH [log] [whole]")
    timed = words[1][-1].isalpha()
    try:
        low, high = (policy_tests.seconds(w) if timed else float(w) for w in words[1:3])
    except ValueError as error:
        raise ValueError(f"{where}: {text!r}: {error}") from None
    if not low < high or ("log" in flags and low <= 0):
        raise ValueError(f"{where}: {text!r}: LOW must be below HIGH{', and above 0' if 'log' in flags else ''}")
    return Parameter(words[0], low, high, "log" in flags, "whole" in flags, timed)


def declared(path: str) -> list[Parameter]:
    """What the comments of a policy file declare."""
    with open(path, encoding="utf-8") as file:
        found = [(number, _LINE.match(line.strip())) for number, line in enumerate(file, 1)]
    return [parameter(match[1], f"{path}:{number}") for number, match in found if match]


@dataclass
class Tuned:
    """The best values, the metric on the instances they were searched on, and on others: the policy as it is against the policy
    with them, paired."""

    values: dict[str, str]
    before: float
    after: float
    held_out: stats.Estimate
    held_out_before: float
    tried: int
    interrupted: bool = False


def tune(policy: str, workload: str, parameters: Sequence[Parameter], *, metric: str = "makespan_s", budget: int = 40, seeds: int = 4,
         seed: int = 0, each: Callable[[], None] | None = None, **options: Any) -> Tuned:
    """Random search over half of ``budget``, then steps around the best.  ``workload`` must follow from a seed: seeds 0 .. ``seeds`` - 1
    are searched on, as many others judge.  An interrupt ends the search, and the best so far is judged.  ``options`` are those of `simulate`."""
    if not parameters:
        raise ValueError(f"{policy} declares nothing to tune: add lines such as `--- tune delay 1ms 1s log`, or give --param")
    if metric not in metrics.METRICS:
        raise ValueError(f"{metric} is not one of {', '.join(metrics.METRICS)}")
    sign = 1 if metrics.METRICS[metric][1] else -1
    rng = random.Random(f"tune/{seed}")
    instances = {s: sources.resolve(workload, s) for s in [*range(seeds), *range(1000, 1000 + seeds)]}
    if instances[0] == instances[1000]:
        raise ValueError(f"{workload} is the same for every seed: what is tuned on it can not be judged on others; use gen:... without seed=")

    def values(settings: dict[str, str], chosen: Sequence[int]) -> list[float]:
        out = []
        for s in chosen:
            lines = instances[s]
            more = {**options.get("settings", {}), **{f"sched.sched-lua.{k}": v for k, v in settings.items()}}
            run = simulate(lines, policy, seed=s, **{**options, "settings": more})
            figures = metrics.figures(run, lines if isinstance(lines, list) else ())
            out.append(math.inf if run.summary.get("degraded") else sign * metrics.figure(figures, metric, workload))
            if each:
                each()
        return out

    def mean(xs: Sequence[float]) -> float:
        return sum(xs) / len(xs)

    def settings(point: Sequence[float]) -> dict[str, str]:
        return {p.name: p.text(v) for p, v in zip(parameters, point)}

    train, test = range(seeds), range(1000, 1000 + seeds)
    start = mean(values({}, train))
    if abs(start) == math.inf:
        raise ValueError(f"{policy} fails as it is: miniray policy test {policy}")
    best, best_value, width = [p.draw(rng) for p in parameters], math.inf, 0.3
    tried, interrupted = 0, False
    try:
        for k in range(budget):
            point = [p.draw(rng) for p in parameters] if k < budget // 2 else [p.near(v, rng, width) for p, v in zip(parameters, best)]
            value = mean(values(settings(point), train))
            tried += 1
            if value < best_value:
                best, best_value = point, value
            elif k >= budget // 2:
                width *= 0.9
    except KeyboardInterrupt:
        interrupted = True
        if not tried:
            raise
    if best_value == math.inf:
        raise ValueError(f"{policy} fails on some instance for each of the {tried} points that were tried")
    chosen = settings(best)
    before, after = values({}, test), values(chosen, test)
    return Tuned(chosen, sign * start, sign * best_value, stats.paired([sign * x for x in before], [sign * x for x in after]), sign * mean(before), tried, interrupted)
