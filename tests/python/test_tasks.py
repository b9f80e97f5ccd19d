"""Remote functions: arguments, results, nesting, order of get and wait, cancel, retries."""

import os
import time

import numpy as np
import pytest

import miniray


@miniray.remote
def add(a, b=10, *, c=0):
    return a + b + c


@miniray.remote
def echo(*args, **kwargs):
    return args, kwargs


@miniray.remote
def fail(message):
    raise ValueError(message)


@miniray.remote
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@miniray.remote
def fib(n):
    return n if n < 2 else sum(miniray.get([fib.remote(n - 1), fib.remote(n - 2)]))


def test_one_call(ray):
    assert ray.get(add.remote(1, 2)) == 3


def test_a_hundred_references_in_one_get(ray):
    assert ray.get([add.remote(i, i) for i in range(100)]) == [2 * i for i in range(100)]


def test_defaults_and_keywords(ray):
    assert ray.get(add.remote(1)) == 11
    assert ray.get(add.remote(1, c=5)) == 16
    assert ray.get(add.remote(a=1, b=2, c=3)) == 6
    assert ray.get(echo.remote(1, x=[2])) == ((1,), {"x": [2]})


@pytest.mark.parametrize("args, kwargs, message", [
    ((), {}, "missing a required argument"), ((1, 2, 3), {}, "too many positional"), ((1,), {"d": 1}, "unexpected keyword"),
    ((1,), {"a": 1}, "multiple values"),
])
def test_wrong_signatures_fail_at_the_call(args, kwargs, message):
    miniray.init(num_workers=1)
    try:
        with pytest.raises(TypeError, match=message):
            add.remote(*args, **kwargs)
    finally:
        miniray.shutdown()


def test_references_as_arguments(ray):
    one = ray.put(1)
    two = add.remote(one, 1)
    assert ray.get(add.remote(one, two, c=two)) == 5


def test_references_in_containers_are_not_resolved(ray):
    @ray.remote
    def kinds(refs, by_name):
        return [isinstance(r, miniray.ObjectRef) for r in refs], miniray.get(refs), miniray.get(by_name["x"])

    refs = [ray.put(i) for i in range(3)]
    assert ray.get(kinds.remote(refs, {"x": refs[1]})) == ([True] * 3, [0, 1, 2], 1)


def test_a_reference_outlives_its_maker(ray):
    @ray.remote
    def make():
        return [miniray.put("made in a task")]

    assert ray.get(ray.get(make.remote())[0]) == "made in a task"


def test_large_arguments_and_results(ray):
    @ray.remote
    def double(array):
        assert not array.flags.writeable
        return array * 2

    array = np.arange(500_000)
    assert (ray.get(double.remote(array)) == array * 2).all()
    assert (ray.get(double.remote(ray.put(array))) == array * 2).all()
    assert ray.get(echo.remote(b"x" * 300_000, "y" * 300_000))[0] == (b"x" * 300_000, "y" * 300_000)


def test_small_array_arguments_are_read_only(ray):
    @ray.remote
    def write(array):
        array[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        ray.get(write.remote(np.zeros(100)))


def test_several_results(ray):
    @ray.remote(num_returns=3)
    def three(how):
        return {"tuple": (1, 2, 3), "list": [1, 2, 3], "few": (1, 2), "one": 5}[how]

    assert ray.get(three.remote("tuple")) == [1, 2, 3] == ray.get(three.remote("list"))
    with pytest.raises(ValueError, match="num_returns=3"):
        ray.get(three.remote("few")[0])
    with pytest.raises(ValueError, match="num_returns=3"):
        ray.get(three.remote("one")[2])
    assert three.options(num_returns=0).remote("tuple") is None
    assert ray.get(three.options(num_returns=1).remote("tuple")) == (1, 2, 3)


def test_nested_tasks_and_recursion(ray):
    assert ray.get(fib.remote(7)) == 13


def test_more_blocked_parents_than_cpus(ray):
    @ray.remote
    def parent(i):
        return miniray.get(add.remote(i, 1))

    assert ray.get([parent.remote(i) for i in range(10)]) == [i + 1 for i in range(10)]


def test_closures_lambdas_and_later_globals(ray):
    k = 5
    assert ray.get(ray.remote(lambda x: x + k).remote(1)) == 6

    def outer():
        return later()

    remote_outer = ray.remote(outer)
    globals()["later"] = lambda: "seen"
    assert ray.get(remote_outer.remote()) == "seen"


def test_a_reference_in_a_closure_is_kept(ray):
    ref = ray.put("captured")

    @ray.remote
    def use():
        return miniray.get(ref)

    assert ray.get(use.remote()) == "captured"
    del ref
    assert ray.get(use.remote()) == "captured"


def test_remote_functions_travel(ray):
    @ray.remote
    def apply(f, x):
        return miniray.get(f.remote(x))

    assert ray.get(apply.remote(add, 1)) == 11
    add.remote(0)
    assert ray.get(apply.remote(add.options(num_cpus=1), 2)) == 12


def test_definitions_survive_the_session():
    for _ in range(2):
        with miniray.init(num_workers=1):
            assert miniray.get(add.remote(1, 1)) == 2


def test_get_with_a_timeout(ray):
    ref = sleep.remote(60)
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0.05)
    with pytest.raises(TimeoutError):
        ray.get([ref, ray.put(1)], timeout=0)
    ray.cancel(ref)


def test_a_list_raises_at_its_first_error(ray):
    slow = sleep.remote(60)
    with pytest.raises(ValueError, match="early"):
        ray.get([slow, fail.remote("early")])
    ray.cancel(slow)


def test_wait(ray):
    quick, slow = add.remote(1, 1), sleep.remote(60)
    assert ray.wait([slow, quick]) == ([quick], [slow])
    assert ray.wait([slow], timeout=0) == ([], [slow])
    done = [ray.put(i) for i in range(3)]
    assert ray.wait(done, num_returns=2) == (done[:2], done[2:])
    assert ray.wait([], num_returns=1) == ([], [])
    broken = fail.remote("x")
    assert ray.wait([broken]) == ([broken], [])
    ray.cancel(slow)


@pytest.mark.parametrize("call, kind, message", [
    (lambda r: miniray.wait(r), TypeError, "expected a list"), (lambda r: miniray.wait([1]), TypeError, "expected a list"),
    (lambda r: miniray.wait([r, r]), ValueError, "unique"), (lambda r: miniray.wait([r], num_returns=0), ValueError, "Invalid number"),
    (lambda r: miniray.wait([r], num_returns=2), ValueError, "cannot be greater"),
    (lambda r: miniray.wait([r], timeout=-1), ValueError, "nonnegative"), (lambda r: miniray.wait([r], num_returns="1"), TypeError, "int"),
])
def test_wait_refuses(ray, call, kind, message):
    with pytest.raises(kind, match=message):
        call(ray.put(1))


def test_cancel_while_running_and_while_queued(ray):
    running = [sleep.remote(60) for _ in range(2)]
    queued = sleep.remote(61)
    ray.wait(running, timeout=0.3)
    ray.cancel(queued)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(queued, timeout=20)
    for ref in running:
        ray.cancel(ref)
    for ref in running:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=20)
    finished = add.remote(1, 2)
    assert ray.get(finished) == 3
    ray.cancel(finished)
    assert ray.get(finished) == 3


def test_cancel_by_force(ray):
    @ray.remote
    def stubborn():
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

    ref = stubborn.remote()
    ray.wait([ref], timeout=0.3)
    ray.cancel(ref, force=True)
    with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
        ray.get(ref, timeout=20)


def test_a_caught_cancel_is_a_success(ray, tmp_path):
    @ray.remote
    def catches(path):
        try:
            open(path, "w").close()
            time.sleep(60)
        except KeyboardInterrupt:
            return "caught"

    path = tmp_path / "started"
    ref = catches.remote(str(path))
    while not path.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    ray.cancel(ref)
    assert ray.get(ref, timeout=20) == "caught"


def test_retries_of_exceptions(ray, tmp_path):
    @ray.remote(max_retries=3, retry_exceptions=[KeyError])
    def flaky(path, kind):
        with open(path, "a") as f:
            f.write("x")
        n = os.path.getsize(path)
        if n < 3:
            raise kind(n)
        return n

    assert ray.get(flaky.remote(str(tmp_path / "a"), KeyError)) == 3
    with pytest.raises(TypeError):
        ray.get(flaky.remote(str(tmp_path / "b"), TypeError))
    assert os.path.getsize(tmp_path / "b") == 1
    with pytest.raises(KeyError):
        ray.get(flaky.options(retry_exceptions=False).remote(str(tmp_path / "c"), KeyError))


def test_dropped_references_do_not_cancel(ray, tmp_path, until):
    @ray.remote
    def touch(path):
        open(path, "w").close()

    touch.remote(str(tmp_path / "done"))
    until((tmp_path / "done").exists)


def test_streams(ray):
    @ray.remote
    def count(n):
        for i in range(n):
            yield i * i

    stream = count.remote(5)
    assert [ray.get(ref) for ref in stream] == [0, 1, 4, 9, 16]
    with pytest.raises(StopIteration):
        next(stream)

    @ray.remote
    def breaks():
        yield 1
        raise ValueError("after one")

    refs = list(breaks.remote())
    assert ray.get(refs[0]) == 1
    with pytest.raises(ValueError, match="after one"):
        ray.get(refs[-1])


def test_fractions_and_zero_cpus(ray):
    assert ray.get([add.options(num_cpus=0.5).remote(i) for i in range(8)]) == [i + 10 for i in range(8)]
    assert ray.get(add.options(num_cpus=0).remote(1)) == 11


def test_environment_variables(ray):
    @ray.remote(runtime_env={"env_vars": {"MY_SETTING": "7"}})
    def setting():
        return os.environ["MY_SETTING"]

    @ray.remote
    def plain():
        return os.environ.get("MY_SETTING")

    assert ray.get(setting.remote()) == "7"
    assert ray.get([plain.remote() for _ in range(4)]) == [None] * 4


def test_direct_calls_are_refused():
    with pytest.raises(TypeError, match="cannot be called directly"):
        add(1)


def test_a_function_that_cannot_leave(ray):
    import threading

    lock = threading.Lock()

    @ray.remote
    def locked():
        return lock

    with pytest.raises(TypeError, match="Could not serialize"):
        locked.remote()
    with pytest.raises(TypeError, match="Could not serialize"):
        add.remote(lock)


def test_a_function_that_is_too_large(ray):
    import miniray._exports as f

    blob = os.urandom(1 << 20)
    ray.remote(lambda: len(blob))
    big, f.MAX_CODE = f.MAX_CODE, 1 << 19
    try:
        with pytest.raises(ValueError, match="is too large"):
            ray.remote(lambda: len(blob)).remote()
    finally:
        f.MAX_CODE = big
