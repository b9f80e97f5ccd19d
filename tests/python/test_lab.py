"""The laboratory in Python: workloads, traces, reports, and the simulator program behind them."""

from __future__ import annotations

import html.parser
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from miniray.cli.lab import lab as lab_command
from miniray.lab import trace, workload
from miniray.lab.taskbench import PATTERNS
from miniray.lab.report import write_report
from miniray.lab.units import amount, seconds

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
    with pytest.raises(ValueError, match=r"bad\.jsonl:2:7: not JSON"):
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
    with pytest.raises(ValueError, match=r"bad\.jsonl:1:1: not a task of a trace: fn, node"):
        trace.read_trace(tmp_path / "bad.jsonl")


# ---- reports ----


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.pictures, self.links, self.data = [], 0, [], ""

    def handle_starttag(self, tag, attrs):
        self.pictures += tag == "canvas"
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        if tag not in ("meta", "line", "br"):
            self.open.append(tag)
        self.in_data = dict(attrs).get("id") == "data"

    def handle_startendtag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_data(self, data):
        if self.open and self.open[-1] == "script" and self.in_data:
            self.data += data

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_file_that_needs_nothing(tmp_path):
    runs = [trace.Run("fifo", [task("a</script><b>", 0, 10**9), task("c", 10**9, 3 * 10**9, fn="g")]),
            trace.Run("lifo", [task("a", 0, 10**9, node="node1", slot=3)], summary={"degraded": True, "ejected": "x.lua:3: <oops>"})]
    path = write_report(tmp_path / "r.html", runs, title="a & b")
    text = Path(path).read_text()
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == [] and page.pictures == 2
    assert page.links == [] and "http" not in text.replace("http-equiv", "")
    assert "a &amp; b" in text and "&lt;oops&gt;" in text and "ejected to FIFO" in text
    drawn = json.loads(page.data)
    assert [len(r["blocks"]) for r in drawn["runs"]] == [2, 1] and drawn["runs"][1]["rows"] == [["node0", 0, 1], ["node1", 3, 1]]
    assert drawn["runs"][0]["blocks"][0][8] == "a</script><b>"


def test_many_short_tasks_are_drawn_together(tmp_path):
    rows = [task(f"t{i}", i * 1000, i * 1000 + 900) for i in range(50_000)]
    path = write_report(tmp_path / "r.html", [trace.Run("fifo", rows)])
    assert os.path.getsize(path) < 1_000_000
    page = _Page()
    page.feed(Path(path).read_text())
    blocks = json.loads(page.data)["runs"][0]["blocks"]
    assert len(blocks) < 10_000 and sum(b[11] if len(b) > 11 else 1 for b in blocks) == 50_000


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
    from miniray.lab import places, simulate

    finished = 0
    files = sorted({p.stem: p for folder in reversed(places.policies()) for p in folder.glob("*.lua")}.values())
    for policy in ["fifo", "locality", *map(str, files)]:
        run = simulate(str(SIM / "mapreduce.jsonl"), policy, know="exact", check=True)
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

    with pytest.raises(SimError, match=r"workload:2:39: deps: there is no task \"z\"") as caught:
        simulate([{"id": "a", "duration_s": 1}, {"id": "b", "duration_s": 1, "deps": ["z"]}])
    assert caught.value.status == 2
    with pytest.raises(SimError, match="needs 64 CPU and no node has that much: the largest has 4"):
        simulate([{"id": "a", "duration_s": 1, "cpus": 64}], nodes=1, cpus=4)
    with pytest.raises(FileNotFoundError, match="there is no policy 'nope'"):
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
                                      "--nodes", "1", "--cpus", "2", "--json", str(out), "--html", str(page),
                                      "--perfetto", str(tmp_path / "p.json")])
    assert result.exit_code == 0, result.output
    assert sum(e["ph"] == "X" for e in json.loads((tmp_path / "p.json").read_text())["traceEvents"]) == 80
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


@needs_simulator
def test_seeds_of_what_has_one_outcome_are_refused(tmp_path):
    from miniray.lab import compare

    with pytest.raises(ValueError, match="seeds 0 and 1 of gen:graham gave the same runs under each of fifo, lpt"):
        compare("gen:graham", ["fifo", "lpt"], seeds=5)
    assert len(compare("gen:graham", ["fifo", "lpt"], seeds=3, know="noisy:0.5")) == 6  # their seeds differ
    assert len(compare("gen:graham", ["fifo", "random"], seeds=3)) == 6


@needs_simulator
@pytest.mark.parametrize("columns", ["30", "200"])
def test_no_figure_is_cut_off_in_a_narrow_terminal(columns, monkeypatch):
    from click.testing import CliRunner

    from miniray.cli.lab import lab

    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    result = CliRunner().invoke(lab, ["compare", "--workload", "gen:bag,seed=1", "--policies", "fifo,shortest-first", "--cpus", "2", "--know", "exact", "--html", ""])
    shown = result.output.rpartition("\x1b[?25h")[2]  # after the progress bar, which may be cut
    assert result.exit_code == 0 and "…" not in shown and "bounded_slowdown_mean" in shown


def test_a_closed_output_is_said_and_no_traceback():
    done = subprocess.run(["bash", "-c", f'exec "{sys.executable}" -m miniray version >&-'], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == "miniray: the standard output is closed; send it to /dev/null if nobody reads it\n"


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


def test_jobs_of_another_format_are_played_on_real_workers(tmp_path):
    from miniray.lab import compare

    jobs = tmp_path / "jobs.swf"
    jobs.write_text("".join(f"{n} 0 0 {n} 1 -1 -1 1 -1 -1 1 1 1 1 1 1 {n - 1 if n > 1 else -1} -1\n" for n in (1, 2, 3)))
    run = compare(str(jobs), ["fifo"], engine="process", workers=2, scale=0.01)[0]
    assert len(run.tasks) == 3
    assert run.summary["makespan_s"] >= 0.06


def test_both_engines_and_whether_the_ranking_holds(tmp_path):
    out, page = tmp_path / "c.json", tmp_path / "c.html"
    result = CliRunner().invoke(lab_command, ["compare", "--workload", "gen:tenants,tasks=8,seed=1", "--policies", "fifo,shortest-first", "--engine", "sim,process",
                                              "--workers", "2", "--scale", "0.01", "--html", str(page), "--json", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert [(r["engine"], r["policy"]) for r in found["rows"]] == [(e, p) for e in ("sim", "process") for p in ("fifo", "shortest-first")]
    assert {d["engine"] for d in found["differences"]} == {"sim", "process"}
    assert [r["metric"] for r in found["rankings"]] == ["makespan_s", "flow_mean_s"] and all(r["tau"] in (1, -1, None) for r in found["rankings"])
    text = page.read_text()
    assert "Kendall's tau" in result.output and "real against simulated" in result.output and "fifo (real)" in text and "fifo (simulated)" in text
    drawn = json.loads(text.split('id="data">')[1].split("</script>")[0])
    names = [{b[8] for b in run["blocks"]} for run in drawn["runs"]]
    assert names == [{f"t{i}" for i in range(8)}] * 4 and "user0" in drawn["users"]  # real tasks have the names of the workload, and its users
    for more, why in ((["--nodes", "2"], "give workers, not nodes"), (["--workload", "x.py"], "a driver script is for real workers alone")):
        result = CliRunner().invoke(lab_command, ["compare", "--workload", "gen:bag", "--policies", "fifo", "--engine", "sim,process", *more])
        assert result.exit_code == 2 and why in result.output


def test_rankings_of_two_engines():
    from miniray.lab import engines

    def runs(engine: str, **spans: "list[float]"):
        return [trace.Run(p, [], engine=engine, seed=seed, summary={"makespan_s": v, "flow_mean_s": 1.0}) for p, values in spans.items() for seed, v in enumerate(values)]

    simulated = runs("sim", a=[1.0], b=[2.0], c=[3.0])
    one = engines.rankings(simulated + runs("process", a=[1.1, 1.2], b=[2.5, 2.2], c=[3.3, 3.2]))[0]
    assert one.tau == 1 and one.holds and one.swapped == [] and list(one.real) == ["a", "b", "c"] and "the ranking holds" in str(one)
    one, level = engines.rankings(simulated + runs("process", a=[1.1, 1.2, 1.1], b=[3.5, 3.6, 3.4], c=[3.0, 3.1, 3.0]))
    assert one.tau == pytest.approx(1 / 3) and one.holds is False and one.swapped == [("b", "c", True)] and "c overtakes b on real workers (beyond chance)" in str(one)
    assert level.tau is None and level.swapped == []
    one = engines.rankings(simulated + runs("process", a=[1.1, 1.2], b=[2.0, 4.0], c=[3.0, 2.5]))[0]
    assert one.holds is None and "may be chance" in str(one)
    assert engines.rankings(simulated) == [] and engines.rankings(simulated + runs("process", a=[1.0])) == []


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


# ---- comparing ----


def test_intervals_over_replications():
    from miniray.lab import stats

    one = stats.estimate([3.0])
    assert one.mean == 3 and one.half is None
    assert stats.estimate([2.0, 2.0, 2.0]).half is None and not stats.estimate([2.0, 2.0]).sure
    some = stats.estimate([1.0, 2.0, 3.0])
    assert some.mean == 2 and some.half == pytest.approx(4.303 / 3**0.5) and not some.sure
    pair = stats.paired([10.0, 20.0, 30.0], [9.0, 19.1, 28.9])
    assert pair.mean == pytest.approx(-1) and pair.sure
    with pytest.raises(ValueError, match="a pair is missing"):
        stats.paired([1.0], [])
    assert stats.t95(1) == 12.706 and stats.t95(40) == pytest.approx(2.021, abs=1e-3) and stats.t95(1000) == pytest.approx(1.962, abs=1e-3)


def test_rankings():
    from miniray.lab import stats

    assert stats.kendall([1, 2, 3], [10, 20, 30]) == 1 and stats.kendall([1, 2, 3], [3, 2, 1]) == -1
    assert stats.kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(2 / 3) and stats.kendall([1, 1], [1, 2]) is None
    assert stats.geometric_mean([1, 4]) == pytest.approx(2)


def test_blocks_of_a_trace_are_drawn_again():
    from miniray.lab import stats

    lines = workload.generate("poisson", tasks=100, seed=1)
    assert stats.resample(lines, 0) == lines and stats.resample(lines, 1) == stats.resample(lines, 1) != stats.resample(lines, 2)
    again = stats.resample(lines, 3)
    assert len(again) == 100 and len({t["id"] for t in again}) == 100
    arrivals = [t["arrival_s"] for t in again]
    assert arrivals == sorted(arrivals) and 0.5 < arrivals[-1] / lines[-1]["arrival_s"] < 2
    with pytest.raises(ValueError, match="independent tasks with arrivals"):
        stats.resample(workload.generate("chains"), 1)


def test_halves_that_differ():
    from miniray.lab import stats

    calm = [task(str(i), i * 10, i * 10 + 5, submitted=i * 10) for i in range(40)]
    assert stats.halves(calm) == 0
    assert stats.halves([{**t, "ended": t["ended"] + (5 if i >= 20 else 0)} for i, t in enumerate(calm)]) == pytest.approx(1)
    assert stats.halves([task(str(i), 0, 10) for i in range(40)]) is None


@needs_simulator
def test_differences_are_paired_and_equal_runs_have_no_interval(tmp_path):
    from miniray.lab import compare, differences
    from miniray.lab.summary import warnings

    runs = compare("gen:poisson,tasks=200,rate=9", ["fifo", "shortest-first"], seeds=5, nodes=1, cpus=1, know="exact")
    flow = next(r for r in differences(runs) if r["metric"] == "flow_mean_s")
    assert flow["policy"] == "shortest-first" and flow["n"] == 5 and flow["mean"] < 0 and flow["half"] > 0
    assert "<iframe srcdoc=" in runs._repr_html_()
    fixed = compare("gen:graham", ["fifo", "lpt", "random"], seeds=3, know="exact")
    assert all(r["half"] is None for r in differences(fixed) if r["policy"] == "lpt")
    assert sum("no interval" in w for w in warnings(fixed)) == 2
    trace_file = tmp_path / "w.jsonl"
    workload.write(trace_file, workload.generate("poisson", tasks=60, seed=1))
    again = compare(str(trace_file), ["fifo"], seeds=3, nodes=1, cpus=1)
    assert len({r.summary["digest"] for r in again}) == 3


@needs_simulator
def test_warmup_leaves_out_the_first():
    from miniray.lab import compare

    whole, late = (compare("gen:bag,tasks=50,seed=1", ["fifo"], nodes=1, cpus=1, warmup=w)[0].summary for w in (0.0, 0.5))
    assert late["flow_mean_s"] > whole["flow_mean_s"] and late["makespan_s"] == whole["makespan_s"]


@needs_simulator
def test_an_interrupted_comparison_reports_what_it_has(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from miniray.cli.lab import lab
    from miniray.lab import compare as comparing

    real, calls = comparing.__globals__["simulate"], []

    def some(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setitem(comparing.__globals__, "simulate", some)
    out, page = tmp_path / "o.json", tmp_path / "r.html"
    result = CliRunner().invoke(lab, ["compare", "--workload", "gen:bag,tasks=9", "--policies", "fifo,lifo", "--seeds", "3", "--nodes", "1",
                                      "--json", str(out), "--html", str(page)])
    assert result.exit_code == 130 and "interrupted after 3 of 6 runs" in result.output
    assert json.loads(out.read_text())["partial"] and "interrupted after 3 of 6 runs" in page.read_text()


@needs_simulator
def test_an_interrupted_run_reports_what_has_ended(tmp_path):
    """The policy says when it is asked for the second task, and then thinks for hours: the interrupt comes between."""
    from miniray.lab import places

    policy = tmp_path / "slow.lua"
    policy.write_text("return { started = function(t) if t.seq == 2 then print('half') end if t.seq > 2 then for i = 1, 1000000 do end end end }\n")
    lines = [workload.platform(1, 1), *({"id": f"t{i}", "duration_s": 1} for i in range(100_000))]
    workload.write(tmp_path / "w.jsonl", lines)
    command = [str(places.program()), "--workload", str(tmp_path / "w.jsonl"), "--policy", str(policy), "--json", str(tmp_path / "out.json"),
               "--trace", str(tmp_path / "trace.jsonl"), "--plugins", str(places.plugins()), "--set", "sched.sched-lua.budget=100000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        said = child.stderr.readline()
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate()
    assert child.returncode == 5 and "half" in said, (said, out, errors)
    assert "interrupted at" in errors and "INTERRUPTED" in out
    summary = json.loads((tmp_path / "out.json").read_text())
    rows = trace.read_trace(tmp_path / "trace.jsonl")
    ended = [row for row in rows if row["ended"] >= 0]
    assert summary["interrupted"] is True and 0 < len(ended) < len(rows) == 100_000
    assert summary["makespan_s"] == max(row["ended"] for row in ended) / 1e9


@needs_simulator
def test_a_stream_is_the_same_run_without_its_tasks(tmp_path):
    from miniray.lab import simulate

    spec = "gen:poisson,tasks=3000,rate=30"
    whole, streamed = simulate(spec, cpus=4, seed=3), simulate(spec, cpus=4, seed=3, stream=True)
    assert streamed.summary["digest"] == whole.summary["digest"] and streamed.tasks == [] and streamed.summary["tasks"] == 3000
    workload.write(tmp_path / "w.jsonl", workload.make(spec, 3))
    assert simulate(tmp_path / "w.jsonl", cpus=4, seed=3, stream=True).summary["digest"] == whole.summary["digest"]
    command = [sys.executable, "-m", "miniray", "lab", "run", "--workload", spec, "--cpus", "4", "--seed", "3", "--stream"]
    assert f"digest {whole.summary['digest']}" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@needs_simulator
def test_a_stream_that_ends_early_says_why():
    """The program stops reading: that is no fault of who writes."""
    from miniray.lab import SimError, simulate

    late = ({"id": f"t{i}", "fn": "f", "duration_s": 1, "arrival_s": max(0, 50_000 - i)} for i in range(100_000))
    with pytest.raises(SimError, match="standard input:2: arrival_s: 49999 is before the line above it"):
        simulate(late, stream=True)
