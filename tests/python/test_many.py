"""Ten thousand references at once: got, waited for, in an object, as arguments, as results; in the driver, in a worker, in its threads, with
half of the bytes on the disk, and with an end in the middle."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest

import miniray
from miniray import _session
from miniray.exceptions import TaskCancelledError

N, RESULTS = 10_000, 3_000


def number(value):
    return int(value[0]) if isinstance(value, np.ndarray) else value


def right(values):
    return [number(v) for v in values] == list(range(len(values)))


@miniray.remote
def as_arguments(*values):
    return len(values), right(values)


@miniray.remote(num_returns=RESULTS)
def as_results():
    return range(RESULTS)


@miniray.remote
def one(i):
    return i


def all_of_it(refs):
    """What did not come out as it should."""
    wrong = []
    if not right(miniray.get(refs)):
        wrong.append("get")
    for wanted in (1, N // 2, N):
        ready, rest = miniray.wait(refs, num_returns=wanted)
        if len(ready) != wanted or ready + rest != refs:  # all are there, so they come in order
            wrong.append(f"wait {wanted}")
    inner = miniray.get(miniray.put({"refs": refs}))["refs"]
    if inner != refs or not right(miniray.get(inner)):
        wrong.append("object")
    if miniray.get(as_arguments.remote(*refs)) != (len(refs), True):
        wrong.append("arguments")
    if not right(miniray.get(as_results.remote())):
        wrong.append("results")
    fresh = [one.remote(i) for i in range(N)]
    if not right(miniray.get(fresh)):
        wrong.append("tasks")
    return wrong


@miniray.remote
def inside(refs=None):
    return all_of_it(refs or [miniray.put(i) for i in range(N)])


@miniray.remote(num_cpus=0)
class Threads:
    def run(self, refs):
        return all_of_it(refs)


@pytest.fixture
def empty(ray, until):
    """The session; and whatever was done in it has left nothing."""
    yield ray

    def gone():
        gc.collect()
        miniray._core.flush()
        now = _session.state("stats")
        return now["store_used"] == 0 and now["object_bytes"] == 0
    until(gone, "an empty store")


def test_in_the_driver_and_in_a_worker(empty):
    refs = [empty.put(i) for i in range(N)]
    assert all_of_it(refs) == []
    assert empty.get(inside.remote()) == []
    assert empty.get(inside.remote(refs)) == []


def test_in_threads(empty):
    refs, wrong = [empty.put(i) for i in range(N)], []
    threads = [threading.Thread(target=lambda: wrong.extend(all_of_it(refs))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    actor = Threads.options(max_concurrency=3).remote()
    assert empty.get([actor.run.remote(refs) for _ in range(3)]) == [[]] * 3


@miniray.remote
def reads(nested):
    return right(miniray.get(nested[0]))


def test_half_on_the_disk(tmp_path, monkeypatch):
    """They fit, others of the same size beside them do not."""
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path))
    miniray.init(num_workers=1, object_store_memory=32 << 20)
    refs = [miniray.put(np.full(1024, i)) for i in range(RESULTS)]
    for ask in (lambda: right(miniray.get(refs)), lambda: miniray.get(reads.remote([refs])), lambda: miniray.get(as_arguments.remote(*refs))[1]):
        others = [miniray.put(np.full(1024, -1)) for _ in refs]
        assert _session.state("stats")["disk_bytes"] > 10e6
        assert ask()
    del others, refs
    miniray.shutdown()


@miniray.remote
def waits_for_all(nested, path):
    open(path, "w").close()
    return miniray.get(nested[0])


@miniray.remote
def blocked(path):
    while not os.path.exists(path):
        time.sleep(0.005)


def test_cancelled_in_the_middle(empty, tmp_path, until):
    held = blocked.options(num_cpus=0).remote(str(tmp_path / "go"))
    refs = [one.remote(i) for i in range(N - 1)] + [held]
    task = waits_for_all.remote([refs], str(tmp_path / "up"))
    until((tmp_path / "up").exists)
    empty.cancel(task)
    with pytest.raises(TaskCancelledError):
        empty.get(task)
    (tmp_path / "go").touch()
    assert right(empty.get(refs[:-1]))
    del refs, held, task


@miniray.remote(max_retries=1)
def dies_once(nested, path):
    refs = nested[0]
    values = miniray.get(refs)
    again = miniray.put(refs)
    if not os.path.exists(path):
        open(path, "w").close()
        threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        while True:
            miniray.get(miniray.get(again))
            [one.remote(i) for i in range(100)]
    return right(values)


def test_killed_in_the_middle(empty, tmp_path):
    refs = [empty.put(i) for i in range(N)]
    assert empty.get(dies_once.remote([refs], str(tmp_path / "died")))
    assert all_of_it(refs) == []


def test_ctrl_c_in_the_middle(empty, tmp_path):
    held = blocked.remote(str(tmp_path / "go"))
    refs = [one.remote(i) for i in range(N - 1)] + [held]
    for wait in (lambda: empty.get(refs), lambda: empty.wait(refs, num_returns=N)):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            wait()
    (tmp_path / "go").touch()
    assert right(empty.get(refs)[:-1])
    del refs, held
