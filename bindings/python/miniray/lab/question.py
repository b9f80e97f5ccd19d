"""A small workload to be scheduled by hand: the question alone, or with its answer.  One for each student."""

from __future__ import annotations

import os
from typing import Any

from . import labs, metrics, workload as workloads
from .units import show
from .run_sim import simulate
from .trace import Run


def _table(lines: list[workloads.Line]) -> list[str]:
    tasks = [{**line, **({"due_s": line.get("arrival_s", 0) + line["deadline_s"]} if "deadline_s" in line else {})} for line in lines if "id" in line]
    columns = [("task", "id"), ("arrives", "arrival_s"), ("takes", "duration_s"), ("CPUs", "cpus"), ("user", "user"),
               ("is due at", "due_s"), ("priority", "priority"), ("after", "deps")]
    columns = [c for c in columns if c[1] in ("id", "duration_s") or any(t.get(c[1]) for t in tasks)]

    def cell(task: workloads.Line, key: str) -> str:
        value = task.get(key, 0 if key.endswith("_s") else "")
        if isinstance(value, list):
            return " ".join(x if isinstance(x, str) else str(x.get("id") or x.get("file")) for x in value)
        return f"{value:g} s" if key.endswith("_s") and not isinstance(value, dict) else str(value)

    rows = [[head for head, _ in columns], *([cell(t, key) for _, key in columns] for t in tasks)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return ["  " + "  ".join(text.ljust(w) for text, w in zip(row, widths)).rstrip() for row in rows]


def _answer(run: Run, lines: list[workloads.Line], asked: list[str]) -> list[str]:
    figures: dict[str, Any] = metrics.figures(run, lines)
    order = sorted((t for t in run.tasks if t["started"] >= 0), key=lambda t: (t["started"], t["task"]))
    out = ["  starts: " + ", ".join(f"{t['task']} at {t['started'] / 1e9:g} s" for t in order)]
    return [*out, *(f"  {m} = {show(m, figures[m])}" for m in asked)]


def ask(lab: labs.Lab, student: str, answer: bool = False) -> str:
    """The question of a lab for one student, as text; LabError if the lab has none."""
    if "workload" not in lab.question:
        raise labs.LabError(f"{lab.name} has no question ([question] in its lab.ini)")
    seed = int(labs._key("question", lab.name, student), 16) % (1 << 53)
    lines = labs.instance(lab, "question", lab.question["workload"], seed)
    policies = [p.strip() for p in lab.question.get("policies", "fifo").split(",")]
    asked = [m.strip() for m in lab.question.get("ask", lab.metric).split(",")]
    unknown = [m for m in asked if m not in metrics.METRICS]
    if unknown:
        raise labs.LabError(f"{lab.name}: [question] ask = {unknown[0]}: not one of {', '.join(metrics.METRICS)}")
    nodes = next((line["platform"]["nodes"] for line in lines if "platform" in line), None)
    options = {k: v for k, v in lab.options.items() if nodes is None or k not in ("nodes", "cpus")}  # the question's own platform stands above the lab's
    nodes = nodes or [{"count": options.get("nodes", 1), "cpus": options.get("cpus", 1)}]
    places = ", ".join(f"{n.get('count', 1)} node of {n['cpus']:g} CPU{'s' if n['cpus'] > 1 else ''}" for n in nodes)
    out = [f"{lab.title}: a question for {student}", "", *_table(lines), "",
           f"On {places}, under each of {', '.join(policies)}: when does each task start, and what are",
           *(f"  {m} ({metrics.METRICS[m][0]})" for m in asked)]
    for policy in policies if answer else ():
        own = lab.folder / policy
        run = simulate(lines, str(own) if own.is_file() else policy, seed=0, **options)
        out += ["", f"{os.path.splitext(policy)[0]}:", *_answer(run, lines, asked)]
    return "\n".join(out) + "\n"
