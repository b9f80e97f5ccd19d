"""Concurrency groups, threads, limits of pending calls, retries of methods, and how actors end."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

import miniray
from miniray.exceptions import (ActorDiedError, ActorUnavailableError, PendingCallsLimitExceeded, TaskCancelledError, RayActorError)


def grouped(is_async):
    """An actor with groups of 2 and 1 beside the default one of 1; each call says how many of its group ran."""
    class Plain:
        def __init__(self):
            self.lock = threading.Lock()
            self.now = {}

        def enter(self, group, path):
            with self.lock:
                self.now[group] = self.now.get(group, 0) + 1

        def leave(self, group):
            with self.lock:
                self.now[group] -= 1

        def seen(self):
            with self.lock:
                return dict(self.now)

    if is_async:
        class Actor(Plain):
            async def held(self, group, path):
                self.enter(group, path)
                while not os.path.exists(path):
                    await asyncio.sleep(0.002)
                self.leave(group)
                return threading.current_thread().name

            @miniray.method(concurrency_group="_ray_system")
            async def look(self):
                return self.seen()

            async def blocks(self, path):
                while not os.path.exists(path):
                    time.sleep(0.002)
    else:
        class Actor(Plain):
            def held(self, group, path):
                self.enter(group, path)
                while not os.path.exists(path):
                    time.sleep(0.002)
                self.leave(group)
                return threading.current_thread().name

            @miniray.method(concurrency_group="_ray_system")
            def look(self):
                return self.seen()

            def blocks(self, path):
                while not os.path.exists(path):
                    time.sleep(0.002)

    return Actor


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "loops"])
def test_groups_have_limits_and_threads_of_their_own(ray, tmp_path, until, is_async):
    gate = str(tmp_path / "gate")
    actor = ray.remote(max_concurrency=1, concurrency_groups={"io": 2, "compute": 1})(grouped(is_async)).remote()
    calls = [actor.held.options(concurrency_group=group).remote(str(group), gate) if group else actor.held.remote("default", gate)
             for group in (None, "io", "compute") for _ in range(5)]
    until(lambda: ray.get(actor.look.remote()) == {"default": 1, "io": 2, "compute": 1})
    assert ray.wait(calls, num_returns=15, timeout=0.05)[0] == []
    (tmp_path / "gate").touch()
    names = ray.get(calls, timeout=60)
    if is_async:  # a loop each
        assert len(set(names)) == 3 and all(len(set(names[i:i + 5])) == 1 for i in (0, 5, 10))


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "loops"])
def test_the_system_group_answers_while_all_else_is_blocked(ray, tmp_path, is_async):
    gate = str(tmp_path / "gate")
    actor = ray.remote(grouped(is_async)).remote()  # no concurrency_groups: the method's option is enough
    blocked = actor.blocks.remote(gate)
    behind = actor.blocks.remote(gate)
    assert ray.get(actor.look.remote(), timeout=60) == {}
    assert ray.get(actor.__ray_ready__.options(concurrency_group="_ray_system").remote(), timeout=60)
    (tmp_path / "gate").touch()
    ray.get([blocked, behind], timeout=60)


def test_groups_that_are_not_there(ray):
    class A:
        @miniray.method(concurrency_group="io")
        def f(self):
            return 1

        def g(self):
            return 1

    with pytest.raises(ValueError, match="no concurrency group 'io' in this actor; it has none"):
        ray.remote(A)
    actor = ray.remote(concurrency_groups={"io": 1})(A).remote()
    assert ray.get([actor.f.remote(), actor.g.remote()]) == [1, 1]
    with pytest.raises(ValueError, match="no concurrency group 'other' in this actor; it has 'io'"):
        actor.g.options(concurrency_group="other").remote()
    for groups, kind in (({"io": 0}, ValueError), ({"io": "x"}, TypeError), (["io"], TypeError), ({3: 3}, TypeError),
                         ({"_ray_system": 1}, ValueError), ({str(i): 1 for i in range(16)}, ValueError)):
        with pytest.raises(kind):
            ray.remote(concurrency_groups=groups)(A)
    plain = ray.remote(type("Plain", (), {"f": lambda self: 1})).remote()
    with pytest.raises(ValueError, match="_ray_system"):
        plain.__ray_ready__.options(concurrency_group="_ray_system").remote()


def test_groups_through_handles_by_name_and_as_arguments(ray):
    class A:
        @miniray.method(concurrency_group="io")
        def f(self):
            return 1

    actor = ray.remote(concurrency_groups={"io": 1})(A).options(name="grouped").remote()

    @ray.remote
    def call(handle):
        named = miniray.get_actor("grouped")
        return miniray.get([handle.f.remote(), named.f.remote(), named.f.options(concurrency_group="io").remote()])

    assert ray.get(call.remote(actor)) == [1, 1, 1]


def test_many_short_calls_on_threads(ray):
    """Also those whose end nobody waits for one by one."""
    class A:
        def f(self, i):
            return i

        def sleeps(self, gate):
            while not os.path.exists(gate):
                time.sleep(0.001)
            return threading.get_ident()

    actor = ray.remote(max_concurrency=4)(A).remote()
    for n in (1, 10, 3000):
        assert ray.get([actor.f.remote(i) for i in range(n)], timeout=60) == list(range(n))


def test_a_short_method_that_blocks_lets_others_run(ray, tmp_path):
    """It was run by the thread that takes calls; another one takes over."""
    class A:
        def __init__(self):
            self.gate = threading.Barrier(3)

        def f(self, wait):
            if wait:
                self.gate.wait(60)
            return wait

    actor = ray.remote(max_concurrency=3)(A).remote()
    ray.get([actor.f.remote(False) for _ in range(2000)], timeout=60)
    for _ in range(5):
        assert ray.get([actor.f.remote(True) for _ in range(3)], timeout=60) == [True] * 3


def test_threads_that_are_cancelled_are_told(ray, tmp_path, until):
    class A:
        def f(self, path):
            open(path, "w").close()
            while not miniray.get_runtime_context().is_canceled():
                time.sleep(0.002)
            open(path + ".seen", "w").close()

        def items(self, path):
            yield 1
            self.f(path)

    actor = ray.remote(max_concurrency=2)(A).remote()
    ref = actor.f.remote(str(tmp_path / "began"))
    until((tmp_path / "began").exists)
    ray.cancel(ref)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=60)
    assert (tmp_path / "began.seen").exists()
    stream = actor.items.remote(str(tmp_path / "items"))
    until((tmp_path / "items").exists)
    ray.cancel(stream)
    with pytest.raises(TaskCancelledError):
        ray.get(stream.completed(), timeout=60)
    until((tmp_path / "items.seen").exists)


def test_who_may_ask_whether_it_was_cancelled(ray, tmp_path, until):
    @ray.remote
    def caught(path):
        context = miniray.get_runtime_context()
        assert not context.is_canceled()
        open(path, "w").close()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            return context.is_canceled(), context.is_cancelled()

    ref = caught.remote(str(tmp_path / "began"))
    until((tmp_path / "began").exists)
    ray.cancel(ref)
    assert ray.get(ref, timeout=60) == (True, True)

    class A:
        async def f(self):
            return miniray.get_runtime_context().is_canceled()

    with pytest.raises(RuntimeError, match="not supported in an async actor"):
        ray.get(ray.remote(A).remote().f.remote())
    with pytest.raises(RuntimeError, match="only available when the process is a worker"):
        ray.get_runtime_context().is_canceled()


def test_pending_calls_are_limited_everywhere(ray, tmp_path):
    class A:
        def held(self, gate):
            while not os.path.exists(gate):
                time.sleep(0.002)

    gate = str(tmp_path / "gate")
    actor = ray.remote(max_pending_calls=3)(A).options(name="limited").remote()

    @ray.remote
    def too_many(actor, gate):
        for handle in (actor, miniray.get_actor("limited")):
            with pytest.raises(PendingCallsLimitExceeded, match="the most allowed is 3"):
                for _ in range(4):
                    handle.held.remote(gate)
        return True

    assert ray.get(too_many.remote(actor, gate))
    with pytest.raises(PendingCallsLimitExceeded):
        for _ in range(4):
            actor.held.remote(gate)
    (tmp_path / "gate").touch()


@pytest.mark.parametrize("kind", ["plain", "threaded", "async"])
def test_methods_are_retried_after_the_errors_that_they_name(ray, tmp_path, kind):
    def attempt(path, error):
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise error("again")
        return os.path.getsize(path)

    class Plain:
        @miniray.method(retry_exceptions=True)
        def always(self, path):
            return attempt(path, KeyError)

        @miniray.method(retry_exceptions=[ValueError])
        def some(self, path, error):
            return attempt(path, error)

        def never(self, path, error):
            return attempt(path, error)

    class Async(Plain):
        @miniray.method(retry_exceptions=[ValueError])
        async def some(self, path, error):
            await asyncio.sleep(0)
            return attempt(path, error)

    cls = ray.remote(max_task_retries=5)(Async if kind == "async" else Plain)
    actor = cls.options(max_concurrency=2).remote() if kind == "threaded" else cls.remote()
    assert ray.get(actor.always.remote(str(tmp_path / "a"))) == 3
    assert ray.get(actor.some.remote(str(tmp_path / "b"), UnicodeError)) == 3
    for name, method in (("c", actor.some), ("d", actor.never)):
        with pytest.raises(KeyError):
            ray.get(method.remote(str(tmp_path / name), KeyError))
        assert os.path.getsize(tmp_path / name) == 1
    assert ray.get(actor.never.options(retry_exceptions=[KeyError]).remote(str(tmp_path / "e"), KeyError)) == 3


def test_a_named_handle_knows_the_retries_of_its_actor(ray, tmp_path):
    class A:
        def f(self, path):
            with open(path, "a") as file:
                file.write("x")
            if os.path.getsize(path) < 3:
                os._exit(1)
            return True

    actor = ray.remote(max_restarts=-1, max_task_retries=-1)(A).options(name="retried").remote()
    assert ray.get(ray.get_actor("retried").f.remote(str(tmp_path / "a")), timeout=60)
    other = ray.remote(max_restarts=-1)(A).remote()
    with pytest.raises(ActorUnavailableError):
        ray.get(other.f.remote(str(tmp_path / "b")), timeout=60)
    del actor


@pytest.mark.parametrize("kind", ["plain", "threaded", "async", "grouped"])
def test_exit_actor(ray, kind):
    class Plain:
        def bye(self):
            miniray.actor.exit_actor()

        def f(self):
            return 1

    class Async(Plain):
        async def bye(self):
            await asyncio.sleep(0)
            miniray.actor.exit_actor()

        async def waits(self):
            await asyncio.sleep(1000)

    cls = ray.remote(Async if kind in ("async", "grouped") else Plain)
    options = {"threaded": {"max_concurrency": 3}, "grouped": {"concurrency_groups": {"io": 2}}}.get(kind, {})
    actor = cls.options(**options).remote()
    waiting = [actor.waits.remote() for _ in range(5)] if kind in ("async", "grouped") else []
    end = actor.bye.options(concurrency_group="io").remote() if kind == "grouped" else actor.bye.remote()
    later = [actor.f.remote() for _ in range(1000)] if kind == "plain" else []
    for ref in [end, *waiting, *later]:
        with pytest.raises(RayActorError, match=r"exit_actor\(\)") as info:
            ray.get(ref, timeout=60)
        assert info.value.actor_id == actor._actor_id.hex()
    with pytest.raises(ActorDiedError, match=r"exit_actor\(\)"):
        ray.get(actor.f.remote(), timeout=60)


def test_deaths_have_kinds(ray):
    class A:
        def f(self):
            return os.getpid()

        def make(self):
            self.child = miniray.remote(A).options(name="child").remote()
            self.detached = miniray.remote(A).options(name="free", lifetime="detached").remote()
            return miniray.get([self.child.f.remote(), self.detached.f.remote()])

    parent = ray.remote(A).remote()
    ray.get(parent.make.remote())
    child, free = ray.get_actor("child"), ray.get_actor("free")
    ray.kill(parent)
    with pytest.raises(ActorDiedError, match="was killed by ray.kill") as info:
        ray.get(parent.f.remote())
    assert info.value.actor_id == parent._actor_id.hex()
    with pytest.raises(ActorDiedError, match="its owner has died"):
        while True:
            ray.get(child.f.remote(), timeout=60)
    assert ray.get(free.f.remote())
    ray.kill(free)


def test_built_in_calls_keep_their_turn(ray):
    class A:
        def __init__(self):
            self.n = 0

        def add(self):
            time.sleep(0.001)
            self.n += 1
            return self.n

    actor = ray.remote(A).remote()
    calls = [actor.add.remote() for _ in range(100)]
    assert ray.get(actor.__ray_call__.remote(lambda self, k: self.n + k, 5)) == 105
    actor.__ray_terminate__.remote()
    assert ray.get(calls) == list(range(1, 101))
