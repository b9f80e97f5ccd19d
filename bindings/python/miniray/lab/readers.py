"""Readers of other people's workloads: each turns a file into the lines that `miniray.lab.workload` describes.

    swf        Standard Workload Format: 18 columns, ``;`` comments, -1 for unknown
    batsim     the jobs file that Batsim writes (CSV with a header)
    alibaba    tasks of the Alibaba cluster trace of 2018, as CSV; edges are in the names (``J3_1_2``)
    jobshop    job-shop instances as JSON: a matrix of durations and one of machines

WfFormat and miniray's own JSONL are read by the simulator itself.  What is wrong with a file is said as ``FILE:LINE:COLUMN:
what`` (a ReadError); a part of a file that a reader leaves out on purpose is said as a warning, with its count.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from typing import Any, Callable, Iterator, Sequence

from .workload import Line, platform

_YEARS = 3.2e9  # seconds; the simulator's own limit of one time


class ReadError(ValueError):
    """The file is not what its format says; the message begins with file, line and column."""


class _Row:
    """One line cut into fields that know where they stand."""

    def __init__(self, path: str, number: int, fields: list[tuple[int, str]]):
        self.path, self.number, self.fields = path, number, fields

    def fail(self, index: int, what: str) -> ReadError:
        column = self.fields[index][0] if index < len(self.fields) else (self.fields[-1][0] + len(self.fields[-1][1]) if self.fields else 1)
        return ReadError(f"{self.path}:{self.number}:{column}: {what}")

    def number_at(self, index: int, name: str, low: float = -1, high: float = _YEARS) -> float:
        text = self.fields[index][1]
        try:
            value = float(text)
        except ValueError:
            raise self.fail(index, f"{name}: {text[:40]!r} is not a number") from None
        if not math.isfinite(value) or not low <= value <= high:
            raise self.fail(index, f"{name}: {text[:40]} is out of range ({low:g} to {high:g})")
        return value

    def text(self, index: int, name: str) -> str:
        value = self.fields[index][1].strip()
        if not value or len(value) > 150 or any(ord(c) < 32 for c in value):
            raise self.fail(index, f"{name}: expected a name of 1 to 150 characters")
        return value


def _rows(path: str, pattern: str, comment: str = "") -> Iterator[tuple[str, _Row]]:
    """Every line that is not empty: itself, and its fields (matches of `pattern`)."""
    field = re.compile(pattern)
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n").lstrip("\ufeff" if number == 1 else "")
            if not line.strip():
                continue
            fields = [] if comment and line.lstrip().startswith(comment) else [(m.start() + 1, m.group()) for m in field.finditer(line)]
            yield line, _Row(path, number, fields)


def _nothing(path: str, lines: list[Line]) -> list[Line]:
    if len(lines) < 2:
        raise ReadError(f"{path}:1:1: there is no task in this file")
    return lines


def _count(text: str, what: str, fail: Callable[[str], ReadError], most: float) -> int:
    value = float(text)
    if value != int(value):
        raise fail(f"{what}: {text} is not a whole number")
    if value > most:
        raise fail(f"{what}: {text} is more than {most:g}")
    return int(value)


def swf(path: str | os.PathLike[str], processors: int = 0) -> list[Line]:
    """Jobs of the Standard Workload Format on one node.  ``processors``: of the node; else what the header says as MaxProcs,
    else as many as the widest job asks for.  Used: number, submit time, run time, processors, requested time, status, user,
    and the job that must end before (column 17).  Jobs that never ran (no run time or no processor) are left out, and said so."""
    path = os.fspath(path)
    lines: list[Line] = []
    left_out, widest, stated = 0, 0, 0
    seen: set[int] = set()
    before: list[tuple[int, int, _Row]] = []
    for line, row in _rows(path, r"\S+", comment=";"):
        if not row.fields:
            header = re.match(r"\s*;\s*MaxProcs\s*:\s*(\d{1,9})\b", line)
            stated = int(header[1]) if header else stated
            continue
        if len(row.fields) != 18:
            raise row.fail(len(row.fields) if len(row.fields) < 18 else 18, f"expected 18 columns, got {len(row.fields)}")
        v = [row.number_at(i, f"column {i + 1}", -1e15, 1e15) for i in range(18)]
        job = _count(row.fields[0][1], "job number", lambda what: row.fail(0, what), 2**53)
        if job in seen:
            raise row.fail(0, f"the job {job} is already there")
        seen.add(job)
        if v[1] < 0 or v[1] > _YEARS:
            raise row.fail(1, f"submit time: {v[1]:g} is out of range")
        run, width = v[3], v[4] if v[4] > 0 else v[7]
        if run < 0 or width <= 0:
            left_out += 1
            continue
        if run > _YEARS or v[8] > _YEARS:
            raise row.fail(3 if run > _YEARS else 8, "more than a hundred years")
        cpus = _count(f"{width:.15g}", "processors", lambda what: row.fail(4 if v[4] > 0 else 7, what), 1e9)
        widest = max(widest, cpus)
        task: Line = {"id": f"job{job}", "fn": "job", "arrival_s": v[1], "duration_s": run, "cpus": cpus}
        if v[8] >= 0:
            task["limit_s"] = max(v[8], run)
            task["estimate_s"] = v[8]
        if v[11] >= 0:
            task["user"] = f"user{int(v[11])}"
        if v[16] > 0:
            before.append((len(lines), int(v[16]), row))
        lines.append(task)
    names = {task["id"] for task in lines}
    for index, parent, row in before:
        if parent not in seen:
            raise row.fail(16, f"preceding job: there is no job {parent}")
        if f"job{parent}" in names:
            lines[index]["deps"] = [f"job{parent}"]
    if left_out:
        warnings.warn(f"{path}: {left_out} jobs never ran (no run time or no processor) and are left out", stacklevel=2)
    return _nothing(path, [platform(1, int(processors) or stated or widest), *lines])


def batsim(path: str | os.PathLike[str], processors: int = 0) -> list[Line]:
    """The jobs file of a Batsim run, to run them again: submission, width, requested and true time of each."""
    path = os.fspath(path)
    needed = ("jobID", "submission_time", "requested_number_of_processors", "requested_time", "execution_time")
    lines: list[Line] = []
    columns: list[int] = []
    seen: dict[str, int] = {}
    widest, wide = 0, 0
    for _, row in _rows(path, r"[^,]+|(?<=,)(?=,)|(?<=,)$"):
        if not columns:
            names = [text.strip() for _, text in row.fields]
            missing = [name for name in needed if name not in names]
            if missing:
                raise row.fail(0, f"the header has no {missing[0]!r}; it has {', '.join(names)[:200]}")
            columns, wide = [names.index(name) for name in needed], len(names)
            continue
        if len(row.fields) != wide:
            raise row.fail(len(row.fields) - 1, f"expected {wide} columns as in the header, got {len(row.fields)}")
        job = row.text(columns[0], "jobID")
        if job in seen:
            raise row.fail(columns[0], f"the job {job} is already there (line {seen[job]})")
        seen[job] = row.number
        arrival, width, limit, run = (row.number_at(c, name, 0) for c, name in zip(columns[1:], needed[1:]))
        cpus = _count(f"{width:.15g}", "processors", lambda what: row.fail(columns[2], what), 1e9)
        widest = max(widest, cpus)
        lines.append({"id": f"job{job}", "fn": "job", "arrival_s": arrival, "duration_s": run, "cpus": cpus,
                      "limit_s": max(limit, run), "estimate_s": limit})
    return _nothing(path, [platform(1, int(processors) or widest), *lines])


_DAG_NAME = re.compile(r"[A-Za-z]+(\d+)((?:_\d+)*)(?:_Stg\d+)?$")


def alibaba(path: str | os.PathLike[str], nodes: int = 100, cpus: float = 96, jobs: int = 0) -> list[Line]:
    """Tasks of the Alibaba trace: arrival, job, name, duration, CPU (100 is one core), memory, instances.

    One line is one task here: its instances ran side by side, and their number is kept as a label only.  The name of a task in
    a graph has its number and its parents' (``J3_1_2`` waits for 1 and 2 of its job); any other name is a task without
    parents.  ``jobs``: only so many, the first ones.  A parent that the file does not hold is left out, and said so."""
    path = os.fspath(path)
    rows: list[tuple[_Row, str, str, float, Line]] = []
    numbers: dict[tuple[str, str], str] = {}
    seen_jobs: dict[str, None] = {}
    for _, row in _rows(path, r"[^,]+|(?<=,)(?=,)|(?<=,)$"):
        if len(row.fields) != 7:
            raise row.fail(len(row.fields) - 1, f"expected 7 columns (arrival, job, task, duration, cpu, memory, instances), got {len(row.fields)}")
        job, name = row.text(1, "job"), row.text(2, "task")
        if job not in seen_jobs:
            if jobs and len(seen_jobs) == jobs:
                break
            seen_jobs[job] = None
        cpu, memory = row.number_at(4, "cpu", 0, 1e9), row.number_at(5, "memory", 0, 1e9)
        del memory  # a share of an unstated machine: nothing to reserve by
        task: Line = {"id": f"{job}/{name}", "fn": name[:1], "arrival_s": row.number_at(0, "arrival", 0),
                      "duration_s": row.number_at(3, "duration", 0), "cpus": cpu / 100, "user": job[:39],
                      "labels": {"instances": int(row.number_at(6, "instances", 0, 1e9))}}
        match = _DAG_NAME.match(name)
        if match and (job, match[1]) not in numbers:
            numbers[job, match[1]] = task["id"]
        rows.append((row, job, match[2] if match else "", cpu, task))
    missing = 0
    seen: dict[str, int] = {}
    for row, job, parents, _, task in rows:
        if task["id"] in seen:
            raise row.fail(2, f"the task {task['id']} is already there (line {seen[task['id']]})")
        seen[task["id"]] = row.number
        deps = []
        for number in parents.split("_")[1:]:
            parent = numbers.get((job, number))
            missing += parent is None
            if parent and parent != task["id"] and parent not in deps:
                deps.append(parent)
        if deps:
            task["deps"] = deps
    if missing:
        warnings.warn(f"{path}: {missing} parents are named but not in the file; their children do not wait for them", stacklevel=2)
    return _nothing(path, [platform(int(nodes), cpus), *(task for *_, task in rows)])


def _place(text: str, path: Sequence[str | int]) -> int:
    """Where a value of a JSON text begins: ``path`` are keys and indices.  As far as it leads: the value that it leaves."""
    decode, blank, at = json.JSONDecoder().raw_decode, re.compile(r"[\s,:]*"), 0

    def past(at: int) -> int:
        return blank.match(text, at).end()  # type: ignore[union-attr]

    at = past(0)
    for step in path:
        inner, n = past(at + 1), 0
        while text[inner] not in "]}":
            key, begin = (n, inner) if isinstance(step, int) else decode(text, inner)
            begin = past(begin)
            if key == step:
                at = begin
                break
            inner, n = past(decode(text, begin)[1]), n + 1
        else:
            break
    return at


class _Matrices:
    """The numbers of one job-shop instance, checked; what is wrong is said with its line and column."""

    def __init__(self, path: str, text: str, name: str, found: dict[str, Any], alone: bool):
        self.path, self.text, self.name, self.found, self.alone = path, text, name, found, alone

    def fail(self, what: str, *place: str | int) -> ReadError:
        at = _place(self.text, place if self.alone else (self.name, *place))
        before = self.text[:at]
        where = "".join(f"[{step}]" if isinstance(step, int) else step for step in place)
        return ReadError(f"{self.path}:{before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}: {self.name}: {where}: {what}")

    def read(self, name: str, shape: list[int] | None = None) -> list[list[int]]:
        value = self.found.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(row, list) and row for row in value):
            raise self.fail("expected a list of lists", name)
        for i, row in enumerate(value):
            if shape and (i >= len(shape) or len(row) != shape[i]):
                raise self.fail("as many machines as durations are needed", name, i)
            for j, x in enumerate(row):
                if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 <= x <= 1e9 or (shape and x != int(x)):
                    raise self.fail(f"{x!r} is not {'a machine number' if shape else 'a time'}", name, i, j)
        if shape and len(value) != len(shape):
            raise self.fail(f"{len(value)} jobs, but {len(shape)} have durations", name)
        return value


def jobshop_instances(path: str | os.PathLike[str]) -> dict[str, Any]:
    """All instances of a file: name -> what it says.  One instance may stand alone."""
    return _instances(os.fspath(path))[1]


def _instances(path: str) -> tuple[str, dict[str, Any], bool]:
    """The text, the instances, and whether the one instance is the whole text."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReadError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ReadError(f"{path}:1:1: not a job-shop file: too deeply nested") from None
    alone = isinstance(found, dict) and "duration_matrix" in found
    if alone:
        found = {str(found.get("name", "jobshop")): found}
    if not isinstance(found, dict) or not found or not all(isinstance(v, dict) for v in found.values()):
        raise ReadError(f"{path}:1:1: expected an object of instances, or one with a \"duration_matrix\"")
    return text, found, alone


def jobshop(path: str | os.PathLike[str], name: str = "") -> list[Line]:
    """A job-shop instance: each job is a chain, each operation needs its machine, of which there is one.  ``name``: which of a
    file with several.  Times count as seconds; a task's function is its machine, its user the job."""
    path = os.fspath(path)
    text, found, alone = _instances(path)
    if not name and len(found) > 1:
        raise ReadError(f"{path}:1:1: holds {len(found)} instances: choose one by name, as in FILE#{next(iter(found))}")
    if name and name not in found:
        raise ReadError(f"{path}:1:1: there is no instance {name!r}; there are {', '.join(list(found)[:8])}, ...")
    name = name or next(iter(found))
    matrices = _Matrices(path, text, name, found[name], alone)
    times = matrices.read("duration_matrix")
    machines = matrices.read("machines_matrix", [len(row) for row in times])
    numbers = sorted({int(m) for row in machines for m in row})
    if len(numbers) > 60:
        raise matrices.fail(f"{len(numbers)} machines; at most 60 fit into one node", "machines_matrix")
    lines: list[Line] = [{"platform": {"nodes": [{"name": "shop", "cpus": len(numbers), "resources": {f"m{m}": 1 for m in numbers}}]}}]
    for i, row in enumerate(times):
        for j, time in enumerate(row):
            machine = f"m{int(machines[i][j])}"
            task: Line = {"id": f"j{i}_{j}", "fn": machine, "user": f"job{i}", "duration_s": time, "resources": {machine: 1}}
            if j:
                task["deps"] = [f"j{i}_{j - 1}"]
            lines.append(task)
    return lines


READERS: dict[str, Callable[..., list[Line]]] = {"swf": swf, "batsim": batsim, "alibaba": alibaba, "jobshop": jobshop}
