"""Shared by the Python tests: sessions, and a check that no test leaves anything behind."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

# Where the sessions of this run have their folders, those of other runs on the machine not.
_FOLDERS = tempfile.mkdtemp(prefix="mrtest-", dir="/tmp")
atexit.register(shutil.rmtree, _FOLDERS, ignore_errors=True)
os.environ["XDG_RUNTIME_DIR"] = _FOLDERS
os.environ.pop("MINIRAY_FOLDER", None)

import miniray  # noqa: E402


def processes_of(driver: int) -> "list[int]":
    """All processes whose environment says that they belong to a session of process `driver`."""
    mark = f":{driver}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == driver:
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and any(e.startswith(b"MINIRAY_SESSION=") and e.endswith(mark) for e in environ):
            found.append(int(entry.name))
    return found


def descriptors() -> "dict[int, str]":
    out = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            out[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return out


def leftovers() -> "set[str]":
    """Files that sessions could have left."""
    return {str(p) for p in Path(_FOLDERS).iterdir()}


def children() -> "list[str]":
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            found += (task / "children").read_text().split()
        except OSError:
            continue  # a thread that has just ended
    return found


@pytest.fixture(autouse=True, scope="module")
def earlier_objects_stay():
    """What the libraries and the tests so far have made is no longer looked at by collections, of which there are many."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left(request):
    """Fails a test that leaves a process, descriptor, memfd, thread or file."""
    before_fds, before_files = descriptors(), leftovers()
    before_threads, before_kids = set(threading.enumerate()), set(children())
    yield
    if miniray.is_initialized():
        miniray.shutdown()
        pytest.fail("the test left its session open")
    for _ in range(500):
        if not processes_of(os.getpid()):
            break
        time.sleep(0.01)
    assert processes_of(os.getpid()) == [], "processes are left"
    assert set(children()) - before_kids == set(), "child processes are left"
    threads = [t for t in set(threading.enumerate()) - before_threads if t.name.startswith("miniray")]
    assert threads == [], "threads are left"
    fds = {fd: what for fd, what in descriptors().items() if fd not in before_fds and "/proc/" not in what}
    assert fds == {}, "descriptors are left"
    memfds = [what for what in Path("/proc/self/maps").read_text().splitlines() if "memfd:miniray" in what]
    assert memfds == [], "shared memory is left"
    assert leftovers() - before_files == set(), "files are left"


@pytest.fixture
def ray():
    """A session with two CPUs."""
    miniray.init(num_workers=2)
    yield miniray
    miniray.shutdown()


@pytest.fixture
def until():
    """Waits until a condition holds; fails after 4000 looks, 20 s or, where this process lacks its processor, longer."""
    def wait_for(condition, what="the condition"):
        looks = 0
        while not condition():
            looks += 1
            assert looks < 4000, f"{what} did not come true"
            time.sleep(0.005)
    return wait_for


@pytest.fixture
def full_disk(tmp_path_factory):
    """A file system of 8 MB of its own."""
    at = tmp_path_factory.mktemp("small")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(at)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield at
    subprocess.run(["umount", str(at)], check=True)
