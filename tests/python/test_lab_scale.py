"""The simulator at scale.  MRTEST_SIM_TASKS=1000000 asks for the full size (about a minute); the quick one is a twentieth of it."""

from __future__ import annotations

import json
import os
import random
import subprocess

import pytest

from miniray.lab import places

TASKS = int(os.environ.get("MRTEST_SIM_TASKS", "50000"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """TASKS tasks that are all there from the start."""
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("scale") / "many.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for i in range(TASKS):
            file.write(f'{{"id":"t{i}","fn":"f{i % 10}","duration_s":{rng.uniform(0.5, 1.5):.3f}}}\n')
    return path


def simulate(workload, *arguments):
    """The report, with the process's own peak of memory in it."""
    command = [str(places.program()), "--workload", str(workload), "--nodes", "1000", "--cpus", "16", "--json", "-", *arguments]
    if places.plugins():
        command += ["--plugins", str(places.plugins())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as out:
        text = out.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return {**json.loads(text), "peak": used.ru_maxrss * 1024}


def test_a_thousand_nodes_in_a_kilobyte_a_task(many, tmp_path):
    """Every task is alive at once, so the peak is what a live task takes, the file it came from included."""
    few = tmp_path / "few.jsonl"
    few.write_text('{"id": "t", "duration_s": 1}\n')
    idle, one = simulate(few), simulate(many)
    assert one["tasks"] == TASKS and one["failed"] == 0
    assert (one["peak"] - idle["peak"]) / TASKS <= 1024
    # Linear work: submitted, started, finished, and the references of each; an instant is not a look at every slot.
    assert one["control_steps"] <= 8 * TASKS + 20_000
    assert simulate(many)["digest"] == one["digest"]


def test_a_rank_in_lua_is_asked_once_a_task(many, tmp_path):
    policy = tmp_path / "sjf.lua"
    policy.write_text("return { rank = function(t) return t.estimate end }\n")
    one = simulate(many, "--policy", str(policy), "--know", "exact")
    assert one["failed"] == 0 and not one["degraded"]
    assert one["dispatches"] == TASKS
    assert one["policy_work"] <= 100 * TASKS
    assert one["digest"] != simulate(many, "--know", "exact")["digest"]
