"""Where tasks may run: placement groups, labels, limits of functions and users; what a task has been given."""

from __future__ import annotations

import os
import time

import pytest

import miniray
from miniray import exceptions
from miniray.cluster_utils import Cluster
from miniray.util.placement_group import (PlacementGroup, get_current_placement_group, get_placement_group, placement_group,
                                          placement_group_table, remove_placement_group)
from miniray.util.scheduling_strategies import (DoesNotExist, Exists, In, NodeLabelSchedulingStrategy, NotIn,
                                                PlacementGroupSchedulingStrategy)


def inside(group, index=-1, capture=None):
    return PlacementGroupSchedulingStrategy(group, index, capture)


@miniray.remote
def where(*_):
    return str([n["NodeID"] for n in miniray.nodes()].index(miniray.get_runtime_context().get_node_id()))


@miniray.remote
def current():
    return get_current_placement_group()


@miniray.remote
def until(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return os.getpid()


@miniray.remote
class Holder:
    def pid(self):
        return os.getpid()

    def group(self):
        return get_current_placement_group()

    def child_group(self):
        return miniray.get(current.remote())

    def make(self, lifetime):
        self.made = placement_group([{"CPU": 1}], lifetime=lifetime)
        return self.made


@pytest.fixture
def three():
    """Three nodes of two CPUs, with labels."""
    miniray.init(nodes=[{"num_cpus": 2}, {"num_cpus": 2, "labels": {"zone": "a", "ssd": "yes"}},
                        {"num_cpus": 2, "labels": {"zone": "b"}}])
    yield miniray
    miniray.shutdown()


# ---- groups ------------------------------------------------------------------------------------------------------


def test_ready_wait_and_table(ray):
    group = placement_group([{"CPU": 1}], strategy="PACK", name="mine")
    assert isinstance(group, PlacementGroup) and group.bundle_specs == [{"CPU": 1.0}] and group.bundle_count == 1
    assert ray.get(group.ready(), timeout=30) == group
    assert group.wait(30) and ray.wait([group.ready()], timeout=30)[0]
    row = placement_group_table(group)
    assert row["state"] == "CREATED" and row["strategy"] == "PACK" and row["name"] == "mine"
    assert row["bundles"] == {0: {"CPU": 1.0}} and row["bundles_to_node_id"] == {0: miniray.nodes()[0]["NodeID"]}
    assert placement_group_table()[group.id.hex()] == row
    assert ray.available_resources()["CPU"] == 1.0 and ray.cluster_resources()["CPU"] == 2.0
    found = get_placement_group("mine")
    assert found == group and hash(found) == hash(group) and found.bundle_specs == group.bundle_specs
    remove_placement_group(group)
    assert placement_group_table(group)["state"] == "REMOVED" and placement_group_table(group)["bundles"] == row["bundles"]
    assert ray.available_resources()["CPU"] == 2.0
    with pytest.raises(ValueError, match="Failed to look up placement group with name: mine"):
        get_placement_group("mine")
    assert not group.wait(30)
    with pytest.raises(exceptions.TaskPlacementGroupRemoved):
        group.ready()


def test_a_group_waits_for_room_as_a_whole(ray, tmp_path):
    held = until.remote(str(tmp_path / "go"))
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    inner = where.options(scheduling_strategy=inside(group, 1)).remote()
    assert not group.wait(0.2) and ray.available_resources()["CPU"] == 1.0
    assert placement_group_table(group)["state"] == "PENDING" and ray.wait([inner], timeout=0)[0] == []
    (tmp_path / "go").touch()
    assert ray.get(held) and ray.get(inner, timeout=30) == "0" and group.wait(30)
    outside = where.remote()
    assert ray.wait([outside], timeout=0.2)[0] == []
    remove_placement_group(group)
    assert ray.get(outside, timeout=30) == "0"


def test_strategies_over_nodes(three):
    def nodes_of(group):
        assert group.wait(30)
        numbers = [n["NodeID"] for n in miniray.nodes()]
        return [str(numbers.index(node)) for node in placement_group_table(group)["bundles_to_node_id"].values()]

    group = placement_group([{"CPU": 1}] * 3, strategy="STRICT_SPREAD")
    assert sorted(nodes_of(group)) == ["0", "1", "2"]
    tasks = [where.options(scheduling_strategy=inside(group, i)).remote() for i in range(3)]
    assert three.get(tasks) == nodes_of(group)
    remove_placement_group(group)
    assert len(set(nodes_of(placement_group([{"CPU": 1}] * 2, strategy="STRICT_PACK")))) == 1
    assert len(set(nodes_of(placement_group([{"CPU": 1}] * 2, strategy="SPREAD")))) == 2
    assert len(set(nodes_of(placement_group([{"CPU": 1}] * 2)))) <= 2
    for strategy, count in (("STRICT_PACK", 3), ("STRICT_SPREAD", 4), ("PACK", 7)):
        with pytest.raises(exceptions.TaskUnschedulableError, match=strategy):
            placement_group([{"CPU": 1}] * count, strategy=strategy)


def test_actors_in_groups_and_removal(ray):
    group = placement_group([{"CPU": 2}])
    holder = Holder.options(num_cpus=1, max_restarts=-1, scheduling_strategy=inside(group)).remote()
    assert ray.get(holder.group.remote(), timeout=30) == group
    running, queued = (until.options(scheduling_strategy=inside(group), max_retries=5).remote("/nowhere") for _ in range(2))
    assert ray.wait([running], timeout=0.1)[0] == []
    remove_placement_group(group)
    for ref in (running, queued):
        with pytest.raises(exceptions.TaskPlacementGroupRemoved, match="until"):
            ray.get(ref, timeout=30)
    with pytest.raises(exceptions.ActorPlacementGroupRemoved, match="placement group was removed") as info:
        ray.get(holder.pid.remote(), timeout=30)
    assert isinstance(info.value, exceptions.ActorDiedError) and info.value.actor_id
    with pytest.raises(exceptions.TaskPlacementGroupRemoved):
        where.options(scheduling_strategy=inside(group)).remote()


def test_children_are_captured_only_if_asked(ray):
    group = placement_group([{"CPU": 1}])

    @ray.remote
    def parent(strategies):
        made = [current.remote()] + [current.options(scheduling_strategy=s).remote() for s in strategies]
        return [get_current_placement_group()] + ray.get(made)

    out = [None, "DEFAULT", inside(None)]
    assert ray.get(parent.options(scheduling_strategy=inside(group)).remote([]), timeout=30) == [group, None]
    got = ray.get(parent.options(scheduling_strategy=inside(group, capture=True)).remote(out[1:]), timeout=30)
    assert got == [group, group, None, None]
    holder = Holder.options(num_cpus=0, scheduling_strategy=inside(group, 0, True)).remote()
    assert ray.get(holder.child_group.remote(), timeout=30) == group
    assert get_current_placement_group() is None

    @ray.remote
    def told():
        context = ray.get_runtime_context()
        return context.get_placement_group_id(), context.should_capture_child_tasks_in_placement_group

    assert ray.get(told.remote()) == (None, False)
    for capture in (True, False):
        assert ray.get(told.options(scheduling_strategy=inside(group, 0, capture)).remote()) == (group.id.hex(), capture)


def test_a_blocked_task_lends_inside_its_bundle(ray):
    group = placement_group([{"CPU": 1}])

    @ray.remote
    def deep(n):
        return 0 if n == 0 else 1 + ray.get(deep.remote(n - 1))

    assert ray.get(deep.options(scheduling_strategy=inside(group, 0, True)).remote(4), timeout=60) == 4
    assert ray.available_resources()["CPU"] == 1.0


def test_a_task_makes_a_group_and_runs_in_it():
    with miniray.init(num_cpus=1):
        @miniray.remote
        def outer():
            group = placement_group([{"CPU": 1}])
            miniray.get(group.ready())
            seen = miniray.get(current.options(scheduling_strategy=inside(group)).remote())
            remove_placement_group(group)
            return seen == group

        assert miniray.get(outer.remote(), timeout=30)


def test_gpus_of_bundles():
    with miniray.init(num_cpus=4, num_gpus=4):
        group = placement_group([{"GPU": 2, "CPU": 1}, {"GPU": 1}])

        @miniray.remote
        def gpus():
            return miniray.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

        def ask(index, amount):
            return gpus.options(num_cpus=0, num_gpus=amount, scheduling_strategy=inside(group, index)).remote()

        two, one = miniray.get([ask(0, 2), ask(1, 1)], timeout=30)
        outside = miniray.get(gpus.options(num_gpus=1).remote(), timeout=30)
        assert sorted(two[0] + one[0] + outside[0]) == [0, 1, 2, 3]
        half = miniray.get([ask(1, 0.5), ask(1, 0.5)], timeout=30)
        assert half[0] == half[1] == one


def test_a_lost_bundle_is_placed_again(tmp_path):
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        group = placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
        assert group.wait(30)
        lost = list(placement_group_table(group)["bundles_to_node_id"].values()).index(node.node_id)
        task = until.options(scheduling_strategy=inside(group, lost), max_retries=2).remote(str(tmp_path / "go"))
        assert miniray.wait([task], timeout=0.1)[0] == []
        cluster.remove_node(node)
        assert placement_group_table(group)["state"] == "RESCHEDULING"
        third = cluster.add_node(num_cpus=1)
        (tmp_path / "go").touch()
        assert miniray.get(task, timeout=30)
        assert placement_group_table(group)["bundles_to_node_id"][lost] == third.node_id
    finally:
        miniray.shutdown()
        cluster.shutdown()


def test_a_group_ends_with_the_actor_that_made_it(ray):
    for lifetime, state in ((None, "REMOVED"), ("detached", "CREATED")):
        holder = Holder.remote()
        group = ray.get(holder.make.remote(lifetime))
        assert group.wait(30)
        ray.kill(holder)
        assert placement_group_table(group)["state"] == state


def test_old_spelling_of_the_options(ray):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert ray.get(current.options(placement_group=group, placement_group_bundle_index=1).remote(), timeout=30) == group
    with pytest.raises(ValueError, match="should be specified via the scheduling_strategy"):
        current.options(placement_group=group, scheduling_strategy=inside(group)).remote()
    with pytest.raises(ValueError, match="bundle index must be -1"):
        current.options(placement_group_bundle_index=1).remote()


@pytest.mark.parametrize("bundles, extra, match", [
    ([], {}, "non-empty list"), ({}, {}, "must be a list"), ([{}], {}, "0 values"), ([{"CPU": 0}], {}, "0 values"),
    ([{"CPU": "x"}], {}, "resource dictionaries"), ([{"CPU": -1}], {}, "negative"), ([{"CPU": 0.00001}], {}, "precision"),
    ([{"CPU": 1}], {"strategy": "TIGHT"}, "Invalid placement group strategy"), ([{"CPU": 1}], {"lifetime": "long"}, "lifetime"),
    ([{"CPU": 1}], {"bundle_label_selector": [{}, {"a": "b"}]}, "must match"),
])
def test_bad_groups(ray, bundles, extra, match):
    with pytest.raises(ValueError, match=match):
        placement_group(bundles, **extra)


def test_bad_places_in_a_group(ray):
    group = placement_group([{"CPU": 1}], name="mine")
    with pytest.raises(ValueError, match="already taken"):
        placement_group([{"CPU": 1}], name="mine")
    for index in (1, -2):
        with pytest.raises(ValueError, match="placement group bundle index"):
            inside(group, index)
    with pytest.raises(ValueError, match="cannot fit into any bundles for the placement group"):
        where.options(num_cpus=2, scheduling_strategy=inside(group)).remote()
    with pytest.raises(ValueError, match="cannot fit into any bundles"):
        Holder.options(num_gpus=1, scheduling_strategy=inside(group)).remote()
    with pytest.raises(TypeError, match="placement_group is what"):
        inside("mine")
    assert PlacementGroup.empty().is_empty and miniray.get(PlacementGroup.empty().ready()).is_empty


# ---- labels ------------------------------------------------------------------------------------------------------


def test_labels_of_nodes(three):
    assert [n["Labels"] for n in miniray.nodes()] == [{}, {"zone": "a", "ssd": "yes"}, {"zone": "b"}]
    for strategy, node in ((NodeLabelSchedulingStrategy({"zone": In("b", "c")}), "2"),
                           (NodeLabelSchedulingStrategy({"zone": NotIn("a", "b")}), "0"),
                           (NodeLabelSchedulingStrategy({"ssd": Exists()}), "1"),
                           (NodeLabelSchedulingStrategy({"zone": Exists(), "ssd": DoesNotExist()}), "2"),
                           (NodeLabelSchedulingStrategy({"zone": Exists()}, soft={"zone": In("b")}), "2"),
                           (NodeLabelSchedulingStrategy(None, soft={"zone": In("x")}), "0")):
        assert miniray.get(where.options(scheduling_strategy=strategy).remote()) == node
    for options, node in (({"label_selector": {"zone": "b"}}, "2"), ({"label_selector": {"zone": "!in(a,b)"}}, "0"),
                          ({"label_selector": {"zone": "in(a,b)", "ssd": "!yes"}}, "2"), ({"requires": {"ssd"}}, "1")):
        assert miniray.get(where.options(**options).remote()) == node
    with pytest.raises(exceptions.TaskUnschedulableError, match="node with zone in nowhere"):
        where.options(label_selector={"zone": "nowhere"}).remote()


def test_labels_of_the_only_node():
    with miniray.init(num_cpus=1, labels={"zone": "a b", "tier": "x=y"}):
        assert miniray.nodes()[0]["Labels"] == {"zone": "a b", "tier": "x=y"}
        assert miniray.get(where.options(label_selector={"zone": "a b"}).remote()) == "0"
        with pytest.raises(exceptions.TaskUnschedulableError):
            where.options(requires={"ssd"}).remote()
    for labels, match in (({"a,b": "c"}, "none of"), ({"a": ""}, "31 bytes"), ({"a": "x" * 32}, "31 bytes"), ({"a=b": "c"}, "none of")):
        with pytest.raises(ValueError, match=match):
            miniray.init(labels=labels)


@pytest.mark.parametrize("make, match", [
    (lambda: NodeLabelSchedulingStrategy({}), "cannot both be empty"), (lambda: NodeLabelSchedulingStrategy({"a": "b"}), "operator"),
    (lambda: In(), "non-empty tuple"), (lambda: NotIn(3), "must be str"), (lambda: NodeLabelSchedulingStrategy(["a"]), "must be a map"),
    (lambda: where.options(label_selector={"a": "in("}), "label_selector"),
])
def test_bad_labels(make, match):
    with pytest.raises(ValueError, match=match):
        make()


# ---- limits ------------------------------------------------------------------------------------------------------


@miniray.remote
def count_inside(folder):
    mine = os.path.join(folder, str(os.getpid()))
    with open(mine, "x"):
        time.sleep(0.02)
    seen = len(os.listdir(folder))
    os.unlink(mine)
    return seen


def test_so_many_of_a_function_at_a_time(tmp_path):
    with miniray.init(num_cpus=4):
        limited = count_inside.options(max_running=2)
        assert max(miniray.get([limited.remote(str(tmp_path)) for _ in range(20)])) <= 2
        assert max(miniray.get([count_inside.remote(str(tmp_path)) for _ in range(20)])) <= 4


def test_quota_of_a_user(tmp_path):
    config = tmp_path / "quota.ini"
    config.write_text("[sched]\nquotas = alice=1\n")
    with miniray.init(num_cpus=3, config=str(config)):
        hers = count_inside.options(user="alice")
        (tmp_path / "a").mkdir()
        assert max(miniray.get([hers.remote(str(tmp_path / "a")) for _ in range(8)])) == 1
        with pytest.raises(exceptions.TaskUnschedulableError, match="quota of user alice is 1"):
            hers.options(num_cpus=2).remote("")


def test_a_task_that_runs_too_long(ray):
    @ray.remote(limit_s=0.2, max_retries=3)
    def slow():
        time.sleep(60)

    with pytest.raises(exceptions.TaskTimeoutError, match="ran longer than its limit") as info:
        ray.get(slow.remote(), timeout=30)
    assert isinstance(info.value, TimeoutError) and not isinstance(info.value, exceptions.GetTimeoutError)


# ---- what it has -------------------------------------------------------------------------------------------------


def test_assigned_resources():
    with miniray.init(num_cpus=2, num_gpus=2, resources={"wheel": 4}):
        @miniray.remote
        def has():
            return miniray.get_runtime_context().get_assigned_resources()

        @miniray.remote
        class Has:
            def has(self):
                return miniray.get_runtime_context().get_assigned_resources()

        group = placement_group([{"CPU": 1, "wheel": 2}])
        assert miniray.get(has.remote()) == {"CPU": 1.0}
        assert miniray.get(has.options(num_cpus=0.5, num_gpus=0.25, resources={"wheel": 1.5}).remote()) == {
            "CPU": 0.5, "GPU": 0.25, "wheel": 1.5}
        assert miniray.get(has.options(num_cpus=0).remote()) == {}
        assert miniray.get(has.options(resources={"wheel": 2}, scheduling_strategy=inside(group)).remote(), timeout=30) == {
            "CPU": 1.0, "wheel": 2.0}
        assert miniray.get(Has.remote().has.remote()) == {}
        assert miniray.get(Has.options(num_cpus=1, num_gpus=1).remote().has.remote()) == {"CPU": 1.0, "GPU": 1.0}
        assert miniray.get_runtime_context().get_assigned_resources() == {}


# ---- what policies see of the options ----------------------------------------------------------------------------

# By option: the value of each task in the order submitted, the order that the policy makes of them, and its rank.
SEEN = {
    "priority": ([1, 9, 5], [9, 5, 1], "-t.priority"),
    "deadline_s": ([300, 100, 200], [100, 200, 300], "t.deadline or 0"),
    "estimate_s": ([0.3, 0.1, 0.2], [0.1, 0.2, 0.3], "t.estimate or 0"),
    "limit_s": ([300, 100, 200], [100, 200, 300], "t.limit or 0"),
    "user": (["carol", "alice", "bob"], ["alice", "bob", "carol"], "({alice = 1, bob = 2, carol = 3})[t.user] or 0"),
    "labels": ([{"turn": "3"}, {"turn": "1"}, {"turn": "2"}], [{"turn": "1"}, {"turn": "2"}, {"turn": "3"}],
               "tonumber(t.labels.turn or 0)"),
}


@pytest.mark.parametrize("option", SEEN)
def test_policies_see_options_on_workers_and_in_the_simulator(option, tmp_path):
    given, wanted, rank = SEEN[option]
    policy = tmp_path / "seen.lua"
    policy.write_text(f"return {{ rank = function(t) return {rank} end }}\n")

    @miniray.remote
    def note(value):
        with open(tmp_path / "order", "a") as file:
            file.write(f"{value!r}\n")

    with miniray.init(num_cpus=1, policy=str(policy)):
        first = until.remote(str(tmp_path / "go"))
        refs = [note.options(**{option: value}).remote(value) for value in given]
        assert miniray.wait(refs, timeout=0.1)[0] == []
        (tmp_path / "go").touch()
        miniray.get([first, *refs])
        assert miniray._session.state("stats")["degraded"] is None
    assert (tmp_path / "order").read_text().splitlines() == [repr(value) for value in wanted]

    from miniray.lab import run_sim

    lines = [{"id": "first", "duration_s": 1}] + [
        {"id": repr(value), "duration_s": 0.1, "arrival_s": 0.5, option: value} for value in given]
    run = run_sim.simulate(lines, policy=str(policy), cpus=1, know="stated", check=True)
    order = [row["task"] for row in sorted(run.tasks, key=lambda row: row["started"])]
    assert order == ["first"] + [repr(value) for value in wanted]


def test_labels_and_limits_in_the_simulator():
    from miniray.lab import run_sim

    platform = {"platform": {"nodes": [{"name": "plain", "cpus": 4}, {"name": "fast", "cpus": 4, "labels": {"ssd": "yes"}}]}}
    tasks = [{"id": f"t{i}", "fn": "f", "duration_s": 1, "requires": ["ssd"], "max_running": 2} for i in range(4)]
    run = run_sim.simulate([platform, *tasks], check=True)
    assert {row["node"] for row in run.tasks} == {"fast"} and max(row["ended"] for row in run.tasks) == 2_000_000_000
    with pytest.raises(run_sim.SimError, match="requires .sdd. and no node that is large enough has that label"):
        run_sim.simulate([platform, {"id": "t", "duration_s": 1, "requires": ["sdd"]}])


def test_the_learned_estimate_comes_with_its_count(tmp_path):
    policy = tmp_path / "learned.lua"
    policy.write_text("local runs = 0\nreturn { pick = function(w)\n  local t = first(nil, w)\n"
                      "  if t and t.labels.stated then assert(t.n_learned == 0 and t.estimate == 1*s) end\n"
                      "  if t and not t.labels.stated then\n    assert(t.n_learned == runs and (t.estimate == nil) == (runs == 0))\n"
                      "    runs = runs + 1\n  end\n  return t end }\n")
    with miniray.init(num_cpus=1, policy=str(policy)):
        for _ in range(4):
            miniray.get(where.remote())
            miniray.get(where.options(labels={"stated": "yes"}, estimate_s=1).remote())
        assert miniray._session.state("stats")["degraded"] is None


def test_state_tells_what_a_task_waits_for(tmp_path):
    from miniray.util.state import get_task

    config = tmp_path / "quota.ini"
    config.write_text("[sched]\nquotas = alice=1\n")
    with miniray.init(nodes=[{"num_cpus": 2}, {"num_cpus": 1, "labels": {"zone": "a"}}], config=str(config)):
        group = placement_group([{"CPU": 1}])
        assert group.wait(30)
        go = str(tmp_path / "go")
        held = {"max_running": 1}, {"user": "alice"}, {"label_selector": {"zone": "a"}}, {"scheduling_strategy": inside(group)}
        running, waiting = [], []
        for options in held:
            f = until.options(**options, name=f"until{len(running)}", num_cpus=0.5 if "user" not in options else 1)
            if "label_selector" in options or "scheduling_strategy" in options:
                f = f.options(num_cpus=1)
            running.append(f.remote(go))
            waiting.append(f.remote(go))
        deadline = time.monotonic() + 30
        texts = []
        while time.monotonic() < deadline:
            texts = [get_task(ref).waits_for or "" for ref in waiting]
            if all(texts):
                break
            time.sleep(0.05)
        assert "the limit of until0: 1 of 1" in texts[0] and "quota of user alice: 1 of 1 CPUs" in texts[1], texts
        assert "CPU 1: node node1 has CPU 0 free" in texts[2] and "room in its placement group" in texts[3], texts
        (tmp_path / "go").touch()
        miniray.get(running + waiting)


def test_labels_of_bundles(three):
    """The nodes have zone a and ssd, zone b, and none: each bundle goes where its labels are."""
    def numbers(group):
        known = [n["NodeID"] for n in miniray.nodes()]
        assert group.wait(30)
        return [known.index(node) for node in placement_group_table(group)["bundles_to_node_id"].values()]

    labels = [n["Labels"] for n in miniray.nodes()]
    zoned = next(i for i, node in enumerate(labels) if node.get("zone") == "b")
    bare = next(i for i, node in enumerate(labels) if "zone" not in node)
    group = placement_group([{"CPU": 1}] * 3, bundle_label_selector=[{"zone": "!in(a,b)"}, {}, {"zone": "b", "ssd": "!yes"}],
                            strategy="SPREAD")
    assert numbers(group)[0] == bare and numbers(group)[2] == zoned
    assert three.get(where.options(scheduling_strategy=inside(group, 2)).remote()) == str(zoned)
    remove_placement_group(group)
    packed = placement_group([{"CPU": 1}] * 2, bundle_label_selector=[{"zone": "in(a,b)"}, {"zone": "b"}], strategy="PACK")
    assert numbers(packed) == [zoned, zoned] or numbers(packed)[1] == zoned
    with pytest.raises(exceptions.TaskUnschedulableError, match="labels"):
        placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "nowhere"}])
    with pytest.raises(exceptions.TaskUnschedulableError, match="labels"):
        placement_group([{"CPU": 1}] * 2, bundle_label_selector=[{"zone": "a"}, {"zone": "b"}], strategy="STRICT_PACK")
    for wrong, kind in (("x", ValueError), ([5], TypeError), ([{"a": 1}], TypeError), ([{"a": "in()"}], ValueError), ([{"a" * 40: "b"}], ValueError)):
        with pytest.raises(kind):
            placement_group([{"CPU": 1}], bundle_label_selector=wrong)
