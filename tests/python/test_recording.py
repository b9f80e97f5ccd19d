"""Recordings of real runs: what is in them, and what a replay in virtual time makes of them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import miniray
from miniray.cli.replay import calibrate, replay
from miniray.lab import recording


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
    assert lines[0] == {"miniray": "recording", "version": 1}
    events = lines[1:]
    assert all(isinstance(e["t"], int) and e["ev"] for e in events)
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)
    kinds = [e["ev"] for e in events]
    assert kinds.count("NODE_ADDED") == 1 and kinds.count("SUBMIT") == 16 and kinds.count("DONE") >= 14
    assert {"PUT", "DEFINE", "FINISHED", "WORKER_UP"} <= set(kinds)


def test_a_recording_is_a_workload_and_a_trace(recorded):
    read = recording.read(recorded)
    tasks = [line for line in read.lines if "id" in line]
    assert len(tasks) == len(read.real.tasks) == 14
    assert read.lines[0]["platform"]["nodes"][0]["cpus"] == 2
    [reader] = [t for t in tasks if len(t.get("inputs", [])) == 4]
    made = {o["file"]: o["bytes"] for t in tasks for o in t["outputs"]} | {x["file"]: x["bytes"] for x in read.lines if "file" in x}
    assert sorted(made[f] // 1000 for f in reader["inputs"]) == [5, 5, 5, 20]
    assert sorted(t.get("user", "") for t in tasks)[-12:] == ["ann"] * 6 + ["bob"] * 6
    assert {t["cpus"] for t in tasks} == {1, 0.5}
    assert sorted(t["outcome"] for t in read.real.tasks).count("ok") == 13
    assert any("actors" in note for note in read.notes)
    assert read.makespan_s > 0 and all(t["duration_s"] > 0 for t in tasks)


def test_forced_keeps_places_and_orders(recorded):
    read = recording.read(recorded)
    run = recording.forced(read)
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
    assert "the same decisions simulated" in result.output and "fifo: " in result.output
    found = json.loads(out.read_text())
    assert set(found["policies"]) == {"fifo", "lpt"} and len(found["policies"]["fifo"]["noisy_s"]) == 3
    assert "run.jsonl (measured)" in page.read_text()


def test_noise_is_small_and_follows_from_its_seed(recorded):
    lines = recording.read(recorded).lines
    noisy = recording.noisy(lines, 1)
    assert noisy == recording.noisy(lines, 1) != recording.noisy(lines, 2)
    assert all(abs(b["duration_s"] / a["duration_s"] - 1) <= 0.05 for a, b in zip(lines, noisy) if "id" in a)


def test_a_recording_that_was_cut_off_is_read_to_there(recorded, tmp_path):
    text = recorded.read_text()
    cut = tmp_path / "cut.jsonl"
    cut.write_text(text[: len(text) * 3 // 4])
    assert 0 < len(recording.read(cut).real.tasks) <= 14


def test_what_is_no_recording_is_refused(tmp_path):
    path = tmp_path / "x.jsonl"
    for text, said in (("", "empty"), ("{}\n", "not a recording"), ('{"miniray": "recording", "version": 9}\n', "version 9"),
                       ('{"miniray": "recording", "version": 1}\nnonsense\n', "x.jsonl:2:1: not JSON"),
                       ('{"miniray": "recording", "version": 1}\n', "no task ended")):
        path.write_text(text)
        result = CliRunner().invoke(replay, [str(path)])
        assert result.exit_code == 2 and said in result.output


def test_a_place_that_can_not_be_written_is_said_at_init(tmp_path):
    with pytest.raises(Exception, match=r"\[engine\] record = .*nowhere.*No such file"):
        miniray.init(num_cpus=1, record=tmp_path / "nowhere" / "run.jsonl")
    assert not miniray.is_initialized()


def test_calibration_measures_and_writes_settings(tmp_path):
    out = tmp_path / "c.ini"
    result = CliRunner().invoke(calibrate, ["--out", str(out), "--tasks", "50", "--megabytes", "1"])
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert "[sim]\ndispatch_us = " in text and "bandwidth = " in text and "\nswitch_us = " in text
    assert 100 < int(text.split("decision_ns = ")[1].split()[0]) < 10_000_000  # of 1,000 instructions
