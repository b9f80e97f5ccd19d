"""Logical nodes: init(nodes=), Cluster, affinity and spreading, copies between nodes, and what a node takes with it."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

import miniray
from miniray import exceptions
from miniray.cluster_utils import Cluster
from miniray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def on(node, soft=False):
    return NodeAffinitySchedulingStrategy(node_id(node) if isinstance(node, int) else node if isinstance(node, str) else node.node_id, soft)


def node_id(number):
    return miniray.NodeID.of(number).hex()


def stats():
    return miniray._session.state("stats")


@miniray.remote
def where(*_):
    return miniray.get_runtime_context().get_node_id()


@miniray.remote
def numbers(n, log=None):
    if log:
        with open(log, "a") as file:
            file.write("made\n")
    return np.arange(n)


@miniray.remote
def total(*arrays):
    return int(sum(a.sum() for a in arrays))


@pytest.fixture
def cluster():
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


def test_init_with_nodes():
    with miniray.init(nodes=[{"num_cpus": 2, "name": "front"}, {"num_cpus": 1, "num_gpus": 1, "resources": {"wheel": 0.5},
                                                               "labels": {"zone": "b"}, "memory": 10**6}]):
        first, second = miniray.nodes()
        assert (first["NodeName"], second["NodeName"]) == ("front", "node1")
        assert second["Labels"] == {"zone": "b"} and second["Resources"]["wheel"] == 0.5
        total_now = miniray.cluster_resources()
        assert (total_now["CPU"], total_now["GPU"], total_now["wheel"], total_now["memory"]) == (3, 1, 0.5, first["Resources"]["memory"] + 10**6)
        assert miniray.get(where.options(resources={"wheel": 0.5}).remote()) == second["NodeID"]
        with pytest.raises(exceptions.TaskUnschedulableError, match="front"):
            where.options(num_cpus=3).remote()  # the sum is there, but no node has it


@pytest.mark.parametrize("nodes, error, text", [
    ([], ValueError, "one dict a node"),
    ([3], TypeError, r"nodes\[0\] is a dict"),
    ([{"num_cpus": 1}, {"num_cpu": 1}], ValueError, r"nodes\[1\]: 'num_cpu' is not a resource of a node.*num_cpus"),
    ([{"num_cpus": -1}], ValueError, "num_cpus"),
    ([{"resources": {"wheel": -2}}], ValueError, "wheel|negative"),
    ([{"resources": {"CPU": 2}}], ValueError, "num_cpus="),
    ([{"name": "a"}, {"name": "a"}], ValueError, "already"),
    ([{"name": "no spaces"}], ValueError, "letters"),
])
def test_init_with_wrong_nodes(nodes, error, text):
    with pytest.raises(error, match=text):
        miniray.init(nodes=nodes)
    assert not miniray.is_initialized()


def test_nodes_and_num_cpus_contradict():
    with pytest.raises(ValueError, match="leave out num_cpus"):
        miniray.init(num_cpus=1, nodes=[{"num_cpus": 1}])


def test_cluster_grows_and_shrinks(cluster):
    assert miniray.cluster_resources()["CPU"] == 1
    node = cluster.add_node(num_cpus=2, resources={"wheel": 1}, labels={"zone": "b"}, name="second")
    cluster.wait_for_nodes()
    assert miniray.cluster_resources()["CPU"] == 3 and miniray.cluster_resources()["wheel"] == 1
    assert [n["NodeName"] for n in miniray.nodes()] == ["head", "second"]
    assert miniray.init(address=cluster.address).address_info["address"] == cluster.address
    assert miniray.get(where.options(resources={"wheel": 1}).remote()) == node.node_id
    cluster.remove_node(node)
    assert not node.is_alive() and cluster.list_all_nodes() == [cluster.head_node]
    assert miniray.cluster_resources()["CPU"] == 1 and "wheel" not in miniray.cluster_resources()
    assert [n["Alive"] for n in miniray.nodes()] == [True, False]
    with pytest.raises(exceptions.TaskUnschedulableError, match="wheel"):
        where.options(resources={"wheel": 1}).remote()
    with pytest.raises(ValueError, match="head is the last one"):
        cluster.remove_node(cluster.head_node)
    with pytest.raises(Exception, match="no node 1 any more: it was second"):
        cluster.remove_node(node)


def test_add_node_refuses(cluster):
    with pytest.raises(ValueError, match="'cpus' is not a resource of a node"):
        cluster.add_node(cpus=1)
    with pytest.raises(ValueError, match="num_cpus"):
        cluster.add_node(num_cpus=-1)
    with pytest.raises(Exception, match='there is a node "head" already'):
        cluster.add_node(name="head")
    with pytest.raises(TypeError, match="add_node"):
        cluster.remove_node("1")
    assert miniray.cluster_resources()["CPU"] == 1


def test_cluster_ends_with_the_session():
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 1}, init_args={"store": "store-mem"})
    address = cluster.address
    assert miniray.nodes() and miniray.get(where.remote()) == node_id(0)
    miniray.shutdown()
    cluster.shutdown()
    with pytest.raises(ConnectionError, match="not run in this process any more"):
        miniray.init(address=address)
    with pytest.raises(ValueError, match="no node to start with"):
        Cluster(connect=True)


@pytest.mark.parametrize("how", ["argument", "get", "task"])
def test_a_node_that_goes_while_its_bytes_are_on_their_way(cluster, how):
    """The copy for an actor is being made when its source goes: the value is made again, and no process pays for it."""
    @miniray.remote(num_cpus=0)
    class Sum:
        def of(self, x):
            return int(x[-1]), os.getpid()

        def taken(self, refs):
            return self.of(miniray.get(refs[0]))

    actor = Sum.options(scheduling_strategy=on(cluster.head_node)).remote()
    _, pid = miniray.get(actor.of.remote([1]))
    for _ in range(3):
        node = cluster.add_node(num_cpus=1)
        ref = numbers.options(scheduling_strategy=on(node, soft=True)).remote(2_000_000)
        miniray.wait([ref])
        if how == "task":
            calls = [total.options(scheduling_strategy=on(cluster.head_node)).remote(ref)]
        elif how == "get":
            calls = [actor.taken.remote([ref])]
        else:
            calls = [actor.of.remote(x) for x in (ref, [2], [3])]
        cluster.remove_node(node)
        got = miniray.get(calls, timeout=60)
        if how == "task":
            assert got == [1999999000000]
        else:
            assert got == [(1999999, pid), (2, pid), (3, pid)][:len(calls)]
        del ref, calls


def test_one_node_sessions_do_not_grow():
    with miniray.init(num_cpus=1):
        with pytest.raises(NotImplementedError, match="add_nodes = true"):
            miniray._nodes.add({"num_cpus": 1})


def test_a_node_without_cpu(cluster):
    node = cluster.add_node(num_cpus=0, resources={"disk": 2})
    assert miniray.get(where.options(num_cpus=0, resources={"disk": 1}).remote()) == node.node_id
    assert miniray.get(where.remote()) == node_id(0)
    with pytest.raises(exceptions.TaskUnschedulableError):
        where.options(scheduling_strategy=on(node)).remote()


def test_affinity_and_spread(cluster):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    for node in nodes:
        assert set(miniray.get([where.options(scheduling_strategy=on(node)).remote() for _ in range(4)])) == {node.node_id}

    @miniray.remote(num_cpus=0)
    class Meeting:
        def __init__(self):
            self.came = []

        def come(self, node):
            self.came.append(node)

        def who(self):
            return self.came

    meeting = Meeting.remote()

    @miniray.remote(scheduling_strategy="SPREAD")
    def meet():
        miniray.get(meeting.come.remote(miniray.get_runtime_context().get_node_id()))
        while len(miniray.get(meeting.who.remote())) < 3:  # all three at once, so each on its own node
            pass

    miniray.get([meet.remote() for _ in range(3)])
    assert sorted(miniray.get(meeting.who.remote())) == [node_id(i) for i in range(3)]
    miniray.get(meeting.come.remote("done"))
    cluster.remove_node(nodes[0])
    with pytest.raises(exceptions.TaskUnschedulableError, match=f"node {node_id(1)}, which is not there"):
        where.options(scheduling_strategy=on(nodes[0])).remote()
    strange = "ab" * 28
    with pytest.raises(exceptions.TaskUnschedulableError, match=f"{strange}.*no node of this session"):
        where.options(scheduling_strategy=on(strange)).remote()
    with pytest.raises(exceptions.ActorUnschedulableError, match=strange):
        Meeting.options(scheduling_strategy=on(strange)).remote()
    assert len(miniray.get(where.options(scheduling_strategy=on(strange, soft=True)).remote())) == 56
    assert miniray.get(where.options(scheduling_strategy=on(nodes[0], soft=True)).remote()) in (node_id(0), node_id(2))
    with pytest.raises(ValueError, match="NodeID"):
        NodeAffinitySchedulingStrategy("not hex", soft=False)


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
def test_objects_are_copied_on_demand(store):
    with miniray.init(nodes=[{"num_cpus": 1}, {"num_cpus": 1}], store=store):
        far = numbers.options(scheduling_strategy=on(1)).remote(100_000)
        assert miniray.get(far)[-1] == 99_999 and stats()["moved_bytes"] == 0  # the driver reads any node
        here = total.options(scheduling_strategy=on(0))
        assert miniray.get(here.remote(far)) == 4999950000
        once = stats()["moved_bytes"]
        assert once >= 800_000
        assert miniray.get(here.remote(far, far)) == 2 * 4999950000
        assert stats()["moved_bytes"] == once  # it is there now
        rows = {row["fn"]: row for row in miniray.timeline()}
        assert rows["numbers"]["node"] == 1 and rows["total"]["node"] == 0
        assert rows["total"]["bytes"] >= 800_000 and rows["total"]["slot"] == 0


def test_locality_keeps_tasks_with_their_bytes():
    with miniray.init(nodes=[{"num_cpus": 1}, {"num_cpus": 1}], sched="sched-locality"):
        blocks = [numbers.options(scheduling_strategy=on(i % 2)).remote(100_000) for i in range(4)]
        miniray.wait(blocks, num_returns=4)
        assert miniray.get([where.remote(b) for b in (blocks[1], blocks[0])]) == [node_id(1), node_id(0)]
        assert stats()["moved_bytes"] == 0


def test_a_lost_result_is_computed_again(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1)
    log = tmp_path / "log"
    first = numbers.options(scheduling_strategy=on(node, soft=True)).remote(100_000, str(log))
    miniray.wait([first])
    second = total.options(scheduling_strategy=on(node, soft=True), num_returns=1).remote(first)
    assert miniray.get(second) == 4999950000
    cluster.remove_node(node)
    assert miniray.get(total.remote(first)) == 4999950000
    assert log.read_text().count("made") == 2
    assert stats()["retried"] >= 1


def test_a_chain_is_computed_again(cluster):
    node = cluster.add_node(num_cpus=1)

    @miniray.remote
    def more(array):
        return array + 1

    pinned = more.options(scheduling_strategy=on(node, soft=True))
    ref = numbers.options(scheduling_strategy=on(node, soft=True)).remote(50_000)
    for _ in range(10):
        ref = pinned.remote(ref)  # only the last is kept by the driver
    miniray.wait([ref])
    cluster.remove_node(node)
    assert miniray.get(ref)[0] == 10


def test_what_cannot_be_computed_again(cluster):
    node = cluster.add_node(num_cpus=2)

    @miniray.remote
    def put_there():
        return [miniray.put(np.ones(50_000))]

    @miniray.remote(num_cpus=1)
    class Maker:
        def make(self):
            return np.ones(50_000)

    @miniray.remote
    def items():
        yield np.ones(50_000)

    put = miniray.get(put_there.options(scheduling_strategy=on(node)).remote())[0]
    once = numbers.options(scheduling_strategy=on(node), max_retries=0).remote(50_000)
    maker = Maker.options(scheduling_strategy=on(node)).remote()
    made = maker.make.remote()
    derived = total.options(scheduling_strategy=on(node)).remote(put)
    item = next(items.options(scheduling_strategy=on(node)).remote())
    miniray.wait([once, made, derived], num_returns=3)
    cluster.remove_node(node)
    for ref, why in ((put, "it was put"), (once, "no attempt left"), (made, "an actor made it"), (item, "a generator made it")):
        with pytest.raises(exceptions.ObjectLostError, match=f"was lost with node node1.*{why}"):
            miniray.get(ref)
    assert miniray.get(derived) == 50_000  # small results travel with their references
    with pytest.raises(exceptions.ActorDiedError):
        miniray.get(maker.make.remote())


def test_views_outlive_their_node(cluster):
    node = cluster.add_node(num_cpus=1)
    ref = numbers.options(scheduling_strategy=on(node, soft=True)).remote(200_000)
    view = miniray.get(ref)
    cluster.remove_node(node)
    again = miniray.get(ref)
    assert int(view.sum()) == int(again.sum()) == 19999900000
    view[0], again[-1]


def test_running_tasks_go_elsewhere(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1)
    started, gate = tmp_path / "started", tmp_path / "gate"

    @miniray.remote(max_retries=2)
    def slow():
        with open(started, "a") as file:
            file.write(f"{os.getpid()}\n")
        import time

        while not gate.exists():
            time.sleep(0.01)
        return miniray.get_runtime_context().get_node_id()

    ref = slow.options(scheduling_strategy=on(node, soft=True)).remote()
    never = slow.options(scheduling_strategy=on(node, soft=True), max_retries=0)
    while not started.exists() or not started.read_text():
        pass
    cluster.remove_node(node)
    gate.write_text("")
    assert miniray.get(ref) == node_id(0)
    assert len(started.read_text().split()) == 2
    gate.unlink()
    node = cluster.add_node(num_cpus=1)
    started.unlink()
    ref = slow.options(scheduling_strategy=on(node), max_retries=0).remote()
    while not started.exists() or not started.read_text():
        pass
    cluster.remove_node(node)
    with pytest.raises(exceptions.NodeDiedError, match="node node2 was removed while it ran .*slow"):
        miniray.get(ref)
    assert never is not None


def test_an_actor_restarts_elsewhere(cluster):
    node = cluster.add_node(num_cpus=1)

    @miniray.remote(max_restarts=1, max_task_retries=1)
    class Home:
        def node(self):
            return miniray.get_runtime_context().get_node_id()

    home = Home.options(scheduling_strategy=on(node, soft=True)).remote()
    assert miniray.get(home.node.remote()) == node.node_id
    cluster.remove_node(node)
    assert miniray.get(home.node.remote()) == node_id(0)


def test_the_head_may_go_too(cluster):
    node = cluster.add_node(num_cpus=1)
    put = miniray.put(np.ones(50_000))
    cluster.remove_node(cluster.head_node)
    assert cluster.head_node.number == node.number
    with pytest.raises(exceptions.ObjectLostError, match="it was put"):
        miniray.get(put)
    assert miniray.get(total.remote(miniray.put(np.ones(50_000)))) == 50_000


def test_nodes_in_a_timeline_file(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1)
    miniray.get(where.options(scheduling_strategy=on(node)).remote())
    miniray.timeline(str(tmp_path / "trace.json"))
    assert {event["pid"] for event in json.loads((tmp_path / "trace.json").read_text()) if event.get("cat") != "policy"} == {1}


def test_many_comings_and_goings(cluster, tmp_path):
    """Tasks run on while nodes come and go; every value is right."""
    @miniray.remote(max_retries=-1)
    def square(array, i):
        return array * 0 + i * i

    base = numbers.options(max_retries=-1).remote(20_000)
    for round in range(4):
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        refs = [square.remote(base, i) for i in range(30)]
        miniray.wait(refs, num_returns=10)
        for node in nodes:
            cluster.remove_node(node)
        assert [int(a[0]) for a in miniray.get(refs)] == [i * i for i in range(30)]
    assert len(cluster.list_all_nodes()) == 1


@pytest.mark.parametrize("pause", [0, 0.003])
def test_what_is_freed_while_a_copy_travels(pause):
    """It is looked at all the while: its bytes stay, and the copy that arrives is not wanted."""
    miniray.init(nodes=[{"num_cpus": 1}, {"num_cpus": 1}], object_store_memory=96 << 20)
    ref = miniray.put(np.ones(24 << 20, np.uint8))
    view = miniray.get(ref)
    there = [where.options(scheduling_strategy=on(node)).remote(ref) for node in (1, 0)]
    time.sleep(pause)
    miniray.free([ref])
    for made in there:
        try:
            miniray.get(made)
        except exceptions.ObjectFreedError:
            pass
    assert miniray.get(where.remote()) and int(view[-1]) == 1
    del view
    miniray.shutdown()
