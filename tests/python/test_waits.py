"""Waiting for room in a full store: who is told what, who is served first, and what ends a wait."""

import gc
import re
import threading
import time

import numpy as np
import pytest

import miniray
from miniray import _session

MB = 1 << 20
SIZE = 4 * MB + 64  # of an array of 4 MB, as it is stored


def array(i, size=4 * MB):
    return np.full(size, i % 251, np.uint8)


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A session with a store of 32 MB, in which nobody waits for long."""
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path))
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "60ms")
    miniray.init(num_workers=4, object_store_memory=32 * MB)
    yield miniray
    miniray.shutdown()


@miniray.remote
class Keeper:
    def __init__(self):
        self.kept = []

    def keep(self, *views):
        self.kept += views

    def read(self, refs):
        self.kept += miniray.get(refs)

    def drop(self):
        self.kept = []


@miniray.remote
class Gate:
    """`wait` ends with `open`, `arrived` when somebody waits."""

    def __init__(self):
        import asyncio

        self.there, self.opened = asyncio.Event(), asyncio.Event()

    async def wait(self):
        self.there.set()
        await self.opened.wait()

    async def arrived(self):
        await self.there.wait()

    async def open(self):
        self.opened.set()


def refused(size=30 * MB):
    with pytest.raises(miniray.exceptions.ObjectStoreFullError) as told:
        miniray.put(array(0, size))
    return str(told.value)


LINE = re.compile(r"^  (.*) \(pid (\d+)\): (\d+) bytes in (\d+) objects?(?:, (\d+) of them with others)?", re.M)


def keepers(text):
    """{who: (bytes, objects, bytes with others)} of a refusal; its sum was compared with what it says of all."""
    found = {who: (int(size), int(count), int(shared or 0)) for who, _, size, count, shared in LINE.findall(text)}
    total, count = map(int, re.search(r"^ (\d+) bytes in (\d+) objects? are looked at", text, re.M).groups())
    room, = (node for node in _session.state("room"))
    assert room["looked_at"] == {"objects": count, "bytes": total}
    assert sum(size - shared for size, _, shared in found.values()) + room["by_several"]["bytes"] == total
    assert {k["who"]: (k["bytes"], k["objects"], k["with_others"]) for k in room["by"]} == found
    stored = room["stored"]["bytes"]
    assert stored == sum(room[what]["bytes"] for what in ("looked_at", "on_their_way", "by_nobody"))
    return found


def test_a_refusal_names_each_process_and_what_it_keeps(store, until):
    refs = [miniray.put(array(i)) for i in range(6)]
    room, = _session.state("room")
    assert room["by"] == [] and room["by_nobody"] == {"objects": 6, "bytes": 6 * SIZE}
    views = [miniray.get(ref) for ref in refs[:2]]
    assert keepers(refused()) == {"the driver": (2 * SIZE, 2, 0)}

    one, two = Keeper.remote(), Keeper.options(name="bob").remote()
    miniray.get([one.keep.remote(refs[1]), one.read.remote([refs[2]]), two.keep.remote(refs[2])])
    assert keepers(refused()) == {"the driver": (2 * SIZE, 2, SIZE), "actor Keeper": (2 * SIZE, 2, 2 * SIZE),
                                  'actor Keeper "bob"': (SIZE, 1, SIZE)}

    gate = Gate.remote()

    @miniray.remote
    def reads(view, box, gate):
        other = miniray.get(box[0])
        miniray.get(gate.wait.remote())
        return int(view[0]) + int(other[0])

    task = reads.remote(refs[3], [refs[4]], gate)
    miniray.get(gate.arrived.remote())
    said = refused()
    assert keepers(said)["task reads"] == (2 * SIZE, 2, 0)
    assert f"no room for an object of {30 * MB + 64} bytes after 0." in said and f"capacity {32 * MB}, used " in said
    assert "the largest object" in said and "Let views go" in said
    assert f"\n {SIZE} bytes in 1 object are looked at by nobody" not in said, "refs[5] has left for the disk"
    gate.open.remote()
    assert miniray.get(task) == 7
    del views
    miniray.get([one.drop.remote(), two.drop.remote()])
    assert miniray.get(miniray.put(array(9, 30 * MB)))[0] == 9, "references alone keep nothing in memory"


def test_a_worker_is_told_too_and_looks_are_shown_while_somebody_waits(store, monkeypatch):
    from miniray.cli import look

    @miniray.remote
    def makes():
        return array(1, 30 * MB)

    @miniray.remote
    def gets(box):
        return miniray.get(box[0])[0]

    @miniray.remote
    def takes(view):
        return view[0]

    refs = [miniray.put(array(i)) for i in range(10)]
    views = [miniray.get(ref) for ref in refs[:7]]
    for call in (makes.remote(), gets.remote([refs[8]]), takes.remote(refs[8])):  # it is on the disk
        with pytest.raises(miniray.exceptions.ObjectStoreFullError) as told:
            miniray.get(call)
        assert keepers(str(told.value)) == {"the driver": (7 * SIZE, 7, 0)}
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match=r"no room for an object of .* after 0\.9 s"):
        miniray.get(refs[8])
    waiting = gets.remote([refs[8]])
    for _ in range(200):
        waits = _session.state("room")[0]["waits"]
        if waits:
            break
        time.sleep(0.01)
    assert waits[0]["object"] == refs[8].hex()[-16:] or waits[0]["bytes"] == SIZE
    rows = look._full(_session.state("room"))
    assert rows and "room for 4.0 MiB on main" in rows[0][3] and "looked at by the driver" in rows[0][3], rows
    del views
    assert miniray.get(waiting) == 8


def test_who_waits_is_served_in_order(monkeypatch, tmp_path):
    """What leaves for the first is not taken by those who came later, though they need less."""
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path))
    miniray.init(num_workers=2, object_store_memory=32 * MB)
    try:
        @miniray.remote
        def make(i):
            return array(i, MB)

        small, stop = [make.remote(i) for i in range(40)], threading.Event()

        def feed():
            while not stop.is_set() and len(small) < 1500:
                small.extend(make.remote(len(small)) for _ in range(10))
                miniray.wait(small[-10:], num_returns=10)

        feeder = threading.Thread(target=feed)
        feeder.start()
        sizes = []
        for i in range(4):
            before = len(small)
            assert miniray.get(miniray.put(array(i, 28 * MB)))[0] == i
            sizes.append(len(small) - before)
        stop.set()
        feeder.join()
        assert sorted(sizes)[1] < 300, "they came between, as long as they came"
        assert all(miniray.get(ref)[0] == i % 251 for i, ref in enumerate(small[:60]))
    finally:
        miniray.shutdown()


def test_who_waits_for_pins_does_not_keep_others_from_what_fits(monkeypatch):
    """What a task makes may be what ends the look that is waited for."""
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "20s")
    miniray.init(num_workers=2, object_store_memory=32 * MB)
    try:
        @miniray.remote
        def shrink(view, gate):
            miniray.get(gate.wait.remote())
            return view[:MB].copy()

        gate = Gate.remote()
        task = shrink.remote(miniray.put(array(3, 20 * MB)), gate)
        miniray.get(gate.arrived.remote())
        done = []
        thread = threading.Thread(target=lambda: done.append(miniray.put(array(4, 24 * MB))))
        thread.start()
        while not _session.state("room")[0]["waits"]:
            time.sleep(0.01)
        gate.open.remote()
        assert miniray.get(task, timeout=10).nbytes == MB
        thread.join()
        assert miniray.get(done[0])[0] == 4
    finally:
        miniray.shutdown()


def test_who_waits_and_dies_or_is_interrupted_leaves_the_line(monkeypatch, until):
    import _thread
    import os
    import signal

    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "60s")
    miniray.init(num_workers=2, object_store_memory=32 * MB)
    try:
        @miniray.remote(max_retries=0)
        def makes():
            return array(1, 30 * MB)

        def waits():
            return _session.state("room")[0]["waits"]

        views = [miniray.get(miniray.put(array(i))) for i in range(4)]
        call = makes.remote()
        until(waits, "a worker that waits for room")
        os.kill(waits()[0]["pid"], signal.SIGKILL)
        with pytest.raises(miniray.exceptions.WorkerCrashedError):
            miniray.get(call)
        until(lambda: not waits(), "nobody who waits")
        timer = threading.Timer(0.3, _thread.interrupt_main)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            miniray.put(array(2, 30 * MB))
        timer.join()
        assert not waits()
        del views
        assert miniray.get(miniray.put(array(5, 30 * MB)))[0] == 5
    finally:
        miniray.shutdown()


@pytest.mark.parametrize("compress", ["none", "lz4"])
def test_memory_and_disk_both_full_every_object_is_served(full_disk, monkeypatch, compress):
    """What is in the way takes the place on the disk of what is wanted."""
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "300ms")
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(full_disk))
    monkeypatch.setenv("MINIRAY_STORE_SPILL_COMPRESS", compress)
    miniray.init(num_workers=2, object_store_memory=16 * MB)
    try:
        @miniray.remote
        def whole(view, box):
            other = miniray.get(box[0])
            return bytes(view[:9]) == bytes(other[-9:]) == bytes(view[-9:])

        noise = [np.random.default_rng(i).integers(0, 255, MB - 8192, np.uint8) for i in range(32)]
        for n in noise:
            n[-9:] = n[:9]
        refs = []
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="No space left on device"):
            for n in noise:
                refs.append(miniray.put(n))
        assert len(refs) >= 22
        assert sum(o["where"] == "disk" for o in _session.state("objects")) >= 6
        for i in (*range(len(refs)), 3, 1):
            assert (miniray.get(refs[i]) == noise[i]).all()
        assert all(miniray.get([whole.remote(ref, [ref]) for ref in refs[::3]], timeout=60))
        kept = [miniray.get(ref) for ref in refs[:10]]
        assert all((v == n).all() for v, n in zip(kept, noise))
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="No space left on device"):
            miniray.put(noise[0])
        del kept, refs, n
        gc.collect()
        assert miniray.get(miniray.put(noise[5])).nbytes == MB - 8192
    finally:
        miniray.shutdown()
    assert not list(full_disk.iterdir())


def test_a_task_with_many_arguments_starts_though_the_store_is_full(monkeypatch):
    """A large message needs no room in a store that is full, be it of what nobody can move."""
    monkeypatch.setenv("MINIRAY_STORE_SPILL", "false")
    miniray.init(num_workers=1, object_store_memory=16 * MB)
    try:
        @miniray.remote
        def count(*args):
            return len(args), args[-1]

        numbers = [miniray.put(i) for i in range(1000)]
        views = [miniray.get(miniray.put(array(i, MB))) for i in range(15)]
        now = _session.state("nodes")[0]
        views.append(miniray.get(miniray.put(array(0, now["capacity"] - now["used"] - 8192))))
        assert miniray.get(count.remote(*[b"x" * 40] * 3000), timeout=30) == (3000, b"x" * 40)
        assert miniray.get(count.remote(*numbers), timeout=30) == (1000, 999)
        del views
    finally:
        miniray.shutdown()
