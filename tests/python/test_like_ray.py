"""Small things that programs written for Ray rely on."""

import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

import miniray
from miniray.exceptions import ActorDiedError, RayTaskError


def test_get_of_a_stream_is_the_stream(ray):
    @ray.remote
    def items():
        yield 1

    stream = items.remote()
    assert ray.get(stream) is stream and [ray.get(ref) for ref in stream] == [1]


@pytest.mark.parametrize("what, kind", [(5, ValueError), ("x", ValueError), (None, ValueError), ([5], TypeError), (["x"], TypeError)])
def test_get_of_no_reference(ray, what, kind):
    with pytest.raises(kind, match="ObjectRef"):
        ray.get(what)


def test_one_result_of_a_generator(ray):
    @ray.remote(num_returns=1)
    def one(n):
        yield from range(n)

    @ray.remote
    class A:
        @ray.method(num_returns=1)
        def one(self, n):
            yield from range(n)

    threads, plain = A.options(max_concurrency=2).remote(), A.remote()
    for call in (one.remote, threads.one.remote, plain.one.remote):
        assert ray.get(call(1)) == 0
        for n in (0, 2):
            with pytest.raises(ValueError, match="num_returns=1"):
                ray.get(call(n))


def test_names_are_the_last_part(ray):
    class Outer:
        @staticmethod
        def inner():
            return miniray.get_runtime_context().get_task_name(), miniray.get_runtime_context().get_task_function_name()

        class Inner:
            def f(self):
                return miniray.get_runtime_context().get_task_name(), miniray.get_runtime_context().get_task_function_name()

    assert ray.get(ray.remote(Outer.inner).remote()) == ("inner", f"{__name__}.inner")
    actor = ray.remote(Outer.Inner).remote()
    assert ray.get(actor.f.remote()) == ("Inner.f", f"{__name__}.Inner.f")
    assert {task.name for task in ray.util.state.list_tasks()} == {"inner", "Inner.__init__", "Inner.f"}


def test_memory_is_a_resource_without_being_asked_for():
    with miniray.init(num_cpus=1):
        total = miniray.cluster_resources()
        assert set(total) == {"CPU", "memory", "object_store_memory"} and total["memory"] > 1 << 20 and total["object_store_memory"] > 0
        assert miniray.get(miniray.remote(memory=1 << 20)(os.getpid).remote()) > 0
        kept = miniray.put(bytes(1 << 20))
        assert miniray.available_resources()["object_store_memory"] <= total["object_store_memory"] - (1 << 20)
        del kept
        with pytest.raises(miniray.exceptions.TaskUnschedulableError):
            miniray.remote(memory=int(total["memory"]) + 1)(os.getpid).remote()


def test_threads_of_numeric_libraries(ray, monkeypatch):
    @ray.remote
    def threads():
        return os.environ.get("OMP_NUM_THREADS")

    @ray.remote(num_cpus=2)
    class Two:
        def threads(self):
            return os.environ.get("OMP_NUM_THREADS")

    assert ray.get([threads.remote(), threads.options(num_cpus=2).remote(), threads.options(num_cpus=0.5).remote()]) == ["1", "2", "1"]
    assert ray.get(Two.remote().threads.remote()) == "2"
    ray.shutdown()
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    ray.init(num_cpus=1)
    assert ray.get(threads.remote()) == "7"


def test_the_namespace_can_be_named(ray):
    @ray.remote
    class A:
        def namespace(self):
            return miniray.get_runtime_context().namespace

    here = ray.get_runtime_context().namespace
    actor = A.options(name="a", namespace=here).remote()
    assert ray.get_actor("a") == ray.get_actor("a", namespace=here) == actor and ray.get(actor.namespace.remote()) == here


def test_ids_of_nodes_and_workers(ray):
    @ray.remote
    def where():
        context = miniray.get_runtime_context()
        return context.get_node_id(), context.get_worker_id(), [n["NodeID"] for n in miniray.nodes()]

    node, worker, nodes = ray.get(where.remote())
    assert nodes == [node] and ray.NodeID.from_hex(node).hex() == node == ray.get_runtime_context().get_node_id()
    assert worker in {w.worker_id for w in ray.util.state.list_workers()} and len(worker) == len(node) == 56
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    assert ray.get(where.options(scheduling_strategy=strategy(node, soft=False)).remote())[0] == node
    assert ray.get(where.options(scheduling_strategy=strategy("ab" * 28, soft=True)).remote())[0] == node
    with pytest.raises(miniray.exceptions.TaskUnschedulableError):
        where.options(scheduling_strategy=strategy("ab" * 28, soft=False)).remote()


def test_detached_is_told_once_a_session():
    class A:
        def make(self, name):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                miniray.remote(A).options(lifetime="detached", name=name).remote()
            return len(told)

    for _ in range(2):
        with miniray.init(num_cpus=1):
            maker = miniray.remote(A).remote()
            assert [miniray.get(maker.make.remote(name)) for name in "ab"] == [1, 0]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                miniray.remote(A).options(lifetime="detached", name="c").remote()


def test_what_is_known_of_a_death(ray):
    @ray.remote
    class A:
        def f(self):
            pass

    actor = A.remote()
    ray.kill(actor)
    with pytest.raises(ActorDiedError) as info:
        ray.get(actor.f.remote())
    assert "was killed by ray.kill" in info.value.error_msg and info.value.preempted is False
    with pytest.raises(ValueError, match="force=True is not supported for actor tasks"):
        ray.cancel(A.remote().f.remote(), force=True)


@pytest.mark.parametrize("options, text", [({"max_calls": -1}, "max_calls' only accepts None, 0 or a positive integer"),
                                           ({"max_retries": -2}, "max_retries' only accepts None, 0, -1 or a positive integer")])
def test_phrases(options, text):
    with pytest.raises(ValueError, match=text):
        miniray.remote(**options)(os.getpid)


def test_order_may_be_asked_for():
    miniray.remote(allow_out_of_order_execution=False)(type("A", (), {}))
    with pytest.raises(ValueError, match="no order already"):
        miniray.remote(allow_out_of_order_execution=True)(type("A", (), {}))


def test_a_name_is_a_text(ray):
    with pytest.raises(TypeError):
        ray.get_actor(5)
    with pytest.raises(ValueError):
        ray.get_actor("")
    with pytest.raises(RayTaskError):
        ray.get(ray.remote(lambda: miniray.get_actor(5)).remote())


def test_the_current_task_of_a_method_that_awaits_nothing(ray):
    import asyncio

    @ray.remote
    class A:
        async def own(self):
            return asyncio.current_task() is not None

        async def plain(self):
            return 1

    actor = A.remote()
    assert ray.get([actor.own.remote(), actor.plain.remote()]) == [True, 1]


def test_accelerators_are_resources():
    @miniray.remote(accelerator_type="V100")
    def f():
        return 1

    with miniray.init(num_cpus=1, resources={"accelerator_type:V100": 1}):
        assert miniray.get([f.remote() for _ in range(3)]) == [1, 1, 1]
        with pytest.raises(miniray.exceptions.TaskUnschedulableError, match="A100"):
            f.options(accelerator_type="A100").remote()
    with pytest.raises(TypeError, match="namespace"):
        miniray.init(namespace=5)


def test_a_method_without_options(ray):
    class A:
        @ray.method()
        def f(self):
            return 1

    assert ray.get(ray.remote(A).remote().f.remote()) == 1


def test_too_large_says_how_large(ray):
    numpy = pytest.importorskip("numpy")
    big = numpy.zeros(96 << 20, dtype="u1")
    with pytest.raises(ValueError, match="is too large .96 MiB"):
        ray.remote(lambda: big.sum()).remote()


def test_many_threads_make_the_first_calls():
    """In a process that has pickled nothing yet."""
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
import miniray
miniray.init(num_cpus=1)
results = []

def call(k):
    results.append(miniray.get(miniray.put({k: lambda: k}))[k]())

threads = [threading.Thread(target=call, args=(k,)) for k in range(40)]
[t.start() for t in threads]
[t.join() for t in threads]
miniray.shutdown()
print(sorted(results) == list(range(40)))
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.stdout == "True\n", done.stderr


def test_one_of_a_name_for_many_threads(ray):
    @ray.remote(num_cpus=0)
    class A:
        def pid(self):
            return os.getpid()

    handles = []
    threads = [threading.Thread(target=lambda: handles.append(A.options(name="one", get_if_exists=True).remote())) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handles) == 200 and len(set(handles)) == 1 and len(set(ray.get([h.pid.remote() for h in handles]))) == 1


def test_ten_thousand_calls_learn_of_the_exit(ray, tmp_path):
    @ray.remote
    class A:
        def leave(self, path):
            while not os.path.exists(path):
                time.sleep(0.005)
            miniray.exit_actor()

        def f(self):
            pass

    actor = A.remote()
    refs = [actor.leave.remote(str(tmp_path / "go")), *(actor.f.remote() for _ in range(10000))]
    (tmp_path / "go").touch()
    for ref in refs:
        with pytest.raises(ActorDiedError, match="exit_actor"):
            ray.get(ref, timeout=60)


def test_handles_by_name_that_come_and_go(ray):
    """The actor ends with its last handle and is made anew for the next; whoever has a handle has a living one."""
    @ray.remote(num_cpus=0)
    class A:
        def pid(self):
            return os.getpid()

    wrong = []

    def use():
        for _ in range(4):
            try:
                assert ray.get(A.options(name="one", get_if_exists=True).remote().pid.remote(), timeout=60) > 0
            except Exception as why:
                wrong.append(why)

    threads = [threading.Thread(target=use) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_arguments_by_name(ray):
    ref = ray.put(value=3)
    assert ray.get(object_refs=ref, timeout=5) == ray.get([ref], _use_object_store=True)[0] == ray.get(ray.put(3, _owner=None)) == 3
    assert ray.wait(ray_waitables=[ref], num_returns=1, fetch_local=False) == ([ref], [])
    for call in (lambda: ray.put(), lambda: ray.put(1, value=2), lambda: ray.put(valeu=3), lambda: ray.get(), lambda: ray.get(ref, object_refs=ref)):
        with pytest.raises(TypeError, match="(put|get)\\(\\)"):
            call()
    with pytest.raises(TypeError, match="no owner here"):
        ray.put(3, _owner=ref)
    for none in (ray.ObjectRef.nil(), ray.ObjectRef.from_random()):
        with pytest.raises(ValueError, match="or to none"):
            ray.get(none)
