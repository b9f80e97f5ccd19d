"""init and shutdown, what they refuse, output, forks, looking around."""

import io
import os
import subprocess
import sys
import textwrap
import time

import pytest

import miniray


@miniray.remote
def one():
    return 1


def python(code, **kwargs):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.mark.parametrize("arguments, kind, message", [
    ({"num_workers": 0}, ValueError, "positive integer"), ({"num_workers": 1.5}, TypeError, "num_workers"),
    ({"num_workers": 2, "num_cpus": 3}, ValueError, "contradict"), ({"num_cpus": -1}, ValueError, "negative"),
    ({"num_cpu": 1}, TypeError, "did you mean 'num_cpus'"), ({"resources": {"CPU": 1}}, ValueError, "num_cpus"),
    ({"address": "auto"}, ConnectionError, "Could not find any running"), ({"address": "1.2.3.4:5"}, ConnectionError, "this machine"),
    ({"namespace": ""}, ValueError, "namespace"), ({"infeasible": "maybe"}, ValueError, "wait"), ({"local_mode": 1}, TypeError, "bool"),
    ({"store": "store-none"}, miniray.exceptions.RayError, "store-none"), ({"sched": "/no/such.so"}, miniray.exceptions.RayError, "no/such"),
    ({"policy": "/no/such.lua"}, miniray.exceptions.RayError, "no/such.lua"), ({"config": "/no/such.ini"}, miniray.exceptions.RayError, "no/such.ini"),
    ({"config": 5}, TypeError, "path"), ({"object_store_memory": -1}, ValueError, "memory"), ({"log_to_driver": 1}, TypeError, "bool"),
], ids=str)
def test_init_refuses(arguments, kind, message):
    with pytest.raises(kind, match=message):
        miniray.init(**arguments)
    assert not miniray.is_initialized()


def test_a_wrong_setting_names_file_line_and_key(tmp_path):
    path = tmp_path / "bad.ini"
    path.write_text("[node]\ncpuss = 2\n")
    with pytest.raises(miniray.exceptions.ConfigError, match=r"bad.ini:2: .*cpus"):
        miniray.init(config=path)


def test_init_twice():
    context = miniray.init(num_workers=1)
    with pytest.raises(RuntimeError, match="twice"):
        miniray.init()
    assert miniray.init(ignore_reinit_error=True) is context
    assert "session" in repr(context) and context["session"]
    miniray.shutdown()
    miniray.shutdown()


def test_is_initialized_and_the_context_manager():
    assert not miniray.is_initialized()
    with miniray.init(num_workers=1):
        assert miniray.is_initialized()
    assert not miniray.is_initialized()


def test_the_first_use_opens_a_session():
    result = python("import miniray as ray\nprint(ray.get(ray.put(5)), ray.is_initialized())")
    assert result.stdout.split() == ["5", "True"], result.stderr


def test_in_a_worker(ray):
    @ray.remote
    def inside():
        try:
            miniray.init()
        except RuntimeError as error:
            return miniray.is_initialized(), str(error)

    there, error = ray.get(inside.remote())
    assert there and "worker" in error


def test_use_after_shutdown():
    miniray.init(num_workers=1)
    ref = miniray.put(1)
    miniray.shutdown()
    with miniray.init(num_workers=1):
        for use in (lambda: miniray.get(ref), lambda: miniray.wait([ref]), lambda: one.remote and miniray.put([ref]),
                    lambda: miniray.cancel(ref), lambda: miniray.put({ref}), lambda: miniray.remote(len).remote({ref})):
            with pytest.raises(miniray.exceptions.StaleReferenceError, match="earlier miniray session"):
                use()


def test_impossible_requests(ray):
    with pytest.raises(miniray.exceptions.TaskUnschedulableError) as info:
        one.options(num_cpus=64).remote()
    assert isinstance(info.value, miniray.exceptions.UnschedulableError)
    with pytest.raises(miniray.exceptions.UnschedulableError):
        one.options(resources={"unicorn": 1}).remote()

    @ray.remote(num_gpus=1)
    class Gpu:
        pass

    with pytest.raises(miniray.exceptions.ActorUnschedulableError):
        Gpu.remote()


def test_infeasible_may_wait():
    with miniray.init(num_workers=1, infeasible="wait"):
        ref = one.options(num_cpus=64).remote()
        assert miniray.wait([ref], timeout=0.2) == ([], [ref])


def test_resources():
    with miniray.init(num_cpus=1.5, num_gpus=2, resources={"disk": 3}):
        assert miniray.cluster_resources()["CPU"] == 1.5 and miniray.cluster_resources()["disk"] == 3
        assert miniray.get(one.options(resources={"disk": 3}, num_gpus=0.5).remote()) == 1
        assert miniray.available_resources()["CPU"] == 1.5
        assert len(miniray.nodes()) == 1 and miniray.nodes()[0]["Alive"]


@pytest.mark.parametrize("store", ["store-mem", "store-shm"])
@pytest.mark.parametrize("sched", ["sched-fifo", "sched-locality"])
def test_back_ends(store, sched):
    import numpy as np

    with miniray.init(num_workers=2, store=store, sched=sched):
        big = miniray.put(np.arange(100_000))
        total = miniray.remote(lambda a: a.sum() + miniray.get(one.remote()))
        assert miniray.get([total.remote(big) for _ in range(5)]) == [4_999_950_001] * 5


def test_a_lua_policy(tmp_path):
    policy = tmp_path / "p.lua"
    policy.write_text("return { rank = function(t) return -t.priority end }\n")
    with miniray.init(num_workers=1, policy=policy):
        assert miniray.get([one.options(priority=i).remote() for i in range(5)]) == [1] * 5


def test_output_of_workers(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    @miniray.remote
    def say(i):
        print("line", i)
        print("to stderr", file=sys.stderr)
        sys.stdout.write("no newline")
        return os.getpid()

    miniray.init(num_workers=1)
    pid = miniray.get(say.remote(1))
    miniray.shutdown()
    lines = out.getvalue().splitlines()
    assert any(line.endswith(f"pid={pid}) line 1") and "say" in line for line in lines), out.getvalue()
    assert "no newline" in out.getvalue() and "to stderr" in err.getvalue()


def test_output_can_be_off(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with miniray.init(num_workers=1, log_to_driver=False):
        miniray.get(miniray.remote(lambda: print("unseen")).remote())
    assert out.getvalue() == ""


def test_all_output_is_there_at_the_end():
    code = """
        import miniray as ray
        @ray.remote
        def f(i):
            for k in range(100):
                print("x", i, k)
        ray.init(num_workers=2)
        ray.get([f.remote(i) for i in range(10)])
    """
    result = python(code)
    assert sum(") x " in line for line in result.stdout.splitlines()) == 1000, result.stderr


def test_a_forked_child(ray):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read, write = os.pipe()
        ref = ray.put(1)
        pid = os.fork()
    if pid == 0:
        try:
            ray.get(ref)
            text = "no error"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        del ref
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    assert "forked" in text and "RaySystemError" in text
    assert ray.get(ref) == 1


def test_timeline(ray, tmp_path):
    @ray.remote(name="slow one")
    def slow():
        time.sleep(0.05)

    ray.get([slow.remote() for _ in range(3)])
    rows = [t for t in ray.timeline() if t["fn"] == "slow one"]
    assert len(rows) == 3
    for row in rows:
        assert {"task", "fn", "node", "slot", "submitted", "ready", "started", "ended", "outcome", "bytes"} <= set(row)
        assert row["submitted"] <= row["ready"] <= row["started"] <= row["ended"]
        assert row["ended"] - row["started"] >= 50_000_000
    ray.timeline(str(tmp_path / "trace.json"))
    assert "slow one" in (tmp_path / "trace.json").read_text()


def test_batch(ray):
    with ray.batch():
        refs = [one.remote() for _ in range(10)]
    assert ray.get(refs) == [1] * 10


@pytest.mark.parametrize("store", ["store-mem", "store-shm"])
def test_arrays_outlive_the_session(store):
    result = python(f"""
        import numpy as np, miniray as ray
        for _ in range(3):
            ray.init(num_workers=1, store={store!r})
            big = ray.get(ray.put(np.arange(1_000_000)))
            small = ray.get(ray.put(np.arange(10)))
            ray.shutdown()
            print(small.sum(), big.sum(), big[5:8])
    """)
    assert result.stdout == "45 499999500000 [5 6 7]\n" * 3, result.stderr


def test_a_store_that_is_too_small():
    import numpy as np

    with miniray.init(num_workers=1, object_store_memory=16 << 20):
        with pytest.raises(miniray.exceptions.ObjectStoreFullError):
            miniray.put(np.zeros(8 << 20))

        @miniray.remote
        def big():
            return np.zeros(8 << 20)

        with pytest.raises(miniray.exceptions.RayError):
            miniray.get(big.remote(), timeout=30)
        assert miniray.get(one.remote()) == 1


def test_a_future_that_was_pending_when_its_session_ended_leaves_the_next_one_alone():
    for _ in range(2):
        with miniray.init(num_cpus=1):
            assert miniray.remote(lambda: 7).remote().future().result(20) == 7
            pending = miniray.remote(lambda: time.sleep(60)).remote().future()
        with pytest.raises(miniray.exceptions.RaySystemError, match="shut down"):
            pending.result(20)


def test_awaitable_references(ray):
    import asyncio

    @ray.remote
    def slow(x):
        time.sleep(0.01)
        return x

    @ray.remote
    def fails():
        raise KeyError("k")

    async def main():
        first = await slow.remote(1)
        rest = await asyncio.gather(*[slow.remote(i) for i in range(5)])
        with pytest.raises(KeyError):
            await fails.remote()
        return first, rest

    assert asyncio.run(main()) == (1, list(range(5)))
    future = slow.remote(7).future()
    assert future.result(20) == 7
