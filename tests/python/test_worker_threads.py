"""The threads of a worker go on while one of them waits for the node, whatever it asked or told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

# While the driver, and the node with it, stands still, the task's main thread makes one kind of call; another thread
# counts, and only then lets the driver go on.  Were the interpreter's lock held by the call, nobody could.
_SCRIPT = """
import os, signal, sys, threading, time
import miniray as ray

@ray.remote
def size(*args):
    return len(args)

@ray.remote
def act(driver, nested, what):
    ref, own = nested[0], [ray.put(i) for i in range(3)]
    acts = dict(
        get=lambda: ray.get(ref),
        wait=lambda: ray.wait([ref]),
        look=lambda: ray.wait([ref], timeout=0),
        remote=lambda: [size.remote() for _ in range(2000)],
        put=lambda: [ray.put(i) for i in range(2000)],
        large=lambda: ray.put(bytes(1 << 20)),
        drop=lambda: [ray.put(None) and None for _ in range(4000)],
        free=lambda: [ray.free(own) for _ in range(2000)],
        arguments=lambda: size.remote(*own * 1000),
    )
    ticks, stopped = [], threading.Event()
    def tick():
        stopped.wait()
        while len(ticks) < 10:
            time.sleep(0.001)
            ticks.append(1)
        os.kill(driver, signal.SIGCONT)
    thread = threading.Thread(target=tick)
    thread.start()
    os.kill(driver, signal.SIGSTOP)
    stopped.set()
    acts[what]()
    thread.join()
    return len(ticks)

ray.init(num_cpus=1, num_workers=1)
for what in sys.argv[1:]:
    ref = size.remote()
    ray.get(ref)
    assert ray.get(act.remote(os.getpid(), [ref], what)) == 10
    print(what, flush=True)
ray.shutdown()
"""


def test_threads_go_on_while_one_waits_for_the_node(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    acts = ["get", "wait", "look", "remote", "put", "large", "drop", "free", "arguments"]
    driver = subprocess.Popen([sys.executable, str(script), *acts], stdout=subprocess.PIPE, text=True)
    try:
        out, _ = driver.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.kill(driver.pid, signal.SIGCONT)
        driver.kill()
        out, _ = driver.communicate()
        pytest.fail(f"all threads of the worker stood still; done before: {out.split()}")
    assert driver.returncode == 0
    assert out.split() == acts
