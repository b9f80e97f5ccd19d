"""Memory that is not there: in a memory cgroup a put that passes the limit is an error, or goes to the disk; never a kill."""

import os
import pathlib
import subprocess
import sys
import textwrap
import uuid

import pytest

MB = 1 << 20


def own_group():
    """The folder of this process's memory group, version 1 or 2; None if there is none."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup/memory") / path.strip("/")
        if not controllers and pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return pathlib.Path("/sys/fs/cgroup") / path.strip("/")
    return None


@pytest.fixture
def group():
    """A memory group of 320 MB for a child."""
    parent = own_group()
    if parent is None:
        pytest.skip("no memory cgroup here")
    folder = parent / f"miniray-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as why:
        pytest.skip(f"cgroups cannot be made here: {why}")
    try:
        try:
            limit = folder / "memory.limit_in_bytes"
            (limit if limit.exists() else folder / "memory.max").write_text(str(320 * MB))
        except OSError as why:
            pytest.skip(f"this cgroup takes no limit: {why}")
        yield folder
    finally:
        folder.rmdir()


def run(group, code, tmp_path, **more):
    program = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "MINIRAY_STORE_SPILL_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1", **more})


FILL = """
    import numpy as np
    import miniray
    MB = 1 << 20
    miniray.init(num_workers=1, object_store_memory=2 << 30)

    @miniray.remote
    def make(i, size):
        return np.full(size, i, np.uint8)

    refs, told = [], None
    try:
        for i in range(180):
            refs.append({how})
            miniray.get(refs[-1])
        for ref in refs:
            miniray.get(ref)
    except miniray.exceptions.ObjectStoreFullError as why:
        told = str(why)
    except miniray.exceptions.RayTaskError as why:
        told = str(why)
    print("told", told)
    if told is None:
        assert all((miniray.get(ref) == i).all() for i, ref in enumerate(refs))
    del refs
    miniray.shutdown()
    print("good")
"""
PUT = "miniray.put(np.full(2 * MB, i, np.uint8))"
TASK = "make.remote(i, 2 * MB)"


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
@pytest.mark.parametrize("how", [PUT, TASK])
def test_more_than_the_group_has_goes_to_the_disk(group, tmp_path, store, how):
    done = run(group, FILL.format(how=how), tmp_path, MINIRAY_STORE_PLUGIN=store)
    assert done.returncode == 0 and done.stdout == "told None\ngood\n", (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
@pytest.mark.parametrize("how", [PUT, TASK])
def test_without_a_disk_it_is_an_error(group, tmp_path, store, how):
    done = run(group, FILL.format(how=how), tmp_path, MINIRAY_STORE_SPILL="false", MINIRAY_STORE_PLUGIN=store)
    assert done.returncode == 0 and done.stdout.endswith("good\n"), (done.returncode, done.stdout, done.stderr)
    assert "bytes left" in done.stdout and "memory limit around this process" in done.stdout, done.stdout


def test_one_object_that_the_group_cannot_hold(group, tmp_path):
    done = run(group, """
        import mmap, os
        import numpy as np
        import miniray
        miniray.init(num_workers=1, object_store_memory=2 << 30)
        file = os.open(os.environ["MINIRAY_STORE_SPILL_DIR"], os.O_TMPFILE | os.O_RDWR)
        os.ftruncate(file, 400 << 20)
        try:
            miniray.put(np.frombuffer(mmap.mmap(file, 400 << 20), np.uint8))
        except miniray.exceptions.ObjectStoreFullError as why:
            print(why)
        miniray.shutdown()
    """, tmp_path)
    assert done.returncode == 0 and "bytes left" in done.stdout, (done.returncode, done.stdout, done.stderr)


def test_the_default_capacity_is_a_share_of_what_the_group_allows(group, tmp_path):
    done = run(group, """
        import miniray
        from miniray import _session
        miniray.init(num_workers=1)
        print(_session.state("stats")["store_capacity"])
        miniray.shutdown()
    """, tmp_path)
    assert 90 * MB < int(done.stdout) <= 96 * MB, (done.stdout, done.stderr)


def test_idle_memory_goes_back(monkeypatch, until):
    import numpy as np

    import miniray
    from miniray import _session

    def resident():
        return _session.state("nodes")[0]["resident"]

    monkeypatch.setenv("MINIRAY_STORE_IDLE_RETURN_S", "20ms")
    miniray.init(num_workers=1, object_store_memory=512 * MB)
    try:
        kept, ref = miniray.put(np.zeros(3 * MB, np.uint8)), miniray.put(np.zeros(200 * MB, np.uint8))
        assert resident() >= 200 * MB
        del ref
        miniray._core.flush()
        until(lambda: resident() <= 8 * MB, "the memory to go back")
        assert not miniray.get(kept).any() and resident() >= 3 * MB
    finally:
        miniray.shutdown()


def test_the_size_of_dev_shm_does_not_matter():
    """The shared memory is no file of a mounted tmpfs: only the limits of cgroup and machine count."""
    code = textwrap.dedent("""
        import os
        import numpy as np
        import miniray
        room = os.statvfs("/dev/shm")
        assert room.f_blocks * room.f_frsize == 65536
        miniray.init(num_workers=1, object_store_memory=64 << 20)
        ref = miniray.put(np.ones(16 << 20, np.uint8))
        assert miniray.get(ref).all()
        miniray.shutdown()
        print("good")
    """)
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm || exit 77; exec "$@"'
    try:
        done = subprocess.run(["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", code], capture_output=True,
                              text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.stdout == "good\n", done.stderr


@pytest.mark.parametrize("store, text", [("store-shm", "ulimit -f"), ("store-file", "File too large")])
def test_a_store_over_the_limit_of_file_sizes(store, text):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(f"""
        import resource
        import miniray
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 << 20, 10 << 20))
        try:
            miniray.init(num_workers=1, object_store_memory=64 << 20, store={store!r})
        except (miniray.exceptions.ConfigError, miniray.exceptions.RaySystemError) as why:
            print(why)
    """)], capture_output=True, text=True, timeout=60)
    assert f"{store}: a capacity of {64 * MB} bytes" in done.stdout and text in done.stdout, (done.stdout, done.stderr)
