"""Grades a policy on a lab: the same hand-in gives the same result, to the byte, on every machine and every day.

Nothing in a result is timed; what can cut a policy short is counted (VM instructions, bytes, virtual time).  A hand-in is
data from a stranger: it is read once, with a cap, from a plain file; runs only inside the simulator's sandbox, in a process
of its own with limits, a new one for each instance; and what it says is cut to one line, and on hidden instances dropped.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any, Callable

from . import labs, metrics, places
from .run_sim import Guard, SimError, simulate
from .trace import Run

PASSED, BELOW, FAILED, OURS = 0, 1, 2, 3
POLICY_MAX = 256 * 1024
NOTES_MAX = 20
PRACTICE = "miniray"  # the secret for trying a lab out: it is public, so what follows from it is no exam
SECRET_MIN = 8  # characters; what is shorter can be found by trying
_NAME = "policy.lua"  # what a hand-in is called in messages, whatever it was called


class HandInError(ValueError):
    """The hand-in can not be graded: not a readable text file of reasonable size."""


@dataclass
class Outcome:
    """What came of one instance.  ``problem`` is empty unless the policy failed on it or broke a condition."""

    name: str
    hidden: bool
    points: float
    worth: float
    score: float = 0.0
    figure: float | None = None
    baseline: float = 0.0
    reference: float = 0.0
    gap: float | None = None  # of the makespan to the best lower bound, as a share of it
    proven: bool = False  # that bound came with the instance
    digest: str = ""
    problem: str = ""
    failed: bool = False  # the policy's fault: it was ejected, refused, or held everything back


@dataclass
class Grade:
    """The result of one hand-in.  ``status`` is the exit status: 0 passed, 1 below the threshold, 2 the policy failed."""

    lab: labs.Lab
    outcomes: list[Outcome] = field(default_factory=list)
    lint: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what `policy check` reads in the text; of no effect
    practice: bool = False  # the hidden instances follow from PRACTICE, which everybody knows

    @property
    def points(self) -> float:
        return round(sum(o.points for o in self.outcomes), 2)

    @property
    def score(self) -> float:
        """The mean of (baseline - x) / (baseline - reference) over the instances, each cut to -1 .. 2."""
        return round(sum(o.score for o in self.outcomes) / len(self.outcomes), 6) if self.outcomes else 0.0

    @property
    def status(self) -> int:
        if self.lint or any(o.failed for o in self.outcomes):
            return FAILED
        return PASSED if self.points >= self.lab.passing else BELOW


def read_policy(path: str) -> bytes:
    """The bytes of a hand-in.  A link, a pipe, a device, a folder or a big file is refused before it is read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a link, not a file" if os.path.islink(path) else error.strerror
        raise HandInError(f"the hand-in can not be read: {why}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise HandInError("the hand-in is not a plain file")
    with open(fd, "rb") as file:
        data = file.read(POLICY_MAX + 1)
    if len(data) > POLICY_MAX:
        raise HandInError(f"the hand-in is longer than {POLICY_MAX // 1024} KB")
    if not data.strip():
        raise HandInError("the hand-in is empty")
    if data[:1] == b"\x1b" or b"\0" in data:
        raise HandInError("the hand-in is not a text: compiled Lua is not accepted")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HandInError(f"the hand-in is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}") from None
    return data


def one_line(text: str, most: int = 240) -> str:
    """What a hand-in's error may show: its first line, printable, cut."""
    line = next((part for part in text.splitlines() if part.strip()), "").strip()
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= most else line[: most - 3] + "..."


def read_over(path: str) -> list[str]:
    """What can be said of a hand-in's text without running it, at most NOTES_MAX.  A process of its own does it, as the text is a stranger's; a text that
    it can not cope with has no notes."""
    code = ("import sys; from miniray.lab.policy_lint import lint\n"
            f"for one in lint(open(sys.argv[1], 'rb').read())[:{NOTES_MAX}]: print(f'line {{one.line}}: ' + one.text)")
    guard = Guard(cpu_s=60)
    done = subprocess.run([sys.executable, "-c", code, path], env=guard.environment(), preexec_fn=guard.apply, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return [one_line(line) for line in done.stdout.decode("utf-8", "replace").splitlines()] if done.returncode == 0 else []


def score_of(lab: labs.Lab, figure: float, baseline: float, reference: float) -> float:
    """(baseline - x) / (baseline - reference).  Where the reference gains nothing: 1 for not being worse than it, else 0."""
    scale = max(abs(baseline), abs(reference), 1e-12)
    gain, best = (baseline - figure) * lab.better, (baseline - reference) * lab.better
    if best <= 1e-9 * scale:
        return 1.0 if gain >= best - 1e-9 * scale else 0.0
    return max(-1.0, min(2.0, gain / best))


def _value(lab: labs.Lab, figures: dict[str, Any], metric: str, who: str, name: str) -> float:
    if metric not in figures:
        raise labs.LabError(f"{lab.name}: {who} has no figure {metric} on {name}: does the workload state what it needs?")
    return float(figures[metric])


class Grader:
    """Runs policies on the instances of a lab.  ``secret``: None for the public instances alone; ``only``: for that one of them."""

    def __init__(self, lab: labs.Lab, secret: str | None, each: Callable[[], None] | None = None, only: str | None = None):
        self.lab, self.each = lab, each or (lambda: None)
        self.secret = secret if lab.solution else None
        self.instances = [i for i in labs.instances(lab, self.secret) if only is None or i.name == only]
        self.home = tempfile.TemporaryDirectory(prefix="miniray-grade-")
        self.known: dict[str, dict[str, dict[str, float]]] = {}

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_: object) -> None:
        self.home.cleanup()

    def run(self, policy: str, instance: labs.Instance, guard: Guard | None = None) -> tuple[Run, dict[str, Any]]:
        """One policy on one instance: the run and its figures.  Raises SimError."""
        run = simulate(instance.lines, policy, seed=instance.seed, guard=guard or Guard(), **self.lab.options)
        self.each()
        figures = metrics.figures(run, instance.lines)
        if instance.proven is not None and not figures.get("failed") and figures["makespan_s"] < instance.proven * (1 - 1e-9):
            raise labs.LabError(f"{self.lab.name}: {instance.name}: a makespan of {figures['makespan_s']:g} is below what is proven, "
                                f"{instance.proven:g}: the simulator is wrong, or the instance is")
        return run, figures

    def _ours(self, policy: str, instance: labs.Instance) -> dict[str, Any]:
        try:
            run, figures = self.run(policy, instance)
        except SimError as error:
            raise labs.LabError(f"{self.lab.name}: {policy} does not run on {instance.name}: {error}") from None
        if run.summary.get("degraded"):
            raise labs.LabError(f"{self.lab.name}: {policy} was ejected on {instance.name}: {run.summary['ejected']}")
        return figures

    def goals(self, instance: labs.Instance) -> dict[str, dict[str, float]]:
        """{"baseline": figures, "reference": figures} of an instance, as far as the lab looks at them."""
        lab = self.lab
        if lab.solution is None:
            targets = lab.targets()
            if instance.name not in targets:
                raise labs.LabError(f"{lab.name}: targets.json has nothing on {instance.name}")
            return targets[instance.name]
        if instance.name not in self.known:
            wanted = sorted({lab.metric, *lab.conditions})
            goal = {}
            for who, policy in (("baseline", beside(lab, lab.baseline)), ("reference", str(lab.solution))):
                figures = self._ours(policy, instance)
                goal[who] = {m: _value(lab, figures, m, who, instance.name) for m in wanted}
            self.known[instance.name] = goal
        return self.known[instance.name]

    def hand_in(self, policy: bytes) -> str:
        """The copy of a policy that is run."""
        path = os.path.join(self.home.name, _NAME)
        with open(path, "wb") as file:
            file.write(policy)
        return path

    def one(self, path: str, instance: labs.Instance, worth: float) -> tuple[Outcome, Run | None]:
        """What comes of a policy on one instance; no run if it was refused, or came to no end."""
        goal = self.goals(instance)
        outcome = Outcome(instance.name, instance.hidden, 0.0, worth, baseline=goal["baseline"][self.lab.metric],
                          reference=goal["reference"][self.lab.metric])
        try:
            run, figures = self.run(path, instance)
        except SimError as error:
            self._refused(outcome, error)
            return outcome, None
        self._judge(outcome, run, figures, goal)
        if instance.proven and outcome.figure is not None:
            outcome.gap, outcome.proven = figures["makespan_s"] / instance.proven - 1, True
        return outcome, run

    def grade(self, policy: bytes) -> Grade:
        """Everything of one hand-in.  LabError where the lab, not the policy, is at fault."""
        path, worth = self.hand_in(policy), self.lab.points / len(self.instances)
        found = [self.one(path, instance, worth) for instance in self.instances]
        notes = read_over(path) if any(run for _, run in found) else []  # else it does not even load
        return Grade(self.lab, [outcome for outcome, _ in found], notes=notes, practice=self.secret == PRACTICE)

    def _refused(self, outcome: Outcome, error: SimError) -> None:
        """Status 2: the policy does not load; 4: it held work back for ever, or virtual time ran out.  The workload and the
        settings can not be at fault: baseline and reference ran under them."""
        if error.status not in (2, 4):
            raise labs.LabError(f"{self.lab.name}: {outcome.name}: the simulator ended with status {error.status}: {one_line(str(error))}")
        outcome.failed, outcome.score = True, -1.0
        outcome.problem = "the policy was refused" if outcome.hidden and error.status == 2 else (
            "the run came to no end within its virtual time" if outcome.hidden else one_line(_plain(str(error))))

    def _judge(self, outcome: Outcome, run: Run, figures: dict[str, Any], goal: dict[str, dict[str, float]]) -> None:
        lab = self.lab
        outcome.digest = str(run.summary.get("digest", ""))
        outcome.gap = (run.summary.get("bounds") or {}).get("gap")
        if run.summary.get("degraded"):
            outcome.failed, outcome.score = True, -1.0
            why = "" if outcome.hidden else f": {one_line(_plain(str(run.summary.get('ejected'))))}"
            outcome.problem = f"the policy failed and was replaced by FIFO{why}"
            return
        if figures.get("failed"):
            outcome.failed, outcome.score = True, -1.0
            outcome.problem = f"{figures['failed']} tasks did not end well"
            return
        outcome.figure = _value(lab, figures, lab.metric, "the policy", outcome.name)
        outcome.score = score_of(lab, outcome.figure, outcome.baseline, outcome.reference)
        for metric, times in lab.conditions.items():
            limit = goal["reference"][metric] * times
            have = _value(lab, figures, metric, "the policy", outcome.name)
            if (have > limit) == metrics.METRICS[metric][1] and have != limit:
                outcome.score = min(outcome.score, 0.0)
                rule = f"at {'most' if metrics.METRICS[metric][1] else 'least'} {times:g} times the reference's {metric} is allowed"
                outcome.problem = rule if outcome.hidden else f"{rule}: {limit:.6g}; it is {have:.6g}"
                return
        outcome.points = outcome.worth * lab.share(outcome.score)


def _plain(text: str) -> str:
    """Without the folder that the hand-in lay in, wherever it is named; "policy policy.lua" is policy.lua."""
    text = re.sub(re.escape(os.path.join(tempfile.gettempdir(), "miniray-grade-")) + "[^/]*/", "", text)
    return re.sub(r"^policy (?=policy\b)", "", text)


def beside(lab: labs.Lab, policy: str) -> str:
    """A policy of the lab's own folder, else one that is shipped."""
    own = lab.folder / policy
    return str(own) if policy.endswith(".lua") and own.is_file() else policy


def targets(lab: labs.Lab) -> dict[str, dict[str, dict[str, float]]]:
    """What targets.json of a lab must hold: the figures to reach on the public instances."""
    with Grader(lab, None) as grader:
        return {i.name: {who: {m: round(v, 9) for m, v in f.items()} for who, f in grader.goals(i).items()} for i in grader.instances}


def read_secret(path: str | None) -> str:
    """What the hidden instances of an exam follow from: the first line of a file, else $MINIRAY_LAB_SECRET; PRACTICE where there is
    neither.  Raises ValueError if it is too short, OSError."""
    where = path or "MINIRAY_LAB_SECRET"
    if path is None:
        text = os.environ.get("MINIRAY_LAB_SECRET")
        if text is None:
            return PRACTICE
    else:
        with open(path, encoding="utf-8") as file:
            text = file.readline()
    if len(text.strip()) < SECRET_MIN:
        raise ValueError(f"{where}: a secret has at least {SECRET_MIN} characters, on the first line; this one has {len(text.strip())}")
    return text.strip()


def grade(lab: labs.Lab, path: str, secret: str | None = None, each: Callable[[], None] | None = None) -> Grade:
    """Grades the policy file ``path``.  A file that is no policy gets a grade too: failed.  Raises LabError and OSError where
    the fault is ours."""
    places.program()  # ours, if it is not there
    try:
        policy = read_policy(path)
    except HandInError as error:
        return Grade(lab, lint=[str(error)], practice=secret == PRACTICE and lab.solution is not None)
    with Grader(lab, secret, each) as grader:
        return grader.grade(policy)
