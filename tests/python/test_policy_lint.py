"""`miniray policy check`: what it says of a text that is not run."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from miniray.cli import main
from miniray.lab import policy_api, policy_lint, policy_tests

ROOT = Path(__file__).parents[2]


def told(text):
    return [(one.line, one.text, one.error) for one in policy_lint.lint(text.encode())]


def in_hook(line, hook="rank = function(t)"):
    return f"return {{ {hook}\n{line}\nend }}\n"


@pytest.mark.parametrize("line, says", [
    ("if t.priority > 99 then return reday() end", "'reday' is not known: did you mean 'ready'?"),
    ("if t.priority > 99 then return t.estimat end", "a task has no field 'estimat': did you mean 'estimate'?"),
    ("return conf.x or os.time()", "'os' is not available: there is no clock but now()"),
    ("return math.flor(1)", "'math.flor' is not known: did you mean 'math.floor'?"),
    ("return string.find(t.fn, 'a')", "'string.find' is not available"),
    ("return t.fn:gmatch('a')", "'string.gmatch' is not available"),
    ("local _ = least(workers(t), function(w) return w.lod end)", "a slot has no field 'lod': did you mean 'load'?"),
    ("for _, e in ipairs(t.preds) do if e.tsk then return 1 end end", "an edge has no field 'tsk': did you mean 'task'?"),
    ("for _, n in ipairs(nodes(t)) do return n.fre.CPU end", "a node has no field 'fre': did you mean 'free'?"),
    ("for n in nodes(t) do return n.id end", "`for` needs an iterator, 'nodes(t)' is a table: write ipairs(nodes(t))"),
    ("for t in ipairs(ready()) do return 1 end", "ipairs walks a table, 'ready()' is a function"),
    ("local _ = first(nil)", "first(queue, w) needs 2 arguments, got 1"),
    ("return cost(workers(t)[1], workers(t)[2])", "cost: argument 1 must be a task, 'workers(t)[1]' is a slot"),
    ("wake('1s')", "wake: argument 1 must be a number, ''1s'' is a string"),
    ("return t.deadline - now()", "'t.deadline' may be nil (the user gave none) and is reckoned with"),
    ("return -t.estimate", "'t.estimate' may be nil (no estimate yet) and is reckoned with"),
    ("if t.estimate < 5 * ms then return 1 end", "'t.estimate' may be nil (no estimate yet) and is compared"),
    ("local w = first(nil, workers(t)[1])\nreturn w.bytes", "'w' may be nil and is indexed: ask `if w then` first"),
    ("return t.user > 3 and 1 or 2", "'t.user' is a string, '3' is a number: they have no order"),
    ("return t.fn + 1", "the left of + must be a number, 't.fn' is a string"),
    ("return t.from and t.from > 0 and 1", "'t.from' is a slot: only numbers and texts have an order"),
    ("return 1, print('rank of ' .. t)", "a task can not be joined to a text: use tostring()"),
    ("return #t", "a task has no length"),
    ("t.rank = 3", "a handle's fields can not be set"),
    ("return t:estimate()", "a task has no functions of its own"),
    ("return t.priority.x", "a number has no field 'x'"),
    ("return t.fn", "rank must return a number or nil, this is a string"),
    ("return workers(t)[1].node", "rank must return a number or nil, this is a node"),
])
def test_what_would_fail_when_it_runs(line, says):
    (one,) = told(in_hook(line))
    assert one[0] == 2 + line.count("\n") and one[1].startswith(says) and one[2], one


@pytest.mark.parametrize("line, says", [
    ("local unused = 3", "the local 'unused' is never read"),
    ("if false then totla = 1 end", "'totla' is set and is no local: write local totla"),
    ("local total = 0\nif total > 3 then totl = 1 end", "'totl' is set and is no local: did you mean 'total'?"),
    ("if t.state == 'runing' then return 1 end", "it is never \"runing\": did you mean 'running'?"),
    ("if t.user == 3 then return 1 end", "a string is never equal to a number"),
    ("if t.from == t then return 1 end", "a slot is never equal to a task"),
    ("return now(3)", "now takes 0 arguments, not 1"),
])
def test_what_is_legal_and_hardly_meant(line, says):
    (one,) = told(in_hook(line))
    assert one[0] == 2 + line.count("\n") and one[1] == says and not one[2], one


@pytest.mark.parametrize("text, line, says", [
    ("local function key(t)\n  return t.estimat\nend\nreturn { rank = key }", 2, "a task has no field 'estimat'"),
    ("local function far(w)\n  return w.estimate\nend\nreturn { pick = function(w) return far(w) end }", 2, "a slot has no field 'estimate'"),
    ("local M = {}\nfunction M.rank(t) return t.estimat end\nreturn M", 2, "a task has no field 'estimat'"),
    ("local M = {}\nM.pick = function(w)\n  return w.nod\nend\nreturn M", 3, "a slot has no field 'nod'"),
    ("return { pick = function(w, t)\n return t end }", 1, "pick is given w: 't' is always nil"),
    ("return { started = function(t)\n return t end }", 2, "started is a notice: what it returns is not looked at"),
    ("return { pick = function(w)\n return w end }", 2, "pick must return a task, false or nil, this is a slot"),
    ("\ufeffreturn {\n rank = function(t) return t.estimat end }", 2, "a task has no field 'estimat'"),
])
def test_it_follows_functions_and_tables(text, line, says):
    (one,) = told(text)
    assert one[0] == line and one[1].startswith(says), one


@pytest.mark.parametrize("line", [
    "return t.deadline and t.deadline - now()",
    "if not t.deadline then return 0 end\nreturn t.deadline - now()",
    "return (t.deadline or math.huge) - now()",
    "local d = t.deadline\nif d then return d - now() end",
    "assert(t.limit)\nreturn t.limit / 2",
    "local best\nfor _, w in ipairs(workers(t)) do best = w end\nreturn best.load",
    "return t.labels.size == 3 and t.labels.any == 'x' and 1 or t.needs.GPU + t.needs.whatever",
    "local n, bytes = least(nodes(t), function(n) return missing(t, n) end)\nif bytes < t.bytes then return n.id end",
    "local _, bytes = least(nodes(t), function(n) return missing(t, n) end)\nreturn bytes",
    "return select('#', pcall(function() return t.rank end)) + tonumber(t.fn)",
    "goto done\n::done::\nreturn 0x10 + 1e3 // 2 ~ 1",
    "local f\nfunction f(n) return n > 0 and f(n - 1) or 0 end\nreturn f(3)",
])
def test_what_is_right_is_not_told(line):
    assert told(in_hook(line)) == []


def test_nothing_is_told_of_what_is_shipped():
    texts = {str(path): path.read_bytes() for path in [*ROOT.glob("config/policies/*.lua"), *ROOT.glob("labs/**/*.lua"),
                                                       *ROOT.glob("bindings/python/miniray/templates/policy/policy.lua")]}
    blocks = re.findall(r"```lua\n(.*?)```", (ROOT / "docs" / "writing-a-scheduler.md").read_text(), re.S)
    texts.update((f"block {i}", block.encode()) for i, block in enumerate(blocks))
    assert len(texts) > 50
    assert {name: policy_lint.lint(text) for name, text in texts.items() if policy_lint.lint(text)} == {}


def test_it_knows_the_library_that_the_sandbox_has(tmp_path):
    api, path = policy_api.Api(), tmp_path / "p.lua"
    everything = {"string": "byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
                  "table": "concat insert move pack remove sort unpack",
                  "math": "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random "
                          "randomseed sin sqrt tan tointeger type ult"}
    names = {f"{library}.{name}" for library, some in everything.items() for name in some.split()}
    names |= {*"assert collectgarbage dofile error getmetatable ipairs load loadfile next pairs pcall print rawequal rawget rawlen rawset "
               "require select setmetatable tonumber tostring type warn xpcall _G _VERSION io os debug coroutine package utf8".split()}
    assert api.library <= names
    lines = [f"assert({name})" for name in sorted(api.library)]
    lines += [f"assert(not pcall(function() return {name} end), '{name}')" for name in sorted(names - api.library)]
    path.write_text("\n".join([*lines, *(f"assert({name})" for name in api.globals()), "return {}"]))
    assert policy_tests.load_error(str(path)) == ""


def test_check_tells_them_with_file_and_line_and_runs_no_case(tmp_path):
    path = tmp_path / "p.lua"
    path.write_text(in_hook("local x = 1\nif t.priority > 99 then return t.estimat end"))
    result = CliRunner().invoke(main, ["policy", "check", str(path)])
    assert result.exit_code == 1 and result.output.splitlines() == [
        f"{path}:2: warning: the local 'x' is never read", f"{path}:3: a task has no field 'estimat': did you mean 'estimate'?",
        f"{path}: 1 error; the cases are run when there is none"]


def test_a_warning_alone_does_not_fail(tmp_path):
    path = tmp_path / "p.lua"
    path.write_text("local x = 1\nreturn {}\n")
    result = CliRunner().invoke(main, ["policy", "check", str(path)])
    assert result.exit_code == 0 and result.output.startswith(f"{path}:1: warning: ") and "cases passed, 0 failed" in result.output
