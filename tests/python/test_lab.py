"""The laboratory in Python: workloads, traces, reports, and the simulator program behind them."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from miniray.lab import trace, workload
from miniray.lab.taskbench import PATTERNS
from miniray.lab.report import amount, seconds, write_report

SIM = Path(__file__).resolve().parent.parent / "sim"


def _have_simulator() -> bool:
    from miniray.lab import places

    try:
        places.program()
    except FileNotFoundError:
        return False
    return True


needs_simulator = pytest.mark.skipif(not _have_simulator(), reason="miniray-sim was not built")


def task(name: str, start: int, end: int, **more):
    return {"task": name, "fn": "f", "node": "node0", "slot": 0, "submitted": 0, "ready": 0, "started": start, "ended": end,
            "outcome": "ok", "bytes": 0, **more}


# ---- workloads ----


@pytest.mark.parametrize("kind", sorted(workload.GENERATORS))
def test_generators_follow_from_their_seed(kind):
    assert workload.generate(kind, seed=4) == workload.generate(kind, seed=4)
    if kind not in ("graham", "cholesky", "lptworst") and kind not in PATTERNS:  # those are the same for every seed
        assert workload.generate(kind, seed=4) != workload.generate(kind, seed=5)
    names = [line["id"] for line in workload.generate(kind) if "id" in line]
    assert names and len(names) == len(set(names))


def test_unknown_generator_names_the_known():
    with pytest.raises(ValueError, match="unknown kind of workload 'nope'; known: all_to_all, bag"):
        workload.generate("nope")


def test_spec_of_a_generator():
    assert workload.parse("gen:poisson,tasks=10,rate=2.5") == ("poisson", {"tasks": 10, "rate": 2.5})
    assert workload.parse("file.jsonl") is None
    with pytest.raises(ValueError, match="expected KEY=VALUE, got 'tasks'"):
        workload.parse("gen:poisson,tasks")
    with pytest.raises(ValueError, match="tasks: 'many' is not a number"):
        workload.parse("gen:poisson,tasks=many")


def test_write_then_read(tmp_path):
    lines = workload.generate("mapreduce", maps=3, reduces=2)
    workload.write(tmp_path / "w.jsonl", lines)
    assert workload.read(tmp_path / "w.jsonl") == lines
    (tmp_path / "bad.jsonl").write_text('{"id": "a"}\n{"id" 1}\n')
    with pytest.raises(ValueError, match=r"bad\.jsonl:2: not JSON"):
        workload.read(tmp_path / "bad.jsonl")


# ---- traces ----


def test_normalise_starts_the_clock_at_the_first_submission():
    rows = trace.normalise([{"task": 1, "submitted": 100, "started": 150, "ended": 160}, {"task": 2, "submitted": 120}])
    assert rows[0] == {"task": "1", "fn": "task", "node": "", "slot": 0, "submitted": 0, "ready": -1, "started": 50, "ended": 60,
                       "outcome": "ok", "bytes": 0}
    assert rows[1]["submitted"] == 20 and rows[1]["started"] == -1


def test_figures_of_a_recording():
    figures = trace.figures([task("a", 0, 4_000_000_000), task("b", 4_000_000_000, 6_000_000_000), task("c", 0, 2_000_000_000, slot=1)])
    assert figures["makespan_s"] == 6
    assert figures["flow_mean_s"] == 4
    assert figures["flow_p50_s"] == 4
    assert figures["wait_max_s"] == 4
    assert figures["utilisation"] == pytest.approx(8 / 12)


def test_a_trace_survives_its_file(tmp_path):
    rows = [task("a", 1, 2), task("b \"quoted\"", 3, 4, outcome="E_CRASHED")]
    trace.write_trace(tmp_path / "t.jsonl", rows)
    assert trace.read_trace(tmp_path / "t.jsonl") == rows
    (tmp_path / "bad.jsonl").write_text('{"task": "a"}\n')
    with pytest.raises(ValueError, match=r"bad\.jsonl:1: not a task of a trace: fn, node"):
        trace.read_trace(tmp_path / "bad.jsonl")


# ---- reports ----


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.rects, self.titles, self.links = [], 0, [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "rect" and "b" in (attributes.get("class") or "").split():
            self.rects += 1
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        if tag not in ("meta", "line", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        if tag == "rect" and "b" in (dict(attrs).get("class") or "").split():
            self.rects += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_file_that_needs_nothing(tmp_path):
    runs = [trace.Run("fifo", [task("a<b>", 0, 10**9), task("c", 10**9, 3 * 10**9, fn="g")]),
            trace.Run("lifo", [task("a", 0, 10**9, node="node1", slot=3)], summary={"degraded": True, "ejected": "x.lua:3: <oops>"})]
    path = write_report(tmp_path / "r.html", runs, title="a & b")
    text = Path(path).read_text()
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.rects == 3
    assert page.links == [] and "http" not in text.replace("http-equiv", "")
    assert "a &amp; b" in text and "a&lt;b&gt;" in text and "&lt;oops&gt;" in text
    assert "ejected to FIFO" in text


def test_many_short_tasks_are_drawn_together(tmp_path):
    rows = [task(f"t{i}", i * 1000, i * 1000 + 900) for i in range(50_000)]
    path = write_report(tmp_path / "r.html", [trace.Run("fifo", rows)])
    assert os.path.getsize(path) < 1_000_000
    assert "tasks too short to draw apart" in Path(path).read_text()


def test_report_without_runs():
    with pytest.raises(ValueError, match="at least one run"):
        write_report("never.html", [])


@pytest.mark.parametrize("value, text", [(0, "0 s"), (1.5, "1.50 s"), (0.0123, "12.3 ms"), (4.2e-5, "42.0 µs"), (12345, "12,345 s"), (3e-9, "3 ns")])
def test_durations_in_their_unit(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize("value, text", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")])
def test_bytes_in_their_unit(value, text):
    assert amount(value) == text


# ---- the simulator ----


@needs_simulator
@pytest.mark.parametrize("file, fifo", [("graham.jsonl", 12), ("graham-machines.jsonl", 15), ("graham-shorter.jsonl", 13), ("graham-fewer.jsonl", 13)])
def test_graham(file, fifo):
    from miniray.lab import simulate

    run = simulate(str(SIM / file), "fifo", check=True)
    assert run.summary["makespan_s"] == fifo
    assert run.summary["bounds"]["gap"] >= 0
    assert len(run.tasks) == 9 and all(t["outcome"] == "ok" for t in run.tasks)


@needs_simulator
def test_graham_by_a_lua_list(tmp_path):
    from miniray.lab import simulate

    policy = tmp_path / "list.lua"
    policy.write_text("return { rank = function(t) return t.seq end }\n")
    assert [simulate(str(SIM / f"graham{kind}.jsonl"), str(policy)).summary["makespan_s"]
            for kind in ("", "-machines", "-shorter", "-fewer")] == [12, 15, 13, 16]


@needs_simulator
def test_digest_is_of_input_policy_and_seed():
    from miniray.lab import simulate

    lines = workload.generate("randomdag", seed=3)
    digests = [simulate(lines, "fifo", nodes=2, cpus=2, know="noisy:0.5", seed=s).summary["digest"] for s in (1, 1)]
    assert digests[0] == digests[1]
    assert simulate(lines, "fifo", nodes=2, cpus=3, know="noisy:0.5", seed=1).summary["digest"] != digests[0]


@needs_simulator
def test_every_shipped_policy_finishes_every_workload():
    from miniray.lab import SimError, places, simulate

    finished = 0
    files = sorted({p.stem: p for folder in reversed(places.policies()) for p in folder.glob("*.lua")}.values())
    for policy in ["fifo", "locality", *map(str, files)]:
        try:
            run = simulate(str(SIM / "mapreduce.jsonl"), policy, know="exact", check=True)
        except SimError as error:
            assert error.status == 2 and "requires preemption" in str(error), policy
            continue
        finished += 1
        assert not run.summary["degraded"], (policy, run.summary["ejected"])
        assert run.summary["failed"] == 0
    assert finished >= 10


@needs_simulator
def test_heft_example_takes_80():
    from miniray.lab import places, simulate

    try:
        places.policy_arguments("heft")
    except FileNotFoundError:
        pytest.skip("no heft policy is shipped")
    assert simulate(str(SIM / "heft.jsonl"), "heft", know="exact").summary["makespan_s"] == 80


@needs_simulator
def test_a_policy_that_fails_is_ejected_and_said(tmp_path):
    from miniray.lab import simulate

    policy = tmp_path / "broken.lua"
    policy.write_text("return { rank = function(t) return t.nothing.more end }\n")
    run = simulate(str(SIM / "graham.jsonl"), str(policy))
    assert run.summary["degraded"] and "broken.lua:1" in run.summary["ejected"]
    assert run.summary["makespan_s"] == 12


@needs_simulator
def test_what_is_wrong_with_the_input_is_said(tmp_path):
    from miniray.lab import SimError, simulate

    with pytest.raises(SimError, match=r"workload:2: deps: there is no task \"z\"") as caught:
        simulate([{"id": "a", "duration_s": 1}, {"id": "b", "duration_s": 1, "deps": ["z"]}])
    assert caught.value.status == 2
    with pytest.raises(SimError, match="needs 64 CPU and no node has that much: the largest has 4"):
        simulate([{"id": "a", "duration_s": 1, "cpus": 64}], nodes=1, cpus=4)
    with pytest.raises(FileNotFoundError, match="unknown policy 'nope'"):
        simulate([{"id": "a", "duration_s": 1}], "nope")


@needs_simulator
def test_exit_codes_of_the_program():
    from miniray.lab import places

    def status(*arguments: str) -> int:
        return subprocess.run([places.program(), *arguments], capture_output=True, stdin=subprocess.DEVNULL).returncode

    assert status("--help") == 0
    assert status() == 2
    assert status("--nonsense") == 2
    assert status("--workload", "/nowhere") == 2
    assert status("--workload", str(SIM / "graham.jsonl"), "--know", "everything") == 2
    assert status("--workload", str(SIM / "graham.jsonl"), "--sched", "sched-nope") == 2


@needs_simulator
def test_compare_writes_table_figures_and_report(tmp_path):
    from click.testing import CliRunner

    from miniray.cli.lab import lab

    out, page = tmp_path / "out.json", tmp_path / "r.html"
    result = CliRunner().invoke(lab, ["compare", "--workload", "gen:poisson,tasks=40", "--policies", "fifo,locality", "--seeds", "3",
                                      "--nodes", "1", "--cpus", "2", "--json", str(out), "--html", str(page)])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert [row["policy"] for row in written["rows"]] == ["fifo", "locality"]
    assert len(written["runs"]) == 6 and page.is_file()
    assert len({run["digest"] for run in written["runs"] if run["policy"] == "fifo"}) == 3


@needs_simulator
def test_compare_refuses_what_makes_no_sense():
    from click.testing import CliRunner

    from miniray.cli.lab import lab

    result = CliRunner().invoke(lab, ["compare", "--workload", "w.jsonl", "--policies", "fifo", "--stores", "store-mem"])
    assert result.exit_code == 2
    result = CliRunner().invoke(lab, ["compare", "--workload", "script.py", "--policies", "fifo"])
    assert result.exit_code == 2


# ---- real workers ----


def test_compare_runs_a_script_on_real_workers(tmp_path):
    from miniray.lab import compare

    script = tmp_path / "squares.py"
    script.write_text("import sys\nimport miniray as ray\n@ray.remote\ndef square(x):\n    return x * x\n"
                      "assert ray.get([square.remote(i) for i in range(int(sys.argv[1]))]) == [i * i for i in range(7)]\n")
    runs = compare(str(script), ["fifo", "shortest-first"], engine="process", stores=["store-mem", "store-shm"], workers=2,
                   arguments=["7"])
    assert [(r.policy, r.store) for r in runs] == [("fifo", "store-mem"), ("fifo", "store-shm"), ("shortest-first", "store-mem"),
                                                   ("shortest-first", "store-shm")]
    for run in runs:
        assert sum(task["fn"].endswith("square") for task in run.tasks) == 7
        assert all(task["outcome"] == "ok" and task["ended"] >= task["started"] >= 0 for task in run.tasks)


def test_compare_says_which_script_failed(tmp_path):
    from miniray.lab import SimError, compare

    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no luck today')\n")
    with pytest.raises(SimError, match=r"broken\.py under fifo ended with status 1:\nno luck today"):
        compare(str(script), ["fifo"], engine="process")


def test_a_workload_is_played_on_real_workers(tmp_path):
    from miniray.lab import compare

    runs = compare("gen:mapreduce,maps=4,reduces=2,block=1000,shuffle=100", ["fifo"], engine="process", workers=2, scale=0.01)
    assert len(runs[0].tasks) == 6
    maps = [t for t in runs[0].tasks if t["fn"].startswith("map")]
    reduces = [t for t in runs[0].tasks if t["fn"].startswith("reduce")]
    assert len(maps) == 4 and len(reduces) == 2
    # A result is sealed before its task's end is told, so a reduce may start a little before the last map has ended.
    assert min(t["ready"] for t in reduces) >= max(t["started"] for t in maps)


def test_demo_counts_right(tmp_path):
    from click.testing import CliRunner

    from miniray.demo import demo

    result = CliRunner().invoke(demo, ["--megabytes", "1", "--workers", "2", "--html", str(tmp_path / "demo.html")])
    assert result.exit_code == 0, result.output
    assert result.output.count("equal") == 8 and "WRONG" not in result.output
    assert "moved between them under locality" in result.output
    assert (tmp_path / "demo.html").is_file()


def test_the_lab_starts_nothing_when_imported():
    code = "import miniray.lab, sys, threading; assert threading.active_count() == 1; assert 'rich' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
