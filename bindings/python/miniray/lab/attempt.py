"""One policy on one public instance of a lab, to be looked at in a notebook or judged in a test of one's own::

    labs.load("1").run("mine.lua").assert_ratio(1.2)

It is what the grader does with that instance, to the digit.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from . import grade, labs
from .grade_output import words
from .run_sim import Guard, simulate
from .trace import Run


@dataclass
class Attempt:
    """What came of it.  ``runs``: the policy's (none if it was refused) and the baseline's; a notebook shows both."""

    lab: labs.Lab
    outcome: grade.Outcome
    runs: list[Run]

    @property
    def score(self) -> float:
        """0: as good as the baseline, 1: as the reference; -1 if the policy failed."""
        return self.outcome.score

    @property
    def ratio(self) -> float:
        """How many times worse than the reference the policy is: 1 is as good, below 1 better, infinite if it failed.  ValueError for a figure
        that is not above 0, as a lateness may be."""
        figure, reference = self.outcome.figure, self.outcome.reference
        if self.outcome.failed or figure is None:
            return math.inf
        if min(figure, reference) <= 0:
            raise ValueError(f"{self.lab.metric} is {figure:g} here and {reference:g} for the reference, of which no ratio can be taken: use assert_score()")
        return figure / reference if self.lab.better > 0 else reference / figure

    def assert_ratio(self, most: float) -> "Attempt":
        """AssertionError unless the policy is at most ``most`` times as bad as the reference."""
        if not self.outcome.failed and self.ratio <= most:
            return self
        raise AssertionError(f"{self}: {'' if self.outcome.failed else f'{self.ratio:.3f} times the reference, '}at most {most:g} is allowed")

    def assert_score(self, least: float) -> "Attempt":
        """AssertionError unless the score is at least ``least``."""
        if not self.outcome.failed and self.score >= least:
            return self
        raise AssertionError(f"{self}: at least {least:g} is needed")

    def __str__(self) -> str:
        return f"{self.lab.name}, {self.outcome.name}: score {self.score:.3f}; {words(self.lab, self.outcome)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from .report import framed

        return framed(self.runs, str(self))


def attempt(lab: labs.Lab, policy: str | os.PathLike[str], instance: str | None = None) -> Attempt:
    """See `Lab.run`."""
    chosen = instance or next(iter(lab.public))
    if chosen not in lab.public:
        raise labs.LabError(f"{lab.name} has no public instance {chosen!r}; it has {', '.join(lab.public)}")
    path = os.fspath(policy)
    text = grade.read_policy(path)
    with grade.Grader(lab, None, only=chosen) as grader:
        one = grader.instances[0]
        outcome, run = grader.one(grader.hand_in(text), one, lab.points)
        base = simulate(one.lines, grade.beside(lab, lab.baseline), seed=one.seed, guard=Guard(), **lab.options)
    base.label, base.workload = f"{base.policy} (the baseline)", one.lines
    if run is None:
        return Attempt(lab, outcome, [base])
    run.label, run.workload = os.path.splitext(os.path.basename(path))[0], one.lines
    return Attempt(lab, outcome, [base, run])
