"""A grade as text, JUnit XML or what Gradescope reads.  No time, no path and no address of the machine is in any of them, and
of hidden instances only what is earned."""

from __future__ import annotations

import json
from typing import Any, Callable
from xml.etree import ElementTree

from . import metrics
from .grade import FAILED, PASSED, Grade, Outcome
from .labs import Lab
from .units import show


def words(lab: Lab, o: Outcome) -> str:
    """What may be said of an outcome in one line."""
    if o.hidden:
        return o.problem
    said = [o.problem] if o.problem else []
    if o.figure is not None:
        m = lab.metric
        said.append(f"{m} {show(m, o.figure)}, baseline {show(m, o.baseline)}, reference {show(m, o.reference)}")
        if o.gap is not None:
            said.append(f"makespan {o.gap * 100:.1f}% above the {'proven' if o.proven else 'best lower'} bound")
        said.append(f"digest {o.digest}")
    return "; ".join(said)


def _verdict(grade: Grade) -> str:
    return {PASSED: "passed", FAILED: "the policy failed"}.get(grade.status, "below the threshold")


_PRACTICE = "PRACTICE: the hidden instances follow from a secret that everybody knows. This is no grade; give --secret FILE, or MINIRAY_LAB_SECRET"


def as_text(grade: Grade) -> str:
    """For a terminal."""
    lab = grade.lab
    what, less = metrics.METRICS[lab.metric]
    out = [f"{lab.name}: {lab.title}", f"counts: {lab.metric}, {what} ({'less' if less else 'more'} is better); the policy knows: {lab.options['know']}"]
    out += [_PRACTICE] if grade.practice else []
    out += [f"FAILED {problem}" for problem in grade.lint]
    out += [f"note   {note}" for note in grade.notes]
    width = max((len(o.name) for o in grade.outcomes), default=0)
    for o in grade.outcomes:
        mark = "FAILED" if o.failed else "ok" if o.points > 0 else "-"
        out.append(f"{mark:<7}{o.name:<{width}}  score {o.score:6.3f}  {o.points:6.2f} of {o.worth:.2f}  {words(lab, o)}".rstrip())
    if grade.outcomes and not any(o.hidden for o in grade.outcomes):
        out.append("no hidden instance was run: this is not the grade yet")
    out.append(f"{grade.points:g} of {lab.points:g} points, {lab.passing:g} are needed: {_verdict(grade)}")
    return "\n".join(out) + "\n"


def as_junit(grade: Grade) -> str:
    """One test case per instance, and one for the sum."""
    cases = len(grade.outcomes) + len(grade.lint) + 1
    failures = sum(not o.failed and o.points <= 0 for o in grade.outcomes) + (grade.status != PASSED)
    suite = ElementTree.Element("testsuite", name=grade.lab.name, tests=str(cases), failures=str(failures),
                                errors=str(sum(o.failed for o in grade.outcomes) + len(grade.lint)), skipped="0", time="0")
    if grade.practice:
        ElementTree.SubElement(ElementTree.SubElement(suite, "properties"), "property", name="practice", value=_PRACTICE)
    for problem in grade.lint:
        ElementTree.SubElement(ElementTree.SubElement(suite, "testcase", classname=grade.lab.name, name="hand-in", time="0"), "error", message=problem)
    for o in grade.outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname=grade.lab.name, name=o.name, time="0")
        said = words(grade.lab, o) or f"score {o.score:.3f}"
        if o.failed:
            ElementTree.SubElement(case, "error", message=said)
        elif o.points <= 0:
            ElementTree.SubElement(case, "failure", message=said)
        else:
            ElementTree.SubElement(case, "system-out").text = f"score {o.score:.6f}, {o.points:.2f} of {o.worth:.2f} points; {said}"
    case = ElementTree.SubElement(suite, "testcase", classname=grade.lab.name, name="points", time="0")
    total = f"{grade.points:g} of {grade.lab.points:g} points, {grade.lab.passing:g} are needed: {_verdict(grade)}"
    if grade.status != PASSED:
        ElementTree.SubElement(case, "failure", message=total)
    else:
        ElementTree.SubElement(case, "system-out").text = total
    if grade.notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(grade.notes)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def as_gradescope(grade: Grade) -> str:
    """results.json of Gradescope's autograder: hidden instances are shown after the grades are published, and nothing that is
    shown before (the first lines, the leaderboard) depends on them."""
    public = [o for o in grade.outcomes if not o.hidden]
    said = f"{grade.lab.title}: {_verdict(grade)}"
    if len(public) < len(grade.outcomes):
        said = (f"{grade.lab.title}: {sum(o.points for o in public):.2f} of {sum(o.worth for o in public):.2f} points on the public instances; "
                f"{sum(o.worth for o in grade.outcomes if o.hidden):.2f} more are for hidden ones, shown with the grades")
    tests: list[dict[str, Any]] = [{"name": "hand-in", "number": "0", "score": 0, "max_score": grade.lab.points, "status": "failed",
                                    "output": problem, "visibility": "visible", "tags": ["public"]} for problem in grade.lint]
    for number, o in enumerate(grade.outcomes, 1):
        tests.append({"name": o.name, "number": str(number), "score": round(o.points, 6), "max_score": round(o.worth, 6),
                      "status": "failed" if o.failed or o.points <= 0 else "passed", "output": words(grade.lab, o),
                      "visibility": "after_published" if o.hidden else "visible", "tags": ["hidden" if o.hidden else "public"]})
    said = "\n".join([said, *(f"note: {note}" for note in grade.notes)])
    data = {
        "score": grade.points, "execution_time": 0, "visibility": "visible", "stdout_visibility": "hidden",
        "output": f"{_PRACTICE}\n{said}" if grade.practice else said, "tests": tests,
        "leaderboard": [{"name": "score on public instances", "value": round(sum(o.score for o in public) / len(public), 6) if public else 0, "order": "desc"}],
        "extra_data": {"lab": grade.lab.name, "metric": grade.lab.metric, "know": grade.lab.options["know"], "status": grade.status, "practice": grade.practice,
                       "points": grade.lab.points, "pass": grade.lab.passing,
                       "digests": {o.name: o.digest for o in grade.outcomes if not o.hidden}},
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Grade], str]] = {"text": as_text, "junit": as_junit, "gradescope": as_gradescope}
