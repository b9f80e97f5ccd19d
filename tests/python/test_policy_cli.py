"""`miniray policy new | check | test`: what a writer of policies sees."""

import json
import os
import re
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


@pytest.mark.parametrize("command", ["test", "check"])
@pytest.mark.parametrize("text, says", [
    ("return {\n  rank = = 3 }", "p.lua:2: unexpected symbol near '='"),
    ("\n\nreturn {\n  rnak = function() end }", "p.lua:4: 'rnak' is not a hook: did you mean 'rank'?"),
    ("local x = 1\n\n", "p.lua:1: a policy file must return a table of hooks"),
    ("return { rank = function(t) return \xff end }", "p.lua:1: unexpected symbol near '<\\255>'"),
])
def test_one_that_does_not_load_is_told_once(tmp_path, command, text, says):
    path = tmp_path / "p.lua"
    path.write_bytes(text.encode("latin-1"))
    result = run(command, path)
    assert result.exit_code == 1 and len(result.output.splitlines()) == 1 and "does not load" in result.output and says in result.output


def test_the_same_error_is_told_once(tmp_path):
    path = tmp_path / "p.lua"
    path.write_text("return { rank = function(t) return t.estimat end }\n")
    result = run("test", path)
    lines = [line for line in result.output.splitlines() if "p.lua:1: a task has no field 'estimat': did you mean 'estimate'?" in line]
    assert result.exit_code == 1 and len(lines) == 4, result.output
    assert all(line.endswith("more of the same") for line in lines)
    path.write_text("return { rank = function(t) error('no') end }\n")  # of which the text alone says nothing
    result = run("check", path)
    assert result.exit_code == 1 and result.output.count("p.lua:1: no") == 1 and "more of the same" in result.output, result.output


def test_what_a_policy_prints_is_shown_by_its_own_tests(tmp_path):
    path = tmp_path / "p.lua"
    path.write_text("--- test x\n---   task a duration=1s\n---   starts a\nreturn { rank = function(t) print('asked of', t.fn) end }\n")
    assert "ok     x\n       it printed: asked of\ta\n" in run("test", path).output


@pytest.mark.parametrize("name, says", [("none.lua", "none.lua does not exist"), ("folder", "folder is a folder"), ("folder.lua", "folder.lua is a folder"),
                                        ("mine", "did you mean the file mine.lua"), ("fiar", "no policy 'fiar', did you mean 'fair'")])
def test_a_file_that_there_is_not(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.lua").mkdir()
    (tmp_path / "mine.lua").write_text("return {}")
    for command in ("test", "check", "repl", "bench", "set"):
        result = run(command, name)
        assert result.exit_code == 2 and says in result.output, result.output


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


def test_bench_times_decisions(tmp_path):
    (tmp_path / "mine.lua").write_text("return { rank = function(t) return t.estimate end, pick = function(w) return first(nil, w) end }")
    (tmp_path / "greedy.lua").write_text("local all = {}\nreturn { submitted = function(t) all[#all + 1] = string.rep('x', 4000) .. #all end }")
    done = run("bench", "fifo", "random", tmp_path / "mine.lua", tmp_path / "greedy.lua", "--queued", "100,20000", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert [(row["policy"], row["queued"]) for row in rows] == [(name, size) for name in ("sched-fifo", "random", "mine", "greedy") for size in (100, 20000)]
    assert all(row["decision_ns"] > 0 and row["bytes"] > 100 for row in rows)
    assert set(rows[4]["ops_ns"]) == {"rank", "pick"} and "ejected" not in rows[4] and "out of memory" in rows[7]["ejected"]
    shown = run("bench", tmp_path / "greedy.lua", "--queued", "20000").output
    assert "decision" in shown and "greedy was ejected" in shown
    for wrong, says in ((["nothing_there.lua"], "nothing_there.lua"), (["fifo", "--queued", "0"], "--bench 0: sizes of the queue")):
        done = run("bench", *wrong)
        assert done.exit_code == 2 and says in done.output, done.output


def test_repl_steps_and_asks(tmp_path):
    policy = tmp_path / "short.lua"
    policy.write_text("return { rank = function(t)\n  return t.estimate\nend, slice = function() return 20*ms end }")
    workload = tmp_path / "w.jsonl"
    workload.write_text("".join(f'{{"id": "{name}", "duration_s": {took}}}\n' for name, took in (("long", 3), ("mid", 2), ("short", 1), ("last", 4))))
    (tmp_path / "bad.lua").write_text("return {\n  rank = = 1 }")
    (tmp_path / "late.lua").write_text("return { rank = function(t) return -t.estimate end }")
    said = ["show", "step", "show", "task last", "ask rank long", "ask pick 0", "ask pick 9", "ask slice last", "ask rank nobody", "shwo", "load bad.lua", "load late.lua",
            "ask rank long", "until 1.5", "step 0", "until x", "run", "task long", "quit"]
    done = subprocess.run([sys.executable, "-m", "miniray", "policy", "repl", "short.lua", "--workload", "w.jsonl", "--cpus", "1"],
                          cwd=tmp_path, input="\n".join(said) + "\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "0.000000000 s  short started on node 0, slot 0" in lines
    queue = lines.index("shared queue:")
    assert [line.split()[0] for line in lines[queue + 1:queue + 4]] == ["mid", "long", "last"]
    assert "3000000000   (line 2)" in lines and "-3000000000   (line 1)" in lines
    for part in ("has no pick", "there is no slot 9", "0.02 s   (line 3)", ", entry 4, 0 bytes of arguments", 'no task "nobody"', 'no command "shwo": did you mean show?', "bad.lua:2: unexpected symbol", "the old one stays",
                 "policy late", "1.000000000 s  last started", "step N: so many", "until SECONDS", "all 4 tasks are over, at 10.000000000 s", "long is over"):
        assert part in done.stdout, part


def test_a_policy_is_counted_in_the_release_of_lua_it_was_built_with(tmp_path):
    """A report names it; another library than the one it was built with is refused."""
    from miniray.lab import places, run_sim

    path = tmp_path / "p.lua"
    path.write_text("return { rank = function(t) return t.seq end }\n")
    run = run_sim.simulate([{"id": "a", "duration_s": 1.0}], str(path))
    assert re.fullmatch(r"hosts a policy written in Lua 5\.4\.\d+", run.summary["policy_host"])
    (tmp_path / "other.c").write_text('const char lua_ident[] = "$LuaVersion: Lua 5.4.99  Copyright (C) nobody $";\n')
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "other.so", tmp_path / "other.c"], check=True)
    (tmp_path / "w.jsonl").write_text('{"id": "a", "duration_s": 1}\n')
    own = places.plugins()
    done = subprocess.run([places.program(), *(["--plugins", own] if own else []), "--policy", path, "--workload", tmp_path / "w.jsonl"],
                          capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(tmp_path / "other.so")})
    assert done.returncode == 2 and "finds another Lua library: build miniray anew" in done.stderr, done.stderr
