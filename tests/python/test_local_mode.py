"""init(local_mode=True): the same programs, in one process."""

import asyncio
import os
import threading

import pytest

import miniray
from miniray.exceptions import ActorDiedError, DeadlockError, RayTaskError, TaskCancelledError, WorkerCrashedError


@pytest.fixture
def local():
    miniray.init(local_mode=True, num_cpus=2)
    yield miniray
    workers = [w for w in miniray.util.state.list_workers() if w.worker_type == "WORKER"]
    miniray.shutdown()
    assert workers == [], "a worker was started"


@miniray.remote
def add(a, b=1, *, c=0):
    return a + b + c


@miniray.remote
def fail(text):
    raise ValueError(text)


@miniray.remote
def count(n, end=None):
    for i in range(n):
        yield i
    if end is not None:
        raise end


@miniray.remote
class Counter:
    def __init__(self, n=0):
        if n < 0:
            raise ValueError("below zero")
        self.n = n

    def add(self, k=1):
        self.n += k
        return self.n

    @staticmethod
    def static(x):
        return -x

    @miniray.method(num_returns=2)
    def two(self):
        return 1, 2

    def items(self, n):
        yield from range(n)

    def leave(self):
        miniray.exit_actor()

    def me(self):
        return miniray.get_runtime_context().current_actor


@miniray.remote
class Async:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def slow(self, x):
        async with self.lock:
            await asyncio.sleep(0)
            return x * 2, threading.current_thread() is threading.main_thread()

    async def items(self):
        for i in range(3):
            await asyncio.sleep(0)
            yield i

    def again(self):
        return miniray.get(miniray.get_runtime_context().current_actor.slow.remote(1))


def test_functions(local):
    ref = add.remote(1)
    assert isinstance(ref, miniray.ObjectRef) and local.get(ref) == 2
    assert local.get(add.remote(ref, b=add.remote(5), c=1)) == 9
    with pytest.raises(TypeError, match="missing"):
        add.remote()
    changed = [1]

    @miniray.remote
    def change(x):
        x.append(2)
        return x, os.getpid()

    assert local.get(change.remote(changed)) == ([1, 2], os.getpid()) and changed == [1]
    assert local.get(add.options(num_returns=1).remote(1)) == 2
    assert local.wait([ref, add.remote(1)], num_returns=2)[1] == []
    with pytest.raises(TypeError, match="cannot leave"):
        add.remote(threading.Lock())


def test_numbers_of_results(local):
    @miniray.remote(num_returns=2)
    def two(n):
        return list(range(n))

    assert local.get(two.remote(2)) == [0, 1]
    for ref in two.remote(3):
        with pytest.raises(ValueError, match="num_returns=2"):
            local.get(ref)
    assert two.options(num_returns=0).remote(2) is None
    assert local.get(count.options(num_returns=3).remote(3)) == [0, 1, 2]
    made = local.get(count.options(num_returns="dynamic").remote(2))
    assert [local.get(ref) for ref in made] == [0, 1]


def test_errors(local):
    with pytest.raises(ValueError, match="text") as info:
        local.get(add.remote(fail.remote("text")))
    assert isinstance(info.value, RayTaskError) and info.value.function_name.endswith("fail")
    seen = []

    @miniray.remote(max_retries=2, retry_exceptions=[KeyError])
    def sometimes(kind):
        seen.append(miniray.get_runtime_context().get_task_attempt())
        raise kind("x")

    for kind in (KeyError, ValueError):
        with pytest.raises(kind):
            local.get(sometimes.remote(kind))
    assert seen == [1, 2, 3, 1]

    @miniray.remote
    def leave():
        raise SystemExit(3)

    with pytest.raises(WorkerCrashedError, match=r"sys.exit\(3\)"):
        local.get(leave.remote())


def test_generators(local):
    stream = count.remote(3)
    assert isinstance(stream, miniray.ObjectRefGenerator) and local.wait([stream]) == ([stream], [])
    assert local.get(stream.completed()) is None and [local.get(r) for r in stream] == [0, 1, 2] and stream.is_finished()
    stream = count.remote(1, KeyError("end"))
    assert local.get(next(stream)) == 0
    with pytest.raises(KeyError):
        local.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)
    made = []

    @miniray.remote(_generator_backpressure_num_objects=2)
    def endless():
        while True:
            made.append(len(made))
            yield made[-1]

    stream = endless.remote()
    assert made == [0, 1] and local.get(next(stream)) == 0 and made == [0, 1, 2]
    local.cancel(stream)
    assert [local.get(next(stream)) for _ in range(2)] == [1, 2]
    with pytest.raises(TaskCancelledError):
        local.get(next(stream))

    async def read():
        return [await ref async for ref in count.remote(3)]

    assert asyncio.run(read()) == [0, 1, 2]


def test_actors(local):
    actor = Counter.remote(add.remote(4))
    assert local.get([actor.add.remote(), actor.add.remote(k=3), actor.static.remote(1)]) == [6, 9, -1]
    assert local.get(actor.two.remote()) == [1, 2] and [local.get(r) for r in actor.items.remote(2)] == [0, 1]
    assert local.get(local.get(actor.me.remote()).add.remote()) == 10
    assert local.get(actor.__ray_ready__.remote()) and local.get(actor.__ray_call__.remote(lambda self, k: self.n + k, 1)) == 11

    @miniray.remote
    def use(handle):
        return miniray.get(handle.add.remote(100))

    assert local.get(use.remote(actor)) == 110
    local.kill(actor)
    with pytest.raises(ActorDiedError, match="ray.kill") as info:
        local.get(actor.add.remote())
    assert info.value.actor_id == actor._actor_id.hex()
    other = Counter.remote()
    with pytest.raises(ActorDiedError, match="exit_actor"):
        local.get(other.leave.remote())
    with pytest.raises(ActorDiedError, match="exit_actor"):
        local.get(other.add.remote())
    broken = Counter.remote(-1)
    with pytest.raises(ActorDiedError, match="creation task") as info:
        local.get(broken.add.remote())
    assert isinstance(info.value.__cause__, ValueError)
    with pytest.raises(ActorDiedError):
        list(map(local.get, broken.items.remote(1)))
    with pytest.raises(TypeError):
        miniray.exit_actor()


def test_names(local):
    actor = Counter.options(name="one").remote()
    assert local.get_actor("one") == actor == Counter.options(name="one", get_if_exists=True).remote()
    assert local.util.list_named_actors() == ["one"]
    with pytest.raises(ValueError, match="already taken"):
        Counter.options(name="one").remote()
    local.kill(actor)
    with pytest.raises(ValueError, match="Failed to look up actor"):
        local.get_actor("one")


def test_async_actors(local):
    actor = Async.remote()
    assert local.get([actor.slow.remote(i) for i in range(3)]) == [(0, False), (2, False), (4, False)]
    assert [local.get(r) for r in actor.items.remote()] == [0, 1, 2]

    async def several():
        return await asyncio.gather(*(actor.slow.remote(i) for i in range(2)))

    assert asyncio.run(several()) == [(0, False), (2, False)]
    with pytest.raises(DeadlockError, match="itself"):
        local.get(actor.again.remote())


def test_where_am_i(local):
    @miniray.remote(num_cpus=2, runtime_env={"env_vars": {"LOCAL_MODE_TEST": "yes"}})
    def look():
        context = miniray.get_runtime_context()
        return context.get_task_id(), context.get_task_name(), context.get_actor_id(), context.get_assigned_resources(), os.environ["LOCAL_MODE_TEST"]

    ref = look.options(name="named").remote()
    task, name, actor, resources, variable = local.get(ref)
    assert len(task) == 48 and name == "named" and actor is None and resources == {"CPU": 2.0} and variable == "yes"
    assert "LOCAL_MODE_TEST" not in os.environ and miniray.get_runtime_context().get_task_id() is None
    with pytest.raises(ValueError, match="local mode"):
        add.options(runtime_env={"working_dir": "."}).remote(1)


def test_what_is_built_on_it(local):
    with miniray.Executor() as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2] and executor.submit(pow, 2, 5).result() == 32
    pool = local.util.ActorPool([Counter.remote(), Counter.remote()])
    assert list(pool.map(lambda a, k: a.static.remote(k), [1, 2, 3])) == [-1, -2, -3]
    assert add.remote(1).future().result(timeout=20) == 2


def test_an_async_actor_that_leaves(local):
    class A:
        async def leave(self):
            raise SystemExit(3)

        async def fail(self):
            raise ValueError("x")

    actor = miniray.remote(A).remote()
    with pytest.raises(ValueError) as caught:
        miniray.get(actor.fail.remote())
    assert "concurrent" not in str(caught.value) and "miniray" not in str(caught.value)
    with pytest.raises(ActorDiedError, match=r"A.leave called sys.exit\(3\)"):
        miniray.get(actor.leave.remote())
    with pytest.raises(ActorDiedError):
        miniray.get(actor.fail.remote())

    class B:
        def __init__(self):
            raise SystemExit(3)

        def f(self):
            return 1

    with pytest.raises(ActorDiedError, match=r"(?s)B.__init__\(\).*SystemExit: 3"):
        miniray.get(miniray.remote(B).remote().f.remote())


def test_the_next_session_has_workers():
    miniray.init(local_mode=True)
    with pytest.raises(RuntimeError, match="init twice"):
        miniray.init()
    actor = Counter.remote()
    assert miniray.get(actor.add.remote()) == 1
    miniray.shutdown()
    miniray.init(num_cpus=1)
    try:
        assert miniray.get(miniray.remote(os.getpid).remote()) != os.getpid()
        with pytest.raises(ValueError, match="earlier miniray session"):
            actor.add.remote()
    finally:
        miniray.shutdown()
    with pytest.raises(TypeError, match="local_mode"):
        miniray.init(local_mode="yes")
