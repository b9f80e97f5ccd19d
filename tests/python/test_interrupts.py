"""Ctrl-C in a terminal, which goes to the driver and to all that it started: the program ends at once, with one KeyboardInterrupt, and
leaves nothing."""

import os
import signal
import subprocess
import sys

import pytest

HEAD = """
import asyncio, sys, time
import cloudpickle  # whose import may turn an interrupt into something else
import miniray as ray
from miniray.util.multiprocessing import Pool
from miniray.util.queue import Queue

@ray.remote(num_cpus=0.1)
def nap(seconds=1000):
    time.sleep(seconds)

def up():
    print("up", flush=True)
"""
PLACES = {
    "init": "up()\nwhile True:\n    ray.init(num_cpus=1)\n    ray.shutdown()",
    "shutdown": "ray.init(num_cpus=1)\nrefs = [nap.remote() for _ in range(10)]\nup()\nray.shutdown()\ntime.sleep(1000)",
    "context": "with ray.init(num_cpus=1):\n    up()\n    ray.get(nap.remote())",
    "await": "ray.init(num_cpus=1)\nasync def main():\n    up()\n    await nap.remote()\nasyncio.run(main())",
    "await wait": "ray.init(num_cpus=1)\nasync def main():\n    up()\n    await ray.wait([nap.remote()])\nasyncio.run(main())",
    "executor map": "with ray.Executor(2) as pool:\n    up()\n    list(pool.map(time.sleep, [1000] * 8))",
    "executor result": "pool = ray.Executor(2)\ncall = pool.submit(time.sleep, 1000)\nup()\ncall.result()",
    "pool map": "with Pool(2) as pool:\n    up()\n    pool.map(time.sleep, [1000] * 8)",
    "queue": "ray.init(num_cpus=1)\nqueue = Queue()\nup()\nqueue.get()",
    "group": "ray.init(num_cpus=1, infeasible='wait')\ngroup = ray.util.placement_group([{'CPU': 9}])\nup()\ngroup.wait(1000)",
}


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_ends_it(place):
    driver = subprocess.Popen([sys.executable, "-X", "faulthandler", "-c", HEAD + PLACES[place]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              start_new_session=True)
    try:
        assert driver.stdout.readline() == "up\n"
        os.killpg(driver.pid, signal.SIGINT)
        try:
            _, err = driver.communicate(timeout=60)  # what naps does so for much longer
        except subprocess.TimeoutExpired:
            driver.send_signal(signal.SIGABRT)  # where are its threads?
            pytest.fail(driver.communicate()[1])
        assert driver.returncode == -signal.SIGINT, err
        assert err.strip().splitlines()[-1] == "KeyboardInterrupt" and "Exception ignored" not in err and "warning" not in err, err
        assert err.splitlines().count("KeyboardInterrupt") == 1, err
    finally:
        driver.kill()
        driver.communicate()


def test_what_an_interrupted_executor_had_is_cancelled(ray):
    with pytest.raises(KeyboardInterrupt):
        with ray.Executor(1) as pool:
            calls = [pool.submit(__import__("time").sleep, 1000) for _ in range(3)]
            raise KeyboardInterrupt
    from concurrent.futures import CancelledError

    for call in calls:
        with pytest.raises(CancelledError):
            call.result(timeout=0)
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(print)
    with ray.Executor(1) as pool:
        assert pool.submit(int, "3").result(timeout=60) == 3
