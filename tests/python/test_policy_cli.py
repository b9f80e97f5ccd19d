"""`miniray policy new | check | test`: what a writer of policies sees."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from miniray.cli import main
from miniray.lab import policy_tests


def run(*args):
    return CliRunner().invoke(main, ["policy", *map(str, args)])


def judged(tmp_path, text):
    """The failures of the one test in a policy of this text."""
    path = tmp_path / "p.lua"
    path.write_text(text)
    (test,) = policy_tests.read(str(path))
    return policy_tests.failures(str(path), test)


def test_a_new_policy_passes_its_own_tests(tmp_path):
    assert run("new", "mine", "--into", tmp_path).exit_code == 0
    result = run("test", tmp_path / "mine.lua")
    assert result.exit_code == 0 and "ok     the short one goes first" in result.output, result.output
    assert f"{1 + len(policy_tests.PROPERTIES)} of" in result.output
    assert run("check", tmp_path / "mine.lua").exit_code == 0
    (types,) = json.loads((tmp_path / ".luarc.json").read_text())["workspace.library"]
    assert "---@class Policy" in (Path(types) / "miniray.d.lua").read_text()
    assert run("new", "mine", "--into", tmp_path).exit_code == 1, "it is not written over"
    assert run("new", "../mine", "--into", tmp_path).exit_code == 2


def test_the_types_are_those_that_are_registered():
    root = Path(__file__).parents[2]
    made = subprocess.run([sys.executable, root / "scripts" / "lua_types.py"], capture_output=True, text=True, check=True)
    assert made.stdout == (root / "bindings" / "python" / "miniray" / "templates" / "policy" / "miniray.d.lua").read_text()


WORLD = "--- test x\n---   nodes 2 cpus 1\n---   task a duration=3s\n---   task b duration=1s after=a\n---   task c*2 duration=1s arrival=1s\n"


@pytest.mark.parametrize("holds, does_not", [
    ("starts a c1 c2 b", "starts b a"),
    ("together a", "together a b"),
    ("ends a 3s", "ends a 4s"),
    ("makespan 4s", "makespan 3s"),
    ("apart a c1", "same a c1"),
    ("on node0 a", "on node1 a"),
    ("moved 0", "starts nobody a"),
])
def test_each_expectation(tmp_path, holds, does_not):
    assert judged(tmp_path, f"{WORLD}---   {holds}\nreturn {{}}\n") == []
    (told,) = judged(tmp_path, f"{WORLD}---   {does_not}\nreturn {{}}\n")
    assert told.startswith(f"{tmp_path}/p.lua:6: ")


@pytest.mark.parametrize("line, message", [
    ("strats a", "expected one of nodes, know"),
    ("task b duratoin=1s", "a task has no 'duratoin', did you mean 'duration'?"),
    ("task b duration=1", "'1' is not a time; like 10ms or 3s"),
    ("task b x", "expected KEY=VALUE, got 'x'"),
    ("nodes two", "expected one of"),
    ("starts", "expected starts A B"),
])
def test_a_line_that_is_not_understood(tmp_path, line, message):
    path = tmp_path / "p.lua"
    path.write_text(f"--- test x\n---   task a\n---   {line}\nreturn {{}}\n")
    result = run("test", path)
    assert result.exit_code == 2 and f"{path}:3: " in result.output and message in result.output, result.output


def test_a_test_that_expects_nothing_is_refused(tmp_path):
    path = tmp_path / "p.lua"
    path.write_text("--- test x\n---   task a\nreturn {}\n")
    assert run("test", path).exit_code == 2


def test_a_policy_that_fails_is_told_with_its_place(tmp_path):
    (told,) = judged(tmp_path, WORLD + "---   starts a\nreturn { rank = function(t) return t.estimat end }\n")
    assert "ejected" in told and "estimat" in told


@pytest.mark.parametrize("body, broken", [
    ("rank = function(t) return t.estimat end", "no task is lost, doubled or forgotten"),
    ("pick = function(w) return w end", "no task is lost, doubled or forgotten"),
    ("rank = function(t) return #t.fn < 5 and error('x') or 1 end", "it works with nothing known"),
    ("rank = function(t) return t.estimate + 1 end", "it works with nothing known"),
])
def test_properties_can_fail(tmp_path, body, broken):
    path = tmp_path / "p.lua"
    path.write_text(f"return {{ {body} }}\n")
    assert policy_tests.property_failures(str(path), broken)


def test_a_shipped_policy_is_tested_by_its_name():
    result = run("test", "--no-properties", "shortest-first")
    assert result.exit_code == 0 and "1 of 1 passed" in result.output, result.output
