"""The kill loop: processes of a session are killed, stopped, made to exit and to crash at random while it works.

Every value must be right, a task with max_retries=k runs at most k+1 times, each reference ends as a value or as the
error that its options allow, nothing hangs and nothing is left.  The seed decides what is struck and how; when it is
struck is up to the machine.  `python kill_loop.py --seed 7` runs the long level; tests/python runs a short one.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import random
import signal
import struct
import sys
import tempfile
import threading
import time

import miniray
from miniray import _core

TIMEOUT = 60
BATCH = 2000


def note(path, i):
    """One more run of task `i`: four bytes, appended at once."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, struct.pack("<I", i))
    os.close(fd)


@miniray.remote(max_retries=-1)
def value(i):
    return i * 7


@miniray.remote(max_retries=-1)
def large(i):
    return bytes([i % 251]) * (20000 + i % 50000)


@miniray.remote(max_retries=-1)
def length(data):
    return len(data)


@miniray.remote(max_retries=-1)
def nested(i):
    return sum(miniray.get([value.remote(i + k) for k in range(3)]))


@miniray.remote(max_retries=0)
def at_most_once(path, i):
    note(path, i)
    return i


@miniray.remote(max_retries=2)
def at_most_thrice(path, i):
    note(path, i)
    return i


@miniray.remote(max_retries=-1)
def dies_once(folder, i, how):
    mark = f"{folder}/died-{i}"
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return i
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(TIMEOUT)


@miniray.remote(max_retries=-1)
def items(n):
    for i in range(n):
        yield i


@miniray.remote(max_restarts=-1, max_task_retries=-1)
class Stubborn:
    def echo(self, i):
        return i


@miniray.remote(max_restarts=-1)
class Fragile:
    def once(self, path, i):
        note(path, i)
        return i


class Striker(threading.Thread):
    """Strikes a process every few milliseconds until it has done `total` faults."""

    def __init__(self, rand, total):
        super().__init__(name="striker", daemon=True)
        self.rand, self.total = rand, total
        self.done = collections.Counter()
        self.failed = None
        self.enough = threading.Event()

    def workers(self):
        return [w["pid"] for w in json.loads(_core.state("workers")) if w.get("pid")]

    def parent(self, pid):
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rpartition(")")[2].split()[1])

    def above(self, pid, levels):
        """The zygote (1) or the supervisor (2) of a worker; an orphan has others above it, which are not to be struck."""
        for _ in range(levels):
            pid = self.parent(pid)
            if pid in (1, os.getpid()):
                raise ProcessLookupError(pid)
        return pid

    def strike(self):
        pids = self.workers()
        if not pids:
            return
        victim, dice = self.rand.choice(pids), self.rand.random()
        try:
            if dice < 0.2:
                os.kill(victim, signal.SIGSTOP)
                time.sleep(self.rand.random() * 0.02)
                os.kill(victim, signal.SIGCONT)
                self.done["stopped"] += 1
            elif dice < 0.23:  # the zygote takes all Python workers along
                os.kill(self.above(victim, 1), signal.SIGKILL)
                self.done["zygote"] += 1
            elif dice < 0.24:
                os.kill(self.above(victim, 2), signal.SIGKILL)
                self.done["supervisor"] += 1
                time.sleep(0.2)
            else:
                os.kill(victim, self.rand.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV)))
                self.done["killed"] += 1
        except OSError:
            pass  # it was gone already

    def run(self):
        try:
            while sum(self.done.values()) < self.total and not self.enough.wait(0.005 + self.rand.random() * 0.03):
                self.strike()
        except BaseException as why:  # told by the main thread
            self.failed = why


def check(ref, want, may_fail):
    """1 if it failed as it may."""
    try:
        got = miniray.get(ref, timeout=TIMEOUT)
    except may_fail:
        return 1
    assert got == want, f"{got!r} is not {want!r}"
    return 0


def batch(first, n, folder, actors, counts):
    crash = miniray.exceptions.WorkerCrashedError
    dead = (miniray.exceptions.RayActorError,)
    runs = f"{folder}/runs"
    wants = []
    for i in range(first, first + n):
        k = i % 40
        if k < 24:
            wants.append((value.remote(i), i * 7, ()))
        elif k < 26:
            wants.append((nested.remote(i), 7 * (3 * i + 3), ()))
        elif k < 28:
            wants.append((length.remote(large.remote(i)), 20000 + i % 50000, ()))
        elif k < 31:
            wants.append((at_most_once.remote(runs, i), i, crash))
        elif k < 34:
            wants.append((at_most_thrice.remote(runs, i), i, crash))
        elif k < 37:
            wants.append((actors[0].echo.remote(i), i, ()))
        elif k < 39:
            wants.append((actors[1].once.remote(runs, i), i, dead))
        elif i % 1000 == 39:
            wants.append((dies_once.remote(folder, i, "exit" if i % 2000 == 39 else "crash"), i, ()))
            counts["own deaths"] += 1
        else:
            wants.append((value.remote(i), i * 7, ()))
    stream = items.remote(20)
    for ref, want, may_fail in wants:
        counts["failed as allowed"] += check(ref, want, may_fail)
    got = [miniray.get(ref, timeout=TIMEOUT) for ref in stream]
    assert got == list(range(20)), f"a stream gave {got}"


def main(seed, tasks, faults):
    rand = random.Random(seed)
    counts = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="kill-loop-", ignore_cleanup_errors=True) as folder:
        log = os.environ["MINIRAY_LOG_FILE"] = os.environ.get("KLOG", f"{folder}/log")  # each death is a line
        miniray.init(num_workers=3, log_to_driver=False)
        try:
            actors = [Stubborn.remote(), Fragile.remote()]
            striker = Striker(rand, faults)
            striker.start()
            try:
                for first in itertools.count(0, BATCH):
                    if striker.failed or first >= tasks and not striker.is_alive():
                        break
                    batch(first, BATCH, folder, actors, counts)
                    counts["tasks"] += BATCH
            finally:
                striker.enough.set()
                striker.join()
            if striker.failed:
                raise striker.failed
            assert miniray.get([value.remote(i) for i in range(100)], timeout=TIMEOUT) == [i * 7 for i in range(100)]
            with open(f"{folder}/runs", "rb") as f:
                ran = collections.Counter(i for i, in struct.iter_unpack("<I", f.read()))
            for i, times in ran.items():
                most = 3 if 31 <= i % 40 < 34 else 1
                assert times <= most, f"task {i} ran {times} times, its limit is {most}"
            counts.update(striker.done)
        except BaseException:
            with open(log) as f:
                print("the last that the session told:", *collections.deque(f, 200), sep="\n", file=sys.stderr)
            raise
        finally:
            miniray.shutdown()
            del os.environ["MINIRAY_LOG_FILE"]
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=300000)
    parser.add_argument("--faults", type=int, default=1500)
    given = parser.parse_args()
    began = time.monotonic()
    print(dict(main(given.seed, given.tasks, given.faults)), f"{time.monotonic() - began:.1f} s")
