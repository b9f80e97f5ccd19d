"""A lab: a folder with `lab.ini`, which says on what a policy is tried, what it may know, what counts, and what that is worth.

::

    [lab]
    title = Shortest first
    metric = flow_mean_s            # one of miniray.lab.metrics.METRICS
    know = exact                    # what the policy may know of durations
    reveal = whole                  # or unfold
    nodes = 1                       # the platform, unless the workload brings one
    cpus = 1
    baseline = fifo                 # scores 0; the reference solution scores 1

    [limits]
    instructions = 200000           # VM instructions of one call of the policy
    total = 100000000               # of all calls in one run
    memory = 4M                     # bytes of its state
    virtual_time = 10h              # of one run

    [score]
    points = 100
    thresholds = 0.5:50, 0.9:100    # a score of 0.5 gives half the points of an instance, in between by a straight line
    pass = 60

    [conditions]                    # optional: at most so many times the reference's figure, or the instance scores 0
    wait_max_s = 1.5

    [public]                        # the instances that students have: gen:KIND,KEY=VALUE,seed=N, or a file beside lab.ini
    small = public/small.jsonl
    other = swf:public/jobs.swf     # in any form of miniray.lab.sources
    [hidden]                        # the seeds come from the teacher's secret; a file is varied by them (see `varied`)
    large = gen:poisson,tasks=500
    alike = swf:public/jobs.swf
    count = 3                       # instances of each

    [settings]                      # optional: more of the simulator, like sim.dispatch_us = 20
    [conf]                          # optional: what a policy finds in `conf`

The reference solution lies apart, in SOLUTIONS/NAME/reference.lua.  Without it (a student's copy) the figures to reach are
those in targets.json beside lab.ini, and only the public instances are run.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import places, readers, sources, stats, workload as workloads
from .metrics import METRICS

if TYPE_CHECKING:
    from .attempt import Attempt

_KEYS: dict[str, tuple[str, ...] | None] = {
    "lab": ("title", "metric", "know", "reveal", "nodes", "cpus", "baseline", "keep"),
    "limits": ("instructions", "total", "memory", "virtual_time"),
    "score": ("points", "thresholds", "pass"),
    "conditions": tuple(METRICS),
    "question": ("workload", "policies", "ask"),
    "public": None, "hidden": None, "settings": None, "conf": None,  # any key
}
KEEP = ("user", "fn", "labels")


class LabError(ValueError):
    """A lab that is wrong, or not there; the text says where and what to do."""


@dataclass(frozen=True)
class Instance:
    """One workload to be graded on; what is printed about hidden ones is their number and their score."""

    name: str
    lines: list[workloads.Line]
    hidden: bool
    seed: int
    proven: float | None = None  # no schedule ends before: what the instance's own source says


@dataclass
class Lab:
    """One lab, as its lab.ini says."""

    name: str
    folder: Path
    title: str
    metric: str
    options: dict[str, Any]  # of simulate()
    baseline: str
    points: float
    passing: float
    thresholds: list[tuple[float, float]]
    conditions: dict[str, float]
    keep: tuple[str, ...]
    public: dict[str, str]
    hidden: dict[str, str]
    hidden_count: int
    question: dict[str, str] = field(default_factory=dict)
    solution: Path | None = None

    @property
    def better(self) -> int:
        """1: less of the metric is better, -1: more is."""
        return 1 if METRICS[self.metric][1] else -1

    def targets(self) -> dict[str, dict[str, dict[str, float]]]:
        """The reference's and the baseline's figures on the public instances, for copies without the solution."""
        path = self.folder / "targets.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError:
            raise LabError(f"{self.name}: there is neither a solution nor {path}; give --solutions") from None
        except ValueError as error:
            raise LabError(f"{path}: {error}") from None

    def run(self, policy: str, instance: str | None = None) -> "Attempt":
        """A policy file on one public instance (the first, if none is named), as the grader runs it: shown beside the baseline in a notebook, and
        judged by `Attempt.assert_ratio` in a test.  Raises LabError, and ValueError if the file is no text."""
        from .attempt import attempt

        return attempt(self, policy, instance)

    def share(self, score: float) -> float:
        """The share of an instance's points that a score is worth: 0 to 1, a straight line between thresholds."""
        before = (0.0, 0.0)
        for at, worth in self.thresholds:
            if score < at:
                span = at - before[0]
                return max(0.0, before[1] + (worth - before[1]) * (score - before[0]) / span if span > 0 else before[1])
            before = (at, worth)
        return before[1]


def find(name: str) -> Path:
    """The folder of a lab: a path, a full name (01-shortest-first), or its number.  LabError names those there are."""
    if (Path(name) / "lab.ini").is_file():
        return Path(name)
    root = places.labs()
    known = names()
    if root is not None:
        hits = [n for n in known if n == name or (name.isdigit() and n.split("-")[0].lstrip("0") == name.lstrip("0"))]
        if len(hits) == 1:
            return root / hits[0]
    raise LabError(f"there is no lab {name!r}; " + (f"there are {', '.join(known)}" if known else "no labs are installed: set MINIRAY_LABS"))


def names() -> list[str]:
    """All labs, in order."""
    root = places.labs()
    return sorted(p.parent.name for p in root.glob("*/lab.ini")) if root else []


def _number(path: Path, section: Any, key: str, default: float) -> float:
    try:
        return float(section.get(key, default))
    except ValueError:
        raise LabError(f"{path}: [{section.name}] {key} = {section[key]}: not a number") from None


def _thresholds(path: Path, text: str) -> list[tuple[float, float]]:
    out = []
    for part in text.split(","):
        at, colon, worth = part.partition(":")
        try:
            out.append((float(at), float(worth) / 100))
        except ValueError:
            raise LabError(f"{path}: [score] thresholds: expected SCORE:PERCENT, got {part.strip()!r}") from None
    if out != sorted(out) or any(not 0 <= w <= 1 for _, w in out):
        raise LabError(f"{path}: [score] thresholds: scores must grow and percents lie in 0 to 100")
    return out


def load(name: str, solutions: str | None = None) -> Lab:
    """Reads a lab.  ``solutions``: the folder with the references; else `solutions` beside the lab's folder, if it is there."""
    folder = find(name)
    path = folder / "lab.ini"
    ini = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"))
    ini.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with open(path, encoding="utf-8") as file:
            ini.read_file(file)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise LabError(f"{path}: {error}") from None
    for section in ini.sections():
        if section not in _KEYS:
            raise LabError(f"{path}: [{section}] is not a section; there are {', '.join(_KEYS)}")
        known = _KEYS[section]
        for key in ini[section] if known is not None else ():
            if known is not None and key not in known:
                raise LabError(f"{path}: [{section}] has no key {key!r}; it has {', '.join(known)}")
    for section in ("lab", "limits", "score", "conditions", "public", "hidden", "settings", "conf", "question"):
        if not ini.has_section(section):
            ini.add_section(section)
    lab, limits, score, hidden = ini["lab"], ini["limits"], ini["score"], dict(ini["hidden"])
    metric = lab.get("metric", "makespan_s")
    if metric not in METRICS:
        raise LabError(f"{path}: [lab] metric = {metric}: not one of {', '.join(METRICS)}")
    keep = tuple(k.strip() for k in lab.get("keep", "").split(",") if k.strip())
    if set(keep) - set(KEEP):
        raise LabError(f"{path}: [lab] keep = {lab['keep']}: may only name {', '.join(KEEP)}")
    settings = {**dict(ini["settings"]), "sched.sched-lua.budget": limits.get("instructions", "1000000"),
                "sched.sched-lua.total": limits.get("total", "1000000000"), "sched.sched-lua.memory": limits.get("memory", "8M"), "sim.max_time": limits.get("virtual_time", "1000h"),
                **{f"sched.sched-lua.{k}": v for k, v in ini["conf"].items()}}
    options: dict[str, Any] = {"know": lab.get("know", "exact"), "reveal": lab.get("reveal", "whole"), "settings": settings}
    for key in ("nodes", "cpus"):
        if key in lab:
            options[key] = int(_number(path, lab, key, 1)) if key == "nodes" else _number(path, lab, key, 1)
    count = hidden.pop("count", "1")
    if not count.isdigit() or not 1 <= int(count) <= 1000:
        raise LabError(f"{path}: [hidden] count = {count}: not a number from 1 to 1000")
    if not ini["public"]:
        raise LabError(f"{path}: [public] names no instance")
    home = Path(solutions) if solutions else folder.resolve().parent / "solutions"
    solution = home / folder.resolve().name / "reference.lua"
    if solutions and not solution.is_file():
        raise LabError(f"{solution} is not there")
    return Lab(
        name=folder.resolve().name, folder=folder, title=lab.get("title", folder.name), metric=metric, options=options,
        baseline=lab.get("baseline", "fifo"), points=_number(path, score, "points", 100), passing=_number(path, score, "pass", 60),
        thresholds=_thresholds(path, score.get("thresholds", "1:100")),
        conditions={k: _number(path, ini["conditions"], k, 0) for k in ini["conditions"]}, keep=keep, public=dict(ini["public"]),
        hidden=hidden, hidden_count=int(count), question=dict(ini["question"]), solution=solution if solution.is_file() else None)


def _key(*parts: Any) -> str:
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def disguise(lines: list[workloads.Line], secret: str, keep: tuple[str, ...] = ()) -> list[workloads.Line]:
    """The same work under other names, tasks that arrive together in another order: what a hidden instance looks like.

    Names of tasks, files, functions, users and texts of labels are replaced, except those in ``keep``.  Edges, sizes and
    times stay."""
    def other(kind: str, text: Any) -> str:
        return f"{kind}{_key(secret, kind, text)}"

    def item(x: Any) -> Any:
        if isinstance(x, str):
            return other("n", x)
        return {**x, **{k: other("n", x[k]) for k in ("id", "file") if k in x}}

    out: list[workloads.Line] = []
    tasks: list[workloads.Line] = []
    for line in lines:
        if "platform" in line:
            out.append(line)
            continue
        new = dict(line)
        for key in ("id", "file"):
            if key in new:
                new[key] = other("n", new[key])
        for key in ("inputs", "deps"):
            if key in new:
                new[key] = [item(x) for x in new[key]]
        if isinstance(new.get("outputs"), list):
            new["outputs"] = [item(x) for x in new["outputs"]]
        if "id" in new and "fn" not in keep:
            new["fn"] = other("f", new.get("fn", ""))
        if "user" in new and "user" not in keep:
            new["user"] = other("u", new["user"])
        if "labels" in new and "labels" not in keep:
            new["labels"] = {k: other("l", v) if isinstance(v, str) else v for k, v in new["labels"].items()}
        (tasks if "id" in new else out).append(new)
    random.Random(_key(secret, "order")).shuffle(tasks)
    tasks.sort(key=lambda t: t.get("arrival_s", 0.0))
    return out + tasks


def _file(lab: Lab, spec: str) -> tuple[str, Path, dict[str, Any]]:
    """``FORMAT:FILE,KEY=VALUE`` or ``FILE,KEY=VALUE``: the format ("" for JSONL), the file beside lab.ini, the options."""
    form, colon, rest = spec.partition(":")
    if not colon or form not in readers.READERS:
        form, rest = "", spec
    name, *pairs = rest.split(",")
    return form, lab.folder / name, sources.options_of(spec, pairs)


def varied(lines: list[workloads.Line], seed: int) -> list[workloads.Line]:
    """Another instance of the same kind: of tasks that arrive over time blocks are drawn again (`stats.resample`), of any other
    each duration that is a number changes by up to a tenth; whole numbers stay whole."""
    if stats.is_stream(lines):
        return stats.resample(lines, seed)
    rng = random.Random(f"varied/{seed}")

    def other(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        new = value * rng.uniform(0.9, 1.1)
        return max(1, round(new)) if isinstance(value, int) else round(new, 9)

    return [{**line, "duration_s": other(line["duration_s"])} if "id" in line and "duration_s" in line else line for line in lines]


def instance(lab: Lab, name: str, spec: str, seed: int | None = None) -> list[workloads.Line]:
    """The lines of one instance; ``seed`` stands above the one in the spec, and varies what is read from a file.  Of a file of several
    job shops, and without a name, the seed chooses."""
    try:
        if spec.startswith("gen:"):
            kind, options = workloads.parse(spec) or ("", {})
            own = int(options.pop("seed", 0))
            return workloads.generate(kind, seed=own if seed is None else seed, **options)
        form, path, options = _file(lab, spec)
        if not path.is_file():
            raise LabError(f"{lab.folder / 'lab.ini'}: {name} = {spec}: there is no such file")
        if form == "jobshop" and seed is not None and "name" not in options:
            options["name"] = random.Random(f"shop/{seed}").choice(sorted(readers.jobshop_instances(path)))
        lines = readers.READERS[form](path, **options) if form else workloads.read(path)
        return lines if seed is None else varied(lines, seed)
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, LabError):
            raise
        raise LabError(f"{lab.folder / 'lab.ini'}: {name} = {spec}: {error}") from None


def _proven(lab: Lab, spec: str) -> float | None:
    """The lower bound that a published job shop comes with."""
    if not spec.startswith("jobshop:"):
        return None
    _, path, options = _file(lab, spec)
    found = readers.jobshop_instances(path)
    return found[options.get("name") or next(iter(found))].get("metadata", {}).get("lower_bound")


def instances(lab: Lab, secret: str | None) -> list[Instance]:
    """The public instances, then, if there is a secret, the hidden ones that follow from it."""
    out = [Instance(name, instance(lab, name, spec), False, i, _proven(lab, spec)) for i, (name, spec) in enumerate(lab.public.items())]
    for name, spec in lab.hidden.items() if secret is not None else ():
        for i in range(lab.hidden_count):
            key = _key(secret, lab.name, name, i)
            lines = instance(lab, name, spec, seed=int(key, 16) % (1 << 53))
            out.append(Instance(f"hidden {len(out) - len(lab.public) + 1}", disguise(lines, key, lab.keep), True, int(key[:8], 16)))
    return out
