"""What a policy is shown of a graph that was submitted as one event: edges, `cost` and `copy`, known and not, in the simulator and on real
workers."""

import os
import subprocess
import sys

from miniray.lab import run_sim

POLICY = """
local seen = 0
return {
  submitted = function(t) seen = seen + 1 end,
  plan = function(t)
    local c, n, e = {}, nodes(t), t.preds[1]
    for _, w in ipairs(workers(t)) do c[#c + 1] = string.format("%d", cost(t, w)) end
    print(t.fn, seen, #t.preds, #t.succs, table.concat(c, ","), e and e.bytes or "-", copy(1000000, n[1], n[#n]), copy(1000000))
  end,
}
"""
WORLD = [{"platform": {"nodes": [{"cpus": 1}, {"cpus": 1, "speed": 2}], "bandwidth": 1e8, "latency": 0.001}},
         {"id": "a", "fn": "make", "duration_s": 1.0, "outputs": 1000000},
         {"id": "b", "fn": "use", "duration_s": 2.0, "inputs": ["a"]},
         {"id": "c", "fn": "use", "duration_s": 3.0, "inputs": ["a"], "arrival_s": 20.0}]


def shown(tmp_path, know):
    (tmp_path / "p.lua").write_text(POLICY)
    return [line.split("\t") for line in run_sim.simulate(WORLD, str(tmp_path / "p.lua"), know=know).printed]


def test_in_the_simulator_by_what_is_known(tmp_path):
    a, b, c = shown(tmp_path, "exact")  # all of an instant is told before anything is asked
    assert a == ["make", "2", "0", "1", "1000000000,500000000", "-", "11000000", "5500000"]
    assert b[:5] == ["use", "2", "1", "0", "2000000000,1000000000"] and c[:5] == ["use", "3", "1", "0", "3000000000,1500000000"]
    assert c[5] == "1000000", "it is sealed"
    a, b, c = shown(tmp_path, "learned")
    assert a[4] == b[4] == "1000000,500000", "nothing known: a millisecond, by the node's speed"
    assert c[4] == "2000000000,1000000000", "as long as the one before took"
    assert {line[4] for line in shown(tmp_path, "nothing")} == {"1000000,500000"}


def test_on_real_workers(tmp_path):
    (tmp_path / "p.lua").write_text(POLICY)
    (tmp_path / "run.py").write_text("""
import miniray as ray
ray.init(num_cpus=2, policy="p.lua")
@ray.remote
def make(): return bytes(1000000)
@ray.remote
def use(x): return len(x)
for _ in range(2):
    with ray.batch():
        a = make.remote()
        b, c = use.remote(a), use.options(estimate_s=0.5).remote(a)
    assert ray.get([b, c]) == [1000000] * 2
""")
    done = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100,
                          env={**os.environ, "MINIRAY_LOG_LEVEL": "info"})
    mark = "miniray info [sched-lua] "
    lines = [line[len(mark):].split("\t") for line in done.stderr.splitlines() if line.startswith(mark)]
    assert done.returncode == 0 and len(lines) == 6, done.stderr
    assert [line[:4] for line in lines] == [["make", "3", "0", "2"], ["use", "3", "1", "0"], ["use", "3", "1", "0"],
                                            ["make", "6", "0", "2"], ["use", "6", "1", "0"], ["use", "6", "1", "0"]]
    assert lines[0][4] == "1000000,1000000" and lines[1][5] == "0", "nothing is known of either"
    assert lines[2][4] == lines[5][4] == "500000000,500000000", "as it was stated"
    assert lines[3][4] != "1000000,1000000" and int(lines[4][5]) >= 1000000, "learned from the first time"
    assert lines[0][6:] == ["0", "0"], "one node: nothing is copied"
