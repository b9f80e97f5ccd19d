"""Workloads whose tasks do more than run: submit others, wait, give results early, fail, call actors; and the main program."""

from __future__ import annotations

import random

import pytest

from miniray.lab import simulate
from miniray.lab.run_sim import SimError


def run(lines, *, cpus=2, platform=None, **options):
    head = {"platform": platform or {"nodes": [{"name": "a", "cpus": cpus}]}}
    done = simulate([head, *lines], check=True, **options)
    return done, {t["task"]: (t["started"] / 1e9, t["ended"] / 1e9) for t in done.tasks}


def task(name, duration=1.0, **fields):
    return {"id": name, "duration_s": duration, **fields}


@pytest.mark.parametrize("reveal", ["whole", "unfold"])
def test_a_task_that_waits_lends_its_cpu_to_those_it_submits(reveal):
    _, at = run([task("p", 3, waits=[{"after_s": 2, "for": ["c"]}]), task("c", 4, parent="p", after_s=1)], cpus=1, reveal=reveal)
    assert at == {"p": (0, 7), "c": (2, 6)}


def test_a_wait_needs_as_many_as_it_says_and_its_own_time_stands_still():
    lines = [task("p", 3, waits=[{"after_s": 1, "for": ["a", "b"], "need": 1}, {"after_s": 2, "for": ["a", "b"]}]),
             task("a", 2, parent="p", after_s=0), task("b", 5, parent="p", after_s=0)]
    done, at = run(lines, cpus=3)
    assert at["p"] == (0, 6)  # 0-1, 2-3, 5-6
    assert next(t for t in done.tasks if t["task"] == "p")["stretches"] == [[0, 10**9, 0], [2 * 10**9, 3 * 10**9, 0], [5 * 10**9, 6 * 10**9, 0]]


def test_the_main_program_submits_after_what_it_waited_for():
    lines = [task("a", 5, parent="main", after_s=1), task("b", 1, parent="main", after_s=3),
             {"id": "main", "driver": True, "duration_s": 4, "waits": [{"after_s": 2, "for": ["a"]}]}]
    done, at = run(lines)
    assert at == {"a": (1, 6), "b": (7, 8)} and done.summary["tasks"] == 2


def test_calls_of_an_actor_have_their_turn_and_need_no_seat():
    lines = [task("A", 1, actor={"concurrency": 1}), *(task(f"k{i}", 2, on="A") for i in range(3)), task("t", 7)]
    _, at = run(lines, cpus=1)
    assert at == {"A": (0, 1), "k0": (1, 3), "k1": (3, 5), "k2": (5, 7), "t": (1, 8)}


def test_calls_of_threads_and_groups_run_side_by_side():
    lines = [task("A", 1, actor={"concurrency": 2, "groups": [1]}), *(task(f"k{i}", 2, on="A") for i in range(3)),
             *(task(f"g{i}", 2, on="A", group=1) for i in range(2))]
    _, at = run(lines)
    assert [at[k][0] for k in ("k0", "k1", "k2", "g0", "g1")] == [1, 1, 3, 1, 3]
    lines[0]["actor"] = {"loop": True, "concurrency": 1000}
    lines[1:] = lines[1:4]
    assert {at[0] for name, at in run(lines)[1].items() if name != "A"} == {1}


def test_what_an_actor_keeps_is_free_when_nobody_can_call_it_any_more():
    lines = [task("A", 1, actor={"keeps": {"CPU": 1}}), task("k", 2, on="A"), task("t", 1, arrival_s=1)]
    assert run(lines, cpus=1)[1]["t"] == (3, 4)
    lines[0]["actor"]["stays"] = True
    with pytest.raises(SimError, match='the run can not go on.*"t"'):
        run(lines, cpus=1)


def test_results_of_a_stream_are_there_while_it_runs():
    lines = [task("g", 4, outputs=[{"file": "end", "bytes": 1}, {"file": "one", "bytes": 10, "after_s": 1}, {"file": "two", "bytes": 10, "after_s": 3}]),
             task("r1", 1, inputs=["one"]), task("r2", 1, inputs=["two"]), task("r3", 1, inputs=["end"])]
    _, at = run(lines)
    assert at == {"g": (0, 4), "r1": (1, 2), "r2": (3, 4), "r3": (4, 5)}


def test_attempts_that_fail_are_tried_again():
    _, at = run([task("a", 1, fails_s=[2, 3]), task("b", 1, deps=["a"])], cpus=1)
    assert at == {"a": (5, 6), "b": (6, 7)}
    done, _ = run([task("a", 1, fails_s=[2, 3], max_retries=1)], cpus=1)
    assert done.summary["failed"] == 1 and done.tasks[0]["ended"] == 5 * 10**9


def test_a_task_submits_once_though_it_is_tried_again():
    _, at = run([task("p", 3, fails_s=[2]), task("c", 1, parent="p", after_s=1)])
    assert at == {"p": (2, 5), "c": (1, 2)}


def test_what_nobody_comes_to_submit_is_cancelled():
    done, _ = run([task("p", 3, fails_s=[1], max_retries=0), task("c", 1, parent="p", after_s=2), task("d", 1, parent="c", after_s=0)])
    assert [t["outcome"] for t in done.tasks] == ["MR_E_TASK", "MR_E_CANCELLED", "MR_E_CANCELLED"] or done.summary["failed"] == 3


def test_what_reads_from_what_nobody_submits_is_cancelled():
    lines = [task("p", 3, fails_s=[1], max_retries=0), task("c", 1, parent="p", after_s=2), task("A", 1, actor={}, parent="p", after_s=2),
             task("r", 1, inputs=["c"]), task("k", 1, on="A", arrival_s=5), task("late", 1, inputs=["c"], arrival_s=9)]
    for reveal in ("whole", "unfold"):
        done, _ = run(lines, reveal=reveal)
        assert done.summary["failed"] == 6 and all(t["started"] < 0 for t in done.tasks[1:])


def test_an_actor_whose_node_dies_is_made_again_elsewhere():
    nodes = {"nodes": [{"name": "a", "cpus": 1}, {"name": "b", "cpus": 1}], "failures": [{"node": "a", "at_s": 2}]}
    lines = [task("A", 1, actor={}, max_retries=1), task("k", 2, on="A", max_retries=1)]
    done, at = run(lines, platform=nodes)
    assert at["k"][1] == 5 and done.summary["failed"] == 0  # made at 0-1, lost at 2, made again 2-3, called 3-5
    for line in lines:
        del line["max_retries"]
    done, _ = run(lines, platform=nodes)
    assert [t["outcome"] for t in done.tasks if t["task"] == "k"] != ["ok"]


def test_speed_scales_what_happens_on_the_way():
    lines = [task("p", 4, waits=[{"after_s": 2, "for": ["c"]}]), task("c", 2, parent="p", after_s=1)]
    _, at = run(lines, platform={"nodes": [{"cpus": 2, "speed": 2}]})
    assert at == {"p": (0, 2.5), "c": (0.5, 1.5)}


@pytest.mark.parametrize("line, said", [
    (task("b", on="a"), '"a" is no actor that was made above'),
    (task("b", parent="nobody"), 'parent: there is no task "nobody"'),
    (task("b", waits=[{"after_s": 1, "for": ["nobody"]}]), 'waits: "nobody" is neither a task nor a file'),
    (task("b", waits=[{"after_s": 1, "for": ["a"], "need": 2}]), "2 are needed of 1"),
    (task("b", waits=[{"after_s": 1}]), "a wait is"),
    (task("b", waits=7), "expected a list"),
    (task("b", fails_s=1), "expected a list of seconds"),
    (task("b", actor={"concurency": 1}), "concurency"),
    (task("b", actor={}, outputs=10), "the result of this task is the actor"),
    (task("b", actor={}, on="a"), "a call makes no actor"),
    (task("b", deps=["main"]), 'there is no task "main"'),
])
def test_what_makes_no_sense_is_refused_with_its_line(line, said):
    with pytest.raises(SimError) as error:
        run([task("a"), line, {"id": "main", "driver": True, "duration_s": 1}])
    assert said in str(error.value) and "workload:3" in str(error.value)


def test_the_driver_comes_last_and_once():
    for after in (task("b"), {"id": "more", "driver": True, "duration_s": 1}):
        with pytest.raises(SimError, match="stands behind the driver"):
            run([task("a"), {"id": "main", "driver": True, "duration_s": 1}, after])


def test_a_stream_has_no_programs():
    for line in (task("b", parent="a"), task("b", actor={}), task("b", fails_s=[1]), {"id": "m", "driver": True, "duration_s": 1},
                 task("b", outputs=[{"file": "f", "bytes": 1, "after_s": 1}])):
        with pytest.raises(SimError, match="stream"):
            simulate([{"platform": {"nodes": [{"cpus": 1}]}}, task("a"), line], stream=True)


def random_program(seed):
    """Tasks that submit tasks that submit tasks, with waits, actors, results on the way and losses; some nodes may die."""
    rng = random.Random(seed)
    mortal = seed % 3 == 0
    nodes = [{"name": f"n{i}", "cpus": rng.randint(1, 3), "memory": 1000, **({"mtbf_s": 40} if mortal and i else {})} for i in range(rng.randint(1, 3))]
    lines, actors, parents, files = [], [], [], []
    for i in range(rng.randint(5, 40)):
        line = task(f"t{i}", round(rng.uniform(0.1, 3), 3), max_retries=9)
        by = rng.random()
        if by < 0.5 and parents:
            line.update(parent=rng.choice(parents), after_s=round(rng.uniform(0, 2), 3))
        elif by < 0.7:
            line.update(parent="main", after_s=round(rng.uniform(0, 5), 3))
        else:
            line["arrival_s"] = round(rng.uniform(0, 5), 3)
        if actors and rng.random() < 0.3:
            line["on"] = rng.choice(actors)
        elif rng.random() < 0.15:
            line["actor"] = {"concurrency": rng.randint(1, 3), "keeps": {"memory": 1}}
            actors.append(line["id"])
        if "actor" not in line:
            line["outputs"] = [{"file": f"f{i}", "bytes": rng.randint(0, 10**6)}]
            files.append(f"f{i}")
            if rng.random() < 0.3:
                line["outputs"].append({"file": f"e{i}", "bytes": 10, "after_s": round(rng.uniform(0, 3), 3)})
                files.append(f"e{i}")
            if rng.random() < 0.2:
                line["fails_s"] = [round(rng.uniform(0, 2), 3)]
        if files and rng.random() < 0.3 and "parent" not in line:
            line["inputs"] = [f for f in rng.sample(files, min(len(files), 2)) if not f.endswith(str(i))]
        lines.append(line)
        parents.append(line["id"])
    children = {}
    for line in lines:
        children.setdefault(line.get("parent"), []).append(line)
    for line in lines:
        mine = [f"f{c['id'][1:]}" for c in children.get(line["id"], ()) if "outputs" in c and "on" not in c]
        if mine and rng.random() < 0.7 and "on" not in line and "actor" not in line:
            line["waits"] = [{"after_s": round(rng.uniform(0, 3), 3), "for": mine, "need": rng.randint(1, len(mine))}]
    early = [f"f{line['id'][1:]}" for line in lines if "outputs" in line and "on" not in line and "arrival_s" in line and "inputs" not in line]
    main = {"id": "main", "driver": True, "duration_s": 6, "waits": [{"after_s": 2, "for": rng.sample(early, min(3, len(early)))}] if early else []}
    return [{"platform": {"nodes": nodes, "node_repair_s": 2, "bandwidth": 1e7, "spawn_s": rng.choice([0, 0.05])}}, *lines, main]


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_run_to_their_end_the_same_way_twice(seed):
    lines = random_program(seed)
    policy = ("fifo", "lpt", "rr")[seed % 3]
    reveal = ("whole", "unfold")[seed % 2]
    first = simulate(lines, policy, reveal=reveal, check=True, seed=seed)
    assert not first.summary["degraded"] and len(first.tasks) == sum("id" in line for line in lines) - 1
    assert simulate(lines, policy, reveal=reveal, check=True, seed=seed).summary["digest"] == first.summary["digest"]
