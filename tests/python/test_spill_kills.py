"""kill -9 at random moments while bytes go to the disk and come back: values stay right, nothing hangs, nothing is left.

MRTEST_SEED chooses the moments."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import miniray
from conftest import leftovers, processes_of
from miniray import _session
from miniray.cluster_utils import Cluster
from stored import nothing_stored

MB = 1 << 20
SIZE = MB // 2
SEED = int(os.environ.get("MRTEST_SEED", "1"))


@pytest.fixture
def spill_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def array(i):
    return np.full(SIZE, i % 251, np.uint8)


def right(v, i):
    return v.nbytes == SIZE and bool((v == i % 251).all())


@miniray.remote(max_retries=-1)
def make(i):
    return array(i)


@miniray.remote(max_retries=-1)
def puts(first, n):
    """Its process has to make room for what it puts; the objects outlive it."""
    return [miniray.put(array(i)) for i in range(first, first + n)]


@miniray.remote(max_retries=-1)
def reads(refs, first):
    """Its process waits for what comes back from the disk."""
    return all(right(miniray.get(ref), i) for i, ref in enumerate(refs, first))


@miniray.remote(max_retries=-1)
def reads_argument(v, i):
    return right(v, i)


def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[1])


ABOVE = {"worker": 0, "node": 0, "zygote": 1, "supervisor": 2}  # a worker


class Killer(threading.Thread):
    """Kills one worker, all processes that a node has, the zygote or the supervisor, at some moments: without an end some tasks
    would never have theirs."""

    def __init__(self, who):
        super().__init__(daemon=True)
        self.who, self.rand, self.enough, self.killed = who, random.Random(SEED), threading.Event(), 0

    def run(self):
        strikes = 0
        while strikes < (6 if ABOVE[self.who] else 12) and not self.enough.wait(self.rand.random() * 0.15):
            workers = [w for w in _session.state("workers") if w.get("pid")]
            if not workers:
                continue
            one, strikes = self.rand.choice(workers), strikes + 1
            pids = [w["pid"] for w in workers if w["node"] == one["node"]] if self.who == "node" else [one["pid"]]
            try:
                for _ in range(ABOVE[self.who]):
                    pids = [parent(pids[0])]
                ours = processes_of(os.getpid())  # the parent of one that is being killed may be anybody
                for pid in pids:
                    if pid in ours:
                        os.kill(pid, signal.SIGKILL)
                        self.killed += 1
            except (ProcessLookupError, FileNotFoundError):
                pass  # it has just ended


@pytest.mark.parametrize("who, store", [("worker", "store-shm"), ("node", "store-mem"), ("worker", "store-file"),
                                        ("zygote", "store-shm"), ("supervisor", "store-file")])
def test_who_uses_the_disk_is_killed(spill_dir, until, who, store):
    nodes = [{"num_cpus": 2}, {"num_cpus": 2}] if who == "node" else None
    miniray.init(store=store, object_store_memory=8 * MB, **({"nodes": nodes} if nodes else {"num_workers": 2}))
    try:
        kept = [miniray.put(array(i)) for i in range(24)]
        killer = Killer(who)
        killer.start()
        try:
            while killer.is_alive():
                made = [make.remote(i) for i in range(24)]
                lists = [puts.remote(i, 6) for i in range(0, 24, 6)]
                whole = [reads.remote(kept[i:i + 6], i) for i in range(0, 24, 6)]
                whole += [reads_argument.remote(ref, i) for i, ref in enumerate(made)]
                for i, refs in enumerate(miniray.get(lists, timeout=20)):
                    assert all(right(miniray.get(ref, timeout=20), 6 * i + k) for k, ref in enumerate(refs))
                assert all(miniray.get(whole, timeout=20))
                assert all(right(miniray.get(ref, timeout=20), i) for i, ref in enumerate(made))
                assert all(right(miniray.get(ref, timeout=20), i) for i, ref in enumerate(kept))
        finally:
            killer.enough.set()
            killer.join()
        now = _session.state("stats")
        assert killer.killed >= 4 and now["spilled"] >= 24 and now["restored"] >= 24
        del kept, made, lists, whole, refs
        gc.collect()
        until(nothing_stored, "an empty store")
    finally:
        miniray.shutdown()


def test_a_node_goes_while_it_uses_the_disk(spill_dir, until):
    """What tasks made is made again; what was put there is lost, and says so; what is elsewhere is right."""
    rand = random.Random(SEED)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 8 * MB})
    try:
        kept = [miniray.put(array(i)) for i in range(24)]
        lost = 0
        for _ in range(3):
            node = cluster.add_node(num_cpus=2)
            there = {"scheduling_strategy": "SPREAD"}
            made = [make.options(**there).remote(i) for i in range(24)]
            lists = [puts.options(**there).remote(i, 6) for i in range(0, 24, 6)]
            whole = [reads.options(**there).remote(kept[i:i + 6], i) for i in range(0, 24, 6)]
            whole += [reads_argument.remote(ref, i) for i, ref in enumerate(made)]
            miniray.wait(whole, num_returns=rand.randrange(1, len(whole)), timeout=20)
            cluster.remove_node(node)
            assert all(miniray.get(whole, timeout=20))
            assert all(right(miniray.get(ref, timeout=20), i) for i, ref in enumerate(made))
            assert all(right(miniray.get(ref, timeout=20), i) for i, ref in enumerate(kept))
            for i, refs in enumerate(miniray.get(lists, timeout=20)):
                for k, ref in enumerate(refs):
                    try:
                        assert right(miniray.get(ref, timeout=20), 6 * i + k)
                    except miniray.exceptions.ObjectLostError as why:
                        assert "it was put" in str(why)
                        lost += 1
        assert _session.state("stats")["spilled"] >= 24
        del kept, made, lists, whole, refs, ref
        gc.collect()
        until(nothing_stored, "an empty store")
    finally:
        cluster.shutdown()


DRIVER = """
import numpy as np, miniray
miniray.init(num_workers=2, store=STORE, object_store_memory=8 << 20)

@miniray.remote
def reads(refs):
    return [int(miniray.get(r)[-1]) for r in refs]

@miniray.remote
def puts():
    return [miniray.put(np.zeros(1 << 19, np.uint8)) for i in range(12)]

miniray.get([reads.remote([]), reads.remote([])])
print("ready", flush=True)
while True:
    refs = [miniray.put(np.full(1 << 19, i, np.uint8)) for i in range(24)]
    jobs = [reads.remote(refs[:12]), puts.remote()]
    assert [int(miniray.get(r)[0]) for r in refs] == list(range(24))
    miniray.get(jobs)
"""


def test_the_driver_is_killed_while_it_uses_the_disk(spill_dir, until):
    """Alone, or (the last) with its supervisor: then the next session removes the folder."""
    rand = random.Random(SEED)
    for store, alone in (("store-shm", True), ("store-mem", True), ("store-file", True), ("store-shm", False)):
        driver = subprocess.Popen([sys.executable, "-c", DRIVER.replace("STORE", repr(store))], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            assert driver.stdout.readline() == "ready\n"
            assert driver.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                driver.wait(rand.random() * 0.15)
            if not alone:
                with open(f"/proc/{driver.pid}/task/{driver.pid}/children") as f:
                    supervisor = int(f.read())
                os.kill(supervisor, signal.SIGSTOP)
        finally:
            driver.kill()
            if not alone:
                os.kill(supervisor, signal.SIGKILL)
            said, errors = driver.communicate(timeout=20)  # its workers have these pipes too: it returns when all are gone
        assert "Traceback" not in errors, errors
        if not alone:
            miniray.init(num_workers=1)
            miniray.shutdown()
        until(lambda: not processes_of(driver.pid) and not leftovers(), "the end of the killed driver's session")
        assert list(spill_dir.iterdir()) == []
