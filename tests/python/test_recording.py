"""Recordings of real runs: what is in them, and what a replay in virtual time makes of them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import miniray
from miniray.cli.replay import calibrate, replay
from miniray.lab import recording, replay as replaying


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run of 14 tasks on two CPUs: twelve, one that reads three of them and a put value, one that fails."""
    path = tmp_path_factory.mktemp("recording") / "run.jsonl"
    miniray.init(num_cpus=2, record=path)

    @miniray.remote
    def spin(n, *values):
        for _ in range(n):
            pass
        return bytes(5000)

    @miniray.remote(num_cpus=0.5, max_retries=0)
    def fail():
        raise ValueError("no")

    first = [spin.options(user="ann" if i % 2 else "bob").remote(100_000 * (i % 4 + 1)) for i in range(12)]
    miniray.get(spin.remote(1000, *first[:3], miniray.put(bytes(20_000))))
    with pytest.raises(ValueError):
        miniray.get(fail.remote())
    actor = miniray.remote(type("Counter", (), {"more": lambda self: 1})).remote()
    miniray.get(actor.more.remote())
    miniray.get(first)
    miniray.shutdown()
    return path


def test_every_line_is_an_event_with_its_time(recorded):
    lines = [json.loads(text) for text in recorded.read_text().splitlines()]
    assert lines[0] == {"miniray": "recording", "version": 2}
    events = lines[1:]
    assert all(isinstance(e["t"], int) and ("ev" in e) != ("do" in e) for e in events)
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)
    kinds = [e.get("ev") for e in events]
    assert sum(e.get("do") == "DISPATCH" for e in events) == 16
    assert kinds.count("NODE_ADDED") == 1 and kinds.count("SUBMIT") == 16 and kinds.count("DONE") >= 14
    assert {"PUT", "DEFINE", "FINISHED", "WORKER_UP"} <= set(kinds)


def test_a_recording_is_a_workload_and_a_trace(recorded):
    read = recording.read(recorded)
    tasks = [line for line in read.lines if "id" in line and not line.get("driver")]
    assert len(tasks) == len(read.real.tasks) == 16
    assert read.lines[-1]["driver"] and read.lines[-1]["waits"]  # how many depends on what was there already
    assert read.lines[0]["platform"]["nodes"][0]["cpus"] == 2
    [reader] = [t for t in tasks if len(t.get("inputs", [])) == 4]
    made = {o["file"]: o["bytes"] for t in tasks for o in t.get("outputs", [])} | {x["file"]: x["bytes"] for x in read.lines if "file" in x}
    assert sorted(made[f] // 1000 for f in reader["inputs"]) == [5, 5, 5, 20]
    assert sorted(t.get("user", "") for t in tasks)[-12:] == ["ann"] * 6 + ["bob"] * 6
    assert {t["cpus"] for t in tasks if "on" not in t} == {1, 0.5}
    assert sorted(t["outcome"] for t in read.real.tasks).count("ok") == 15
    [actor], [call] = [t for t in tasks if "actor" in t], [t for t in tasks if "on" in t]
    assert call["on"] == actor["id"] and actor["actor"]["concurrency"] == 1
    assert read.makespan_s > 0 and all(t["duration_s"] > 0 for t in tasks)


def test_forced_keeps_places_and_orders(recorded):
    read = recording.read(recorded)
    run = replaying.forced(read)
    assert not run.summary["degraded"] and run.summary["failed"] == 0

    def orders(tasks):
        lanes: dict[int, list[str]] = {}
        for t in sorted(tasks, key=lambda t: t["started"]):
            lanes.setdefault(t["slot"], []).append(t["task"])
        return sorted(lanes.values())

    assert orders(run.tasks) == orders(read.real.tasks)
    assert recording.span(run.tasks) <= read.makespan_s * 1.2  # the simulator adds nothing of its own


def test_replays_print_spread_and_ranking(recorded, tmp_path):
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    result = CliRunner().invoke(replay, [str(recorded), "--policy", "fifo", "--policy", "lpt", "--runs", "3", "--know", "exact", "--json", str(out), "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "the same decisions simulated" in result.output and "fifo: " in result.output and "costs: not calibrated: " in result.output
    found = json.loads(out.read_text())
    assert set(found["policies"]) == {"fifo", "lpt"} and len(found["policies"]["fifo"]["noisy_s"]) == 3
    assert "run.jsonl (measured)" in page.read_text()


def test_a_ranking_is_of_those_that_differ():
    from miniray.lab import trace

    def replays(plain, *noisy):
        tasks = [{"started": 0, "ended": int(plain * 1e9)}]
        return replaying.Replays(trace.Run(policy="p", tasks=tasks), list(noisy))

    assert replaying.ranking({"a": replays(1, 1, 1)}) is None and replaying.ranking({"a": replays(1, 1), "b": replays(1.005, 2)}) is None
    three = {"a": replays(1, 1, 1.1), "b": replays(1.001, 1.1, 1), "c": replays(2, 2, 2)}
    assert replaying.ranking(three) == (1, 2)
    assert replaying.ranking({"a": replays(1, 1, 3), "c": replays(2, 2, 2)}) == (0, 1)
    assert replaying.ranking({"a": replays(1), "c": replays(2)}) is None


def test_noise_is_small_and_follows_from_its_seed(recorded):
    lines = recording.read(recorded).lines
    noisy = replaying.noisy(lines, 1)
    assert noisy == replaying.noisy(lines, 1) != replaying.noisy(lines, 2)
    assert all(abs(b["duration_s"] / a["duration_s"] - 1) <= 0.05 for a, b in zip(lines, noisy) if "id" in a)
    assert noisy[-1] == lines[-1]  # the main program thinks no longer


def test_a_recording_that_was_cut_off_is_read_to_there(recorded, tmp_path):
    text = recorded.read_text()
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[: len(text) * 3 // 4])
    read = recording.read(cut)
    assert 0 < len(read.real.tasks) <= 16
    assert len(replaying.forced(read).tasks) == len(read.real.tasks)


def test_what_is_no_recording_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    for text, said in (("", "empty"), ("{}\n", "not a recording"), ('{"miniray": "recording", "version": 9}\n', "version 9"), ('{"miniray": "recording", "version": 2}\n7\n', "x.jsonl:2:1: not an event"),
                       ('{"miniray": "recording", "version": 2}\nnonsense\n', "x.jsonl:2:1: not JSON"),
                       ('{"miniray": "recording", "version": 2}\n', "no task ended")):
        path.write_text(text)
        result = CliRunner().invoke(replay, [str(path)])
        assert result.exit_code == 2 and said in result.output


def test_a_place_that_can_not_be_written_is_said_at_init(tmp_path):
    with pytest.raises(Exception, match=r"\[engine\] record = .*nowhere.*No such file"):
        miniray.init(num_cpus=1, record=tmp_path / "nowhere" / "run.jsonl")
    assert not miniray.is_initialized()


def spin(seconds):
    import time

    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_tasks_did_while_they_ran_is_in_the_replay(tmp_path):
    """Actors in order and with threads and a loop, tasks that submit and wait, streams, attempts that are lost."""
    path, marks = tmp_path / "run.jsonl", tmp_path
    miniray.init(num_cpus=2, record=path)

    @miniray.remote
    class Ordered:
        def __init__(self):
            spin(0.002)

        def step(self, *values):
            spin(0.002)
            return bytes(100)

    @miniray.remote(max_concurrency=3)
    class Threads:
        def nap(self):
            import time

            time.sleep(0.01)

    @miniray.remote
    class Loop:
        async def nap(self):
            import asyncio

            await asyncio.sleep(0.01)

    @miniray.remote
    def leaf(x=None):
        spin(0.004)

    @miniray.remote
    def parent():
        spin(0.002)
        miniray.get([leaf.remote() for _ in range(3)])
        spin(0.002)

    @miniray.remote(num_returns="streaming")
    def stream():
        for _ in range(3):
            spin(0.003)
            yield bytes(50)

    @miniray.remote(max_retries=2, retry_exceptions=True)
    def flaky():
        spin(0.003)
        mark = marks / "tried"
        if not mark.exists():
            mark.touch()
            raise ValueError("once")

    ordered, threads, loop = Ordered.remote(), Threads.remote(), Loop.remote()
    miniray.get([ordered.step.remote(ordered.step.remote()), *(threads.nap.remote() for _ in range(4)), *(loop.nap.remote() for _ in range(4))])
    miniray.get([parent.remote() for _ in range(2)])
    miniray.get([leaf.remote(item) for item in stream.remote()])
    miniray.get(flaky.remote())
    miniray.shutdown()
    read = recording.read(path)
    by = {line["id"]: line for line in read.lines if "id" in line}
    kinds = [(line.get("fn", ""), line) for line in by.values()]
    assert sum("actor" in line for _, line in kinds) == 3 and sum("on" in line for _, line in kinds) == 10
    assert sorted(line["actor"]["concurrency"] for _, line in kinds if "actor" in line) == [1, 3, 1000]
    parents = [line for fn, line in kinds if fn == "parent"]
    assert all(len(p["waits"]) == 1 and p["waits"][0]["need"] == 3 for p in parents)
    assert sum(line.get("parent") in {p["id"] for p in parents} for _, line in kinds) == 6
    assert all(p["duration_s"] < 0.5 * min(t["ended"] - t["started"] for t in read.real.tasks if t["task"] == p["id"]) / 1e9 for p in parents)
    [made] = [line for fn, line in kinds if fn == "stream"]
    assert [0 < o["after_s"] < made["duration_s"] + 1e-9 for o in made["outputs"] if "after_s" in o] == [True] * 3
    [tried] = [line for fn, line in kinds if fn == "flaky"]
    assert len(tried["fails_s"]) == 1 and tried["max_retries"] >= 1
    assert any("attempts were lost" in note for note in read.notes) and any("event loop" in note for note in read.notes)
    run = replaying.forced(read)
    assert not run.summary["degraded"] and run.summary["failed"] == 0 and len(run.tasks) == len(read.real.tasks)
    at = {t["task"]: t for t in run.tasks}
    for p in parents:
        children = [c for c in by.values() if c.get("parent") == p["id"]]
        assert at[p["id"]]["started"] < min(at[c["id"]]["started"] for c in children) and at[p["id"]]["ended"] > max(at[c["id"]]["ended"] for c in children)
    free = replaying.free(read, "lpt", runs=1)
    assert free.run.summary["failed"] == 0 and len(free.run.tasks) == len(run.tasks)


def test_stops_are_in_the_replay(tmp_path):
    path, policy = tmp_path / "run.jsonl", tmp_path / "turns.lua"
    policy.write_text("return { slice = function() return 5*ms end }\n")
    miniray.init(num_cpus=1, policy=policy, record=path)
    miniray.get([miniray.remote(spin).remote(0.02) for _ in range(3)])
    miniray.shutdown()
    read = recording.read(path)
    stops = sum(len(t.get("stretches", [1])) - 1 for t in read.real.tasks)
    assert stops >= 6 and sum(x.slice is not None for x in read.starts) == stops
    assert all(0.018 < line["duration_s"] for line in read.lines if "id" in line and not line.get("driver"))
    run = replaying.forced(read)
    assert run.summary["stops"] == stops and not run.summary["degraded"]

    def turns(tasks):
        return [name for _, name in sorted((piece[0], t["task"]) for t in tasks for piece in t["stretches"])]

    assert turns(run.tasks) == turns(read.real.tasks)
    assert abs(recording.span(run.tasks) / read.makespan_s - 1) < 0.2


def test_calibration_measures_and_writes_settings(tmp_path):
    out = tmp_path / "c.ini"
    result = CliRunner().invoke(calibrate, ["--out", str(out), "--tasks", "50", "--megabytes", "1"])
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert "[sim]\ndispatch_us = " in text and "bandwidth = " in text and "\nswitch_us = " in text.replace("; switch_us could not be measured", "switch_us = ")
    assert 100 < int(text.split("decision_ns = ")[1].split()[0]) < 10_000_000  # of 1,000 instructions


def test_what_could_not_be_measured_is_no_setting(tmp_path):
    from miniray.lab import calibrate as calibration

    found = dict.fromkeys(("dispatch_us", "decision_ns", "bandwidth", "call_us", "put_us", "get_us", "put_bytes_s"), 7.0)
    assert "\n; switch_us could not be measured" in calibration.as_ini(found)
    assert "\nswitch_us = 21\n" in calibration.as_ini({**found, "switch_us": 20.6})


def test_a_replay_says_what_it_can_not_say(tmp_path):
    """Tasks that are too short, a policy whose settings are given, a main program of several threads."""
    import threading

    path, costs = tmp_path / "run.jsonl", tmp_path / "c.ini"
    costs.write_text("[sim]\ndispatch_us = 20\nswitch_us = 50\n")
    miniray.init(num_cpus=2, record=path)
    nothing = miniray.remote(lambda: None)
    slow = miniray.remote(spin)
    other = threading.Thread(target=lambda: miniray.get(slow.remote(0.05)))
    other.start()
    miniray.get([nothing.remote() for _ in range(300)])
    other.join()
    miniray.shutdown()
    read = recording.read(path, switch_us=50)
    result = CliRunner().invoke(replay, [str(path), "--config", str(costs)])
    assert result.exit_code == 0 and f"costs: those of {costs}" in result.output
    if any("threads" in note for note in read.notes):  # both waited at one time
        assert not any(line.get("driver") for line in read.lines) and all("arrival_s" in line for line in read.lines if "id" in line)
    mean = sum(line["duration_s"] for line in read.lines if "id" in line and not line.get("driver")) / 301
    assert any("on average" in note for note in read.notes) == (mean < 50e-6)
