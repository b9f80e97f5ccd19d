"""More data than the store holds: what leaves it, what comes back, and what is said when nothing can leave."""

import gc
import glob
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import miniray
from miniray import _session

from conftest import leftovers
from stored import nothing_stored, stats

MB = 1 << 20


def spill_files():
    """The files of this process that have no name and belong to the spill folder."""
    found = []
    for fd in glob.glob("/proc/self/fd/*"):
        try:
            path = os.readlink(fd)
        except OSError:
            continue
        if path.startswith(os.environ.get("SPILL_TEST_DIR", "/nowhere")) and "(deleted)" in path:
            found.append(fd)
    return found


@pytest.fixture
def spill_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("SPILL_TEST_DIR", str(tmp_path))
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["store-shm", "store-mem", "store-file"])
def small(request, spill_dir, until):
    """A session whose store holds 32 MB."""
    miniray.init(num_workers=2, store=request.param, object_store_memory=32 * MB)
    yield miniray
    gc.collect()
    try:
        until(nothing_stored, "an empty store")
    finally:
        miniray.shutdown()


def array(i, size=4 * MB):
    return np.full(size, i % 251, np.uint8)


def is_array(v, i, size=4 * MB):
    return v.nbytes == size and not v.flags.writeable and (v == i % 251).all()


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
def test_small_values_count_in_the_capacity_and_leave_too(store, spill_dir, until):
    """A small value travels inline and counts all the same; of many, those that came last go to the store and its disk."""
    miniray.init(num_workers=2, store=store, object_store_memory=8 * MB)
    try:
        @miniray.remote
        def small(i):
            return bytes([i % 251]) * 3000

        @miniray.remote
        def at(box, i):
            return bytes(miniray.get(box[0]))[:1], i

        first = miniray.put(0)
        miniray.get([small.remote(0), at.remote([first], first)])  # from here on the code of both is a value
        del first
        until(lambda: stats()["store_used"] == 0, "an empty store")
        before = stats()["inline_bytes"]
        refs = [miniray.put(bytes([i % 251]) * 3000) for i in range(500)]
        assert stats()["inline_bytes"] - before >= 500 * 3000
        assert _session.state("nodes")[0]["used"] - before >= 500 * 3000
        refs += [miniray.put(bytes([i % 251]) * 3000) for i in range(500, 3000)]
        now = stats()
        assert now["inline_bytes"] <= 2 * MB and now["spilled"] > 0
        assert now["store_used"] + now["inline_bytes"] <= 8 * MB
        refs += [small.remote(i) for i in range(3000, 4000)]
        miniray.wait(refs, num_returns=len(refs))
        assert stats()["inline_bytes"] <= 2.5 * MB  # results are not refused, but wait for what is being written
        big = miniray.put(array(3, 5 * MB))
        for at_once in range(0, 4000, 500):
            for i, v in enumerate(miniray.get(refs[at_once:at_once + 500]), at_once):
                assert v == bytes([i % 251]) * 3000
        for i in range(0, 4000, 400):
            assert miniray.get(at.remote([refs[i]], refs[i])) == (bytes([i % 251]), bytes([i % 251]) * 3000)
        assert is_array(miniray.get(big), 3, 5 * MB)
        del big, refs
        gc.collect()
        until(nothing_stored, "an empty store")
        until(lambda: stats()["inline_bytes"] < before + 4096, "no small values")
    finally:
        miniray.shutdown()


def test_a_list_that_does_not_fit_in_memory_is_refused_and_loses_nothing(small):
    refs = [miniray.put(array(i)) for i in range(12)]
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="get them in parts"):
        miniray.get(refs)
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="get them in parts"):
        miniray.get(refs + refs, timeout=5)
    assert len(miniray.get([refs[0]] * 40)) == 40
    for i in range(0, 12, 4):
        assert all(is_array(v, i + k) for k, v in enumerate(miniray.get(refs[i:i + 4])))


@miniray.remote
def make(i, size=4 * MB):
    return array(i, size)


@miniray.remote
def make_from(v):
    return v + np.uint8(1)


@miniray.remote
def check(v, i):
    return bool((v == i % 251).all())


def test_put_and_get_of_four_times_the_store(small):
    refs = [miniray.put(array(i)) for i in range(32)]
    assert stats()["spilled"] >= 24
    for turn in range(2):
        for i, ref in enumerate(refs):
            assert is_array(miniray.get(ref), i)
    written = stats()["disk_bytes"]
    assert miniray.get(refs[0])[0] == 0 and stats()["disk_bytes"] == written, "what came back unchanged is not written again"


def test_arguments_and_results_of_four_times_the_store(small):
    refs = [make.remote(i) for i in range(32)]
    miniray.wait(refs, num_returns=len(refs), timeout=60)
    assert all(miniray.get([check.remote(ref, i) for i, ref in enumerate(refs)], timeout=60))


def test_a_list_of_half_the_store_at_once(small):
    refs = [miniray.put(array(i)) for i in range(20)]
    values = miniray.get(refs[:4], timeout=60)
    assert all(is_array(v, i) for i, v in enumerate(values))


def test_a_worker_gets_what_is_on_the_disk(small):
    @miniray.remote
    def reads(refs):
        return [int(miniray.get(ref)[-1]) for ref in refs]

    refs = [miniray.put(array(i)) for i in range(20)]
    assert miniray.get([reads.remote(refs) for _ in range(2)], timeout=60) == [list(range(20))] * 2


def test_an_actor_keeps_views_and_lets_go(small):
    @miniray.remote
    class Keeps:
        def keep(self, view):
            self.view = view

        def look(self, i):
            return bool((self.view == i).all())

        def drop(self):
            self.view = None

    actor = Keeps.remote()
    kept = miniray.put(array(7, 8 * MB))
    miniray.get(actor.keep.remote(kept))
    others = [miniray.put(array(i)) for i in range(20)]
    assert miniray.get(actor.look.remote(7))
    miniray.get(actor.drop.remote())
    others += [miniray.put(array(i)) for i in range(20)]
    assert is_array(miniray.get(kept), 7, 8 * MB)


def test_small_objects_leave_too(small):
    refs = [miniray.put(array(i, 20000)) for i in range(4000)]
    values = [miniray.get(ref)[0] for ref in refs]
    assert values == [i % 251 for i in range(4000)]


def test_a_worker_gets_small_ones_that_are_on_the_disk(small):
    @miniray.remote
    def reads(refs):
        return [int(v[-1]) for v in miniray.get(refs)]

    refs = [miniray.put(array(i, 5000)) for i in range(20)]
    fill = [miniray.put(array(i)) for i in range(20)]
    assert sum(o["where"] == "disk" for o in _session.state("objects") if o["size"] < MB) >= 10
    assert miniray.get(reads.remote(refs), timeout=60) == list(range(20))
    fill += [miniray.put(array(i)) for i in range(20)]
    assert all(miniray.get([check.remote(ref, i) for i, ref in enumerate(refs)], timeout=60))


def test_contains_and_wait_see_what_is_on_the_disk(small):
    refs = [miniray.put(array(i)) for i in range(20)]
    assert [o["where"] for o in _session.state("objects") if o["size"] > MB].count("disk") >= 10
    assert all(miniray._core.contains(ref) for ref in refs)
    assert miniray.wait(refs, num_returns=20, timeout=0) == (refs, [])


def test_free_of_what_is_on_the_disk(small, until):
    refs = [miniray.put(array(i)) for i in range(20)]
    miniray.free(refs)
    until(lambda: stats()["disk_bytes"] == 0)
    with pytest.raises(miniray.exceptions.ObjectFreedError):
        miniray.get(refs[0])


def test_what_is_freed_while_it_is_written_is_freed(small):
    refs = [miniray.put(array(i, MB)) for i in range(48)]
    for ref in refs:
        miniray.free(ref)
        with pytest.raises(miniray.exceptions.ObjectFreedError):
            miniray.get(ref)


def test_what_can_never_fit_fails_at_once(small):
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match=r"an object of 4194\d+ bytes can never fit.*3355"):
        miniray.put(array(0, 40 * MB))

    @miniray.remote
    def makes(how):
        return how(array(0, 40 * MB))

    for how in (lambda x: x, lambda x: [miniray.put(x)]):
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match=r"an object of 4194\d+ bytes can never fit.*3355"):
            miniray.get(makes.remote(how))


def test_views_of_the_driver_stay_and_it_is_said_who_has_them(small):
    refs = [miniray.put(array(i, 7 * MB)) for i in range(4)]
    views = [miniray.get(ref) for ref in refs]
    with pytest.raises(miniray.exceptions.ObjectStoreFullError) as told:
        miniray.put(array(9, 20 * MB))
    assert "29360" in str(told.value) and "are looked at" in str(told.value)
    assert all(is_array(v, i, 7 * MB) for i, v in enumerate(views))
    del views
    assert is_array(miniray.get(miniray.put(array(9, 20 * MB))), 9, 20 * MB)


def test_a_view_pins_until_it_is_collected_not_until_its_reference_goes(small):
    ref = miniray.put(array(1, 20 * MB))
    part = miniray.get(ref)[:10]
    with pytest.raises(miniray.exceptions.ObjectStoreFullError):
        miniray.put(array(2, 20 * MB))
    del part
    assert is_array(miniray.get(miniray.put(array(2, 20 * MB))), 2, 20 * MB)
    assert is_array(miniray.get(ref), 1, 20 * MB)


def test_garbage_goes_before_anything_is_written(small):
    class Knot:
        def __init__(self, held):
            self.held, self.me = held, self

    gc.collect()
    gc.disable()
    try:
        Knot(miniray.put(array(0, 20 * MB)))
        miniray.put(array(1, 20 * MB))
    finally:
        gc.enable()
    assert stats()["spilled"] == 0


def test_what_only_a_finished_task_holds_goes_before_anything_is_written(small):
    @miniray.remote
    def half(v):
        return v[: v.nbytes // 100].copy()

    refs = []
    for i in range(5):
        refs.append(half.remote(miniray.put(array(i, 20 * MB))))
        miniray.wait(refs, num_returns=len(refs), timeout=60)
    assert stats()["spilled"] == 0


def damage(offset=100):
    for fd in spill_files():
        file = os.open(fd, os.O_RDWR)
        size = os.fstat(file).st_size
        for at in range(offset, size, MB):
            os.pwrite(file, b"\xa5\x5a", at)
        os.close(file)


def cut():
    for fd in spill_files():
        os.truncate(fd, 0)


@pytest.mark.parametrize("how", [damage, cut])
def test_damaged_bytes_are_made_again_by_their_task(small, how):
    refs = [make.remote(i) for i in range(20)]
    miniray.wait(refs, num_returns=20, timeout=60)
    assert stats()["disk_bytes"] > 0
    how()
    for i, ref in enumerate(refs):
        assert is_array(miniray.get(ref, timeout=60), i)
    how()
    assert all(miniray.get([check.remote(ref, i) for i, ref in enumerate(refs)], timeout=60))


@pytest.mark.parametrize("how", ["lz4", "zstd"])
def test_bytes_on_the_disk_can_be_made_smaller(spill_dir, monkeypatch, how):
    monkeypatch.setenv("MINIRAY_STORE_SPILL_COMPRESS", how)
    with miniray.init(num_workers=1, object_store_memory=32 * MB):
        refs = [make.remote(i) for i in range(20)]
        miniray.wait(refs, num_returns=20, timeout=60)
        now = stats()
        assert now["spilled"] >= 8 and 0 < now["disk_bytes"] < now["spilled"] * MB
        assert all(is_array(miniray.get(ref), i) for i, ref in enumerate(refs))
        damage()
        assert all(is_array(miniray.get(ref, timeout=60), i) for i, ref in enumerate(refs))
        noise = np.random.default_rng(1).integers(0, 255, 4 * MB, np.uint8)
        refs += [miniray.put(noise) for _ in range(20)]
        assert all((miniray.get(ref) == noise).all() for ref in refs[20:])


def test_damaged_bytes_of_an_input_of_an_input(small):
    @miniray.remote
    def add(v):
        return v + np.uint8(1)

    first = make.remote(3)
    second = add.remote(first)
    fill = [miniray.put(array(i)) for i in range(20)]
    miniray.wait([second], timeout=60)
    fill += [miniray.put(array(i)) for i in range(20)]
    damage()
    assert is_array(miniray.get(second, timeout=60), 4)


def test_damaged_bytes_that_were_put_say_so(small):
    ref = miniray.put(array(1))
    fill = [miniray.put(array(i)) for i in range(20)]
    damage()
    with pytest.raises(miniray.exceptions.ObjectLostError, match="checksum.*it was put"):
        miniray.get(ref, timeout=60)
    with pytest.raises(miniray.exceptions.ObjectLostError, match="checksum"):
        miniray.get(check.remote(ref, 1), timeout=60)
    assert len(fill) == 20


def test_what_cannot_be_made_again_for_want_of_an_input_names_the_input(small):
    """The input was seen to be lost before."""
    put = miniray.put(array(1))
    made = make_from.remote(put)
    miniray.wait([made], timeout=60)
    fill = [miniray.put(array(i)) for i in range(20)]
    damage()
    with pytest.raises(miniray.exceptions.ObjectLostError, match="it was put"):
        miniray.get(put, timeout=60)
    for _ in range(2):
        with pytest.raises(miniray.exceptions.ObjectLostError, match="object [0-9a-f]+ was lost: .*it was put"):
            miniray.get(made, timeout=60)
    assert len(fill) == 20


def run(code, **more):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **more})


DISK_FULL = """
    import resource, signal, sys
    import numpy as np
    import miniray
    MB = 1 << 20
    miniray.init(num_workers=1, object_store_memory=32 * MB)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 * MB, 10 * MB))
    refs, told = [], None
    try:
        for i in range(20):
            refs.append(miniray.put(np.full(4 * MB, i, np.uint8)))
    except miniray.exceptions.ObjectStoreFullError as why:
        told = str(why)
    assert told and "spilling failed" in told and "File too large" in told, told
    assert 8 <= len(refs) <= 11
    del refs[4:6]
    for i, ref in enumerate(refs):
        assert (miniray.get(ref) == (i if i < 4 else i + 2)).all()
    miniray.shutdown()
    print("good")
"""


def test_a_full_disk(spill_dir):
    done = run(DISK_FULL)
    assert done.stdout == "good\n", done.stderr
    assert "stays in memory" in done.stderr and "File too large" in done.stderr


def test_a_killed_driver_leaves_no_file(spill_dir, until):
    done = run("""
        import os, signal
        import numpy as np
        import miniray
        miniray.init(num_workers=1, object_store_memory=32 << 20)
        refs = [miniray.put(np.zeros(4 << 20, np.uint8)) for _ in range(16)]
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert done.returncode == -9
    until(lambda: not leftovers(), "the end of the killed driver's session")


def test_spilling_can_be_turned_off_and_its_folder_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(miniray.exceptions.ConfigError, match="spill_dir = .*nowhere: No such file"):
        miniray.init(num_workers=1)
    monkeypatch.setenv("MINIRAY_STORE_SPILL", "false")
    miniray.init(num_workers=1, object_store_memory=32 * MB)
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="spilling is off"):
        refs = [miniray.put(array(i)) for i in range(20)]
        assert not refs
    miniray.shutdown()


def test_a_store_that_stays(tmp_path, spill_dir):
    """store-file with persist: a second session begins without what the first one had not saved."""
    folder = tmp_path.parent / (tmp_path.name + "-kept")
    folder.mkdir()
    config = tmp_path.parent / (tmp_path.name + ".ini")
    config.write_text(f"[store]\nplugin = store-file\ncapacity = 32M\n[store.store-file]\ndir = {folder}\npersist = true\n")
    used = []
    for _ in range(2):
        miniray.init(num_workers=1, config=str(config))
        refs = [miniray.put(array(i, MB)) for i in range(3)]
        assert all(is_array(miniray.get(ref), i, MB) for i, ref in enumerate(refs))
        assert miniray.get(check.remote(refs[2], 2))
        kept = miniray.put(array(5, MB))
        del refs
        gc.collect()
        used.append(stats()["store_used"])
        miniray.shutdown()
        del kept
    assert MB <= used[0] < 2 * MB and used[1] == used[0]


def test_how_long_a_put_waits_for_room_is_a_setting(spill_dir, monkeypatch):
    """Room that comes after more than the usual two seconds."""
    import threading

    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "60s")
    miniray.init(num_workers=1, object_store_memory=32 * MB)
    try:
        views = [miniray.get(miniray.put(array(i))) for i in range(7)]
        later = threading.Timer(4, views.clear)
        later.start()
        assert is_array(miniray.get(miniray.put(array(9, 16 * MB))), 9, 16 * MB)
        later.join()
    finally:
        miniray.shutdown()


@pytest.mark.parametrize("size", [2000, 20000])
def test_a_small_put_that_waits_for_room_lets_other_threads_run(spill_dir, monkeypatch, size):
    """One of them gives up what is in the way: with the GIL held by the waiting put it never could."""
    import threading

    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "5s")
    miniray.init(num_workers=1, object_store_memory=32 * MB)
    try:
        inline = [miniray.put(b"x" * 4000) for _ in range(2097)] if size < 4096 else []  # no more is kept inline
        views = [miniray.get(miniray.put(array(i))) for i in range(5)]
        left = 32 * MB - stats()["store_used"] - stats()["inline_bytes"]
        views.append(miniray.get(miniray.put(array(7, left - 1024))))
        done = []

        def put():
            ref = miniray.put(b"y" * size)
            done.append(miniray.get(ref))

        thread = threading.Thread(target=put)
        thread.start()
        thread.join(0.2)  # it waits now
        assert not done
        views.clear()
        thread.join()
        assert done == [b"y" * size]
        del inline
    finally:
        miniray.shutdown()


STANDS_STILL = """
import numpy as np, miniray
miniray.init(num_workers=1, object_store_memory=16 << 20, config="full.ini")
print("ready", flush=True)
for turn in range(3):
    refs = [miniray.put(np.full(3 << 20, i, np.uint8)) for i in range(12)]
    assert [miniray.get(r)[0] for r in refs] == list(range(12))
miniray.shutdown()
print("well")
"""


def test_a_driver_that_stands_still_has_not_waited_for_room(tmp_path):
    """Time in which it could do nothing, here three times [store] full_wait, is no reason to refuse anything."""
    (tmp_path / "full.ini").write_text("[store]\nfull_wait = 50ms\n")
    p = subprocess.Popen([sys.executable, "-c", STANDS_STILL], cwd=tmp_path, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n", p.stderr.read()
    for _ in range(25):
        time.sleep(0.015)
        if p.poll() is not None:
            break
        p.send_signal(signal.SIGSTOP)
        time.sleep(0.15)
        p.send_signal(signal.SIGCONT)
    said, errors = p.communicate(timeout=60)
    assert said == "well\n", errors


def test_a_worker_is_told_at_once_what_can_never_be_together(small):
    """And a list that can be, of the same objects, comes."""
    @miniray.remote
    def look(box):
        try:
            return len(miniray.get(box))
        except miniray.exceptions.ObjectStoreFullError as e:
            return str(e)

    refs = [miniray.put(array(i)) for i in range(9)]
    said = miniray.get(look.remote(refs), timeout=20)  # it was 30 s that those waited who might get room
    assert "9 objects of" in said and f"[store] capacity is {32 * MB}" in said and "in parts" in said
    assert miniray.get(look.remote(refs[2:6])) == 4


def test_a_full_disk_with_several_on_their_way(full_disk, monkeypatch):
    """What could not be written stays in memory and is right, its creator is told why, and room comes back."""
    monkeypatch.setenv("MINIRAY_STORE_FULL_WAIT", "300ms")
    monkeypatch.setenv("MINIRAY_STORE_SPILL_DIR", str(full_disk))
    miniray.init(num_workers=2, object_store_memory=16 * MB)
    try:
        refs = []
        with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="No space left on device"):
            for i in range(16):
                refs.append(miniray.put(array(i, 2 * MB - 8192)))
        assert len(refs) >= 8
        made = [make.remote(i, 2 * MB - 8192) for i in range(4)]  # of workers, all at once
        for ref in made:
            with pytest.raises(miniray.exceptions.ObjectStoreFullError):
                miniray.get(ref, timeout=30)
        del made, ref, refs[6:]  # some of memory, some of the disk: without any room nothing comes back
        gc.collect()
        time.sleep(1.1)  # after a failure the disk is left alone for a second
        assert all(is_array(miniray.get(r), i, 2 * MB - 8192) for i, r in enumerate(refs))
        assert is_array(miniray.get(make.remote(3, 2 * MB - 8192), timeout=30), 3, 2 * MB - 8192)
    finally:
        miniray.shutdown()
    assert not list(full_disk.iterdir())


def test_a_store_file_on_a_full_disk(full_disk, spill_dir, tmp_path_factory):
    """Blocks are taken before they are written to: what this disk cannot hold goes to the spill folder, without SIGBUS."""
    config = tmp_path_factory.mktemp("conf") / "store.ini"
    config.write_text(f"[store]\nplugin = store-file\ncapacity = 32M\n[store.store-file]\ndir = {full_disk}\n")
    miniray.init(num_workers=2, config=str(config))
    try:
        refs = [miniray.put(array(i, MB)) for i in range(12)] + [make.remote(i, MB) for i in range(12)]
        assert all(is_array(miniray.get(ref, timeout=30), i % 12, MB) for i, ref in enumerate(refs))
        assert stats()["spilled"] >= 16
    finally:
        miniray.shutdown()
