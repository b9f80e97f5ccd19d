"""Who is killed, and what the others make of it: owners, zygote, supervisor, drivers with children of their own."""

import json
import os
import signal
import time

import pytest

import miniray
from miniray import _core
from test_faults import gone, start


def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[1])


def strike(pid):
    os.kill(pid, signal.SIGKILL)


@miniray.remote(max_retries=3)
def one(i):
    return i + 1


@pytest.mark.parametrize("who", ["worker", "zygote", "supervisor"])
def test_work_goes_on_without(ray, who):
    @ray.remote
    def pid():
        return os.getpid()

    victim = ray.get(pid.remote(), timeout=20)
    refs = [one.remote(i) for i in range(200)]
    for _ in range(("worker", "zygote", "supervisor").index(who)):
        victim = parent(victim)
    strike(victim)
    assert ray.get(refs, timeout=30) == list(range(1, 201))
    assert ray.get([one.remote(i) for i in range(200)], timeout=30) == list(range(1, 201))


def test_a_zygote_is_killed_before_it_told_of_its_child(tmp_path, until, monkeypatch):
    """The child is at work by then: nobody else may be given what it read from its ring."""
    # The wrapper holds the zygote back after each fork, as a busy machine may.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\nfork = os.fork\n"
        "def slow():\n    pid = fork()\n    if pid and not os.path.exists(os.environ['SLOW_ONCE']): time.sleep(60)\n    return pid\n"
        "os.fork = slow\n")
    mark = str(tmp_path / "mark")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SLOW_ONCE", mark)
    miniray.init(num_workers=1)
    try:
        @miniray.remote(max_retries=1)
        def attempt(mark):
            if os.path.exists(mark):
                return "again"
            with open(mark, "w") as f:
                f.write(str(os.getppid()))
            time.sleep(60)

        ref = attempt.remote(mark)
        until(lambda: os.path.exists(mark) and os.path.getsize(mark))
        strike(int(open(mark).read()))
        assert miniray.get(ref, timeout=20) == "again"
    finally:
        miniray.shutdown()


def test_an_owner_takes_its_children_and_actors_along(ray, tmp_path, until):
    @ray.remote
    class Owned:
        def pid(self):
            return os.getpid()

    @ray.remote(num_cpus=0)
    def runs(path):
        with open(path + ".tmp", "w") as f:
            f.write(str(os.getpid()))
        os.rename(path + ".tmp", path)
        time.sleep(60)

    @ray.remote(num_cpus=0)
    def marks(path):
        open(path, "w").close()

    @ray.remote(max_retries=0)
    def owner(folder):
        actor = Owned.remote()
        pids = [os.getpid(), miniray.get(actor.pid.remote())]
        # Not before the get, which lends its CPU: this one never finds two free ones.
        kept = [runs.remote(folder + "/child"), marks.options(num_cpus=2).remote(folder + "/queued"), actor]
        with open(folder + "/pids.tmp", "w") as f:
            json.dump(pids, f)
        os.rename(folder + "/pids.tmp", folder + "/pids")
        while True:
            time.sleep(1)
            assert kept

    ref = owner.remote(str(tmp_path))
    until((tmp_path / "pids").exists)
    until((tmp_path / "child").exists)
    (own, actor), child = json.loads((tmp_path / "pids").read_text()), int((tmp_path / "child").read_text())
    strike(own)
    with pytest.raises(miniray.exceptions.WorkerCrashedError, match="signal 9"):
        ray.get(ref, timeout=20)
    until(lambda: not os.path.exists(f"/proc/{child}"), "the end of the child")
    until(lambda: not os.path.exists(f"/proc/{actor}"), "the end of the actor")
    assert ray.get(one.remote(1), timeout=20) == 2
    assert not (tmp_path / "queued").exists()
    assert not [t for t in json.loads(_core.state("tasks")) if t["state"] in ("waiting", "ready", "running")]


def test_children_of_a_task_that_ended_go_on(ray, tmp_path, until):
    @ray.remote
    def marks(path):
        time.sleep(0.1)
        open(path, "w").close()

    @ray.remote
    def parent_of(path):
        marks.remote(path)

    ray.get(parent_of.remote(str(tmp_path / "done")), timeout=20)
    until((tmp_path / "done").exists)


def test_restarts_are_counted(ray, until):
    @ray.remote(max_restarts=2)
    class Actor:
        def pid(self):
            return os.getpid()

    actor = Actor.remote()

    def pid():
        while True:
            try:
                return ray.get(actor.pid.remote(), timeout=20)
            except miniray.exceptions.ActorUnavailableError:
                pass  # between two lives

    lives = set()
    for _ in range(3):
        lives.add(pid())
        strike(max(lives, key=lambda p: os.path.exists(f"/proc/{p}")))
        until(lambda: not any(os.path.exists(f"/proc/{p}") for p in lives))
    assert len(lives) == 3
    with pytest.raises(miniray.exceptions.ActorDiedError):
        pid()


def test_calls_are_tried_again_in_their_order(ray, tmp_path):
    @ray.remote(max_restarts=-1, max_task_retries=-1)
    class Actor:
        def __init__(self):
            self.seen = []

        def add(self, i, path):
            if i == 5 and not os.path.exists(path):
                open(path, "w").close()
                os._exit(1)
            self.seen.append(i)
            return i

        def all(self):
            return self.seen

    actor = Actor.remote()
    refs = [actor.add.remote(i, str(tmp_path / "died")) for i in range(12)]
    assert ray.get(refs, timeout=20) == list(range(12))
    seen = ray.get(actor.all.remote(), timeout=20)
    assert seen == sorted(seen) and seen[-1] == 11 and 5 in seen


def test_calls_that_were_not_begun_wait_for_the_next_life(ray, tmp_path, until):
    """No call may be repeated, yet only the one that ran when the process died is in doubt."""
    @ray.remote(max_restarts=1)
    class Actor:
        def die(self, path):
            while not path.exists():
                time.sleep(0.005)
            os._exit(1)

        def echo(self, i):
            return i

    actor = Actor.remote()
    ray.get(actor.echo.remote(0), timeout=20)
    doomed = actor.die.remote(tmp_path / "go")
    refs = [actor.echo.remote(i) for i in range(100)]
    (tmp_path / "go").touch()
    assert ray.get(refs, timeout=20) == list(range(100))
    with pytest.raises(miniray.exceptions.ActorUnavailableError):
        ray.get(doomed, timeout=20)


def test_calls_of_a_threaded_actor_that_were_not_begun(ray, tmp_path):
    """Far more are sent than the ring takes."""
    @ray.remote(max_restarts=1, max_concurrency=500)
    class Actor:
        def die(self, path):
            while not path.exists():
                time.sleep(0.005)
            os._exit(1)

        def echo(self, i):
            return i

    actor = Actor.options(max_concurrency=1).remote()
    many = Actor.remote()
    ray.get([actor.echo.remote(0), many.echo.remote(0)], timeout=20)
    for victim in (actor, many):
        doomed = victim.die.remote(tmp_path / "go")
        refs = [victim.echo.remote(i) for i in range(1500)]
        (tmp_path / "go").touch()
        with pytest.raises(miniray.exceptions.ActorUnavailableError):
            ray.get(doomed, timeout=20)
        (tmp_path / "go").unlink()
        lost = 0
        for i, ref in enumerate(refs):
            try:
                assert ray.get(ref, timeout=20) == i
            except miniray.exceptions.ActorUnavailableError:
                lost += 1
        assert lost == 0 if victim is actor else lost <= 500


def test_calls_run_at_most_once_and_in_order(ray, tmp_path):
    """Whenever its process is killed: a call that may not be repeated runs once or is told as in doubt, and none overtakes."""
    @ray.remote(max_restarts=-1)
    class Log:
        def write(self, i, path):
            with open(path, "a") as f:
                f.write(f"{i}\n")
            return i

        def pid(self):
            return os.getpid()

    log, path = Log.remote(), str(tmp_path / "log")
    refs, doubtful = [], 0
    for round_ in range(12):
        try:
            victim = ray.get(log.pid.remote(), timeout=20)
        except miniray.exceptions.ActorUnavailableError:
            continue
        refs += [log.write.remote(len(refs) + i, path) for i in range(200)]
        time.sleep(0.002 * round_)
        strike(victim)
    for i, ref in enumerate(refs):
        try:
            assert ray.get(ref, timeout=60) == i
        except miniray.exceptions.ActorUnavailableError:
            doubtful += 1
    ran = [int(line) for line in open(path)]
    assert ran == sorted(set(ran)) and len(refs) - doubtful <= len(ran) <= len(refs)
    assert doubtful < len(refs) / 2


@pytest.mark.parametrize("with_supervisor", [False, True])
def test_a_driver_with_children_of_its_own_is_killed(with_supervisor):
    """A forked child of the driver holds all its descriptors, so no end of file tells of its death."""
    driver = start("""
        import os, subprocess, time, miniray as ray
        @ray.remote
        def nap():
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            print("up", os.getppid(), flush=True)
            time.sleep(1000)
        ray.init(num_workers=1)
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        print("child", child, flush=True)
        ray.get(nap.remote())
    """)
    child = None
    try:
        lines = [driver.stdout.readline(), driver.stdout.readline()]
        child = int(next(line for line in lines if line.startswith("child")).split()[1])
        zygote = int(next(line for line in lines if "up" in line).split()[-1])
        if with_supervisor:
            strike(parent(zygote))
        driver.kill()
        driver.wait(10)
        if with_supervisor:  # what escaped into a session of its own is found by the next one
            miniray.init(num_workers=1)
            miniray.shutdown()
        gone(driver.pid)
    finally:
        driver.kill()
        if child:
            strike(child)
        driver.communicate()
