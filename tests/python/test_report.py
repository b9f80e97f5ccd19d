"""What a report shows beside figures: what the end waited for, curves, where runs part, attempts that were lost; traces for other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from miniray.lab import analysis, compare, report, simulate, trace


def task(name, started, ended, **more):
    return {"task": name, "fn": "f", "node": "node0", "slot": 0, "submitted": 0, "ready": 0, "started": started, "ended": ended,
            "outcome": "ok", "bytes": 0, **more}


def test_what_the_end_waited_for():
    lines = [{"id": "a", "duration_s": 2}, {"id": "b", "duration_s": 3}, {"id": "c", "duration_s": 1, "deps": ["a"]}]
    rows = [task("a", 0, 2), task("b", 2, 5), task("c", 5, 6, ready=2)]
    assert analysis.critical(trace.Run("p", rows, workload=lines)) == ["a", "b", "c"]
    rows = [task("a", 0, 2), task("b", 0, 3, slot=1), task("c", 2, 3, ready=2)]
    assert analysis.critical(trace.Run("p", rows[:1] + rows[2:], workload=lines)) == ["a", "c"]
    assert analysis.critical(trace.Run("p", [])) == []


def test_curves_over_time():
    run = trace.Run("p", [task("a", 0, 4 * 10**9), task("b", 2 * 10**9, 4 * 10**9, slot=1)])
    assert [y for _, y in analysis.running(run, 4 * 10**9, 4)] == [1, 1, 2, 2]
    assert [y for _, y in analysis.waiting(run, 4 * 10**9, 4)] == [1, 1, 0, 0]
    assert analysis.distribution([3.0, 1.0, 2.0, 4.0]) == [(1.0, 0.25), (2.0, 0.5), (3.0, 0.75), (4.0, 1.0)]


def test_where_two_runs_part():
    a = trace.Run("a", [task("x", 0, 10), task("y", 10, 20), task("z", 20, 30)])
    b = trace.Run("b", [task("x", 0, 10), task("z", 10, 20), task("y", 20, 40)])
    found = analysis.first_difference(a, b)
    assert found["at"] == 10 and [t["task"] for t in found["a"]] == ["y"] and [t["task"] for t in found["b"]] == ["z"]
    assert found["makespan"] == pytest.approx(1e-8) and found["worst"] == ("y", pytest.approx(2e-8))
    assert analysis.first_difference(a, a) is None
    # No two times of real workers are equal: the order of the starts counts.
    real, late, other = (trace.Run("r", rows, engine="process") for rows in (a.tasks, [task("x", 1, 12), task("y", 13, 25), task("z", 26, 40)], b.tasks))
    assert analysis.first_difference(real, late) is None and analysis.first_difference(a, late) is None
    found = analysis.first_difference(real, other)
    assert found["at"] == 10 and [t["task"] for t in found["a"]] == ["y"] and [t["task"] for t in found["b"]] == ["z"]
    assert analysis.first_difference(a, trace.Run("c", [task("x", 0, 10)])) is None


def test_attempts_that_were_lost_are_traced_and_drawn(tmp_path):
    """Node b dies at 1.5 s with a task that began at 1; with it goes the result of one that had ended, which a third still needs."""
    lines = [{"platform": {"nodes": [{"name": "a", "cpus": 1}, {"name": "b", "cpus": 1}], "failures": [{"node": "b", "at_s": 1.5}], "latency": 0}},
             {"id": "long", "duration_s": 4}, {"id": "made", "duration_s": 1, "outputs": 1000}, {"id": "hit", "duration_s": 2},
             {"id": "reader", "duration_s": 1, "inputs": ["made"]}]
    run = simulate(lines, "fifo")
    rows = {t["task"]: t for t in run.tasks}
    s = 1_000_000_000
    assert run.summary["failed"] == 0 and run.summary["deaths"] == 1
    assert rows["made"]["lost"] == [[0, s, 1, "b"]] and rows["hit"]["lost"] == [[s, 3 * s // 2, 1, "b"]] and "lost" not in rows["long"]
    assert rows["made"]["node"] == rows["hit"]["node"] == "a" and rows["hit"]["started"] >= 4 * s
    trace.write_trace(tmp_path / "t.jsonl", run.tasks)
    assert trace.normalise(trace.read_trace(tmp_path / "t.jsonl")) == trace.normalise(run.tasks) == run.tasks
    assert trace.first(rows["hit"]) == (s, "b", 1) and trace.queued(rows["hit"]) == [(0, s), (3 * s // 2, rows["hit"]["started"])]
    run.workload = lines
    picture = report._picture(run, report._rows_of([run])[0], 1, dict.fromkeys(rows, 0), {"": 0}, {})
    assert sorted(b[8] for b in picture["blocks"] if b[7] & 4) == ["hit", "made"] and len(picture["blocks"]) == 6
    assert [e["args"]["task"] for e in trace.chrome([run]) if e.get("cat") == "lost"] == ["made", "hit"]
    assert max(n for _, n in analysis.running(run, 4 * s)) == 2 and "crossed out" in report.page([run]).lower()


def test_processors_that_one_policy_leaves_idle_have_rows():
    runs = compare("gen:bag,tasks=4,seed=1", ["fifo", "lpt"], nodes=1, cpus=4)
    runs[1].tasks = [{**t, "slot": 2} for t in runs[1].tasks]
    assert [[(slot, len(lanes[0]) > 0) for _, slot, lanes in rows] for rows in report._rows_of(runs)] == [
        [(k, True) for k in range(4)], [(0, False), (1, False), (2, True), (3, False)]]


def test_a_trace_for_perfetto():
    events = trace.chrome([trace.Run("p", [task("a", 1000, 3000), task("b", 0, 1000, node="node1", slot=3)])])
    spans = [e for e in events if e["ph"] == "X"]
    assert [(e["name"], e["ts"], e["dur"]) for e in spans] == [("f", 1.0, 2.0), ("f", 0.0, 1.0)]
    assert spans[0]["pid"] != spans[1]["pid"] and {e["args"]["name"] for e in events if e["name"] == "process_name"} == {"p node0", "p node1"}


def test_a_trace_as_a_data_frame():
    pytest.importorskip("pandas")
    run = trace.Run("p", [task("a", 10**9, 3 * 10**9), task("b", -1, -1)], workload=[{"id": "a", "user": "ann", "duration_s": 2}])
    table = run.frame()
    assert list(table["wait_s"].dropna()) == [1.0] and list(table["run_s"].dropna()) == [2.0] and table.loc[0, "user"] == "ann"
    assert table["started"].isna().sum() == 1


def test_a_figure_for_papers(tmp_path):
    pytest.importorskip("matplotlib")
    row = {**task("a", 0, 10**9), "fn": "f"}
    code = (f"from miniray.lab import trace; from miniray.lab.figure import write_figure; runs = [trace.Run('p', [{row}]), trace.Run('q', [{row}])]\n"
            f"for ending in ('png', 'svg'): print(write_figure(r'{tmp_path}/f.' + ending, runs))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # matplotlib keeps its fonts open
    assert done.returncode == 0, done.stderr
    assert all(os.path.getsize(tmp_path / f"f.{ending}") > 1000 for ending in ("png", "svg"))
