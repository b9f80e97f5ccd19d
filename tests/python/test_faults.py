"""Deaths: of workers, of the driver, by signal and by Ctrl-C.  Nothing may hang, nothing may stay."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import miniray
from conftest import processes_of


def start(code, **kwargs):
    return subprocess.Popen([sys.executable, "-u", "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def gone(pid, limit=10):
    deadline = time.monotonic() + limit
    while processes_of(pid):
        assert time.monotonic() < deadline, f"left: {processes_of(pid)}"
        time.sleep(0.01)


def test_a_killed_worker_fails_its_task_with_the_cause(ray, tmp_path):
    @ray.remote(max_retries=0)
    def wait(path):
        with open(path, "w") as f:
            f.write(str(os.getpid()))
        os.rename(path, path + ".done")
        time.sleep(60)

    ref = wait.remote(str(tmp_path / "pid"))
    done = tmp_path / "pid.done"
    while not done.exists():
        time.sleep(0.01)
    pid = int(done.read_text())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.WorkerCrashedError, match=f"{pid}.*signal 9"):
        ray.get(ref, timeout=20)
    assert ray.get(ray.remote(lambda: 5).remote(), timeout=20) == 5


def test_a_killed_worker_is_retried(ray, tmp_path):
    @ray.remote(max_retries=2)
    def once(path):
        if not os.path.exists(path):
            open(path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return "second time"

    assert ray.get(once.remote(str(tmp_path / "x")), timeout=20) == "second time"


def test_the_driver_is_killed():
    driver = start("""
        import os, subprocess, time, miniray as ray
        @ray.remote
        def nap():
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            print("up", flush=True)
            time.sleep(1000)
        @ray.remote
        class Actor:
            def hello(self):
                return 1
        ray.init(num_workers=2)
        actor = Actor.remote()
        ray.get(actor.hello.remote())
        refs = [nap.remote() for _ in range(2)]
        ray.get(refs)
    """)
    try:
        assert "up" in driver.stdout.readline()
        assert len(processes_of(driver.pid)) >= 4
        driver.kill()
        driver.wait(10)
        gone(driver.pid)
    finally:
        driver.kill()
        driver.communicate()


def test_ctrl_c():
    driver = start("""
        import time, miniray as ray
        @ray.remote
        def nap():
            print("up", flush=True)
            time.sleep(1000)
        ray.init(num_workers=1)
        try:
            ray.get(nap.remote())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    try:
        assert "up" in driver.stdout.readline()
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=20)
        assert "interrupted" in out and driver.returncode == 0, err
        gone(driver.pid)
    finally:
        driver.kill()


@pytest.mark.parametrize("blocking", ["ray.get(ref)", "ray.wait([ref])", "next(stream)", "ray.get(ref, timeout=1000)"])
def test_ctrl_c_that_does_not_wake_the_waiting_thread(blocking):
    """As one that comes just before the sleep: the handler has run, and the sleep goes on.  Another thread takes it."""
    driver = start(f"""
        import signal, threading, time, miniray as ray
        @ray.remote
        def nap():
            print("up", flush=True)
            time.sleep(1000)
        @ray.remote(num_returns="streaming")
        def items():
            print("up", flush=True)
            time.sleep(1000)
            yield 1
        ray.init(num_workers=1)
        {"stream = items" if "stream" in blocking else "ref = nap"}.remote()
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            {blocking}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    try:
        assert "up" in driver.stdout.readline()
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=60)
        assert "interrupted" in out and driver.returncode == 0, err
        gone(driver.pid)
    finally:
        driver.kill()
        driver.communicate()


def test_a_driver_that_raises_or_exits_leaves_nothing():
    for ending in ("raise SystemExit(3)", "raise ValueError('x')", "import os; os._exit(4)", "pass"):
        driver = start(f"""
            import miniray as ray
            ray.init(num_workers=1)
            f = ray.remote(lambda: 1)
            ray.get(f.remote())
            {ending}
        """)
        driver.communicate(timeout=30)
        gone(driver.pid)


def test_many_deaths(ray):
    @ray.remote(max_retries=0)
    def sometimes(i):
        if i % 5 == 0:
            os._exit(1)
        return i

    refs = [sometimes.remote(i) for i in range(25)]
    for i, ref in enumerate(refs):
        if i % 5 == 0:
            with pytest.raises(ray.exceptions.WorkerCrashedError):
                ray.get(ref, timeout=30)
        else:
            assert ray.get(ref, timeout=30) == i


def test_a_fork_inside_a_task(ray):
    @ray.remote
    def forks():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert ray.get([forks.remote() for _ in range(4)], timeout=30) == [0] * 4
