"""A Python session with the n-th allocation or system call of its workers and their zygote, or of its supervisor, failing.

What a program is told is the right value or an error with words; nothing hangs, and when the session is over no process,
descriptor or file is left.  The calls are taken at random from all that a whole scenario makes; the same is done to C
workers, and to the driver, in tests/unit/test_failing_session.c, whose helper is what makes calls fail here.
`python failing_calls.py --seed 7` runs the long level; tests/python runs a short one.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import random
import shlex
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import miniray
from miniray import _session

UNIT = Path(__file__).parent.parent / "unit"
MB = 1 << 20
SUPERVISOR, WORKER = 2, 3  # enum failing_who
NEVER = 1 << 30
TIMEOUT = 40


class Failing:
    """The helper: which call of which processes is the one to fail."""

    def __init__(self, folder: str) -> None:
        library = f"{folder}/failing.so"
        compiler = shlex.split(os.environ.get("CC", sysconfig.get_config_var("CC") or "cc"))
        subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-std=gnu11", f"-I{UNIT}", str(UNIT / "helper_failing.c"), "-o", library],
                       check=True)
        self.c = ctypes.CDLL(library)
        self.c.failing_arm.argtypes = [ctypes.c_int, ctypes.c_ulonglong, ctypes.c_long, ctypes.c_bool]
        self.c.failing_left.restype = ctypes.c_long
        self.c.failing_failed.restype = self.c.failing_disarm.restype = ctypes.c_bool
        self.c.failing_what.restype = ctypes.c_char_p
        self.c.failing_share(f"{folder}/page".encode(), library.encode())  # LD_PRELOAD of all that is started from here on

    def close(self) -> None:
        libc = ctypes.CDLL(None)
        for name in (b"LD_PRELOAD", b"MRTEST_FAILING"):
            libc.unsetenv(name)


@miniray.remote(max_retries=1)
def square(x):
    return x * x


@miniray.remote(max_retries=1)
def large(n):
    return bytes([n % 251]) * MB


@miniray.remote(max_retries=1)
def length(data):
    return len(data)


@miniray.remote(max_retries=1)
def nested(n):
    return sum(miniray.get([square.remote(i) for i in range(n)])) + miniray.get(length.remote(miniray.put(bytes(300_000))))


@miniray.remote
def items(n):
    for i in range(n):
        yield i


@miniray.remote(max_restarts=1, max_task_retries=1)
class Counter:
    def __init__(self):
        self.n = 0

    def add(self, x):
        self.n += x
        return self.n


def told(make: Callable[[], object], right: Callable[[object], bool], what: str, failing: Failing) -> None:
    """It is right, or an error says why it is not."""
    try:
        value = make()
    except miniray.exceptions.GetTimeoutError:
        raise AssertionError(f"{what} never came") from None
    except (miniray.exceptions.RayError, MemoryError, OSError) as why:
        assert failing.c.failing_failed(), f"{what}: {why!r}, and nothing has failed"
        assert str(why), f"{what}: {type(why)} without a word of why"
        return
    assert right(value), f"{what}: {value!r:.100}"


def get(refs):
    return miniray.get(refs, timeout=TIMEOUT)


def scenario(failing: Failing) -> None:
    def open_it() -> object:
        return miniray.init(num_workers=2, object_store_memory=4 * MB, log_to_driver=False)

    told(open_it, lambda _: True, "init", failing)
    if not miniray.is_initialized():
        return
    try:
        told(lambda: get([square.remote(i) for i in range(6)]), lambda v: v == [i * i for i in range(6)], "square", failing)
        told(lambda: get(nested.remote(3)), lambda v: v == 5 + 300_000, "nested", failing)
        told(lambda: [get(ref) for ref in items.remote(5)], lambda v: v == list(range(5)), "items", failing)
        counter = Counter.remote()
        calls: List[object] = []
        told(lambda: get([counter.add.remote(1) for _ in range(3)]), lambda v: len(v) == 3 and v == sorted(set(v)), "add", failing)
        made = [large.remote(i) for i in range(7)]  # more than memory holds
        for i, ref in enumerate(made):
            told(lambda: get(ref), lambda v: v == bytes([i % 251]) * MB, "large", failing)  # noqa: B023
        told(lambda: get([length.remote(ref) for ref in made]), lambda v: v == [MB] * 7, "length", failing)
        del counter, calls, made
        gc.collect()
    finally:
        miniray.shutdown()


def processes() -> List[str]:
    """Of sessions of this process."""
    mark, found = f":{os.getpid()}".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and any(e.startswith(b"MINIRAY_SESSION=") and e.endswith(mark)
                                            for e in (entry / "environ").read_bytes().split(b"\0")):
                found.append(f"{entry.name} {(entry / 'comm').read_text().strip()}")
        except OSError:
            continue
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def main(seed: int, tries: int) -> Dict[str, int]:
    rand = random.Random(seed)
    counts = {"sessions": 0, "failures": 0}
    with tempfile.TemporaryDirectory(prefix="failing-") as folder:
        spill = f"{folder}/spill"
        os.mkdir(spill)
        failing = Failing(folder)
        os.environ["MINIRAY_STORE_SPILL_DIR"], os.environ["MINIRAY_LOG_FILE"] = spill, f"{folder}/log"
        os.environ["MINIRAY_STORE_FULL_WAIT"] = "200ms"
        try:
            scenario(failing)  # what is made once for the whole process is there now
            doors = {"malloc": 1, "system": (1 << 30) - 2}
            plans = [(who, door) for who in (WORKER, SUPERVISOR) for door in doors]
            calls: Dict[Tuple[int, str], int] = {}
            before = descriptors()
            for i in range(tries):
                who, door = plan = plans[i % len(plans)]
                if plan not in calls:
                    failing.c.failing_arm(who, doors[door], NEVER, False)
                    scenario(failing)
                    calls[plan] = NEVER - failing.c.failing_left()
                    failing.c.failing_disarm()
                n = rand.randrange(calls[plan])
                what = f"call {n} ({door}) of {'a worker' if who == WORKER else 'the supervisor'}, seed {seed}"
                failing.c.failing_arm(who, doors[door], n, False)
                try:
                    scenario(failing)
                except BaseException:
                    print(f"after a failing {failing.c.failing_what().decode()}: {what}", Path(f"{folder}/log").read_text()[-4000:])
                    raise
                counts["failures"] += failing.c.failing_disarm()
                counts["sessions"] += 1
                assert not (left := processes()), f"{what}: left are {left}"
                assert descriptors() == before, f"{what}: descriptors are left"
                assert os.listdir(spill) == [], f"{what}: files are left"
        finally:
            failing.c.failing_disarm()
            failing.close()
            for name in ("SPILL_DIR", "FULL_WAIT"):
                del os.environ[f"MINIRAY_STORE_{name}"]
            del os.environ["MINIRAY_LOG_FILE"]
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tries", type=int, default=300)
    args = parser.parse_args()
    began = time.monotonic()
    print(main(args.seed, args.tries), f"{time.monotonic() - began:.1f} s")
