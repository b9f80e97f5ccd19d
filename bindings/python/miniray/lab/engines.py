"""One workload in virtual time and on real workers: does the ranking of the policies hold?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Sequence

from . import metrics, stats
from .trace import Run
from .units import short

BOTH = ("sim", "process")
RANKED = ("makespan_s", "flow_mean_s")


def _level(value: float) -> float:
    """What differs by rounding alone is a tie."""
    return float(f"{value:.9g}")


@dataclass
class Ranking:
    """The policies by one figure, best first, in both engines: means over the seeds.  ``tau``: Kendall's tau-b of the two orders, None where one
    ranks nothing.  ``swapped``: (better in the simulator, better on real workers, whether the real difference is beyond chance)."""

    metric: str
    simulated: dict[str, float]
    real: dict[str, float]
    tau: float | None
    swapped: list[tuple[str, str, bool]]

    @property
    def holds(self) -> bool | None:
        """None: it can not be told, the differences on real workers may be chance."""
        if not self.swapped:
            return True
        return False if any(sure for *_, sure in self.swapped) else None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}

    def __str__(self) -> str:
        def order(values: dict[str, float]) -> str:
            said, before = "", None
            for name, value in values.items():
                said += ("" if before is None else " = " if _level(value) == _level(before) else " < ") + f"{name} {short(self.metric, value)}"
                before = value
            return said

        verdict = {True: "the ranking holds", False: "the ranking does not hold", None: "whether the ranking holds can not be told"}[self.holds]
        verdict = verdict if self.tau is not None else "one of the engines ranks nothing"
        pairs = "".join(f"; {b} overtakes {a} on real workers ({'beyond chance' if sure else 'which may be chance: more --seeds'})" for a, b, sure in self.swapped)
        tau = "–" if self.tau is None else f"{self.tau:.2f}"
        off = ", ".join(f"{name} {self.real[name] / value - 1:+.0%}" for name, value in self.simulated.items() if value > 0)
        return (f"{self.metric}: simulated {order(self.simulated)}; real {order(self.real)}\n"
                f"  Kendall's tau {tau}: {verdict}{pairs}\n  real against simulated: {off}")


def rankings(runs: Sequence[Run]) -> list[Ranking]:
    """One for each of RANKED.  Empty unless at least two policies ran in both engines; runs that were degraded are left out."""
    found: dict[str, dict[str, dict[int, Run]]] = {engine: {} for engine in BOTH}
    for run in runs:
        if not run.summary.get("degraded") and run.engine in found:
            found[run.engine].setdefault(" · ".join(filter(None, (run.policy, run.store))), {})[run.seed or 0] = run
    names = [name for name in found["sim"] if name in found["process"]]
    return [_ranking(found, names, metric) for metric in RANKED] if len(names) > 1 else []


def _ranking(found: dict[str, dict[str, dict[int, Run]]], names: list[str], metric: str) -> Ranking:
    sign = 1 if metrics.METRICS[metric][1] else -1
    values = {engine: {name: {seed: v for seed, run in found[engine][name].items() if (v := run.summary.get(metric)) is not None} for name in names} for engine in BOTH}
    simulated, real = ({name: sum(v.values()) / len(v) for name, v in values[engine].items() if v} for engine in BOTH)
    names = [name for name in names if name in simulated and name in real]
    swapped = []
    for i, a in enumerate(names):
        for b in names[:i]:
            first, second = (a, b) if sign * simulated[a] < sign * simulated[b] else (b, a)
            if _level(simulated[a]) == _level(simulated[b]) or sign * real[first] <= sign * real[second]:
                continue
            seeds = sorted(values["process"][first].keys() & values["process"][second].keys())
            difference = stats.paired([values["process"][first][s] for s in seeds], [values["process"][second][s] for s in seeds])
            swapped.append((first, second, difference.sure))

    def ordered(values: dict[str, float]) -> dict[str, float]:
        return {n: values[n] for n in sorted(names, key=lambda n: sign * values[n])}

    tau = stats.kendall([sign * _level(simulated[n]) for n in names], [sign * _level(real[n]) for n in names])
    return Ranking(metric, ordered(simulated), ordered(real), tau, swapped)
