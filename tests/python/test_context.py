"""get_runtime_context(), ids, and Ray's module names."""

from __future__ import annotations

import asyncio
import importlib

import pytest

import miniray
from miniray import ActorID, JobID, TaskID


def about(context):
    return (context.get_task_id(), context.get_task_name(), context.get_task_function_name(), context.get_task_attempt(),
            context.get_assigned_resources(), context.get_job_id(), context.namespace)


def test_in_a_task_and_in_the_driver():
    with miniray.init(num_cpus=2, num_gpus=2, resources={"wheel": 2}, namespace="here"):
        @miniray.remote(name="given", num_cpus=0.5, num_gpus=1, resources={"wheel": 2}, memory=None)
        def look():
            context = miniray.get_runtime_context()
            return about(context), context.get_accelerator_ids(), context.get_worker_id()

        context = miniray.get_runtime_context()
        assert about(context) == (None, None, None, 0, {}, context.get_job_id(), "here")
        assert context.get_worker_id() == miniray.util.state.list_workers()[0].worker_id and context.get_node_id() == miniray.nodes()[0]["NodeID"]
        ref = look.remote()
        (task, name, function, attempt, resources, job, namespace), gpus, worker = miniray.get(ref)
        assert (task, name, attempt, job, namespace) == (ref.task_id().hex(), "given", 1, context.get_job_id(), "here")
        assert function.endswith("look") and worker != "driver"
        assert resources == {"CPU": 0.5, "GPU": 1.0, "wheel": 2.0} and gpus == {"GPU": ["0"]}
        with pytest.raises(RuntimeError, match="only available in an actor"):
            context.current_actor
        assert context.get_actor_id() is None and context.get_actor_name() is None


@pytest.mark.parametrize("kind", ["plain", "threaded", "async"])
def test_in_an_actor(ray, kind):
    class Plain:
        def look(self):
            context = miniray.get_runtime_context()
            return about(context), context.get_actor_id(), context.get_actor_name(), context.current_actor, context.get()

    class Async(Plain):
        async def look(self):
            await asyncio.sleep(0.001)
            first = miniray.get_runtime_context().get_task_id()
            await asyncio.sleep(0.001)
            out = super().look()
            assert out[0][0] == first
            return out

    cls = ray.remote(Async if kind == "async" else Plain).options(name="called", num_cpus=1)
    actor = (cls.options(max_concurrency=3) if kind == "threaded" else cls).remote()
    refs = [actor.look.remote() for _ in range(10)]
    for ref, ((task, name, function, attempt, resources, _job, _namespace), number, actor_name, own, old) in zip(refs, ray.get(refs)):
        assert TaskID.from_hex(task) == ref.task_id() == old["task_id"]
        assert name.endswith(".look") and function.endswith(".look") and attempt == 1 and resources == {"CPU": 1.0}
        assert number == actor._actor_id.hex() == old["actor_id"].hex() and actor_name == "called" and own == actor


def test_children_belong_to_the_call_that_made_them(ray):
    """Also after an await: so a cancel finds them."""

    @ray.remote
    class Parent:
        async def run(self, n):
            await asyncio.sleep(0.001 * n)
            return miniray.get_runtime_context().get_task_id(), child.remote()

    @ray.remote
    def child():
        return 1

    parent = Parent.remote()
    refs = [parent.run.remote(n) for n in (5, 1, 3)]
    for ref, (task, inner) in zip(refs, ray.get(refs)):
        assert task == ref.task_id().hex() and ray.get(inner) == 1
    from miniray import _session

    rows = {row["task"]: row for row in _session.state("tasks")}
    for ref, (_task, inner) in zip(refs, ray.get(refs)):
        assert int(rows[f"{inner._id:016x}"]["parent"], 16) == ref._id


def test_ids(ray):
    ref = ray.put(1)
    assert ray.ObjectRef.from_hex(ref.hex()) == ref == ray.ObjectRef.from_binary(ref.binary()) and ref.size() == 28
    assert ray.ObjectRef.nil().is_nil() and not ref.is_nil()
    assert len(ref.task_id().hex()) == 48 and len(ref.job_id().hex()) == 8 and ref.hex().startswith(ref.task_id().hex()[:32])
    one, two = ray.remote(num_returns=2)(lambda: (1, 2)).remote()
    assert one.task_id() == two.task_id()
    ray.get([one, two])
    assert one.task_id() == two.task_id()
    import pickle

    made = ActorID(bytes(range(16)))
    assert pickle.loads(pickle.dumps(made)) == made == ActorID.from_hex(made.hex()) and made != TaskID.nil()
    assert made in {made: 1} and ActorID.nil().is_nil() and not made.is_nil()
    assert JobID.from_int(3).int() == 3
    with pytest.raises(ValueError, match="16 bytes"):
        ActorID(b"x")
    with pytest.raises(TypeError):
        ActorID("x")


def test_modules_that_programs_import():
    for name, attributes in {"actor": ["ActorHandle", "ActorClass", "exit_actor"], "runtime_env": ["RuntimeEnv"],
                             "remote_function": ["RemoteFunction"], "types": ["ObjectRef"], "exceptions": ["RayError"],
                             "runtime_context": ["get_runtime_context"]}.items():
        module = importlib.import_module(f"miniray.{name}")
        assert all(hasattr(module, attribute) for attribute in attributes)
        assert getattr(miniray, name) is module
    assert miniray.cloudpickle.dumps


def test_list_named_actors():
    class A:
        def ping(self):
            return 1

    with miniray.init(num_cpus=1, namespace="mine"):
        first = miniray.remote(A).options(name="first").remote()
        second = miniray.remote(A).options(name="second", namespace="theirs").remote()
        miniray.remote(A).remote()
        assert miniray.util.list_named_actors() == ["first"]
        assert sorted(a["name"] for a in miniray.util.list_named_actors(all_namespaces=True)) == ["first", "second"]
        assert {"name": "second", "namespace": "theirs"} in miniray.util.list_named_actors(True)
        with pytest.raises(miniray.exceptions.ActorAlreadyExistsError, match="already taken"):
            miniray.remote(A).options(name="first").remote()
        miniray.kill(first)
        assert miniray.util.list_named_actors() == []
        assert miniray.get(second.ping.remote()) == 1


def test_the_last_handle_ends_the_actor_at_once(ray, tmp_path):
    class A:
        def __init__(self, path):
            import atexit
            atexit.register(lambda: open(path, "w").close())

        def ping(self):
            return 1

    import time

    actor = ray.remote(A).options(name="last").remote(str(tmp_path / "bye"))
    assert ray.get(actor.ping.remote()) == 1
    del actor  # and no other call of miniray that would tell the node
    deadline = time.monotonic() + 30
    while not (tmp_path / "bye").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / "bye").exists()
    with pytest.raises(ValueError, match="Failed to look up actor with name"):
        ray.get_actor("last")


def test_fork_before_and_after_a_session():
    import os

    with miniray.init(num_cpus=1):
        assert miniray.get(miniray.put(1)) == 1
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with miniray.init(num_cpus=1):
                code = 0 if miniray.get(miniray.put(2)) == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_init_options():
    with pytest.warns(RuntimeWarning, match="_temp_dir is Ray's own"):
        context = miniray.init(num_cpus=1, _temp_dir="/tmp/x", include_dashboard=False)
    with context:
        @miniray.remote
        def again():
            return miniray.is_initialized(), miniray.init(ignore_reinit_error=True).namespace

        assert miniray.get(again.remote()) == (True, "default")
        assert miniray.init(ignore_reinit_error=True) is context
    for options in ({"enable_resource_isolation": True},):
        with pytest.raises(ValueError, match="is not supported"):
            miniray.init(**options)
