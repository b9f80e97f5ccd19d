"""Duels and tuning: what is found is real, small, follows from the seed, and is judged on other instances."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from miniray.cli.lab import lab
from miniray.lab import duel, policy_tests, simulate, tune, workload


def test_a_duel_finds_a_small_instance_that_holds(tmp_path):
    out, figures = tmp_path / "worst.jsonl", tmp_path / "f.json"
    command = ["duel", "lpt", "list", "--steps", "40", "--seed", "1", "--out", str(out), "--json", str(figures)]
    first, second = (CliRunner().invoke(lab, command) for _ in range(2))
    assert first.exit_code == 0 and first.output == second.output
    found = json.loads(figures.read_text())
    assert found["ratio"] > 1.1 and found["tasks"] <= 16
    spans = [simulate(str(out), p, know="exact").summary["makespan_s"] for p in ("lpt", "list")]
    assert spans == [found["a_value"], found["b_value"]]
    # The printed test fails for the one and passes for the other.
    text = first.output[first.output.index("--- test"):]
    for rank, passes in (("t.seq", True), ("-t.estimate", False)):
        policy = tmp_path / "p.lua"
        policy.write_text(text + f"return {{ rank = function(t) return {rank} end }}\n")
        [test] = policy_tests.read(str(policy))
        assert (policy_tests.failures(str(policy), test) == []) is passes


def test_nothing_that_is_needed_is_left_and_nothing_else():
    found = duel.duel("lpt", "list", steps=25, seed=3)
    for task in range(len(found.graph.times)):
        if len(found.graph.times) > 2:
            lines = found.graph.without(task).lines()
            a, b = (simulate(lines, p, know="exact").summary["makespan_s"] for p in ("lpt", "list"))
            assert a / b < found.ratio or found.ratio == 1


def test_a_policy_that_fails_can_not_duel(tmp_path):
    bad = tmp_path / "bad.lua"
    bad.write_text("return { rank = function(t) return t.nothing.more end }\n")
    result = CliRunner().invoke(lab, ["duel", str(bad), "fifo", "--steps", "2"])
    assert result.exit_code == 2 and "bad.lua fails" in result.output


def test_tuning_is_judged_on_other_instances(tmp_path):
    policy = tmp_path / "threshold.lua"
    source = Path(__file__).parents[2] / "labs" / "solutions" / "09-two-speeds" / "reference.lua"
    policy.write_text("--- tune threshold 0 30 whole\n" + source.read_text().replace("conf.threshold or 6", "conf.threshold or 40"))
    seen = []
    found = tune.tune(str(policy), "gen:twospeeds,tasks=300", tune.declared(str(policy)), metric="flow_mean_s", budget=6, seeds=2,
                      know="exact", each=lambda: seen.append(1))
    assert found.after < found.before and found.held_out.n == 2 and len(seen) == (6 + 3) * 2
    assert 0 <= int(found.values["threshold"]) <= 30
    assert found == tune.tune(str(policy), "gen:twospeeds,tasks=300", tune.declared(str(policy)), metric="flow_mean_s", budget=6, seeds=2, know="exact")


def test_what_can_not_be_tuned_is_said(tmp_path):
    policy = tmp_path / "p.lua"
    policy.write_text("return {}\n")

    def refused(*more: str) -> str:
        result = CliRunner().invoke(lab, ["tune", str(policy), *more])
        assert result.exit_code == 2
        return result.output

    assert "declares nothing to tune" in refused("--workload", "gen:bag")
    assert "expected NAME LOW HIGH" in refused("--workload", "gen:bag", "--param", "delay")
    assert "LOW must be below HIGH" in refused("--workload", "gen:bag", "--param", "delay 2 1")
    assert "the same for every seed" in refused("--workload", "gen:graham", "--param", "delay 1ms 2ms log")
    policy.write_text("--- tune delay 5 6 often\nreturn {}\n")
    assert "p.lua:1" in refused("--workload", "gen:bag")


def test_parameters_in_their_units():
    delay = tune.parameter("delay 1ms 1s log")
    assert delay.time and delay.log and delay.text(0.0025) == "2500000ns"
    keep = tune.parameter("keep 0 4 whole")
    import random

    assert {keep.draw(random.Random(i)) for i in range(60)} == {0, 1, 2, 3, 4} and keep.text(3.0) == "3"
    assert all(0.001 <= delay.near(0.001, random.Random(i), 0.5) <= 1 for i in range(20))
    assert workload.text({"id": "a"}) == '{"id": "a"}\n'
