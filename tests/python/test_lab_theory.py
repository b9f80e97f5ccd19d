"""The simulator against what is known: queueing theory, scheduling theory, textbooks, and published runs of others.

The published runs need data that registries carry.  They are skipped only where no registry answers at all
(`AwayError`); a set that is not what it was fails.
"""

from __future__ import annotations

import math
import statistics

import pytest

from miniray.lab import data, readers, simulate, workload

LIST = "return { rank = function(t) return t.seq end }\n"
LEAST_WORK_LEFT = """local free = {}
return { place = function(t)
  local w, ends = least(workers(t), function(w) return math.max(free[w] or 0, now()) + cost(t, w) end)
  free[w] = ends
  return w end }
"""
# The list scheduler of StarPU's dmdas, as far as it is not about copies: where it ends soonest by what was promised so far,
# and there by the longest way to the exit.
EARLIEST_FINISH = """local far, free, up = {}, {}, nil
local function mean(t) local W = workers(t) return sum(W, function(w) return cost(t, w) end) / #W end
function up(t)
  if not far[t] then
    local _, longest = most(t.succs, function(e) return e.task and up(e.task) end)
    far[t] = mean(t) + (longest or 0)
  end
  return far[t] end
return { rank = function(t) return -up(t) end,
  place = function(t)
    local w, ends = least(workers(t), function(w) return math.max(free[w] or 0, now()) + cost(t, w) end)
    free[w] = ends
    return w end }
"""


def policy(folder, text):
    path = folder / "policy.lua"
    path.write_text(text)
    return str(path)


AWAY: dict[str, str] = {}  # registry -> what it said; nobody is asked twice


def fetched(name, /, **options):
    registry = data.find(name).registry
    if registry not in AWAY or data.is_here(data.find(name)):
        try:
            return data.load(name, **options)
        except data.AwayError as error:
            AWAY[registry] = str(error)
    pytest.skip(f"no registry answers: {AWAY[registry]}")


# ---- queues ----


def erlang_c(servers, load):
    """The probability that an arrival waits."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1 - (load / servers) * (1 - blocked))


@pytest.mark.parametrize("servers, rate", [(1, 0.7), (4, 3.2)])
def test_waiting_is_what_erlang_says(servers, rate):
    """M/M/c: the mean over replications lies within a 99.9% interval of theory (seeds are fixed: no chance is left)."""
    means = []
    for seed in range(10):
        run = simulate(workload.generate("poisson", seed=seed, tasks=6000, rate=rate, duration=1.0), nodes=1, cpus=servers)
        waits = [(task["started"] - task["submitted"]) / 1e9 for task in run.tasks[1000:]]
        means.append(statistics.fmean(waits))
    wait = erlang_c(servers, rate) / (servers - rate)
    half = 4.781 * statistics.stdev(means) / math.sqrt(len(means))  # t of 9 degrees of freedom
    assert abs(statistics.fmean(means) - wait) < half < wait, (statistics.fmean(means), half, wait)


@pytest.mark.parametrize("seed", range(3))
def test_least_work_left_with_exact_knowledge_is_fifo(tmp_path, seed):
    lines = workload.generate("poisson", seed=seed, tasks=400, rate=3.5, duration=1.0)
    runs = [simulate(lines, p, nodes=1, cpus=4, know="exact").tasks for p in (policy(tmp_path, LEAST_WORK_LEFT), "fifo")]
    assert [[(t["started"], t["ended"]) for t in tasks] for tasks in runs][0] == [(t["started"], t["ended"]) for t in runs[1]]


# ---- textbooks ----


def jobs(*rows):
    return [workload.platform(1, 1), *({"id": f"j{i}", "fn": f"f{i}", "arrival_s": a, "duration_s": d} for i, (a, d) in enumerate(rows))]


def test_ostep_without_preemption():
    """Three jobs of 10 s at once: turnaround 20 on average.  Of 100, 10 and 10 s: 110 in order, 50 shortest first."""
    assert simulate(jobs((0, 10), (0, 10), (0, 10)), "fifo").summary["flow_mean_s"] == pytest.approx(20)
    lines = jobs((0, 100), (0, 10), (0, 10))
    assert simulate(lines, "fifo").summary["flow_mean_s"] == pytest.approx(110)
    assert simulate(lines, "shortest-first", know="exact").summary["flow_mean_s"] == pytest.approx(50)
    late = jobs((0, 100), (10, 10), (10, 10))
    assert simulate(late, "shortest-first", know="exact").summary["flow_mean_s"] == pytest.approx(310 / 3)


def test_ostep_with_preemption(tmp_path):
    """Shortest time to completion first: 50 for the late arrivals too.  Round robin of three times 5 s by slices of 1 s: response
    1 s on average (5 shortest first), turnaround 14."""
    late = jobs((0, 100), (10, 10), (10, 10))
    assert simulate(late, "srpt", know="exact").summary["flow_mean_s"] == pytest.approx(50)
    five = jobs((0, 5), (0, 5), (0, 5))
    assert statistics.fmean(t["started"] for t in simulate(five, "shortest-first", know="exact").tasks) == pytest.approx(5e9)
    turns = policy(tmp_path, "return { slice = function() return 1*s end }\n")
    run = simulate(five, turns)
    assert run.summary["flow_mean_s"] == pytest.approx(14)
    assert statistics.fmean(t["started"] for t in run.tasks) == pytest.approx(1e9)
    assert run.summary["stops"] >= 12


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_longest_first_is_tight_on_its_family(m):
    """2m-1, 2m-1, ..., m+1, m+1, m, m, m: longest first takes 4m - 1, the best schedule 3m."""
    times = [t for t in range(2 * m - 1, m, -1) for _ in (0, 1)] + [m] * 3
    lines = [workload.platform(1, m), *({"id": f"j{i}", "fn": f"f{i}", "duration_s": t} for i, t in enumerate(times))]
    bounds = (run := simulate(lines, "lpt", know="exact")).summary["bounds"]
    assert run.summary["makespan_s"] == 4 * m - 1
    assert bounds["upper_rule"] == "longest first"
    assert bounds["upper_ratio"] == pytest.approx((4 * m - 1) / (3 * m))
    assert bounds["area_s"] == pytest.approx(3 * m, abs=1e-6)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_list_scheduling_is_tight_on_its_family(tmp_path, m):
    """m (m - 1) jobs of 1 and then one of m: 2m - 1 against m, the ratio 2 - 1/m."""
    lines = [workload.platform(1, m), *({"id": f"j{i}", "duration_s": 1 if i < m * (m - 1) else m} for i in range(m * (m - 1) + 1))]
    run = simulate(lines, policy(tmp_path, LIST))
    assert run.summary["makespan_s"] == 2 * m - 1 == pytest.approx(run.summary["bounds"]["upper_s"], abs=1e-6)
    assert run.summary["bounds"]["upper_ratio"] == pytest.approx(2 - 1 / m)
    assert run.summary["bounds"]["upper_rule"] == "list"


def test_an_upper_bound_is_promised_only_where_its_premises_held(tmp_path):
    def why(*changes, nodes=1, machines={}, **how):
        lines = workload.generate("graham")
        lines[0] = workload.platform(nodes, 3)
        lines[0]["platform"].update(machines)
        for line, change in changes:
            lines[line].update(change)
        return simulate(lines, **how).summary["bounds"].get("no_upper_bound")
    assert why() is None
    assert why((3, {"arrival_s": 1})) == "the tasks arrive at different times"
    assert why((3, {"cpus": 2})) == "some task needs something else than one CPU"
    assert why((3, {"max_running": 1})) == "some task may not run anywhere, or not beside its like"
    assert why((4, {"outputs": 10**6}), *((k, {"inputs": ["T4"]}) for k in (5, 6, 7, 8)), nodes=2) == "there were copies"
    assert why(settings={"sim.dispatch_us": 5}) == "dispatching takes time"
    assert why(policy=policy(tmp_path, "return { slice = function() return 1*s end }\n")) == "there were stops"
    assert why(policy=policy(tmp_path, "return { place = function(t) return workers(t)[1] end }\n")) == "the policy held tasks back"
    assert why((3, {"waits": [{"after_s": 1, "for": ["T1"]}]})) == "some task does more than run"
    assert why(machines={"nodes": [{"cpus": 2}, {"cpus": 1, "speed": 2}]}) == "the nodes are unlike"
    assert why(machines={"nodes": [{"cpus": 2.5}]}) == "a node has a part of a CPU"
    full = {"nodes": [{"cpus": 3, "store": 1000}]}
    assert why((3, {"outputs": 900}), (4, {"outputs": 900}), (6, {"inputs": ["T3", "T4"]}), machines=full) == "there were spills"
    assert why((3, {"limit_s": 1})) == "some attempt failed"
    assert why(machines={"worker_mtbf_s": 3}) == "workers died"
    assert why(machines={"failures": [{"node": "node0", "at_s": 1, "back_s": 2}]}) == "nodes died"


def test_cpop_of_the_heft_example_takes_86(tmp_path):
    from pathlib import Path

    heft = str(Path(__file__).resolve().parent.parent / "sim" / "heft.jsonl")
    assert simulate(heft, "heft", know="exact", settings={"sched.sched-lua.cpop": "true"}).summary["makespan_s"] == 86


# ---- the bound for unlike nodes ----


@pytest.mark.parametrize("seed", range(6))
def test_prices_find_the_linear_program(seed):
    """The bound for unlike nodes against a solver: never above it, and within 0.1%."""
    optimize = pytest.importorskip("scipy.optimize")
    import random

    rng = random.Random(seed)
    classes = rng.randint(2, 5)
    cpus = [rng.randint(1, 6) for _ in range(classes)]
    kinds = [[rng.uniform(1, 50) for _ in range(classes)] for _ in range(rng.randint(1, 8))]
    counts = [rng.randint(5, 40) for _ in kinds]
    lines = [{"platform": {"nodes": [{"name": f"n{c}", "class": f"c{c}", "cpus": cpus[c]} for c in range(classes)]}}]
    for k, times in enumerate(kinds):
        lines += [{"id": f"t{k}_{i}", "fn": f"k{k}", "duration_s": {f"c{c}": times[c] for c in range(classes)}} for i in range(counts[k])]
    bound = simulate(lines).summary["bounds"]["classes_s"]
    n = len(kinds) * classes
    best = optimize.linprog(
        [0] * n + [1],
        A_ub=[[times[c] if d == c else 0 for times in kinds for d in range(classes)] + [-cpus[c]] for c in range(classes)], b_ub=[0] * classes,
        A_eq=[[1 if k == j else 0 for j in range(len(kinds)) for _ in range(classes)] + [0] for k in range(len(kinds))], b_eq=counts).fun
    assert 0.999 * best <= bound <= best * (1 + 1e-9)


# ---- published runs ----


def test_batch_scheduling_of_800_jobs():
    """32 processors: waits of strict order and of EASY backfilling as they were computed before, and EASY's makespan (from time
    0) and longest wait as Batsim's."""
    lines = fetched("evalys-jobs")
    fcfs, easy, first_fit = (simulate(lines, p, know="stated").summary for p in ("fcfs", "easy", "fifo"))
    assert round(fcfs["wait_mean_s"], 3) == 13.947 and round(fcfs["wait_max_s"], 1) == 305.7
    assert round(easy["wait_mean_s"], 3) == 10.442 and round(easy["wait_max_s"], 3) == 393.187
    begin = min(line["arrival_s"] for line in lines[1:])
    assert round(easy["makespan_s"] + begin, 3) == 12047.148
    assert round(first_fit["wait_mean_s"], 3) == 13.087 and round(first_fit["wait_max_s"], 1) == 7369.5  # it starves the wide


def test_batch_jobs_in_standard_workload_format():
    lines = fetched("evalys-easy")
    assert len(lines) == 801
    assert simulate(lines, "easy", know="stated").summary["failed"] == 0


@pytest.mark.parametrize("tiles, dmdas, floor", [(10, 298.5, 183), (20, 1443.1, 1229), (30, 4357.0, 4054), (40, 9900.8, 9497)])
def test_tiled_cholesky_beside_the_published_scheduler(tmp_path, tiles, dmdas, floor):
    """Kernels measured on 9 CPUs and 3 GPUs; StarPU's published simulated makespans, in ms, include copies, ours do not: so
    ours end between the bound and the published ones, and at most 7% before."""
    lines = fetched("mirage", tiles=tiles)
    run = simulate(lines, policy(tmp_path, EARLIEST_FINISH), know="exact")
    assert run.summary["bounds"]["classes_s"] * 1000 == pytest.approx(floor, abs=0.5)
    assert 0.93 * dmdas < run.summary["makespan_s"] * 1000 < dmdas


def test_job_shops_with_known_optima():
    """No schedule of 43 instances ends before what is proven of them, and ft06 comes within a fifth of its optimum of 55."""
    path = fetched("jobshop", name="ft06") and data.paths(data.find("jobshop"))[0]
    known = readers.jobshop_instances(path)
    for name in [n for n in known if n.startswith(("ft", "la"))]:
        run = simulate(readers.jobshop(path, name=name))
        assert run.summary["makespan_s"] >= known[name]["metadata"]["lower_bound"] >= run.summary["bounds"]["area_s"] - 1e-6
        if name == "ft06":
            assert run.summary["makespan_s"] <= 66


@pytest.mark.filterwarnings("ignore:.*parents are named but not in the file")
def test_jobs_of_a_cluster_trace():
    lines = fetched("alibaba-hour", jobs=500, nodes=4)
    run = simulate(lines, "fifo", check=False)
    assert run.summary["failed"] == 0 and len(run.tasks) == len(lines) - 1
    parents = {line["id"]: line.get("deps", []) for line in lines[1:]}
    ended = {task["task"]: task["ended"] for task in run.tasks}
    assert sum(map(len, parents.values())) > 100
    assert all(task["started"] >= ended[parent] for task in run.tasks for parent in parents[task["task"]])


# ---- what decisions, deaths and machines cost ----


def test_clever_policies_are_not_free(tmp_path):
    """Decisions are made one after the other: 200 tasks of 1 ms on 4 CPUs, each decision thousands of instructions."""
    slow = policy(tmp_path, "return { rank = function(t) local x = 0; for i = 1, 5000 do x = x + i end; return t.seq end }\n")
    lines = [workload.platform(1, 4), *({"id": f"t{i}", "fn": "f", "duration_s": 0.001} for i in range(200))]
    free, paid = (simulate(lines, slow, settings={"sim.decision_ns": ns}) for ns in (0, 10_000))
    assert free.summary["makespan_s"] == pytest.approx(0.05)
    assert free.summary["policy_work"] == paid.summary["policy_work"] > 200 * 10_000
    assert paid.summary["decided_s"] == pytest.approx(paid.summary["policy_work"] * 1e-8)
    assert paid.summary["decided_s"] < paid.summary["makespan_s"] <= paid.summary["decided_s"] + 0.05
    assert free.summary["digest"] != paid.summary["digest"]
    assert simulate(lines, "fifo", settings={"sim.decision_ns": 10_000}).summary["decided_s"] == 0


def test_a_platform_file_replaces_the_machines(tmp_path):
    import json
    import subprocess

    from miniray.lab import SimError, places

    machines = tmp_path / "machines.json"
    machines.write_text(json.dumps({"nodes": [{"count": 2, "cpus": 1, "class": "fast"}], "workers": "fixed"}))
    lines = [{"platform": {"nodes": [{"class": "slow"}, {"class": "fast"}]}},
             *({"id": f"t{i}", "duration_s": {"slow": 10, "fast": 1}} for i in range(4))]
    assert simulate(lines, platform=str(machines)).summary["makespan_s"] == 2
    machines.write_text(json.dumps({"platform": {"nodes": [{"class": "odd"}]}}))
    with pytest.raises(SimError, match=r"machines\.json:1:14: class: the workload says nothing about nodes of class \"odd\""):
        simulate(lines, platform=str(machines))
    machines.write_text('{"nodes": [}')
    with pytest.raises(SimError, match=r"machines\.json:1:12: this is not JSON"):
        simulate(lines, platform=str(machines))
    missing = subprocess.run([places.program(), "--workload", "w", "--platform", "nowhere"], capture_output=True, text=True)
    assert missing.returncode == 2


@pytest.mark.parametrize("seed, links", [(0, "serial"), (1, "ports"), (2, "parallel")])
def test_full_stores_and_dying_workers_lose_nothing(seed, links):
    """Every invariant of control is recounted at every instant."""
    spilled = died = 0
    for kind, options in (("randomdag", {}), ("mapreduce", {"shuffle": 3_000_000}), ("chains", {"bytes": 5_000_000})):
        lines = [{"platform": {"nodes": [{"count": 3, "cpus": 2, "store": 12_000_000}], "disk": 5e7, "worker_mtbf_s": 2, "links": links}},
                 *workload.generate(kind, seed=seed, **options)]
        for name in ("fifo", "locality", "stealing"):
            run = simulate(lines, name, check=True, seed=seed, reveal="unfold" if seed else "whole").summary
            assert run["failed"] == 0 and not run["degraded"]
            spilled, died = spilled + run["spills"], died + run["deaths"]
    assert spilled > 100 and died > 5
