"""Hostile and broken hand-ins: none hangs, crashes or reads anything of the grader, and none leaves half a result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from miniray.cli.lab import lab as command
from miniray.lab import grade, labs

FIRST = Path(__file__).resolve().parents[2] / "labs" / "01-shortest-first"


def reference(folder: Path) -> Path:
    return folder.parent / "solutions" / folder.name / "reference.lua"


def lab_grade(*arguments: object) -> "tuple[int, str]":
    result = CliRunner().invoke(command, ["grade", *map(str, arguments)])
    return result.exit_code, result.output


HOSTILE = {
    "an endless loop at load": ("while true do end", "stopped after 200000 instructions"),
    "an endless loop in a hook": ("return { rank = function(t) while true do end end }", "stopped after 200000 instructions"),
    "memory": ("local t = {} return { rank = function(x) for i = 1, 1e9 do t[i] = ('x'):rep(4000) end end }", ""),
    "holding all": ("return { pick = function(w) return false end }", "held 4 ready tasks back"),
    "files": ("local f = io.open('/etc/passwd') return {}", "'io' is not available"),
    "environment": ("return { rank = function(t) return os.getenv('HOME') end }", "os"),
    "no table": ("return 5", "must return a table of hooks"),
    "unknown hook": ("return { ranks = function() end }", "'ranks' is not a hook"),
    "syntax": ("return {", "policy.lua:1"),
    "error": ("return { rank = function(t) error('x' .. string.char(27) .. '[31m' .. ('y'):rep(900)) end }", "policy.lua:1: x?[31m"),
    "a wrong answer": ("return { rank = function(t) return {} end }", ""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hand_in_that_fails_is_a_failed_hand_in(name, tmp_path):
    text, said = HOSTILE[name]
    policy = tmp_path / "p.lua"
    policy.write_text(text)
    status, output = lab_grade(FIRST, policy)
    assert status == 2 and said in output and "0 of 100 points" in output
    assert max(map(len, output.splitlines())) < 400 and "\x1b" not in output
    hidden = [line for line in output.splitlines() if " hidden " in line and " score " in line]
    assert len(hidden) == 6 and all("policy.lua" not in line and "x?" not in line for line in hidden)


# More of the kind, each on the public instances alone: what it says, and the exit status.
SLY = {
    "the parser's stack": ("return " + "{" * 60000, 2, "C stack overflow"),
    "its stack again": ("return " + "(" * 60000, 2, "C stack overflow"),
    "an error that is markup": ("error(']]></failure><x a=\"&\"/>\\0\\27[31m\\r\\8')", 2, ']]></failure><x a="&"/>'),
    "an error in two directions": ("error('\\u{202e}gnp\\u{200b}')", 2, "?gnp?"),
    "an error that is a table": ("return { rank = function(t) error({}) end }", 2, "was given a table, not a text"),
    "a text of an address": ("error(tostring({}) .. tostring(print))", 2, ""),
    "a bomb of text": ("local s = 'x' for i = 1, 60 do s = s .. s end return {}", 2, "the longest a policy may make is 4096"),
    "a bomb of format": ("string.format('%1000000000d', 1) return {}", 2, "invalid conversion"),
    "a caught kill": ("return { rank = function(t) while true do pcall(function() while true do end end) end end }", 2, "stopped after 200000 instructions"),
    "a strange order": ("return { rank = function(t) local a = {} for i = 1, 200 do a[i] = i end table.sort(a, function() return true end) return t.estimate end }", 0, ""),
    "another's fields": ("return { rank = function(t) t.estimate = 0 return 1 end }", 2, "fields can not be set"),
    "another's metatable": ("return { rank = function(t) getmetatable('').__index = print return 1 end }", 2, "'getmetatable' is not available"),
    "no number": ("return { rank = function(t) return 0/0 end }", 2, "not a number"),
    "alarms": ("return { pick = function(w) wake(1) return false end }", 2, "woke itself"),
    "code": ("return { rank = function(t) return load('return 1')() end }", 2, "a policy can not make code"),
    "compiled code": ("string.dump(print) return {}", 2, "'string.dump' is not available"),
    "coroutines": ("coroutine.wrap(print) return {}", 2, "'coroutine' is not available"),
    "the settings": ("return { rank = function(t) error(tostring(conf.secret) .. tostring(conf.path)) end }", 2, "nilnil"),
    "the garbage": ("collectgarbage('stop') return {}", 2, "'collectgarbage' is not available"),
    "a pattern": ("return { rank = function(t) return string.find(('a'):rep(4000), ('a*'):rep(30) .. 'b') end }", 2, "'string.find' is not available"),
    "a move without end": ("table.move({}, 1, 1e15, 2) return {}", 2, "'table.move' is not available"),
    "too many values": ("table.unpack({}, 1, 1e7) return {}", 2, "more than 255 values"),
    "a finalizer": ("setmetatable({}, {__gc = function() while true do end end}) return {}", 2, "'setmetatable' is not available"),
    "recursion": ("return { rank = function(t) local function f() pcall(f) pcall(f) end f() end }", 2, "stopped after 200000 instructions"),
    "an order that never ends": ("return { rank = function(t) table.sort({1, 2, 3}, function() while true do end end) end }", 2, "stopped after 200000 instructions"),
    "an error that is nothing": ("return { rank = function(t) error() end }", 2, "was given a nil, not a text"),
    "a result of its own": ("error('x\\n100 of 100 points, 60 are needed: passed')", 2, "policy.lua:1: x"),
    "an address": ("return { rank = function(t) return string.format('%p', {}) end }", 2, "%p shows an address"),
    "another library": ("string.format, string.rep, table.sort = nil return { rank = function(t) return t.estimate end }", 0, ""),
    "the clock": ("return { rank = function(t) return os.time() end }", 2, "there is no clock but now()"),
    "another file": ("require('lfs') return {}", 2, "a policy is one file"),
    "another's memory": ("n = (n or 0) + 1 return {}", 2, "'n' is not known"),
}


@pytest.mark.parametrize("name", SLY)
def test_a_sly_hand_in_gains_nothing_and_learns_nothing(name, tmp_path):
    text, expected, said = SLY[name]
    policy = tmp_path / "p.lua"
    policy.write_text(text)
    found = []
    for kind, times in (("junit", 1), ("gradescope", 2)):
        twice = [lab_grade(FIRST, policy, "--public", "--format", kind) for _ in range(times)] * (3 - times)
        assert twice[0] == twice[1] and twice[0][0] == expected
        found.append(twice[0][1])
        assert "/tmp" not in twice[0][1] and "0x" not in twice[0][1] and "\x1b" not in twice[0][1] and not set("\r\b\0\u202e\u200b") & set(twice[0][1])
    words = [e.get("message", "") for e in ElementTree.fromstring(found[0].encode()).iter() if e.tag in ("error", "failure")]
    assert said in " ".join(words) + found[1] and json.loads(found[1])["score"] == (100 if expected == 0 else 0)


def test_what_is_read_in_the_text_is_told_and_costs_nothing(tmp_path):
    policy = tmp_path / "p.lua"
    policy.write_text("return { rank = function(t) local unused = 1 if not t.estimate then return t.estmate end return t.estimate end }\n")
    status, text = lab_grade(FIRST, policy, "--public")
    assert status == 0 and "note   line 1: a task has no field 'estmate': did you mean 'estimate'?" in text and "'unused' is never read" in text
    assert "estmate" in ElementTree.fromstring(lab_grade(FIRST, policy, "--public", "--format", "junit")[1].encode()).findtext("system-out")
    assert "note: line 1: a task has" in json.loads(lab_grade(FIRST, policy, "--public", "--format", "gradescope")[1])["output"]
    policy.write_text("return { rank = function(t) return t.estimate " + "+ 0 " * 40000 + "end }")  # too deep for who reads it
    assert grade.read_over(str(policy)) == [] and lab_grade(FIRST, policy, "--public")[0] == 0


def test_two_graders_in_one_folder_and_one_that_is_killed(tmp_path):
    policy, out = tmp_path / "p.lua", tmp_path / "results.json"
    policy.write_text("return { rank = function(t) return t.estimate end }\n")
    command = [sys.executable, "-m", "miniray", "lab", "grade", str(FIRST), str(policy), "--format", "gradescope", "--out"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    both = [subprocess.Popen([*command, str(tmp_path / f"{i}.json")], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) for i in (0, 1)]
    assert [p.wait(timeout=300) for p in both] == [0, 0]
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    out.write_text("what stood there")
    policy.write_text("return { rank = function(t) for i = 1, 60000 do end return t.estimate end }\n")
    killed = subprocess.Popen([*command, str(out)], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)

    def simulators() -> "list[int]":
        return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in cmdline(p) and b"miniray-sim" in cmdline(p)]

    def cmdline(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError:
            return b""

    deadline = time.monotonic() + 60
    while not simulators() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    while simulators() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert simulators() == [] and out.read_text() == "what stood there"  # nothing runs on, nothing is half written


def test_the_result_goes_where_it_is_asked_for(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "sub" / "real.json")
    assert lab_grade(FIRST, reference(FIRST), "--public", "--format", "gradescope", "--out", tmp_path / "link.json")[0] == 0
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "sub" / "real.json").read_text())["score"] == 100
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == ["real.json"]
    status, text = lab_grade(FIRST, reference(FIRST), "--public", "--out", tmp_path / "none" / "r.json")
    assert status == 3 and "none" in text
    status, text = lab_grade(FIRST, reference(FIRST), "--public", "--out", "/dev/null")
    assert status == 0


def test_a_policy_that_prints_and_dawdles_is_graded_as_any_other(tmp_path):
    policy = tmp_path / "p.lua"
    policy.write_text("return { rank = function(t) for i = 1, 20 do print(('x'):rep(4000)) end for i = 1, 50000 do end return t.estimate end }")
    status, output = lab_grade(FIRST, policy)
    assert status == 0 and "xxx" not in output


def test_all_calls_together_have_a_budget(tmp_path):
    lab = labs.load(str(FIRST))
    lab.options["settings"]["sched.sched-lua.total"] = 300_000
    policy = tmp_path / "p.lua"
    policy.write_text("return { rank = function(t) for i = 1, 50000 do end return t.estimate end }")
    done = grade.grade(lab, str(policy))
    assert done.status == grade.FAILED
    assert "all calls together took 300000 instructions" in done.outcomes[1].problem


def test_what_is_no_file_of_text_is_refused_unread(tmp_path):
    def refused(path: Path) -> str:
        out = tmp_path / "results.json"
        status, output = lab_grade(FIRST, path, "--format", "gradescope", "--out", out)
        assert status == 2 and json.loads(out.read_text())["score"] == 0
        return output

    link, pipe, big, binary, latin, empty = (tmp_path / n for n in ("l.lua", "p.lua", "b.lua", "c.lua", "t.lua", "e.lua"))
    link.symlink_to("/etc/passwd")
    os.mkfifo(pipe)
    big.write_bytes(b" " * (grade.POLICY_MAX + 1))
    binary.write_bytes(b"\x1bLua")
    latin.write_bytes(b"return {} -- \xff")
    empty.write_bytes(b"\n")
    assert "is a link" in refused(link)
    assert "not a plain file" in refused(pipe) and "not a plain file" in refused(tmp_path)
    assert "longer than 256 KB" in refused(big)
    assert "compiled Lua" in refused(binary) and "UTF-8" in refused(latin) and "empty" in refused(empty)
    assert "No such file" in refused(tmp_path / "none.lua")


def test_the_environment_and_settings_of_the_grader_do_not_reach_a_run(tmp_path, monkeypatch):
    status, plain = lab_grade(FIRST, FIRST / "starter.lua")
    monkeypatch.setenv("MINIRAY_SCHED_KNOW", "nothing")
    monkeypatch.setenv("MINIRAY_SIM_DISPATCH_US", "1000")
    assert lab_grade(FIRST, FIRST / "starter.lua") == (status, plain)
