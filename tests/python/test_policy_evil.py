"""Evil policies on real workers: every task runs once and has its value, whatever the policy does."""

import os

import pytest

import miniray

EVIL = {
    "an endless loop": "return { rank = function(t) if t.seq > 20 then while true do end end return 0 end }",
    "pcall around the end": "return { pick = function(w) while true do pcall(function() while true do end end) end end }",
    "memory": "return { submitted = function(t) local x = {} while true do x[#x + 1] = {} end end }",
    "everything dropped": "return { pick = function(w) end }",
    "nobody": "return { pick = function(w) return false end }",
    "one task again and again": "local one return { ready = function(t) one = one or t end, pick = function(w) return one end }",
    "ranks without end": "return { rank = function(t) rerank() return 0 end }",
    "ranks of one without end": "return { rank = function(t) rerank(t) return -t.seq end }",
    "timers without end": "return { pick = function(w) wake(now()) return first(nil, w) end, woken = function() wake(now()) end }",
    "answers at random": """local seen = {}
return { submitted = function(t) seen[#seen + 1] = t end,
  pick = function(w) return math.random(2) == 1 and seen[math.random(#seen)] or first(nil, w) end,
  place = function(t) return math.random(3) == 1 and workers()[math.random(#workers())] or nil end }""",
}


@pytest.mark.parametrize("name", EVIL)
def test_every_task_runs_once(tmp_path, name):
    path, settings, ran = tmp_path / "evil.lua", tmp_path / "evil.ini", tmp_path / "ran"
    path.write_text(EVIL[name] + "\n")
    settings.write_text("[sched]\nmax_hold = 200ms\n[sched.lua]\nbudget = 100000\nmemory = 600K\n")
    ran.touch()

    @miniray.remote(max_retries=0)
    def add(a, b):
        with open(ran, "ab", buffering=0) as file:
            file.write(b".")
        return a + b

    with miniray.init(num_cpus=2, policy=str(path), config=str(settings)):
        refs = [add.remote(0, i) for i in range(30)]
        refs += [add.remote(refs[i], refs[29 - i]) for i in range(30)]
        assert miniray.get(refs, timeout=60) == [*range(30), *[29] * 30]
    assert os.path.getsize(ran) == 60
