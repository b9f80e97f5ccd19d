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


def test_a_duel_on_unlike_processors_is_saved_as_a_test(tmp_path):
    mine = tmp_path / "mine.lua"
    mine.write_text("return { rank = function(t) return -t.estimate end }\n")
    out = tmp_path / "worst.jsonl"
    result = CliRunner().invoke(lab, ["duel", str(mine), "heft", "--unlike", "--steps", "40", "--seed", "2", "--save", "--out", str(out)])
    assert result.exit_code == 0 and "added to" in result.output
    lines = workload.read(out)
    assert len({node["speed"] for node in lines[0]["platform"]["nodes"]}) > 1 or any(t.get("inputs") for t in lines[1:])
    [test] = policy_tests.read(str(mine))
    a, b = (simulate(str(out), p, know="exact").summary["makespan_s"] for p in (str(mine), "heft"))
    assert a > b and policy_tests.judge(str(mine), test)[0] != []  # it fails until mine is as good
    heft = tmp_path / "heft.lua"
    heft.write_text((Path(__file__).parents[2] / "config" / "policies" / "heft.lua").read_text())
    assert policy_tests.failures(str(heft), test) == []  # the test is the instance: it holds for the other


def test_the_words_of_tests_about_unlike_nodes(tmp_path):
    policy = tmp_path / "p.lua"
    text = ("--- test t\n---   node slow\n---   node fast cpus=2 speed=4\n---   bandwidth 1000000\n---   task a duration=8s outputs=5000000\n"
            "---   task b duration=4s inputs=a:2000000\n---   within {}\nreturn {{ place = function(t) return workers(t)[1] end }}\n")
    for limit, holds in (("12s", True), ("11.9s", False), ("1h", True)):
        policy.write_text(text.format(limit))
        [test] = policy_tests.read(str(policy))
        assert (policy_tests.failures(str(policy), test) == []) is holds
    policy.write_text("--- test t\n---   node a colour=red\n---   makespan 1s\nreturn {}\n")
    with pytest.raises(policy_tests.BadTest, match=r"p\.lua:2: a node has no 'colour'; it has cpus and speed"):
        policy_tests.read(str(policy))


def test_an_interrupted_search_tells_what_it_found(tmp_path, monkeypatch):
    def after(runs: int):
        left = [runs]

        def run(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return simulate(*args, **kwargs)
        return run

    monkeypatch.setattr(duel, "simulate", after(21))
    result = CliRunner().invoke(lab, ["duel", "lpt", "list", "--steps", "40", "--seed", "1"])
    assert result.exit_code == 130 and "interrupted" in result.output and "pairs of runs" in result.output
    policy = tmp_path / "p.lua"
    policy.write_text("--- tune x 0 1\nreturn {}\n")
    monkeypatch.setattr(tune, "simulate", after(2 + 2 * 3 + 1))
    result = CliRunner().invoke(lab, ["tune", str(policy), "--workload", "gen:bag,tasks=5", "--seeds", "2"])
    assert result.exit_code == 130 and "interrupted after 3 of 40 points" in result.output and "on others:" in result.output


def test_a_search_by_a_figure_that_is_not_there(tmp_path):
    policy = tmp_path / "p.lua"
    policy.write_text("--- tune x 0 1\nreturn {}\n")
    for command in (["duel", "lpt", "list", "--metric", "missed"], ["tune", str(policy), "--workload", "gen:bag", "--metric", "missed"]):
        result = CliRunner().invoke(lab, command)
        assert result.exit_code == 2 and "has no figure missed: its tasks state no deadline_s" in result.output
    policy.write_text("--- tune x 0 1\nreturn { rank = function() error('no') end }\n")
    result = CliRunner().invoke(lab, ["tune", str(policy), "--workload", "gen:bag"])
    assert result.exit_code == 2 and "fails as it is" in result.output
    result = CliRunner().invoke(lab, ["duel", "lpt", "list", "--save"])
    assert result.exit_code == 2 and "lpt is not a policy file to add a test to" in result.output


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
