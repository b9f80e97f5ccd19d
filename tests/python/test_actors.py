"""Actors: order, handles, names, threads, event loops, death."""

import asyncio
import gc
import os
import time

import pytest

import miniray


@miniray.remote
class Counter:
    kind = "counter"

    def __init__(self, start=0, *, step=1):
        self.n, self.step = start, step

    def increment(self, by=None):
        self.n += self.step if by is None else by
        return self.n

    def pid(self):
        return os.getpid()

    def fail(self):
        raise KeyError("in the actor")

    def echo(self, *args, **kwargs):
        return args, kwargs

    @staticmethod
    def twice(x):
        return 2 * x

    @classmethod
    def what(cls):
        return cls.kind

    @miniray.method(num_returns=2)
    def two(self):
        return 1, 2

    def die(self):
        os._exit(7)

    def leave(self):
        miniray.exit_actor()

    def sys_exit(self):
        raise SystemExit(3)

    def stream(self, n):
        for i in range(n):
            yield self.n + i


def test_one_to_ten_in_order(ray):
    counter = Counter.remote()
    assert ray.get([counter.increment.remote() for _ in range(10)]) == list(range(1, 11))


def test_arguments_and_kinds_of_methods(ray):
    counter = Counter.remote(5, step=2)
    assert ray.get(counter.increment.remote()) == 7
    assert ray.get(counter.increment.remote(by=ray.put(3))) == 10
    assert ray.get(counter.echo.remote(1, x=2)) == ((1,), {"x": 2})
    assert ray.get(counter.twice.remote(4)) == 8
    assert ray.get(counter.what.remote()) == "counter"
    assert ray.get(counter.two.remote()) == [1, 2]
    assert ray.get(counter.echo.options(num_returns=2).remote(1, a=1)) == [(1,), {"a": 1}]
    assert [ray.get(r) for r in counter.stream.remote(3)] == [10, 11, 12]


def test_inherited_methods(ray):
    class Base:
        def hello(self):
            return "base"

        def name(self):
            return type(self).__name__

    @ray.remote
    class Child(Base):
        def hello(self):
            return super().hello() + " child"

    child = Child.remote()
    assert ray.get([child.hello.remote(), child.name.remote()]) == ["base child", "Child"]


def test_wrong_calls(ray):
    with pytest.raises(TypeError, match="too many positional"):
        Counter.remote(1, 2)
    counter = Counter.remote()
    with pytest.raises(TypeError, match="unexpected keyword"):
        counter.increment.remote(how=1)
    with pytest.raises(AttributeError, match="did you mean 'increment'"):
        counter.incremnt
    with pytest.raises(TypeError, match="cannot be called directly"):
        counter.increment()
    with pytest.raises(TypeError, match="cannot be instantiated directly"):
        Counter()
    with pytest.raises(TypeError, match="subclass"):
        class Sub(Counter):
            pass


def test_errors_leave_the_actor_alive(ray):
    counter = Counter.remote()
    with pytest.raises(KeyError, match="in the actor"):
        ray.get(counter.fail.remote())
    assert ray.get(counter.increment.remote()) == 1


def test_handles_are_passed_around(ray):
    @ray.remote
    def use(handles, n):
        return miniray.get([handles["c"].increment.remote() for _ in range(n)])

    @ray.remote
    class Holder:
        def __init__(self, counter):
            self.counter = counter

        def bump(self):
            return miniray.get(self.counter.increment.remote())

        def handle(self):
            return self.counter

    counter = Counter.remote()
    assert ray.get(use.remote({"c": counter}, 3)) == [1, 2, 3]
    holder = Holder.remote(counter)
    assert ray.get(holder.bump.remote()) == 4
    again = ray.get(holder.handle.remote())
    assert again == counter and hash(again) == hash(counter)
    assert ray.get(again.increment.remote()) == 5


def test_a_task_makes_an_actor(ray):
    @ray.remote
    def make():
        counter = Counter.remote(100)
        return counter, miniray.get(counter.increment.remote())

    counter, first = ray.get(make.remote())
    assert first == 101 and ray.get(counter.increment.remote()) == 102


def test_the_last_handle_ends_the_process(ray, until):
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    last = counter.increment.remote()
    del counter
    gc.collect()
    assert ray.get(last) == 1

    def gone():
        ray.put(0)
        return not os.path.exists(f"/proc/{pid}")

    until(gone, "the actor's end")


def test_names(ray):
    counter = Counter.options(name="the counter").remote(5)
    assert ray.get(ray.get_actor("the counter").increment.remote()) == 6
    with pytest.raises(ValueError, match="already taken"):
        Counter.options(name="the counter").remote()
    same = Counter.options(name="the counter", get_if_exists=True).remote()
    assert ray.get(same.increment.remote()) == 7
    with pytest.raises(ValueError, match="Failed to look up actor with name 'nobody'"):
        ray.get_actor("nobody")
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("the counter", namespace="elsewhere")
    with pytest.raises(ValueError):
        ray.get_actor("")

    @ray.remote
    def from_a_task():
        return miniray.get(miniray.get_actor("the counter").increment.remote())

    assert ray.get(from_a_task.remote()) == 8
    ray.kill(counter)
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("the counter")
    Counter.options(name="the counter").remote()


def test_namespaces():
    with miniray.init(num_workers=1, namespace="mine"):
        keep = Counter.options(name="c").remote()
        assert miniray.get_actor("c", namespace="mine") == keep

        @miniray.remote
        def inside():
            return miniray.get_runtime_context().namespace, miniray.get_actor("c") is not None

        assert miniray.get(inside.remote()) == ("mine", True)


def test_kill(ray):
    counter = Counter.remote()
    assert ray.get(counter.increment.remote()) == 1
    ray.kill(counter)
    with pytest.raises(ray.exceptions.ActorDiedError, match="was killed by ray.kill") as info:
        ray.get(counter.increment.remote(), timeout=20)
    assert isinstance(info.value, ray.exceptions.RayActorError) and info.value.actor_id
    with pytest.raises(ValueError, match="only supported for actors"):
        ray.kill(ray.put(1))


def test_a_constructor_that_fails(ray):
    @ray.remote
    class Broken:
        def __init__(self):
            raise ValueError("no luck")

        def hello(self):
            return 1

    broken = Broken.remote()
    with pytest.raises(ray.exceptions.RayError) as info:
        ray.get(broken.hello.remote(), timeout=20)
    assert "no luck" in str(info.value)
    dropped = [Broken.remote().hello.remote() for _ in range(3)]  # their handles are gone before the constructors run
    for call in dropped:
        with pytest.raises(ray.exceptions.ActorDiedError, match="no luck") as info:
            ray.get(call, timeout=20)
        assert isinstance(info.value.__cause__, ValueError)


def _leave():
    miniray.actor.exit_actor()


def _exit():
    raise SystemExit(4)


def _interrupt():
    raise KeyboardInterrupt("by hand")


@pytest.mark.parametrize("act, told", [(_leave, "the constructor called exit_actor"), (_exit, "SystemExit: 4"), (_interrupt, "by hand")])
@pytest.mark.parametrize("held", [True, False], ids=["held", "dropped"])
def test_a_constructor_that_leaves(ray, act, told, held):
    """Every caller is told what it raised, and the process that goes on is no actor."""
    @ray.remote
    class Leaver:
        def __init__(self, act):
            act()

        def hello(self):
            return 1

    @ray.remote(max_retries=0)
    def plain(leave):
        if leave:
            raise SystemExit(2)
        return ray.get_runtime_context().get_actor_id()

    leaver = Leaver.remote(act)
    calls = [leaver.hello.remote() for _ in range(2)]
    if not held:
        del leaver
    for call in calls:
        with pytest.raises(ray.exceptions.ActorDiedError, match="(?s)creation task.*" + told):
            ray.get(call, timeout=20)
    assert ray.get([plain.remote(False) for _ in range(4)]) == [None] * 4
    with pytest.raises(ray.exceptions.WorkerCrashedError, match=r"the task .* called sys.exit\(2\)"):
        ray.get(plain.remote(True), timeout=20)


def test_the_dead_have_a_name_when_no_handle_is_left(ray):
    @ray.remote
    class Mortal:
        def __init__(self):
            os._exit(4)

        def hello(self):
            return 1

    with pytest.raises(ray.exceptions.ActorDiedError, match=r"Mortal died: worker \d+ exited with code 4"):
        ray.get(Mortal.remote().hello.remote(), timeout=20)


def test_who_leaves_is_no_unhandled_error(ray, capfd):
    @ray.remote
    class Sleeper:
        async def leave(self):
            miniray.actor.exit_actor()

        async def sleep(self):
            await asyncio.sleep(60)

    counter, sleeper = Counter.remote(), Sleeper.remote()
    counter.__ray_terminate__.remote()
    slow = sleeper.sleep.remote()
    sleeper.leave.remote()
    for call in (slow, counter.increment.remote()):
        with pytest.raises(ray.exceptions.ActorDiedError):
            ray.get(call, timeout=20)
    miniray.shutdown()
    said = capfd.readouterr()
    assert "unhandled error" not in said.err and "Traceback" not in said.out + said.err


def test_death_and_restart(ray):
    mortal = Counter.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.die.remote(), timeout=20)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(mortal.increment.remote(), timeout=20)
    phoenix = Counter.options(max_restarts=1, max_task_retries=0).remote(10)
    assert ray.get(phoenix.increment.remote()) == 11
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(phoenix.die.remote(), timeout=20)
    assert ray.get(phoenix.increment.remote(), timeout=20) == 11


def test_exit_actor_and_sys_exit(ray):
    counter = Counter.remote()
    with pytest.raises(ray.exceptions.ActorDiedError, match="exit_actor"):
        ray.get(counter.leave.remote(), timeout=20)
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(counter.increment.remote(), timeout=20)
    with pytest.raises(ray.exceptions.ActorDiedError, match=r"sys.exit\(3\)"):
        ray.get(Counter.remote().sys_exit.remote(), timeout=20)
    with pytest.raises(TypeError, match="non-actor"):
        ray.exit_actor()


@miniray.remote
class Async:
    def __init__(self):
        self.event = asyncio.Event()
        self.most = self.now = 0

    async def wait(self):
        self.now += 1
        self.most = max(self.most, self.now)
        await self.event.wait()
        self.now -= 1
        return self.most

    async def inside(self):
        return self.now

    async def go(self):
        self.event.set()

    async def stop(self):
        self.event.clear()

    async def quick(self, x):
        return x + 1

    def plain(self):
        return "plain"

    async def fail(self):
        await asyncio.sleep(0)
        raise ValueError("async")

    async def forever(self):
        await asyncio.sleep(1000)

    async def use(self, refs):
        return await refs[0] + await refs[1]

    async def numbers(self, n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def with_timeout(self):
        try:
            await asyncio.wait_for(asyncio.sleep(1000), 0.01)
        except asyncio.TimeoutError:
            return "timed out"


def test_calls_of_an_async_actor_begin_in_order(ray):
    actor = Async.remote()
    for many in (1, 30, 200):
        waiting = [actor.wait.remote() for _ in range(many)]
        inside = actor.inside.remote()  # has no await: it must not overtake those that have
        assert ray.get(inside) == many
        ray.get(actor.go.remote())
        ray.get(waiting, timeout=30)
        ray.get(actor.stop.remote())


def test_an_async_call_is_cancelled_before_it_begins(ray):
    actor = Async.remote()
    refs = [actor.forever.remote() for _ in range(300)]
    for ref in refs:
        ray.cancel(ref)
    for ref in refs:
        with pytest.raises(miniray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=30)
    assert ray.get(actor.inside.remote(), timeout=30) == 0


def test_an_async_actor_answers_while_it_is_polled(ray):
    """A worker that only looks for calls and goes back to its loop has told all that it knew."""
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(200)]
    for _ in range(30):
        assert ray.get(actor.inside.remote(), timeout=30) == 200
        time.sleep(0.01)
    ray.get(actor.go.remote())
    ray.get(waiting, timeout=30)


def test_an_async_actor_runs_many_calls(ray):
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(200)]
    ray.get(actor.go.remote())
    assert max(ray.get(waiting, timeout=30)) > 1
    assert ray.get([actor.quick.remote(i) for i in range(100)]) == list(range(1, 101))
    assert ray.get(actor.plain.remote()) == "plain"
    with pytest.raises(ValueError, match="async"):
        ray.get(actor.fail.remote())
    assert ray.get(actor.use.remote([ray.put(1), ray.put(2)]), timeout=20) == 3
    assert [ray.get(r) for r in actor.numbers.remote(3)] == [0, 1, 2]
    assert ray.get(actor.with_timeout.remote()) == "timed out"


def test_cancel_of_an_async_call(ray):
    actor = Async.remote()
    ref = actor.forever.remote()
    assert ray.get(actor.quick.remote(1)) == 2
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=20)
    assert ray.get(actor.quick.remote(1)) == 2


def test_a_threaded_actor(ray):
    @ray.remote(max_concurrency=4)
    class Barrier:
        def __init__(self):
            import threading

            self.barrier = threading.Barrier(4)

        def meet(self):
            return self.barrier.wait(20)

    barrier = Barrier.remote()
    assert sorted(ray.get([barrier.meet.remote() for _ in range(4)], timeout=30)) == [0, 1, 2, 3]


def test_built_in_methods(ray):
    counter = Counter.remote(3)
    assert ray.get(counter.__ray_ready__.remote()) is True
    assert ray.get(counter.__ray_call__.remote(lambda self, k: self.n + k, 4)) == 7
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(counter.__ray_terminate__.remote(), timeout=20)


def test_dir(ray):
    counter = Counter.remote()
    assert {"increment", "twice", "what"} <= set(dir(counter)) and "remote" in dir(Counter)
    assert Counter.kind == "counter" and Counter.what() == "counter" and Counter.twice(2) == 4


def test_runtime_context(ray):
    @ray.remote
    class Self:
        def ids(self):
            context = miniray.get_runtime_context()
            return context.get_actor_id(), context.current_actor, context.get_task_id() is not None

        def ping(self):
            return "pong"

    actor = Self.remote()
    number, handle, in_task = ray.get(actor.ids.remote())
    assert number == actor._actor_id.hex() and handle == actor and in_task
    assert ray.get(handle.ping.remote()) == "pong"
    assert ray.get_runtime_context().get_actor_id() is None
    with pytest.raises(RuntimeError, match="only available in an actor"):
        ray.get_runtime_context().current_actor


def test_max_pending_calls(ray):
    @ray.remote(max_pending_calls=2)
    class Slow:
        def nap(self):
            time.sleep(1)

    slow = Slow.remote()
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        for _ in range(20):
            slow.nap.remote()
    ray.kill(slow)


def test_max_pending_calls_is_told_at_the_call(ray):
    """Also to a worker, which else never waits when it calls, and with a handle that came by name."""
    @ray.remote(max_pending_calls=2, name="slow", num_cpus=0)
    class Slow:
        def nap(self):
            time.sleep(60)

    @ray.remote
    def calls(handle):
        try:
            for _ in range(5):
                handle.nap.remote()
        except ray.exceptions.PendingCallsLimitExceeded:
            return "at the call"

    @ray.remote
    def calls_by_name():
        return ray.get(calls.remote(ray.get_actor("slow")))

    slow = Slow.remote()
    assert ray.get(calls.remote(slow), timeout=20) == "at the call"
    assert ray.get(calls_by_name.remote(), timeout=20) == "at the call"
    ray.kill(slow)


def test_retries_of_calls_by_name(ray, tmp_path):
    @ray.remote(max_restarts=1, max_task_retries=1, name="again")
    class Again:
        def once(self, path):
            if not os.path.exists(path):
                open(path, "w").close()
                os._exit(1)
            return "done"

    again = Again.remote()
    assert ray.get(ray.get_actor("again").once.remote(tmp_path / "died"), timeout=20) == "done"
    del again


def test_what_ends_on_the_actors_own_loop_is_told_to_a_driver_that_only_awaits(ray):
    import asyncio

    @ray.remote
    class Box:
        def __init__(self):
            self.queue = asyncio.Queue(1)

        async def put(self, item, timeout):
            try:
                await asyncio.wait_for(self.queue.put(item), timeout)
            except asyncio.TimeoutError:
                return False
            return True

        async def get(self):
            return await self.queue.get()

        async def count(self):
            for i in range(3):
                await asyncio.sleep(0)
                yield i

    box = Box.remote()
    for _ in range(5):
        assert box.put.remote("a", None).future().result(20) is True
        assert box.put.remote("b", 0.01).future().result(20) is False
        assert box.get.remote().future().result(20) == "a"

    async def read():
        return [await asyncio.wait_for(ref, 20) async for ref in box.count.remote()]

    assert asyncio.run(read()) == [0, 1, 2]
