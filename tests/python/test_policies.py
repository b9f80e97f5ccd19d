"""Another policy while the session runs: nothing is lost, the old one stays if the new one is bad, state survives a reload."""

import os
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import miniray
from miniray import _desk, _session
from miniray.cli import main

POLICIES = sorted(path for path in (Path(__file__).parents[2] / "config" / "policies").glob("*.lua"))


def told(what="stats"):
    return _session.state(what)


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def loads(policy):
    """Sets it; False where the engine does not offer what it requires."""
    try:
        miniray.set_policy(policy)
        return True
    except NotImplementedError as error:
        assert "requires preemption" in str(error), error
        return False


def test_every_policy_takes_over_while_tasks_wait_and_run(ray):
    @ray.remote
    def add(*numbers):
        return sum(numbers)

    expected, refs = [], []
    for i, policy in enumerate(["fifo", "sched-locality", *POLICIES, "fifo"]):
        first = [add.remote(k, i) for k in range(20)]
        refs += [*first, add.remote(*first)]
        expected += [*(k + i for k in range(20)), sum(range(20)) + 20 * i]
        if loads(policy):
            assert told()["policy"] == getattr(policy, "stem", f"sched-{policy}" if policy == "fifo" else policy)
        assert told()["degraded"] is None
    assert ray.get(refs) == expected
    past = told("policies")
    assert past[-1]["policy"] == "sched-fifo" and len(past) == 16 and past == sorted(past, key=lambda one: one["at"])


def test_a_swap_is_in_the_timeline(ray, tmp_path):
    import json

    ray.set_policy("locality")
    ray.timeline(str(tmp_path / "t.json"))
    names = [event["name"] for event in json.loads((tmp_path / "t.json").read_text()) if event["ph"] == "i"]
    assert names == ["policy sched-fifo", "policy sched-locality"]


def test_a_bad_one_leaves_the_old_one_at_work(ray, tmp_path):
    ray.set_policy(write(tmp_path, "good.lua", "return { rank = function(t) return t.seq end }"))
    for name, text, says in [("syntax.lua", "return {\n rank = = 3 }", r"syntax.lua:2: unexpected symbol near '='"),
                             ("hook.lua", "return { rnak = function() end }", "did you mean 'rank'"),
                             ("kind.lua", "return 3", "must return a table of hooks"), ("field.lua", "return { rank = 7 }", "'rank' must be a function")]:
        with pytest.raises(ray.exceptions.RayError, match=says) as caught:
            ray.set_policy(write(tmp_path, name, text))
        assert name in str(caught.value)
        assert told()["policy"] == "good"
    for wrong, says in [(str(tmp_path / "no.lua"), "no.lua"), ("sched-nothing", "sched-nothing"), ("faire", "did you mean 'fair'.*one of ageing, "), ("/no/such.so", "such.so"), ("", "there is no policy ''")]:
        with pytest.raises(Exception, match=says):
            ray.set_policy(wrong)
    with pytest.raises(TypeError, match="int"):
        ray.set_policy(3)
    assert told()["policy"] == "good" and told()["degraded"] is None
    assert [one["policy"] for one in told("policies")] == ["sched-fifo", "good"]


def change(policy, *options):
    """What `miniray policy set` does and says: (exit status, its words)."""
    result = CliRunner().invoke(main, ["policy", "set", str(policy), "--session", _desk.Source()("session")["folder"], *options])
    return result.exit_code, result.output


def test_from_another_terminal(ray, tmp_path, until):
    flag, text = tmp_path / "go", "local n = 0\nreturn { rank = function(t) return t.seq end, save = function() return n end, restore = function(x) n = x end }"

    @ray.remote
    def hold(*inputs):
        while not flag.exists():
            time.sleep(0.005)

    refs = [hold.remote() for _ in range(5)]
    refs.append(hold.remote(refs[0]))
    until(lambda: told()["running"] == 2, "two tasks run")
    assert change("fair", "--json") == (0, '{"policy": "fair", "submitted": 6, "ready": 3, "running": 2, "stopped": 0, "restored": false, '
                                           '"degraded": null, "was": "sched-fifo"}\n')
    good = write(tmp_path, "good.lua", text)
    code, words = change(good)
    assert code == 0 and "good is at work in session " in words and "after fair\nit was told of 6 tasks: 1 wait for arguments, 3 are ready, 2 run" in words
    assert "took over" not in words and "took over" in change(good)[1]
    code, words = change(write(tmp_path, "hook.lua", "return {\n rnak = function() end }"))
    assert code == 1 and "hook.lua:2: 'rnak' is not a hook: did you mean 'rank'" in words and "stays with good" in words
    code, words = change(tmp_path / "none.lua")
    assert code == 2 and "none.lua does not exist" in words
    code, words = change(write(tmp_path, "fails.lua", "return { rank = function(t) return t.nothing end }"))
    assert code == 1 and "fails failed at once" in words and "is FIFO" in words and "no field 'nothing'" in words
    assert told()["policy"] == "fifo" and told()["degraded"]
    assert change("sched-priority")[0] == 0 and told()["degraded"] is None
    flag.touch()
    ray.get(refs)
    assert [one["policy"] for one in told("policies")] == ["sched-fifo", "fair", "good", "good", "fails", "sched-priority"]


@pytest.mark.parametrize("policy, name", [("fair", "fair"), ("priority", "sched-priority"), ("sched-priority", "sched-priority")])
def test_a_shipped_policy_by_its_name(policy, name):
    with miniray.init(num_cpus=1, policy=policy):
        assert told("policies")[0]["policy"] == name
        miniray.set_policy("lifo")
        assert told()["policy"] == "lifo"


def test_a_policy_that_there_is_not():
    with pytest.raises(miniray.exceptions.ConfigError, match=r"init\(policy=\): there is no policy 'faire', did you mean 'fair'"):
        miniray.init(policy="faire")
    with pytest.raises(ValueError, match="are two plugins"):
        miniray.init(policy="priority", sched="sched-fifo")


def test_only_the_driver_changes_it(ray):
    @ray.remote
    def change():
        miniray.set_policy("fifo")

    with pytest.raises(Exception, match="only the driver changes the scheduling policy"):
        ray.get(change.remote())


def test_state_survives_a_reload(ray, tmp_path):
    text = """
local seen = {}
return {
  rank = function(t) seen[t.fn] = (seen[t.fn] or 0) + 1; return seen[t.fn] + BASE end,
  save = function() return { seen = seen, list = { 1, 2.5, true, "x" } } end,
  restore = function(old)
    seen = old.seen
    assert(old.list[2] == 2.5 and old.list[3] and old.list[4] == "x")
    if not seen.add or seen.add < 30 then error("only " .. tostring(seen.add)) end
  end,
}"""
    path = write(tmp_path, "counts.lua", text.replace("BASE", "0"))
    ray.set_policy(path)

    @ray.remote(name="add")
    def add(x):
        return x + 1

    with pytest.raises(ray.exceptions.RayError, match=r"counts.lua:9: only nil, in restore"):
        ray.set_policy(path)
    assert ray.get([add.remote(x) for x in range(30)]) == list(range(1, 31))
    waiting = [add.remote(x) for x in range(30)]
    write(tmp_path, "counts.lua", text.replace("BASE", "1000"))
    ray.set_policy(path)
    assert ray.get(waiting) == list(range(1, 31))
    assert told()["degraded"] is None
    for answer, says in [("function() end", "there is a function in it"), ("loop", "one that contains itself")]:
        write(tmp_path, "counts.lua", f"local loop = {{}}\nloop.x = loop\nreturn {{ save = function() return {answer} end, restore = function() end }}")
        other = tmp_path / "other.lua"
        ray.set_policy(write(tmp_path, other.name, (tmp_path / "counts.lua").read_text()))
        with pytest.raises(ray.exceptions.RayError, match=says):
            ray.set_policy(other)
        ray.set_policy("fifo")


PLANS = """
local batch = 0
return {
  submitted = function(t) batch = batch + 1 end,
  plan = function(t) if batch > SIZE then error("saw " .. batch) end; if #t.succs ~= (t.fn == "last" and 0 or 1) then error(t.fn .. " has " .. #t.succs) end end,
}"""


def test_a_batch_is_one_event(ray, tmp_path):
    """`plan` of the first sees the successors of all: another thread that waits and drives does not close the batch."""
    ray.set_policy(write(tmp_path, "plans.lua", PLANS.replace("SIZE", "1e9")))

    @ray.remote(name="one")
    def one(x):
        return x

    @ray.remote(name="last")
    def last(*x):
        return len(x)

    with ray.batch():
        graph = [one.remote(i) for i in range(200)]
        end = last.remote(*graph)
    assert ray.get(end) == 200
    assert told()["degraded"] is None
    ray.get([one.remote(1), one.remote(2)])  # alone they have no successors
    assert "one has 0" in told()["degraded"]


def test_a_batch_of_another_thread_is_left_alone(ray, tmp_path):
    ray.set_policy(write(tmp_path, "plans.lua", PLANS.replace("SIZE", "1e9")))
    begun, over = threading.Event(), threading.Event()

    @ray.remote(name="last")
    def last(*x):
        return len(x)

    @ray.remote(name="one")
    def one(x):
        return x

    def waits():
        begun.wait()
        with pytest.raises(ray.exceptions.GetTimeoutError):
            ray.get(never, timeout=0.3)
        over.set()

    thread = threading.Thread(target=waits)
    thread.start()
    with ray.batch():
        never = one.remote(0)
        begun.set()
        over.wait()
        end = last.remote(never)
    assert ray.get(end) == 1 and told()["degraded"] is None
    thread.join()


def test_what_is_over_has_its_labels_while_it_is_told(tmp_path):
    from miniray.lab import simulate

    text = """local served = {}
return { done = function(t, w, ran) served[t.labels.team] = (served[t.labels.team] or 0) + ran; if #t.preds > 0 then error("edges") end end,
  dropped = function(t) if t.labels.team ~= "red" then error("no label") end end }"""
    path = write(tmp_path, "served.lua", text)
    run = simulate([{"id": "a", "duration_s": 1, "labels": {"team": "red"}}, {"id": "b", "duration_s": 1, "labels": {"team": "red"}, "deps": ["a"]}], str(path))
    assert not run.summary["degraded"], run.summary["ejected"]
    with miniray.init(num_cpus=1, policy=str(path)):
        @miniray.remote(labels={"team": "red"})
        def one(x=None):
            return 1

        held = one.remote(one.remote())
        assert miniray.get(held) == 1
        cancelled = one.remote()
        miniray.cancel(cancelled)
        miniray.wait([cancelled])
        assert told()["degraded"] is None


def test_a_task_has_one_name_everywhere(tmp_path):
    """In a policy's error, in the dump, in `miniray why`."""
    from miniray.util.state import why

    with miniray.init(num_cpus=1, policy=str(write(tmp_path, "fails.lua", "return { rank = function(t) return t.limit + 1 end }"))):
        @miniray.remote(name="one")
        def one():
            return 1

        miniray.get(one.remote())
        error, dump = told()["degraded"], told()["dump"]
        name = error[error.index("(task ") + 6:].split(",")[0]
        assert f"rank of task {name} one: it failed" in dump, dump
        assert why(name).startswith(f"one ({name})")


def test_a_refused_answer_is_told_with_its_reason(tmp_path):
    from miniray.lab import policy_tests

    path = write(tmp_path, "again.lua", "local one\nreturn { ready = function(t) one = one or t end, pick = function(w) return w.id == 0 and first(nil, w) or one end }")
    with miniray.init(num_cpus=2, policy=str(path)):
        @miniray.remote(name="one")
        def one():
            time.sleep(0.05)

        miniray.get([one.remote() for _ in range(4)])
        assert told()["refusal"].startswith("pick of slot 1 answered task ") and ", which " in told()["refusal"]
        shown = CliRunner().invoke(main, ["status", "--session", _desk.Source()("session")["folder"]]).output
        assert "answers refused" in shown and f"the first: {told()['refusal']}" in shown
    failures = policy_tests.property_failures(str(path), "it works with everything known")
    assert any("answers were refused, the first: pick of slot" in line for line in failures), failures


# ---- why -------------------------------------------------------------------------------------------------------------

@pytest.fixture
def explained(monkeypatch):
    monkeypatch.setenv("MINIRAY_SCHED_EXPLAIN", "true")

    def begin(**how):
        miniray.init(num_workers=1, **how)
        return miniray
    yield begin
    miniray.shutdown()


def _line(text, head):
    return [line.split(None, 1)[1] for line in text.splitlines() if line.split(None, 1)[0] == head]


def test_why_a_short_task_went_first(explained, tmp_path):
    from miniray.util.state import why

    ray = explained(policy=str(write(tmp_path, "short.lua", "-- the shortest first\nreturn {\n  rank = function(t)\n    return t.estimate\n  end,\n}")))
    gate = tmp_path / "gate"

    @ray.remote(name="first")
    def first():
        import time
        while not gate.exists():
            time.sleep(0.01)

    @ray.remote(name="long", estimate_s=3)
    def long(x):
        return x

    @ray.remote(name="short", estimate_s=1)
    def short(x):
        return x

    blocker = first.remote()
    a = long.remote(1)
    after = short.remote(blocker)
    b = short.remote(2)
    text = why(a)
    assert text.startswith("long (") and "queued" in text and "CPU 1" in _line(text, "waits")[0]
    assert _line(text, "rank") == ["3000000000: the answer of short.lua:4"]
    assert "which first makes" in _line(why(after), "waits")[0]
    gate.touch()
    assert ray.get([blocker, a, after, b]) == [None, 1, None, 2]
    text = why(a)
    assert "finished" in text.splitlines()[0]
    overtaken = _line(text, "overtaken")
    assert len(overtaken) == 2 and all("its rank 1000000000 is before 3000000000" in line for line in overtaken)
    assert "on node main, slot 0, pid " in _line(text, "started")[0]
    assert "short (" in _line(text, "why")[0] and "had ended there" in _line(text, "why")[0]
    assert "its last argument was there: task " in _line(why(after), "ready")[0]
    assert why("long") == text and "short" in why("short")
    for wrong in ("no_such_task", "ffffffffffff"):
        with pytest.raises(ValueError, match=wrong):
            why(wrong)


def test_why_a_wide_task_waited_and_who_picked(explained, tmp_path):
    from miniray.util.state import why

    ray = explained(policy=str(write(tmp_path, "last.lua", "return {\n  pick = function(w)\n    return last(nil, w)\n  end }")))

    @ray.remote(name="one")
    def one(x):
        return x

    with ray.batch():
        refs = [one.remote(i) for i in range(3)]
    assert ray.get(refs) == [0, 1, 2]
    text = why(refs[2])
    assert "last.lua:3 chose it for this slot among 3 that were ready; first in order was one (" in _line(text, "why")[0]
    assert all("last chose it" in line for line in _line(why(refs[0]), "overtaken"))
    ray.set_policy("fifo")

    @ray.remote(name="two", num_cpus=0.6)
    def two():
        return 2

    assert ray.get([two.remote(), two.remote()]) == [2, 2]
    assert "finished" in why("two")


def test_why_after_another_policy_came(explained, tmp_path, until):
    """Lines are those of the policy that answered, and the wait is the whole one."""
    from miniray.util.state import why

    ray = explained(policy=str(write(tmp_path, "first.lua", "return {\n\n  rank = function(t) return -t.seq end }")))
    gate = tmp_path / "gate"

    @ray.remote(name="hold")
    def hold():
        while not gate.exists():
            time.sleep(0.002)

    @ray.remote(name="one")
    def one():
        return 1

    running, waiting = hold.remote(), one.remote()
    until(lambda: told()["running"] == 1, "the start")
    ray.set_policy("fcfs")
    assert _line(why(running), "started") and "so far" not in why(running)
    before = why(waiting)
    assert _line(before, "rank")[0].endswith("the answer of first.lua:3") and _line(before, "ready") == [f"at {before.split('ready      at ')[1].splitlines()[0]}"]
    gate.touch()
    assert ray.get([running, waiting]) == [None, 1]
    text = why(waiting)
    assert _line(text, "ready") == _line(before, "ready") and "1 CPU: node main had 0 CPU free" in text
    assert "fcfs.lua:" in _line(text, "why")[0]


def test_why_what_was_waited_for_is_known_afterwards(explained, tmp_path):
    from miniray.util.state import why

    settings = tmp_path / "quota.ini"
    settings.write_text("[sched]\nquotas = ann=1\n")
    miniray.init(num_cpus=2, config=str(settings))

    @miniray.remote(user="ann", max_running=7)
    def hers(seconds=0.05):
        time.sleep(seconds)

    refs = [hers.remote() for _ in range(2)]
    failed = hers.options(name="late", limit_s=0.01).remote(60)
    cancelled = hers.options(name="never").remote()
    miniray.cancel(cancelled)
    miniray.wait([*refs, failed, cancelled], num_returns=4)
    text = why(refs[1])
    assert "waited for the quota of user ann: 1 of 1 CPUs were used" in text and "when there was room in the quota of user ann" in text
    assert "failed: the task ran longer than its limit of 0.01 s" in why(failed)
    assert "and never started" in why(cancelled) and "so far" not in why(cancelled)


def test_why_a_task_was_stopped(explained, tmp_path, until):
    from miniray.util.state import why

    ray = explained(policy=str(write(tmp_path, "urgent.lua", """local function key(t) return -t.priority end
return {
  rank = key,
  slice = function(t) if t.priority == 0 then return 20*ms end end,
  preempt = function(t)
    local r, k = most(running(t), key)
    if r and k > key(t) then return r end
  end }""")))
    gate = tmp_path / "gate"

    @ray.remote
    def hold():
        while not gate.exists():
            time.sleep(0.002)

    @ray.remote(name="urgent", priority=5)
    def urgent():
        return 1

    refs = [hold.options(name=name).remote() for name in ("one", "two")]
    until(lambda: told()["stops"] >= 4, "each has used up its slice")
    first = urgent.remote()
    assert ray.get(first) == 1
    waiting = why(next(t["name"] for t in told("tasks") if t["phase"] == "stopped"))
    assert "stopped" in waiting.splitlines()[0] and " so far (" in _line(waiting, "waited")[0]
    gate.touch()
    assert ray.get(refs) == [None, None]
    took, = _line(why(first), "why")
    assert took.startswith("there  it took the slot of ") and took.endswith(": the answer of urgent.lua:7")
    texts = [why(ref) for ref in refs]
    slices = [line for text in texts for line in _line(text, "stopped") if "its slice of 20 ms was used up: the answer of urgent.lua:4" in line]
    takes = [line for text in texts for line in _line(text, "stopped") if " took its slot, rank -5 against 0: the answer of urgent.lua:7" in line]
    assert len(slices) == 2 and any("times, the last time at" in line for line in slices), texts
    assert len(takes) == 1 and ": urgent (" in takes[0], texts
    assert all("before it went on (" in _line(text, "waited")[0] for text in texts)


def test_why_without_a_record(ray):
    from miniray.util.state import why

    @ray.remote(name="one")
    def one():
        return 1

    ref = one.remote()
    assert ray.get(ref) == 1
    text = why(ref)
    assert "started" in text and "explain = true" in text and "overtaken" not in text


def test_why_from_another_terminal(explained):
    import subprocess
    import sys

    ray = explained()

    @ray.remote(name="shown")
    def shown():
        return 1

    assert ray.get(shown.remote()) == 1
    done = subprocess.run([sys.executable, "-m", "miniray", "why", "shown", "--session", str(os.getpid())], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("shown (") and "why there" in done.stdout, done
    done = subprocess.run([sys.executable, "-m", "miniray", "why", "nothing", "--session", str(os.getpid())], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no task is named 'nothing'" in done.stderr and "Traceback" not in done.stderr
