"""Runs every case once for one system, in this process, and prints one line of JSON: {case: value}.

    python bench/one.py miniray|ray|pool|executor [--workers 2] [--array-mb 800]

Values are rates (calls/s, GB/s) or seconds, as bench/run.py's table says.  Each system gets a process of its own so
that none inherits another's threads, memory or warm caches.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import mmap
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

BATCH = 1000
clock = time.perf_counter


def rate(calls: int, body: Callable[[], object], at_least_s: float = 0.5) -> float:
    """Calls per second of `body` (which makes `calls` calls), repeated for at least `at_least_s` seconds."""
    done, start = 0, clock()
    while True:
        body()
        done += calls
        spent = clock() - start
        if spent >= at_least_s:
            return done / spent


def family() -> "set[int]":
    """This process and all that descend from it."""
    parent = {}
    for entry in Path("/proc").iterdir():
        try:
            parent[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # not a process, or it has ended
    found, more = {os.getpid()}, True
    while more:
        more = {p for p, of in parent.items() if of in found} - found
        found |= more
    return found


def switches() -> int:
    """Context switches so far of all threads of the family."""
    total = 0
    for pid in family():
        for task in Path(f"/proc/{pid}/task").glob("*/status"):
            try:
                total += sum(int(line.split()[1]) for line in task.read_text().splitlines() if "ctxt_switches" in line)
            except OSError:
                continue  # it has ended
    return total


def wakeups(seconds: float = 5.0) -> float:
    """Context switches a second while nothing is asked for; this thread's own are not counted."""
    own = lambda: sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", Path("/proc/thread-self/status").read_text()))
    before, mine = switches(), own()
    time.sleep(seconds)
    return max(0, switches() - before - (own() - mine)) / seconds


def call_cost(call: Callable[[], object], get: Callable[[list], object]) -> float:
    """Microseconds that `call` keeps its caller, the median over batches whose results are taken untimed."""
    costs = []
    for _ in range(20):
        start = clock()
        refs = [call() for _ in range(BATCH)]
        costs.append((clock() - start) / BATCH * 1e6)
        get(refs)
    return statistics.median(costs)


def cost_alone(ray, noop, workers: int) -> float:
    """The same where nothing runs beside it: the calls wait behind tasks that have all CPUs until a file is there."""

    @ray.remote
    def hold(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.01)

    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(9):  # the first ones also touch the memory that the others find warm
            path = os.path.join(folder, f"go-{i}")
            held = [hold.remote(path) for _ in range(workers)]
            time.sleep(0.2)  # they have begun
            start = clock()
            refs = [noop.remote() for _ in range(BATCH)]
            costs.append((clock() - start) / BATCH * 1e6)
            Path(path).touch()
            ray.get(held + refs)
    return statistics.median(costs)


def map_rate(pool: "concurrent.futures.Executor") -> float:
    """Items a second through the map() of an executor, each of them a call."""
    numbers = list(range(BATCH))
    list(pool.map(square, numbers))
    return rate(BATCH, lambda: list(pool.map(square, numbers)), 1.0)


def nothing() -> None:
    """The task of every case."""


def square(x: int) -> int:
    return x * x


def ray_like(ray, workers: int, array_mb: int) -> dict[str, float]:
    """The same code for Ray and for miniray: that is the point of the API."""
    out: dict[str, float] = {}
    start = clock()
    ray.init(num_cpus=workers, **({"include_dashboard": False, "logging_level": "ERROR"} if ray.__name__ == "ray" else {}))
    noop = ray.remote(nothing)
    ray.get(noop.remote())
    out["init to first result"] = clock() - start

    ray.get([noop.remote() for _ in range(2 * BATCH)])
    out["tasks, asynchronous"] = rate(BATCH, lambda: ray.get([noop.remote() for _ in range(BATCH)]), 1.0)
    out["tasks, synchronous"] = rate(1, lambda: ray.get(noop.remote()))
    out["remote() alone"] = cost_alone(ray, noop, workers)
    out["remote() while tasks run"] = call_cost(noop.remote, ray.get)

    @ray.remote
    class Counter:
        def __init__(self):
            self.n = 0

        def add(self):
            self.n += 1
            return self.n

    counter = Counter.remote()
    ray.get(counter.add.remote())
    out["actor calls, asynchronous"] = rate(BATCH, lambda: ray.get([counter.add.remote() for _ in range(BATCH)]), 1.0)
    out["actor calls, synchronous"] = rate(1, lambda: ray.get(counter.add.remote()))

    @ray.remote
    def call_all(actors, n):
        ray.get([actors[i % len(actors)].add.remote() for i in range(n)])

    actors = [Counter.remote() for _ in range(workers)]
    ray.get([a.add.remote() for a in actors])
    out["actor calls, n:n"] = rate(
        workers * BATCH, lambda: ray.get([call_all.remote(actors, BATCH) for _ in range(workers)]), 1.0)

    @ray.remote
    class Async:
        async def add(self):
            return 1

    for name, actor in (("async", Async.remote()), ("threaded", Counter.options(max_concurrency=16).remote())):
        ray.get(actor.add.remote())
        out[f"actor calls, {name}"] = rate(BATCH, lambda: ray.get([actor.add.remote() for _ in range(BATCH)]), 1.0)
        del actor
    time.sleep(1)
    out["wake-ups while idle"] = wakeups()

    import numpy

    small = ray.put(b"x" * 100)
    out["get, 100 bytes"] = rate(1, lambda: ray.get(small))
    out["put, 100 bytes"] = rate(1, lambda: ray.put(b"x" * 100))

    many = [ray.put(i) for i in range(10_000)]
    out["get, 10,000 objects"] = fastest(lambda: ray.get(many))
    out["put and get, 10,000 references"] = fastest(lambda: ray.get(ray.put(many)))
    out["wait, 10,000 objects"] = fastest(lambda: ray.wait(many, num_returns=len(many)))
    middle = ray.put(numpy.ones(25 << 17))
    out["get, array of 25 MB"] = 1 / rate(1, lambda: ray.get(middle))
    out["get, array of 25 MB, best call"] = fastest(lambda: ray.get(middle), 1000)
    del many, middle
    other, array = ray.put(numpy.ones(1 << 17)), numpy.ones(array_mb << 17)  # doubles
    gigabytes, puts, colds, gets = array.nbytes / 1e9, [], [], []
    for _ in range(4):
        start = clock()
        ref = ray.put(array)
        puts.append(clock() - start)
        start = clock()
        ray.get(other)  # finds code and data in no cache: what was copied is larger than all of them
        colds.append(clock() - start)
        fastest(lambda: ray.get(other), 100)  # now it does again
        start = clock()
        view = ray.get(ref)
        gets.append(clock() - start)
        assert view[-1] == 1.0 and not view.flags.writeable
        del view, ref
        time.sleep(0.2)
    out["put, large array, first"] = gigabytes / puts[0]  # touches the store's memory for the first time
    out["put, large array, again"] = gigabytes / statistics.median(puts[1:])
    out["get, large array, its first"] = statistics.median(gets)
    out["get, array of 1 MB, after a large put"] = statistics.median(colds)
    start = clock()
    ray.shutdown()
    out["shutdown"] = clock() - start
    return out


def fastest(body: Callable[[], object], rounds: int = 5) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(rounds):
        start = clock()
        result = body()
        times.append(clock() - start)
        del result
    return min(times)


def drop_cached(fd: int) -> None:
    """What is read next comes from the disk."""
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def nameless_files(folder: str) -> "list[int]":
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if path.startswith(folder) and path.endswith("(deleted)"):
            found.append(int(fd))
    return found


def disk_rates(miniray, megabytes: int = 1536, turns: int = 4, memory: int = 128) -> dict[str, float]:
    """Objects that go to the disk and come back from it, over what dd does with as many bytes on the same disk.

    Both write new files without waiting for the disk, as `dd` does by itself; both read what is not in memory any more.
    In turns, first the one, then the other, and the median, since others use the disk too, and since memory that was just
    given up may be much faster than other free memory.  A full store asks for garbage once a second, which costs some
    20 ms: so a turn is long.
    """
    import numpy

    noise = numpy.random.default_rng(1).integers(0, 255, 16 << 20, numpy.uint8)
    part = megabytes // turns // 16  # objects of a turn
    refs: list = []

    def timed(body: Callable[[], object]) -> float:
        start = clock()
        body()
        return clock() - start

    def ratio(turn: int, dd: "list[str]", ours: Callable[[], object]) -> float:
        by_dd = lambda: subprocess.run(["dd", "bs=1M", "status=none", *dd], check=True)
        if turn % 2:
            spent = timed(ours)
            return timed(by_dd) / spent
        return timed(by_dd) / timed(ours)

    def read(turn: int) -> None:
        for ref in refs[turn * part:(turn + 1) * part]:
            miniray.get(ref)

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        os.environ["MINIRAY_STORE_SPILL_DIR"] = folder
        noise.repeat(part).tofile(os.path.join(folder, "noise"))
        with miniray.init(num_cpus=1, object_store_memory=memory << 20):
            refs.extend(miniray.put(noise) for _ in range(memory // 16))  # from here on one leaves for each that comes
            out = [ratio(turn, [f"if={folder}/noise", f"of={folder}/bytes-{turn}"],
                         lambda: refs.extend(miniray.put(noise) for _ in range(part))) for turn in range(turns)]
            for ref in refs:
                miniray.get(ref)  # now all have bytes on the disk, and leave memory for nothing
            back = []
            for turn in range(turns):
                for fd in nameless_files(folder):
                    drop_cached(fd)
                with open(f"{folder}/bytes-{turn}", "r+b") as f:
                    drop_cached(f.fileno())
                back.append(ratio(turn, [f"if={folder}/bytes-{turn}", "of=/dev/null"], lambda: read(turn)))
        del os.environ["MINIRAY_STORE_SPILL_DIR"]
    return {"spill / dd": statistics.median(out), "restore / dd": statistics.median(back)}


def crowd(miniray, count: int = 1000) -> dict[str, float]:
    """How long it takes until so many actors have answered, and what each has of its own, in MB."""

    @miniray.remote
    class One:
        def pid(self):
            return os.getpid()

    with miniray.init(num_cpus=os.cpu_count()):
        start = clock()
        actors = [One.remote() for _ in range(count)]
        pids = miniray.get([a.pid.remote() for a in actors])
        spent = clock() - start
        own = 0
        for pid in pids:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            own += sum(int(kb) for kb in re.findall(r"^Private_\w+:\s+(\d+)", text, re.M))
    return {"1,000 actors": spent, "private memory of an actor": own / 1024 / count}


def put_ratio(miniray, array_mb: int) -> float:
    """put over a copy into memory that is warm, in turns; the median."""
    import numpy

    a, b, ratios = numpy.ones(array_mb << 17), numpy.ones(array_mb << 17), []
    with miniray.init(num_cpus=1):
        miniray.put(a)  # the store's memory is warm from here on
        for _ in range(7):
            start = clock()
            numpy.copyto(b, a)
            middle = clock()
            ref = miniray.put(a)
            ratios.append((middle - start) / (clock() - middle))
            del ref
    return statistics.median(ratios)


def fresh_rate(array_mb: int) -> float:
    """GB/s of a copy into 4 KB pages that this process has not had before, but the machine has."""
    import numpy

    a, rates = numpy.ones(array_mb << 17), []
    for _ in range(3):
        with mmap.mmap(-1, a.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as fresh:
            fresh.madvise(mmap.MADV_NOHUGEPAGE)
            b = numpy.frombuffer(fresh)
            start = clock()
            numpy.copyto(b, a)
            rates.append(a.nbytes / 1e9 / (clock() - start))
            del b
    return statistics.median(rates)


def run_miniray(workers: int, array_mb: int) -> dict[str, float]:
    import miniray

    fresh = fresh_rate(array_mb)
    out = ray_like(miniray, workers, array_mb)
    out["put, first / fresh memcpy"] = out["put, large array, first"] / fresh
    out["put / warm memcpy"] = put_ratio(miniray, array_mb)
    out.update(disk_rates(miniray))
    out.update(crowd(miniray))
    with miniray.init(num_cpus=workers), miniray.Executor(workers) as pool:
        out["Executor.map"] = map_rate(pool)
    return out


def run_ray(workers: int, array_mb: int) -> dict[str, float]:
    import ray

    return ray_like(ray, workers, array_mb)


def run_pool(workers: int, array_mb: int) -> dict[str, float]:
    import multiprocessing

    start = clock()
    with multiprocessing.Pool(workers) as pool:
        pool.apply(nothing)
        out = {"init to first result": clock() - start}
        numbers = list(range(BATCH))
        pool.map(square, numbers, chunksize=1)
        out["tasks, asynchronous"] = rate(BATCH, lambda: pool.map(square, numbers, chunksize=1), 1.0)
        out["tasks, synchronous"] = rate(1, lambda: pool.apply(nothing))
    return out


def run_executor(workers: int, array_mb: int) -> dict[str, float]:
    start = clock()
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        pool.submit(nothing).result()
        out = {"init to first result": clock() - start}
        numbers = list(range(BATCH))
        list(pool.map(square, numbers))
        out["tasks, asynchronous"] = rate(BATCH, lambda: list(pool.map(square, numbers)), 1.0)
        out["tasks, synchronous"] = rate(1, lambda: pool.submit(nothing).result())
        out["Executor.map"] = map_rate(pool)
    return out


SYSTEMS = {"miniray": run_miniray, "ray": run_ray, "pool": run_pool, "executor": run_executor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array-mb", type=int, default=800)
    args = parser.parse_args()
    print(json.dumps(SYSTEMS[args.system](args.workers, args.array_mb)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
