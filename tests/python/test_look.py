"""miniray status | list | summary | memory | logs | timeline, from another terminal while a program runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import miniray
from miniray import _desk
from miniray.cli import main


@miniray.remote
def hold(path):
    print("hold begins")
    while not os.path.exists(path):
        time.sleep(0.005)


@pytest.fixture
def busy(ray, until, tmp_path):
    """A session with two tasks that run and two that wait; its folder."""
    flag = tmp_path / "go"
    refs = [hold.remote(str(flag)) for _ in range(4)]
    folder = _desk.Source()("session")["folder"]
    until(lambda: len(_desk.ask(folder, "logs")) == 2, "the prints")
    yield folder
    flag.touch()
    ray.get(refs)


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_status(busy):
    told = run("status", "--session", busy)
    assert "fifo, 0 answers refused" in told and "CPU 2/2" in told and "node main has CPU 0 free" in told
    as_json = json.loads(run("status", "--session", busy, "--json"))
    assert as_json["stats"]["running"] == 2
    assert as_json["waiting"] == [{"tasks": 2, "name": "hold", "phase": "queued", "waits_for": "CPU 1: node main has CPU 0 free"}]


def test_status_says_what_each_kind_of_task_waits_for(monkeypatch, tmp_path, until):
    from miniray.util.placement_group import placement_group, remove_placement_group

    monkeypatch.setenv("MINIRAY_SCHED_QUOTAS", "ann=1")
    flag = tmp_path / "go"

    @miniray.remote
    def quiet(path):  # what workers print would be in the command's output
        while not os.path.exists(path):
            time.sleep(0.005)

    with miniray.init(num_cpus=4, num_gpus=1, resources={"fpga": 1}, _memory=1 << 30, labels={"ssd": "1"}):
        kinds = {"limited": dict(num_cpus=0.1, max_running=1), "quota": dict(num_cpus=0.6, user="ann"), "gpu": dict(num_gpus=1, num_cpus=0),
                 "part": dict(num_gpus=0.5, num_cpus=0), "mem": dict(memory=700 << 20, num_cpus=0), "fpga": dict(resources={"fpga": 1}, num_cpus=0)}
        refs = [quiet.options(name=name, **kind).remote(str(flag)) for name, kind in kinds.items() for _ in range(2)]
        refs += [quiet.options(name="wide", num_cpus=4).remote(str(flag)), quiet.options(name="ssd", num_cpus=1, requires={"ssd"}).remote(str(flag))]
        after = quiet.options(name="after").remote(refs[0])
        group = placement_group([{"CPU": 4}], name="four")
        folder = _desk.Source()("session")["folder"]
        until(lambda: _desk.ask(folder, "stats")["running"] == 6, "all that fits runs")
        waiting = {row["name"]: row["waits_for"] for row in json.loads(run("status", "--session", folder, "--json"))["waiting"]}
        first = waiting.pop("after")
        assert first.startswith("object ") and first.endswith(", which limited makes (running)")
        assert waiting == {"limited": "the limit of limited: 1 of 1 run", "quota": "the quota of user ann: 0.6 of 1 CPUs are used",
                           "gpu": "GPU 1: node main has GPU 0 free", "part": "GPU 0.5: node main has GPU 0 free",
                           "mem": "memory 0.7 GiB: node main has memory 0.3 GiB free", "fpga": "fpga 1: node main has fpga 0 free",
                           "wide": "CPU 4: node main has CPU 2.3 free", "group four": "room for 1 bundles (PACK): CPU 4"}
        assert "group four  pending  room for 1 bundles (PACK): CPU 4" in run("status", "--session", folder)
        for kind, says in ((dict(num_cpus=8), "CPU 8; the most any node has is CPU 4"), (dict(num_gpus=2), "GPU 2; the most any node has is GPU 1"),
                           (dict(resources={"tpu": 1}), "tpu 1; the most any node has is tpu 0"), (dict(user="ann", num_cpus=2), "the quota of user ann is 1"),
                           (dict(requires={"tape"}), r"a node with label tape; no node has that \(main: ssd=1\)"), (dict(memory=1 << 40), "memory 1024.0 GiB; the most")):
            with pytest.raises(miniray.exceptions.TaskUnschedulableError, match=says):
                quiet.options(**kind).remote("never")
        remove_placement_group(group)  # or it takes what `wide` wants
        flag.touch()
        miniray.get(refs)
        with pytest.raises(miniray.exceptions.RayTaskError):
            miniray.get(after)


def test_what_it_takes_to_make_results_again_is_told():
    @miniray.remote
    def large():
        return bytes(1 << 20)

    with miniray.init(num_cpus=1):
        ref = large.remote()
        miniray.wait([ref])
        session = _desk.Source()("session")["folder"]
        stats = json.loads(run("status", "--session", session, "--json"))["stats"]
        assert stats["kept"] == 1 and stats["kept_bytes"] > 0
        for command in "status", "memory":
            assert "0 B on the disk; 1 ended tasks (" in run(command, "--session", session)
        del ref


def test_status_tells_of_an_ejected_policy(tmp_path):
    bad = tmp_path / "bad.lua"
    bad.write_text("return { rank = function(t) return t.nothing.there end }\n")
    with miniray.init(num_cpus=1, policy=str(bad)):
        flag = tmp_path / "go"
        flag.touch()
        miniray.get([hold.remote(str(flag)) for _ in range(3)])
        told = run("status", "--session", _desk.Source()("session")["folder"])
        assert "POLICY EJECTED, the order is FIFO: " in told and "  its last " in told and "  node 0 (main): " in told


def test_on_error_stop_ends_all_work(tmp_path, until):
    bad, settings, begun, flag = (tmp_path / name for name in ("bad.lua", "stop.ini", "begun", "go"))
    bad.write_text("return { rank = function(t) if t.seq == 3 then error('enough') end return 0 end }\n")
    settings.write_text("[sched]\non_error = stop\n")

    @miniray.remote
    def begin():
        begun.touch()
        while not flag.exists():
            time.sleep(0.005)
        return "done"

    with miniray.init(num_cpus=1, policy=str(bad), config=str(settings)):
        runs = begin.remote()
        until(begun.exists, "the first task")
        waits, third = begin.remote(), begin.remote()
        for ref in (waits, third):
            with pytest.raises(miniray.exceptions.PolicyError, match="on_error = stop: bad.lua:1: enough"):
                miniray.get(ref)
        with pytest.raises(miniray.exceptions.PolicyError, match="enough"):
            miniray.get(begin.remote())
        flag.touch()
        assert miniray.get(runs) == "done", "what ran may end"


def test_list(busy):
    rows = json.loads(run("list", "tasks", "--session", busy, "--json", "--detail", "-f", "state!=RUNNING"))
    assert [row["state"] for row in rows] == ["PENDING_NODE_ASSIGNMENT"] * 2 and rows[0]["waits_for"]
    assert run("list", "tasks", "--session", busy).count("RUNNING") == 2
    for kind, word in (("nodes", "main"), ("workers", "DRIVER"), ("objects", "LOCAL_REFERENCE"), ("actors", "no actors"),
                       ("placement-groups", "no placement groups")):
        assert word in run("list", kind, "--session", busy)
    assert "did you mean 'state'" in run("list", "tasks", "--session", busy, "-f", "stat=1", code=2)
    assert "FIELD=VALUE" in run("list", "tasks", "--session", busy, "-f", "state", code=2)


def test_summary_and_memory(busy, ray):
    big = ray.put(bytes(100_000))
    assert "2 PENDING_NODE_ASSIGNMENT, 2 RUNNING" in run("summary", "tasks", "--session", busy)
    first = run("memory", "--session", busy).splitlines()[1].split("  ")
    assert [cell.strip() for cell in first if cell.strip()] == [f"{big._id:x}", "97.7 KiB", "sealed", "main", "put", "the driver"]
    assert json.loads(run("memory", "--session", busy, "--json", "--limit", "1"))[0]["size"] == 100_000
    assert "ended tasks (" in run("memory", "--session", busy).splitlines()[-1]


def test_logs(busy):
    lines = [json.loads(line) for line in run("logs", "--session", busy, "--json").splitlines()]
    assert [(line["name"], line["text"], line["pid"] > 0) for line in lines] == [("hold", "hold begins", True)] * 2
    assert run("logs", "--session", busy, "--tail", "1", "--name", "hold") == f"(hold pid={lines[1]['pid']}) hold begins\n"
    assert run("logs", "--session", busy, "--pid", "1") == ""


def test_timeline(busy, tmp_path):
    run("timeline", "--session", busy, "-o", str(tmp_path / "t.json"))
    events = json.loads((tmp_path / "t.json").read_text())
    runs = [e for e in events if e["ph"] == "X"]
    assert len(runs) == 2 and len({e["tid"] for e in runs}) == 2 and all(e["dur"] > 0 and e["name"] == "hold" for e in runs)
    assert {e["args"]["name"] for e in events if e["name"] == "process_name"} == {"node 0"}


def test_the_driver_writes_the_same_timeline(ray, tmp_path):
    @ray.remote
    class Many:
        async def nap(self):
            import asyncio

            await asyncio.sleep(0.01)

    many = Many.remote()
    ray.get([many.nap.remote() for _ in range(5)])
    ray.timeline(str(tmp_path / "t.json"))
    runs = [e for e in json.loads((tmp_path / "t.json").read_text()) if e["ph"] == "X" and e["args"]["kind"] == "call"]
    assert len(runs) == 5
    for one in runs:  # what overlaps has a lane of its own
        assert not any(o["tid"] == one["tid"] and one["ts"] < o["ts"] < one["ts"] + one["dur"] - 0.01 for o in runs if o is not one)


def test_which_session(busy, tmp_path, monkeypatch, until):
    """One is found by itself; several are listed, and named by number, pid or folder."""
    monkeypatch.delenv("MINIRAY_FOLDER", raising=False)
    mine = _desk.ask(busy, "session")
    assert _desk.choose(mine["session"]) == _desk.choose(str(os.getpid())) == _desk.choose(busy) == busy
    other = subprocess.Popen([sys.executable, "-c", "import miniray\nwith miniray.init(num_cpus=1) as c:\n    print(1, flush=True)\n    input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "1\n"
        assert {s["pid"] for s in _desk.sessions()} >= {os.getpid(), other.pid}
        with pytest.raises(ConnectionError, match=f"pid {other.pid}"):
            _desk.choose()
        assert str(other.pid) in run("status")
        assert f"driver pid {other.pid}" in run("status", "--session", str(other.pid))
    finally:
        other.communicate("\n", timeout=30)
    assert "Could not find any running session" in run("list", "tasks", "--session", "fffffff", code=2)


def test_logs_follow_to_the_end(tmp_path):
    """Another process follows a session until it ends, though its driver shows nothing."""
    code = ("import miniray, sys, time\nfrom miniray import _desk\n"
            "ctx = miniray.init(num_cpus=1, log_to_driver=False)\n"
            "print(_desk.Source()('session')['folder'], flush=True)\ninput()\n"
            "@miniray.remote\ndef say(i):\n    print('line', i)\n"
            "miniray.get([say.remote(i) for i in range(3)])\ninput()")
    driver = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = driver.stdout.readline().strip()
    follower = subprocess.Popen([sys.executable, "-m", "miniray", "logs", "--session", folder, "--follow"], stdout=subprocess.PIPE, text=True)
    try:
        driver.stdin.write("\n")
        driver.stdin.flush()
        lines = [follower.stdout.readline() for _ in range(3)]
    finally:
        out, _ = driver.communicate("\n", timeout=30)
    assert [line.partition(") ")[2] for line in lines] == ["line 0\n", "line 1\n", "line 2\n"]
    assert out == "" and follower.wait(30) == 0
    follower.stdout.close()
