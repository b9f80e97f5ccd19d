"""Objects for hours: random puts, results, views, containers and drops of more than the store holds, round after round.

Each round ends with nothing held: then the store, the disk and control must be empty.  Over the rounds memory and
descriptors stay flat, and after the session its folders, on the disk and elsewhere, are as before it.
`python objects.py --seed 7 --rounds 200` runs the long level; tests/python runs a short one.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
from pathlib import Path

import miniray
from miniray import _session

MB = 1 << 20
CAPACITY = 24 * MB
STEPS = 120
SIZES = [1, 100, 4000, 5000, 70_000, MB, 2 * MB, 4 * MB]


def content(n: int, size: int) -> bytes:
    return bytes([n % 251]) * size


@miniray.remote
def make(n, size):
    return content(n, size)


@miniray.remote(num_returns=3)
def three(n, size):
    return content(n, size), n, [content(n, size)]


@miniray.remote
def check(value, n, size):
    return value == content(n, size)


@miniray.remote
def inside(refs, n, size):
    return [miniray.get(ref) == content(n, size) for ref in refs]


@miniray.remote
class Keeper:
    def __init__(self):
        self.kept = []

    def keep(self, refs):
        self.kept.append(refs)

    def drop(self):
        self.kept.clear()


class Round:
    def __init__(self, rng: random.Random, keeper):
        self.rng, self.keeper = rng, keeper
        self.held: "list[tuple]" = []  # (ref, n, size)
        self.views: list = []

    def one(self) -> None:
        n, size = self.rng.randrange(1000), self.rng.choice(SIZES)
        what = self.rng.randrange(10)
        if what < 3 or not self.held:
            self.held.append((miniray.put(content(n, size)), n, size))
        elif what < 5:
            self.held.append((make.remote(n, size), n, size))
        elif what == 5:
            first, number, nested = three.remote(n, size)
            self.held.append((first, n, size))
            assert miniray.get(number, timeout=60) == n and miniray.get(nested, timeout=60) == [content(n, size)]
        elif what == 6:
            ref, n, size = self.rng.choice(self.held)
            assert miniray.get(check.remote(ref, n, size), timeout=60)
        elif what == 7:
            ref, n, size = self.rng.choice(self.held)
            assert all(miniray.get(inside.remote([ref, ref], n, size), timeout=60))
            self.keeper.keep.remote([ref])
        elif what == 8:
            ref, n, size = self.rng.choice(self.held)
            value = miniray.get(ref, timeout=60)
            assert value == content(n, size)
            self.views = [*self.views[-2:], value]
        else:
            self.held.pop(self.rng.randrange(len(self.held)))


def used() -> "dict[str, int]":
    miniray._core.flush()
    now = _session.state("stats")
    left = {name: now[name] for name in ("store_used", "object_bytes", "disk_bytes")}
    # The actor's handle and the code of functions stay.
    left["objects"] = sum(not o["actor"] and not o["code"] for o in _session.state("objects"))
    return left


def processes() -> "list[int]":
    return [os.getpid()] + [w["pid"] for w in _session.state("workers") if w["pid"]]


def resident(pid: int) -> int:
    """Private memory: what a process has of the store is counted there."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def weigh() -> "tuple[int, int]":
    pids = [pid for pid in processes() if os.path.exists(f"/proc/{pid}/status")]
    return sum(resident(pid) for pid in pids), len(os.listdir("/proc/self/fd"))


def empty(deadline_s: float = 30) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        gc.collect()
        if not any(used().values()):
            return
        time.sleep(0.01)
    raise AssertionError(f"something is left: {used()}: {_session.state('objects')[:5]}")


def main(seed: int, rounds: int, store: str = "store-shm") -> "dict[str, object]":
    weights = []
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as disk:
        os.environ["MINIRAY_STORE_SPILL_DIR"] = disk
        try:
            with miniray.init(num_cpus=2, object_store_memory=CAPACITY, store=store):
                folder = _session.state("session")["folder"]
                keeper = Keeper.remote()
                for number in range(rounds):
                    one = Round(rng, keeper)
                    for _ in range(STEPS):
                        one.one()
                    miniray.wait([ref for ref, _, _ in one.held], num_returns=len(one.held), timeout=60)
                    miniray.get(keeper.drop.remote(), timeout=60)
                    del one
                    empty()
                    weights.append(weigh())
                spilled = _session.state("stats")["spilled"]
                del keeper
            assert os.listdir(disk) == [], "files are left in the spill folder"
        finally:
            del os.environ["MINIRAY_STORE_SPILL_DIR"]
    assert not os.path.exists(folder), f"the session left {folder}"
    assert not list(Path("/dev/shm").glob("*miniray*")), "names are left in shared memory"
    half = len(weights) // 2
    first, last = max(w[0] for w in weights[:half]), max(w[0] for w in weights[half:])
    slack = 16 * MB if rounds >= 20 else 64 * MB  # a short run sees heaps and the pool of processes grow to their size
    assert last <= first + slack, f"memory grows: {first >> 20} MB, then {last >> 20} MB: {weights}"
    assert max(w[1] for w in weights[half:]) <= max(w[1] for w in weights[:half]), f"descriptors grow: {weights}"
    return {"rounds": rounds, "spilled": spilled, "memory": last, "descriptors": weights[-1][1]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    for kind in ("store-shm", "store-mem", "store-file"):
        print(kind, main(args.seed, args.rounds, kind))
