"""miniray.util.state: the same in the driver, in a worker, and from another terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import miniray
from miniray import _desk
from miniray.util import state


@miniray.remote
def echo(x):
    return x


@miniray.remote
def hold(path):
    while not os.path.exists(path):
        time.sleep(0.005)


@miniray.remote
class Counter:
    def add(self, k):
        return k


def _states(**filters):
    return sorted(t.state for t in state.list_tasks(filters=[(k, "=", v) for k, v in filters.items()], limit=1000))


def test_tasks_in_every_place(ray, until, tmp_path):
    flag = str(tmp_path / "go")
    held = [hold.remote(flag) for _ in range(3)]
    waiting = echo.remote(held[0])
    until(lambda: _states(name="hold") == ["PENDING_NODE_ASSIGNMENT", "RUNNING", "RUNNING"])
    told = {t.name: t for t in state.list_tasks(detail=True) if not t.state.startswith("RUNNING")}
    assert told["echo"].state == "PENDING_ARGS_AVAIL" and "which hold makes (running)" in told["echo"].waits_for
    assert "node main has CPU 0 free" in told["hold"].waits_for and told["hold"].node_id is None
    one = state.get_task(held[0])
    assert one.state == "RUNNING" and one.worker_pid > 0 and one.type == "NORMAL_TASK" and one.required_resources == {"CPU": 1}
    assert one.start_time_ms >= one.creation_time_ms > 1_600_000_000_000 and one.end_time_ms is None
    Path(flag).touch()
    miniray.get(held + [waiting])
    assert _states() == ["FINISHED"] * 4
    assert state.get_task(held[0]).task_id == one.task_id and state.get_task(one.task_id).worker_pid == one.worker_pid
    assert state.get_task("ffff") is None


def test_rows_say_where_and_in_what(tmp_path):
    settings = tmp_path / "explain.ini"
    settings.write_text("[sched]\nexplain = true\n")
    with miniray.init(num_cpus=2, labels={"zone": "a", "tier": "b"}, config=settings):
        group = miniray.util.placement_group([{"CPU": 1}])
        there = miniray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
        env = {"env_vars": {"A": "1"}}
        where = {"zone": "in(a,c)", "tier": "!spot"}
        kept = echo.options(runtime_env=env, label_selector=where).remote(1)
        miniray.get(kept)
        miniray.get(echo.options(scheduling_strategy=there).remote(1))
        actor = Counter.options(runtime_env=env, label_selector=where, scheduling_strategy="SPREAD").remote()
        placed = Counter.options(scheduling_strategy=there, num_cpus=0).remote()
        miniray.get([actor.add.remote(1), placed.add.remote(1)])
        tasks = state.list_tasks(detail=True, filters=[("name", "=", "echo")])
        by_env = {t.runtime_env_info["serialized_runtime_env"]: t for t in tasks}
        assert set(by_env) == {"{}", '{"env_vars": {"A": "1"}}'}
        assert by_env["{}"].placement_group_id == group.id.hex() and by_env["{}"].label_selector == {}
        other = by_env['{"env_vars": {"A": "1"}}']
        assert other.label_selector == where and other.placement_group_id is None and "test_state.py:" in other.call_site
        rows = {a.actor_id: a for a in state.list_actors(detail=True)}
        one, two = rows[actor._actor_id.hex()], rows[placed._actor_id.hex()]
        assert one.label_selector == where and one.serialized_runtime_env == '{"env_vars": {"A": "1"}}' and one.placement_group_id is None
        assert two.placement_group_id == group.id.hex() and two.serialized_runtime_env == "{}" and "test_state.py" in two.call_site
        assert [t.name for t in state.list_tasks(filters=[("type", "=", "ACTOR_CREATION_TASK")])] == ["Counter.__init__"] * 2
        came = min(worker.start_time_ms for worker in state.list_workers(detail=True) if worker.worker_type == "DRIVER")
        for worker in state.list_workers(detail=True):
            assert 1_600_000_000_000 < came <= worker.start_time_ms <= time.time() * 1000
        miniray.util.remove_placement_group(group)


def test_rows_have_the_fields_of_ray():
    """Those of Ray 2.60, but the two about a debugger of a worker, and when one was asked for."""
    import dataclasses

    fields = {
        "TaskState": "runtime_env_info placement_group_id profiling_data task_log_info is_debugger_paused call_site label_selector "
                     "fallback_strategy required_resources error_message parent_task_id",
        "ActorState": "serialized_runtime_env placement_group_id repr_name num_restarts_due_to_lineage_reconstruction "
                      "num_restarts_due_to_node_preemption call_site label_selector fallback_strategy death_cause",
        "WorkerState": "worker_id is_alive worker_type exit_type exit_detail node_id ip pid start_time_ms end_time_ms",
        "NodeState": "node_id node_ip is_head_node state state_message node_name resources_total labels start_time_ms end_time_ms",
        "PlacementGroupState": "placement_group_id name creator_job_id state bundles is_detached stats topology_strategy "
                               "topology_assignments",
    }
    for name, wanted in fields.items():
        assert set(wanted.split()) <= {f.name for f in dataclasses.fields(getattr(state, name))}, name


def test_errors_of_tasks_are_remembered(ray):
    @ray.remote(max_retries=0)
    def bad(how):
        if how == "raise":
            raise ValueError("oops 7")
        os._exit(3)

    for how in ("raise", "exit"):
        with pytest.raises(ray.exceptions.RayError):
            ray.get(bad.remote(how))  # the reference is gone afterwards
    raised, died = state.list_tasks(filters=[("state", "=", "failed")], detail=True)
    assert raised.error_type == "TASK_EXECUTION_EXCEPTION" and "ValueError: oops 7" in raised.error_message
    assert died.error_type == "WORKER_DIED" and "exited with code 3" in died.error_message
    assert raised.end_time_ms is not None and raised.worker_pid > 0


def test_actors(ray, until):
    one = Counter.options(name="one", namespace="space").remote()
    assert ray.get(one.add.remote(2)) == 2
    row = state.list_actors(filters=[("name", "=", "one")], detail=True)[0]
    assert (row.class_name, row.state, row.ray_namespace, row.num_restarts, row.is_detached) == ("Counter", "ALIVE", "space", 0, False)
    assert row.pid == ray.get(one.__ray_call__.remote(lambda self: os.getpid()))
    assert state.get_actor(row.actor_id) == row
    assert _states(type="ACTOR_TASK") == ["FINISHED"] * 2
    ray.kill(one)
    until(lambda: state.get_actor(row.actor_id).state == "DEAD")
    assert "ray.kill" in state.get_actor(row.actor_id).death_cause
    del one
    ray.get(echo.remote(1))
    dead = state.get_actor(row.actor_id)
    assert dead.state == "DEAD" and "Counter died: the actor was killed by ray.kill" in dead.death_cause, "also when no handle is left"
    two = Counter.remote()
    ray.get(two.add.remote(1))
    del two
    until(lambda: [r for r in state.list_actors(detail=True) if "Counter died: its last handle went" in (r.death_cause or "")])


def test_a_call_of_a_blocked_actor_waits_for_those_before(ray, until, tmp_path):
    flag = str(tmp_path / "go")
    one = Counter.remote()
    first = one.__ray_call__.remote(lambda self, f: [time.sleep(0.005) for _ in iter(lambda: os.path.exists(f), True)] and None, flag)
    calls = [one.add.remote(i) for i in range(600)]
    until(lambda: "RUNNING" in _states(type="ACTOR_TASK"))
    told = _states(name="Counter.add")
    assert set(told) == {"SUBMITTED_TO_WORKER", "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"} and len(told) == 600
    Path(flag).touch()
    ray.get([first, *calls])


def test_objects_and_who_holds_them(ray, until):
    big = ray.put(bytes(100_000))
    inside = ray.put([big])
    rows = state.get_objects(big.hex())
    assert [(r.object_size >= 100_000, r.call_site, r.where, r.pid, r.type) for r in rows] == [(True, "put", "store", os.getpid(), "DRIVER")]

    @ray.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs
            return os.getpid()

    keeper = Keeper.remote()
    pid = ray.get(keeper.keep.remote([big]))
    until(lambda: {r.pid for r in state.get_objects(big.hex())} == {os.getpid(), pid})
    assert {r.reference_type for r in state.get_objects(big.hex())} <= {"LOCAL_REFERENCE", "CAPTURED_IN_OBJECT"}
    total = state.summarize_objects()["cluster"]
    assert total["total_size_mb"] > 0.09 and total["summary"]["put"]["total_objects"] >= 2
    number = big.hex()
    del big, inside
    until(lambda: {r.pid for r in state.get_objects(number)} == {pid})


def test_workers_nodes_and_groups(ray):
    pid = ray.get(Counter.remote().__ray_call__.remote(lambda self: os.getpid()))
    workers = state.list_workers(detail=True)
    assert workers[0].worker_type == "DRIVER" and workers[0].pid == os.getpid()
    assert all(w.is_alive and w.pid > 0 for w in workers) and isinstance(pid, int)
    (node,) = state.list_nodes(detail=True)
    assert (node.state, node.node_name, node.resources_total["CPU"], node.is_head_node) == ("ALIVE", "main", 2, True)
    assert state.get_node(node.node_id) == node
    assert isinstance(state.list_placement_groups(), list)


def test_summaries(ray):
    ray.get([echo.remote(i) for i in range(5)])
    counted = state.summarize_tasks()["cluster"]
    assert counted["total_tasks"] == 5
    assert counted["summary"]["echo"] == {"func_or_class_name": "echo", "type": "NORMAL_TASK", "state_counts": {"FINISHED": 5}}
    assert state.summarize_actors()["cluster"]["total_actors"] == 0


def test_filters_and_limits(ray):
    ray.get([echo.remote(i) for i in range(5)])
    assert len(state.list_tasks(filters=[("state", "!=", "FINISHED")])) == 0
    assert len(state.list_tasks(filters=[("attempt_number", "=", "0"), ("name", "=", "echo")])) == 5
    with pytest.warns(RuntimeWarning, match="5 rows, of which limit=2"):
        assert len(state.list_tasks(limit=2)) == 2
    assert state.list_tasks()[0].creation_time_ms is None and state.list_tasks(detail=True)[0].creation_time_ms
    with pytest.raises(state.RayStateApiException, match="no field 'stat', did you mean 'state'"):
        state.list_tasks(filters=[("stat", "=", "x")])
    with pytest.raises(state.RayStateApiException, match="predicate"):
        state.list_tasks(filters=[("state", ">", "x")])
    with pytest.raises(state.RayStateApiException, match="filter is"):
        state.list_tasks(filters=["state"])
    with pytest.raises(ValueError, match="limit"):
        state.list_tasks(limit=0)


def test_history_is_bounded(monkeypatch):
    monkeypatch.setenv("MINIRAY_ENGINE_HISTORY", "3")
    with miniray.init(num_cpus=1):
        miniray.get([echo.remote(i) for i in range(10)])
        assert len(state.list_tasks()) == 3


def test_in_a_worker(ray):
    @ray.remote
    def look():
        return [(t.name, t.state, t.worker_pid == os.getpid()) for t in state.list_tasks(filters=[("state", "=", "RUNNING")])]

    assert ray.get(look.remote()) == [("look", "RUNNING", True)]


# ---- from another terminal -------------------------------------------------------------------------------------------

def _other(code):
    """What `code` prints as JSON in a process that has no session."""
    clean = {k: v for k, v in os.environ.items() if k != "MINIRAY_FOLDER"}
    done = subprocess.run([sys.executable, "-c", "import json\nfrom miniray import _desk\nfrom miniray.util import state\n" + code],
                          capture_output=True, text=True, env=clean, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_another_process_sees_the_same(ray):
    ray.get([echo.remote(i) for i in range(3)])
    folder = _desk.Source()("session")["folder"]
    told = _other(f"print(json.dumps([t.asdict() for t in state.list_tasks(address={folder!r}, detail=True)]))")
    assert told == [t.asdict() for t in state.list_tasks(detail=True)]
    assert folder in _other("print(json.dumps(_desk.folders()))")


def test_the_folder_is_the_users_alone(ray):
    folder = Path(_desk.Source()("session")["folder"])
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "socket").stat().st_mode & 0o777 == 0o600


def test_another_user_is_not_heard(ray):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = _desk.Source()("session")["folder"]
    os.chmod(Path(folder).parent, 0o755)  # as if the folder were open to all
    os.chmod(folder, 0o755)
    os.chmod(folder + "/socket", 0o666)
    code = ("import os, socket\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\ns.connect(%r)\n"
            "try:\n    s.sendall(b'tasks\\n')\n    print(s.recv(10))\nexcept OSError:\n    print(b'')" % (folder + "/socket"))
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "b''", done.stderr
    os.chmod(Path(folder).parent, 0o700)
    assert _desk.ask(folder, "session")["pid"] == os.getpid()


def test_nonsense_and_silence_cost_nothing(ray):
    import socket

    folder = _desk.Source()("session")["folder"]
    with pytest.raises(ValueError, match="weather"):
        _desk.ask(folder, "weather")
    silent = []
    for _ in range(20):  # more than are listened to at a time
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(folder + "/socket")
    silent[-1].sendall(b"x" * 5000)
    assert _desk.ask(folder, "session")["pid"] == os.getpid()
    for s in silent:
        s.close()


def test_no_session():
    with pytest.raises(ConnectionError, match="ffffffff"):
        state.list_tasks(address="ffffffff")
    with pytest.raises(OSError):
        _desk.ask("/nowhere", "tasks")


@pytest.fixture
def place():
    """A folder whose name is short enough for a socket's, wherever this run keeps its files."""
    with tempfile.TemporaryDirectory(prefix="mr-", dir="/tmp") as name:
        yield Path(name)


def test_folders_of_killed_sessions_are_swept(place, monkeypatch, until):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    left = place / "miniray-session-00000000000000aa"
    left.mkdir(mode=0o700)
    (left / "socket").touch()
    with miniray.init(num_cpus=1):
        until(lambda: not left.exists(), "the sweep")
        assert len(list(place.iterdir())) == 1
    assert list(place.iterdir()) == []


def test_a_killed_driver_leaves_no_folder(place, until):
    code = "import miniray, os, signal\nminiray.init(num_cpus=1)\nprint('up', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "XDG_RUNTIME_DIR": str(place)}, timeout=60,
                          capture_output=True, text=True)
    assert done.stdout == "up\n" and done.returncode == -9
    until(lambda: list(place.iterdir()) == [], "the supervisor")


def test_no_place_for_a_folder(monkeypatch, capfd, tmp_path):
    """A session without a folder works; only other terminals do not see it."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    monkeypatch.setenv("TMPDIR", "/proc/nowhere")
    with miniray.init(num_cpus=1):
        assert miniray.get(echo.remote(1)) == 1
        assert _desk.Source()("session")["folder"].startswith("/tmp/")
