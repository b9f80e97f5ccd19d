"""miniray.Executor: CPython's own tests of executors, and what they do not ask."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

import miniray

HERE = Path(__file__).parent
MIXINS = ["WaitTests", "ExecutorTest", "ExecutorShutdownTest", "AsCompletedTests", "InitializerMixin", "FailingInitializerMixin",
          "ExecutorDeadlockTest"]


def cpython_tests():
    """The folder that holds the package `test` of this version of Python, with the tests of executors; None: not installed."""
    import test

    homes = [Path(p) for p in test.__path__] + [Path(f"/usr/lib/python3.{sys.version_info[1]}/test")]
    return next((h for h in homes if (h / "support").is_dir() and list(h.glob("test_concurrent_futures*"))), None)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """CPython's tests sleep a lot: all of them begin before the first test of this file, and are awaited at its end."""
    home = cpython_tests()
    if home is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("cpython")
    (folder / "test").symlink_to(home)
    running = {}
    for name in MIXINS:
        with open(folder / f"{name}.log", "wb") as log:
            running[name] = subprocess.Popen([sys.executable, str(HERE / "cpython_executor.py"), str(folder), name], stdout=log,
                                             stderr=log,
                                             env={**os.environ, "PYTHONPATH": str(folder), "XDG_RUNTIME_DIR": str(folder)})
    yield running, folder
    for one in running.values():
        one.kill()
        one.wait()


@pytest.fixture(autouse=True)
def begun(theirs, nothing_left):
    yield


@pytest.fixture
def pool(ray):
    with miniray.Executor(2) as executor:
        yield executor


# ---- calls ---------------------------------------------------------------------------------------------------------

def test_any_function_will_do(pool):
    offset = 10
    assert pool.submit(lambda x: x + offset, 1).result() == 11
    assert pool.submit([3, 1, 2].index, 2).result() == 2
    assert pool.submit(int, "7").result() == 7
    assert pool.submit("{a} {b}".format, a=1, b=2).result() == "1 2"
    assert list(pool.map(lambda x, y: x * y + offset, range(5), range(5))) == [10, 11, 14, 19, 26]
    assert list(pool.map(lambda x: x + offset, range(10), chunksize=4)) == list(range(10, 20))
    assert list(pool.map(divmod, range(7), [2] * 7, chunksize=3)) == [divmod(i, 2) for i in range(7)]


def test_a_closure_is_taken_as_it_is_at_the_call(pool):
    n = [0]

    def read():
        return n[0]

    first = pool.submit(read)
    assert first.result() == 0
    n[0] = 5
    assert pool.submit(read).result() == 5


def test_a_reference_arrives_as_its_value(ray, pool):
    assert pool.submit(sum, ray.put([1, 2, 3])).result() == 6


def test_the_users_exception_arrives_with_the_traceback_there(pool):
    def fails():
        raise KeyError("here")

    error = pool.submit(fails).exception()
    assert type(error) is KeyError and error.args == ("here",)
    assert "in fails" in str(error.__cause__) and 'raise KeyError("here")' in str(error.__cause__)
    with pytest.raises(TypeError):
        pool.submit(pow).result()


def test_what_cannot_be_pickled_is_told_by_the_future(pool):
    with pytest.raises(TypeError, match="Could not serialize"):
        pool.submit(len, threading.Lock()).result()
    with pytest.raises(TypeError, match="Could not serialize"):
        pool.submit(threading.Lock).result()
    assert pool.submit(len, "abc").result() == 3


def test_a_generator_or_coroutine_function_has_no_result_to_send(pool):
    def generates():
        yield 1

    async def waits():
        return 1

    for function in (generates, waits):
        with pytest.raises(TypeError, match="Could not serialize"):
            pool.submit(function).result()


def test_the_callers_exit_is_not_the_workers(pool):
    def leaves():
        sys.exit(3)

    error = pool.submit(leaves).exception()
    assert type(error) is SystemExit and error.code == 3
    assert pool.submit(len, "abc").result() == 3


def test_map_reads_a_buffer_ahead(pool):
    taken = []

    def numbers():
        for i in range(100):
            taken.append(i)
            yield i

    results = pool.map(abs, numbers(), buffersize=3)
    assert len(taken) == 3
    assert [next(results), next(results)] == [0, 1] and len(taken) == 5
    assert list(results) == list(range(2, 100))
    for wrong, kind in ((0, ValueError), ("3", TypeError)):
        with pytest.raises(kind, match="buffersize"):
            pool.map(abs, [1], buffersize=wrong)
    with pytest.raises(ValueError, match="chunksize"):
        pool.map(abs, [1], chunksize=0)


def test_map_left_early_takes_back_what_was_not_sent(ray, tmp_path):
    def note(i):
        (tmp_path / str(i)).touch()
        time.sleep(0.01)

    with miniray.Executor(1) as pool:
        for _ in pool.map(note, range(200)):
            break
    assert len(list(tmp_path.iterdir())) < 100


def test_map_after_a_timeout(pool, tmp_path):
    def wait_for(name):
        while not (tmp_path / name).exists():
            time.sleep(0.005)
        return name

    results = pool.map(wait_for, ["a"], timeout=0.05)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    (tmp_path / "a").touch()


def test_callbacks_run_here(pool, until):
    seen = []
    pool.submit(pow, 2, 3).add_done_callback(lambda f: seen.append((f.result(), os.getpid())))
    until(lambda: seen)
    assert seen == [(8, os.getpid())]


def test_a_callback_may_submit_more(pool, until):
    left, done = [20], threading.Event()

    def again(future):
        left[0] -= future.result()
        if left[0]:
            pool.submit(abs, 1).add_done_callback(again)
        else:
            done.set()

    pool.submit(abs, 1).add_done_callback(again)
    assert done.wait(20)


def test_many_threads(pool):
    sums = []

    def work(seed):
        futures = [pool.submit(abs, seed - i) for i in range(200)]
        sums.append(sum(f.result() for f in futures) - sum(abs(seed - i) for i in range(200)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sums == [0] * 8


def test_asyncio_takes_it(pool):
    import asyncio

    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, i) for i in range(5)))

    assert asyncio.run(main()) == [1, 2, 4, 8, 16]


# ---- how many run --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("cpus, most", [(4, 2), (2, 5), (2, 3), (0, 2)])
def test_so_many_run_at_a_time(tmp_path, cpus, most):
    def enter(i):
        """Waits until as many are inside as may be; returns the most that it saw."""
        mine = tmp_path / str(i)
        mine.touch()
        end, seen = time.monotonic() + 10, 0
        while time.monotonic() < end and not (tmp_path / "full").exists():
            seen = max(seen, len([p for p in tmp_path.iterdir() if p.name.isdigit()]))
            if seen >= most:
                (tmp_path / "full").touch()
            time.sleep(0.001)
        mine.unlink()
        return max(seen, len([p for p in tmp_path.iterdir() if p.name.isdigit()]))

    miniray.init(num_cpus=cpus)
    try:
        with miniray.Executor(most) as pool:
            assert max(pool.map(enter, range(3 * most))) == most
    finally:
        miniray.shutdown()


def test_the_default_is_the_sessions_cpus(ray):
    with miniray.Executor() as pool:
        assert pool._max_workers == 2


def test_inside_a_task_it_does_not_wait_for_its_own_cpu():
    @miniray.remote
    def outer():
        with miniray.Executor(2) as pool:
            done, _ = concurrent.futures.wait([pool.submit(pow, 2, i) for i in range(5)], timeout=20)
            return sorted(f.result() for f in done), list(pool.map(abs, range(-3, 0)))

    with miniray.init(num_cpus=1):
        assert miniray.get(outer.remote(), timeout=30) == ([1, 2, 4, 8, 16], [3, 2, 1])


# ---- processes -----------------------------------------------------------------------------------------------------

def test_an_initializer_has_processes_of_its_own(ray):
    def prepare(value):
        os.environ["PREPARED"] = value

    def look(_):
        return os.environ.get("PREPARED"), os.getpid()

    with miniray.Executor(2) as plain, miniray.Executor(2, initializer=prepare, initargs=("yes",)) as own:
        before = set(plain.map(look, range(20)))
        prepared = set(own.map(look, range(20)))
        after = set(plain.map(look, range(20)))
    assert {value for value, _ in prepared} == {"yes"} and {value for value, _ in before | after} == {None}
    assert not {pid for _, pid in prepared} & {pid for _, pid in before | after}


def test_a_process_is_replaced_after_so_many_calls(ray):
    with miniray.Executor(1, max_tasks_per_child=2) as pool:
        pids = list(pool.map(lambda _: os.getpid(), range(6)))
    assert all(pids.count(pid) <= 2 for pid in pids) and len(set(pids)) >= 3


def test_options_of_remote_functions_are_the_executors(ray):
    with miniray.Executor(1, runtime_env={"env_vars": {"COLOUR": "red"}}, max_retries=2) as pool:
        assert pool.submit(os.getenv, "COLOUR").result() == "red"
    with pytest.raises(ValueError, match="mp_context"):
        miniray.Executor(1, mp_context=None)


def test_a_dead_worker_breaks_it_and_no_other(ray):
    with miniray.Executor(1) as other, miniray.Executor(2) as pool:
        kept = other.submit(time.sleep, 0.2)
        broken = pool.submit(os._exit, 3)
        waiting = [pool.submit(time.sleep, 60) for _ in range(5)]
        with pytest.raises(BrokenProcessPool, match="exit"):
            broken.result(timeout=20)
        for future in waiting:
            assert isinstance(future.exception(timeout=20), BrokenProcessPool)
        with pytest.raises(BrokenProcessPool, match="not usable"):
            pool.submit(abs, 1)
        with pytest.raises(BrokenProcessPool, match="not usable"):
            pool.map(abs, [1])
        assert kept.result() is None and other.submit(abs, -1).result() == 1


def test_a_retry_saves_it(ray, tmp_path):
    def dies_once():
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return "alive"

    with miniray.Executor(1, max_retries=1) as pool:
        assert pool.submit(dies_once).result() == "alive"


# ---- its end -------------------------------------------------------------------------------------------------------

def test_shutdown_waits_or_does_not(ray, tmp_path, until):
    def wait_for(name):
        while not (tmp_path / name).exists():
            time.sleep(0.005)
        return name

    pool = miniray.Executor(1)
    first, second, third = (pool.submit(wait_for, name) for name in "abc")
    until(first.running)
    pool.shutdown(wait=False)
    assert not first.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)
    (tmp_path / "a").touch()
    assert first.result(timeout=20) == "a"
    until(second.running)
    pool.shutdown(wait=False, cancel_futures=True)
    assert third.cancelled() and not second.done()
    (tmp_path / "b").touch()
    pool.shutdown()
    assert second.result(timeout=0) == "b"


def test_the_sessions_end_is_its_end(tmp_path):
    miniray.init(num_cpus=1)
    pool = miniray.Executor(1)
    futures = [pool.submit(time.sleep, 60) for _ in range(3)]
    results = pool.map(time.sleep, [60])
    miniray.shutdown()
    for future in futures:
        with pytest.raises(RuntimeError, match="shut down"):
            future.result(timeout=20)
    with pytest.raises(RuntimeError, match="shut down"):
        next(results)
    miniray.init(num_cpus=1)
    with pytest.raises(BrokenProcessPool, match="session"):
        pool.submit(abs, 1)
    pool.shutdown()
    miniray.shutdown()


def test_what_was_submitted_is_done_at_exit():
    done = subprocess.run([sys.executable, "-c", """if True:
        import time, miniray
        miniray.Executor(2).submit(time.sleep, 0.2).add_done_callback(lambda f: print("done", f.result()))
        """], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("done None\n", "", 0)


def test_no_arguments_that_are_wrong():
    for wrong, kind in (({"max_workers": 0}, ValueError), ({"initializer": 3}, TypeError), ({"max_tasks_per_child": 0}, ValueError),
                        ({"max_tasks_per_child": "x"}, TypeError)):
        with pytest.raises(kind):
            miniray.Executor(**wrong)


# ---- CPython's own -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mixin", MIXINS[::-1])
def test_cpythons_own(theirs, mixin):
    if theirs is None:
        pytest.skip("this Python has no package test.test_concurrent_futures; Debian has it in libpython3-testsuite")
    running, folder = theirs
    code = running[mixin].wait(timeout=200)
    assert code == 0, (folder / f"{mixin}.log").read_text()[-8000:]
