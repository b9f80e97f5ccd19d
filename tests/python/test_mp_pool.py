"""miniray.util.multiprocessing.Pool gives what multiprocessing.Pool gives: every test of the first part runs on both."""

import multiprocessing
import os
import threading
import time

import pytest

import miniray
from miniray.util.multiprocessing import Pool

KINDS = ["miniray", "multiprocessing"]


def square(x):
    return x * x


def power(x, y=2):
    return x ** y


def inverse(x):
    return 1 / x


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)
    return path


def remember(value):
    global remembered
    remembered = value


def recall(_):
    return remembered


@pytest.fixture(scope="module", params=KINDS)
def make(request):
    """A function that makes a pool of the kind."""
    if request.param == "miniray":
        miniray.init(num_cpus=2)
        yield Pool
        miniray.shutdown()
    else:
        yield multiprocessing.get_context("spawn").Pool


@pytest.fixture(scope="module")
def pool(make):
    with make(2) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left():
    """Sessions last for the module here; the check of conftest runs in all others."""
    yield


def test_apply(pool):
    assert pool.apply(square, (7,)) == 49
    assert pool.apply(power, (2,), {"y": 5}) == 32
    with pytest.raises(ZeroDivisionError):
        pool.apply(inverse, (0,))


def test_apply_async_and_its_result(pool, tmp_path):
    result = pool.apply_async(wait_for, (str(tmp_path / "go"),))
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout=0.01)
    result.wait(0.01)
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == str(tmp_path / "go") and result.ready() and result.successful()
    failed = pool.apply_async(inverse, (0,))
    failed.wait(20)
    assert failed.ready() and not failed.successful()
    with pytest.raises(ZeroDivisionError, match="division by zero") as told:
        failed.get()
    assert "in inverse" in str(told.value.__cause__)


@pytest.mark.parametrize("chunksize", [None, 1, 3, 100])
def test_map_and_starmap(pool, chunksize):
    assert pool.map(square, range(10), chunksize) == [x * x for x in range(10)]
    assert pool.map(square, (x for x in range(5)), chunksize) == [0, 1, 4, 9, 16]
    assert pool.starmap(power, [(2, 3), (3, 2), (4,)], chunksize) == [8, 9, 16]
    assert pool.starmap(power, zip(range(4), range(4)), chunksize) == [1, 1, 4, 27]
    assert pool.map(square, [], chunksize) == [] and pool.starmap(power, [], chunksize) == []


def test_map_async_and_starmap_async(pool):
    assert pool.map_async(square, range(100)).get(20) == [x * x for x in range(100)]
    assert pool.starmap_async(power, [(2, 3)]).get(20) == [8]
    result = pool.map_async(inverse, [1, 0, 2])
    with pytest.raises(ZeroDivisionError):
        result.get(20)
    assert not result.successful()
    empty = pool.map_async(square, [])
    assert empty.ready() and empty.get() == []


def test_callbacks(pool):
    told, event = [], threading.Event()

    def note(value):
        told.append(value)
        event.set()

    for begin, expected in [
        (lambda: pool.apply_async(square, (3,), callback=note, error_callback=note), 9),
        (lambda: pool.map_async(square, [1, 2], callback=note, error_callback=note), [1, 4]),
        (lambda: pool.starmap_async(power, [(1, 2)], callback=note, error_callback=note), [1]),
    ]:
        event.clear()
        begin()
        assert event.wait(20) and told.pop() == expected
    event.clear()
    pool.apply_async(inverse, (0,), callback=None, error_callback=note)
    assert event.wait(20) and isinstance(told.pop(), ZeroDivisionError)


@pytest.mark.parametrize("chunksize", [1, 4])
def test_imap(pool, chunksize):
    assert list(pool.imap(square, range(20), chunksize)) == [x * x for x in range(20)]
    assert sorted(pool.imap_unordered(square, range(20), chunksize)) == [x * x for x in range(20)]
    assert list(pool.imap(square, [], chunksize)) == []


def test_imap_next(pool, tmp_path):
    results = pool.imap(wait_for, [str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.01)
    for name in "ab":
        (tmp_path / name).touch()
        assert results.next(timeout=20) == str(tmp_path / name)
    with pytest.raises(StopIteration):
        results.next(timeout=20)


def test_imap_unordered_gives_what_is_there(pool, tmp_path):
    results = pool.imap_unordered(wait_for, [str(tmp_path / "late"), str(tmp_path / "early")])
    (tmp_path / "early").touch()
    assert results.next(timeout=20) == str(tmp_path / "early")
    (tmp_path / "late").touch()
    assert next(results) == str(tmp_path / "late")


def test_imap_goes_on_after_an_error(pool):
    results = pool.imap(inverse, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results) == 0.5
    with pytest.raises(StopIteration):
        next(results)


def test_an_iterable_that_raises(pool):
    def numbers():
        yield 2
        raise LookupError("no more")

    results = pool.imap(square, numbers())
    assert next(results) == 4
    with pytest.raises(LookupError, match="no more"):
        next(results)
    with pytest.raises(LookupError):
        pool.map(square, numbers())


def test_an_initializer(make):
    with make(2, initializer=remember, initargs=("this",)) as own:
        assert set(own.map(recall, range(10), 1)) == {"this"}


def test_maxtasksperchild(make):
    with make(1, maxtasksperchild=2) as own:
        pids = [own.apply(os.getpid) for _ in range(6)]
    assert len(set(pids)) >= 3 and all(pids.count(pid) <= 2 for pid in pids)


def test_close_and_join(make):
    own = make(2)
    result = own.map_async(square, range(50))
    with pytest.raises(ValueError, match="still running"):
        own.join()
    own.close()
    for call in (lambda: own.apply(square, (1,)), lambda: own.map(square, [1]), lambda: own.imap(square, [1]),
                 lambda: own.starmap_async(power, [(1,)]), own.__enter__):
        with pytest.raises(ValueError, match="not running"):
            call()
    own.join()
    assert result.ready() and result.get() == [x * x for x in range(50)]


def test_terminate(make):
    own = make(1)
    own.apply_async(time.sleep, (60,))
    own.apply_async(time.sleep, (60,))
    own.terminate()
    own.join()
    with pytest.raises(ValueError, match="not running"):
        own.apply(square, (1,))


def test_wrong_arguments(make):
    for wrong, kind in (({"processes": 0}, ValueError), ({"maxtasksperchild": 0}, ValueError), ({"initializer": 3}, TypeError)):
        with pytest.raises(kind):
            make(**wrong)


def test_it_cannot_be_pickled(pool):
    import pickle

    with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
        pickle.dumps(pool)


# ---- what is better here -------------------------------------------------------------------------------------------

@pytest.fixture
def ours():
    miniray.init(num_cpus=2, ignore_reinit_error=True)
    with Pool(2) as made:
        yield made
    miniray.shutdown()


def test_closures(ours):
    n = 3
    assert ours.map(lambda x: x + n, range(3)) == [3, 4, 5]
    assert list(ours.imap(lambda x: x + n, range(3))) == [3, 4, 5]


def test_a_dead_worker_fails_its_own_call(ours):
    with pytest.raises(miniray.exceptions.WorkerCrashedError):
        ours.apply_async(os._exit, (1,)).get(timeout=20)
    assert ours.apply(square, (2,)) == 4


def test_terminate_tells_who_waits(ours, until):
    result, results = ours.apply_async(time.sleep, (60,)), ours.imap(time.sleep, [60, 60])
    ours.terminate()
    for get in (result.get, results.next):
        with pytest.raises(RuntimeError, match="terminated"):
            get(timeout=20)
